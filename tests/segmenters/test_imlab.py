from __future__ import annotations

import inspect
import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage import exposure, morphology, transform

from lungpatch.containers import ChestImage
from lungpatch.errors import ConfigurationError, MissingExtraError, MissingInputError
from lungpatch.segmenters.imlab import (
    IMLABNetwork,
    IMLABSegmenter,
    UpLevel,
    keras_layers,
    load_imlab_network,
    network_input,
    without_small_regions,
)

h5py = pytest.importorskip("h5py", reason="h5py, of the extra imlab, is not installed")

FILTERS_DOWN = ((32, 32), (64, 64), (64, 64), (128, 128))
FILTERS_UP = ((256, 256, 256), (256, 256, 256), (128, 128, 128), (64, 64, 64))


@pytest.fixture(scope="module")
def keras() -> Any:
    """Keras on its torch backend."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = pytest.importorskip("keras", reason="Keras is not installed")
    if module.backend.backend() != "torch":
        pytest.skip("Keras runs on another backend than torch")
    return module


def keras_u_net(keras: Any, *, side: int = 64, decoder_first: bool = False, end: str = "sigmoid"):
    """The project's architecture, in Keras, its weights drawn at random."""
    keras.utils.set_random_seed(3)
    layers = keras.layers

    def convolve(features: Any, filters: int, activation: str = "relu") -> Any:
        return layers.Conv2D(
            filters,
            3,
            padding="same",
            activation=activation,
            kernel_initializer="he_uniform",
            bias_initializer=keras.initializers.RandomNormal(stddev=0.2),
        )(features)

    features = inputs = keras.Input((side, side, 1))
    skips = []
    for level in FILTERS_DOWN:
        for filters in level:
            features = convolve(features, filters)
        skips.append(features)
        features = layers.MaxPooling2D((2, 2))(features)
    features = convolve(features, 256)
    for first, second, third in FILTERS_UP:
        features = layers.UpSampling2D((2, 2))(features)
        features = convolve(convolve(features, first), second)
        joined = [skips.pop(), features]
        features = layers.concatenate(joined[::-1] if decoder_first else joined, axis=-1)
        features = convolve(features, third)
    return keras.Model(inputs, convolve(features, 1, end))


def save(model: Any, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path)
    return path


def write_keras_2_file(path: Path, network: IMLABNetwork) -> Path:
    """A file as Keras 2.0.4 wrote the published one, with the weights of a torch network."""
    layers: list[dict[str, Any]] = []
    counts: dict[str, int] = {}
    weights = iter(network.state_dict().values())
    stored: dict[str, list[np.ndarray]] = {}

    def add(kind: str, stem: str, sources: list[str], **config: Any) -> str:
        counts[stem] = counts.get(stem, 0) + 1
        name = f"{stem}_{counts[stem]}"
        inbound = [[[source, 0, 0, {}] for source in sources]] if sources else []
        config |= {"name": name, "trainable": True}
        layers.append(
            {"class_name": kind, "name": name, "inbound_nodes": inbound} | {"config": config}
        )
        return name

    def convolve(source: str, filters: int, activation: str = "relu") -> str:
        name = add(
            "Conv2D",
            "conv2d",
            [source],
            filters=filters,
            kernel_size=[3, 3],
            strides=[1, 1],
            padding="same",
            data_format="channels_last",
            dilation_rate=[1, 1],
            activation=activation,
            use_bias=True,
        )
        stored[name] = [next(weights).permute(2, 3, 1, 0).numpy(), next(weights).numpy()]
        return name

    last = add("InputLayer", "input", [], batch_input_shape=[None, 256, 256, 1], dtype="float32")
    skips = []
    for level in FILTERS_DOWN:
        for filters in level:
            last = convolve(last, filters)
        skips.append(last)
        last = add("MaxPooling2D", "max_pooling2d", [last], pool_size=[2, 2], strides=[2, 2])
    last = convolve(last, 256)
    for first, second, third in FILTERS_UP:
        last = add("UpSampling2D", "up_sampling2d", [last], size=[2, 2])
        last = convolve(convolve(last, first), second)
        last = add("Concatenate", "concatenate", [skips.pop(), last], axis=-1)
        last = convolve(last, third)
    convolve(last, 1, "sigmoid")
    with h5py.File(path, "w") as file:
        config = {"class_name": "Model", "config": {"name": "model_1", "layers": layers}}
        file.attrs["model_config"] = json.dumps(config).encode()
        group = file.create_group("model_weights")
        for layer in layers:
            own = group.create_group(layer["name"])
            arrays = stored.get(layer["name"], [])
            names = [f"{layer['name']}/{part}:0" for part in ("kernel", "bias")][: len(arrays)]
            own.attrs["weight_names"] = [name.encode() for name in names]
            for name, array in zip(names, arrays, strict=True):
                own[name] = array
    return path


@pytest.fixture(scope="module")
def network() -> IMLABNetwork:
    torch.manual_seed(0)
    return IMLABNetwork().eval().requires_grad_(False)


@pytest.fixture(scope="module")
def keras_2_file(network: IMLABNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_keras_2_file(tmp_path_factory.mktemp("keras2") / "trained_model.hdf5", network)


@pytest.fixture
def altered(keras_2_file: Path, tmp_path: Path) -> Path:
    """A copy of that file, to be spoilt."""
    path = tmp_path / "altered.hdf5"
    path.write_bytes(keras_2_file.read_bytes())
    return path


def test_gives_what_the_same_model_gives_in_keras(keras, tmp_path):
    model = keras_u_net(keras)
    images = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 64, 64, 1))).float()
    expected = model(images, training=False).detach().cpu()[..., 0]
    assert expected.std() > 0.05
    network = load_imlab_network(save(model, tmp_path / "model.hdf5"))
    got = network(images.permute(0, 3, 1, 2))[:, 0]
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)


def test_reads_the_layout_of_the_keras_that_wrote_the_published_file(keras_2_file, network):
    images = torch.from_numpy(np.random.default_rng(1).normal(size=(1, 1, 32, 32))).float()
    torch.testing.assert_close(load_imlab_network(keras_2_file)(images), network(images))


def old_clean_up(mask: np.ndarray) -> np.ndarray:
    """The clean-up of the project, with scikit-image; its name for the size changed since."""
    smallest = 0.02 * mask.size
    parameters = inspect.signature(morphology.remove_small_objects).parameters
    if "max_size" in parameters:
        most = int(np.ceil(smallest)) - 1
        kept = morphology.remove_small_objects(mask, max_size=most)
        return morphology.remove_small_holes(kept, max_size=most)
    return morphology.remove_small_holes(morphology.remove_small_objects(mask, smallest), smallest)


@pytest.mark.parametrize("seed", range(4))
def test_clean_up_is_that_of_the_project(seed):
    rng = np.random.default_rng(seed)
    mask = transform.resize(rng.random((24, 24)), (256, 256)) > 0.5
    cleaned = without_small_regions(mask)
    assert (cleaned != mask).any()
    np.testing.assert_array_equal(cleaned, old_clean_up(mask))


@pytest.mark.parametrize("fill", [False, True])
def test_clean_up_of_a_uniform_mask_changes_nothing(fill):
    mask = np.full((256, 256), fill)
    np.testing.assert_array_equal(without_small_regions(mask), mask)


def test_input_is_that_of_the_project():
    pixels = np.random.default_rng(0).random((300, 411)).astype(np.float32)
    expected = exposure.equalize_hist(transform.resize(pixels, (256, 256)))
    expected = (expected - expected.mean()) / expected.std()
    np.testing.assert_allclose(network_input(pixels), expected, atol=1e-4)


def test_input_of_an_image_of_one_grey_level_is_zero():
    np.testing.assert_array_equal(network_input(np.full((40, 50), 0.3, np.float32)), 0.0)


def test_mask_of_a_256_image_is_the_project_s_and_follows_the_image_to_other_sizes(altered):
    rows, columns = np.mgrid[0:1:256j, 0:1:256j]
    pixels = (0.5 + 0.4 * np.sin(7 * rows) * np.cos(5 * columns)).astype(np.float32)
    probability = load_imlab_network(altered)(torch.from_numpy(network_input(pixels))[None, None])
    # Random weights give no 0.5: a shift of the last bias makes half of the image lung.
    shift = -float(torch.logit(probability).median())
    with h5py.File(altered, "r+") as file:
        file["model_weights/conv2d_22/conv2d_22/bias:0"][...] += shift
    segmenter = IMLABSegmenter(weights=altered, device="cpu")
    mask = segmenter.segment(ChestImage(pixels=pixels, image_id="waves")).pixels
    shifted = torch.sigmoid(torch.logit(probability) + shift)[0, 0].numpy()
    expected = old_clean_up(shifted > 0.5)
    assert 0.2 < expected.mean() < 0.8
    assert (mask != expected).mean() < 1e-3
    large = transform.resize(pixels, (384, 512), order=1)
    larger = segmenter.segment(ChestImage(pixels=large, image_id="large")).pixels
    assert larger.shape == (384, 512)
    back = transform.resize(larger.astype(float), (256, 256), order=1) > 0.5
    assert (back != mask).mean() < 0.03


def test_settings_are_plain_values_and_a_path_is_taken_too():
    assert IMLABSegmenter(weights=Path("a.hdf5")).weights == "a.hdf5"
    with pytest.raises(ConfigurationError):
        IMLABSegmenter(weights=3)


def test_missing_file_is_named():
    image = ChestImage(pixels=np.zeros((8, 8), np.float32), image_id="black")
    with pytest.raises(MissingInputError, match=r"nowhere\.hdf5: no such weights file"):
        IMLABSegmenter(weights="nowhere.hdf5").segment(image)


def test_missing_h5py_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtraError, match=r'pip install "lungpatch\[imlab\]"'):
        load_imlab_network("trained_model.hdf5")


def test_a_web_page_in_place_of_the_file_is_refused(tmp_path):
    path = tmp_path / "trained_model.hdf5"
    path.write_text("<!DOCTYPE html>")
    with pytest.raises(ConfigurationError, match=r"trained_model\.hdf5: not a readable HDF5 file"):
        load_imlab_network(path)


def test_a_file_cut_short_is_refused(altered):
    altered.write_bytes(altered.read_bytes()[:100_000])
    with pytest.raises(ConfigurationError, match=r"altered\.hdf5: not a readable HDF5 file"):
        load_imlab_network(altered)


def test_other_hdf5_is_refused(tmp_path):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["x"] = [1, 2]
    with pytest.raises(ConfigurationError, match=r"other\.h5: HDF5, but not a whole Keras model"):
        load_imlab_network(path)


@pytest.mark.parametrize("config", ["{", "[]", '{"config": {"layers": [{}]}}'])
def test_a_model_config_without_layers_is_refused(altered, config):
    with h5py.File(altered, "r+") as file:
        file.attrs["model_config"] = config
    with pytest.raises(ConfigurationError, match="model_config cannot be understood"):
        load_imlab_network(altered)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"sigmoid"', '"relu"', "layer '34: .* activation relu"),
        ('"strides": [1, 1]', '"strides": [2, 2]', r"layer '1: .* strides \[2, 2\]' instead of"),
        ('["conv2d_8", 0, 0, {}], ["conv2d_11", 0, 0, {}]',
         '["conv2d_11", 0, 0, {}], ["conv2d_8", 0, 0, {}]', "Concatenate of 16 and 11' instead of"),
    ],
)  # fmt: skip
def test_another_architecture_with_the_same_weights_is_refused(altered, old, new, message):
    with h5py.File(altered, "r+") as file:
        config = json.dumps(json.loads(file.attrs["model_config"]))
        assert old in config
        file.attrs["model_config"] = config.replace(old, new)
    with pytest.raises(ConfigurationError, match=f"another architecture: .*{message}"):
        load_imlab_network(altered)


def test_a_keras_model_with_its_concatenations_turned_round_is_refused(keras, tmp_path):
    path = save(keras_u_net(keras, side=32, decoder_first=True), tmp_path / "round.h5")
    with pytest.raises(ConfigurationError, match="another architecture: layer '17: Concatenate"):
        load_imlab_network(path)


def test_a_small_keras_model_is_refused(keras, tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3)])
    with pytest.raises(ConfigurationError, match=r"small\.h5: "):
        load_imlab_network(save(model, tmp_path / "small.h5"))


def test_missing_and_misshapen_weights_are_named(altered):
    with h5py.File(altered, "r+") as file:
        layer = file["model_weights/conv2d_5/conv2d_5"]
        bias = layer["bias:0"][...]
        del layer["bias:0"]
        layer["bias:0"] = bias[:-1]
    with pytest.raises(ConfigurationError, match=r"layer conv2d_5 of shapes .*\(63,\)"):
        load_imlab_network(altered)
    with h5py.File(altered, "r+") as file:
        del file["model_weights/conv2d_3"]
    with pytest.raises(ConfigurationError, match="no weights of its layer conv2d_3"):
        load_imlab_network(altered)


def test_a_level_of_the_decoder_is_what_keras_computes():
    level = UpLevel((4, 3, 3, 2), skipped=5).eval()
    features, skip = torch.rand(2, 4, 3, 3), torch.rand(2, 5, 6, 6)
    with torch.no_grad():
        result = level.forward(features, skip)
        # Up-sampling by replication, as Keras's UpSampling2D, then the encoder's features first.
        enlarged = features.repeat_interleave(2, 2).repeat_interleave(2, 3)
        expected = level.after(torch.cat([skip, level.before(enlarged)], dim=1))
    assert result.shape == (2, 2, 6, 6)
    torch.testing.assert_close(result, expected)


def test_the_network_gives_a_probability_for_each_pixel():
    network = IMLABNetwork().eval()
    with torch.no_grad():
        probability = network.forward(torch.rand(1, 1, 32, 48))
    assert probability.shape == (1, 1, 32, 48)
    assert 0 <= probability.min() <= probability.max() <= 1


def test_the_layers_of_the_keras_model_are_named_in_order():
    lines = keras_layers()
    assert [int(line.split(":")[0]) for line in lines] == list(range(len(lines)))
    convolutions = sum(len(group) for group in (*FILTERS_DOWN, *FILTERS_UP))
    named = sum("Conv2D" in line for line in lines)
    assert named >= convolutions
    assert "activation sigmoid" in lines[-1]
