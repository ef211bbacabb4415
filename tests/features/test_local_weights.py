"""Networks with weights from a user's own file, or random ones, without a download."""

import importlib.machinery
import pathlib
import shutil
import sys
import types

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F  # noqa: N812

import lungpatch
from lungpatch.errors import ConfigurationError, MissingInputError
from lungpatch.features.torch_module import TorchModuleExtractor
from lungpatch.pipeline.configuration import build_pipeline
from lungpatch.testing.samples import phantom_patches


class Tiny(nn.Module):
    """Two convolutions with a norm, and a classifier."""

    pretrained_cfg = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}  # noqa: RUF012

    def __init__(self, classes=10, blocks=2):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.blocks = nn.Sequential(*(nn.Conv2d(4, 4, 3, padding=1) for _ in range(blocks)))
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, classes)

    def forward(self, images):
        maps = self.norm(self.blocks(self.stem(images)))
        return self.head(F.relu(maps, inplace=True).mean((2, 3)))


class Tokens(nn.Module):
    """Tokens that are the means of patches of 14 pixels, after two that are none of the image."""

    pretrained_cfg = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}  # noqa: RUF012

    def __init__(self):
        super().__init__()
        self.patch_embed = nn.AvgPool2d(14)
        self.patch_embed.patch_size = (14, 14)
        self.block = nn.Identity()

    def forward(self, images):
        tokens = self.patch_embed(images).flatten(2).transpose(1, 2)
        return self.block(F.pad(tokens, (0, 0, 2, 0), value=9.0))


class ChannelsLast(Tokens):
    def forward(self, images):
        return self.block(self.patch_embed(images).permute(0, 2, 3, 1))


class OneSize(Tokens):
    """Takes images of 28 x 28 pixels only."""

    fixed = True

    def forward(self, images):
        assert images.shape[-1] == 28, f"got {images.shape[-1]}"
        return super().forward(images)


class OneSizeThatTimmKnows(OneSize):
    pretrained_cfg = {  # noqa: RUF012
        **Tokens.pretrained_cfg,
        "fixed_input_size": True,
        "input_size": (3, 28, 28),
    }


MODELS = {
    "tiny": Tiny,
    "tokens": Tokens,
    "channels-last": ChannelsLast,
    "one-size": OneSize,
    "one-size-known": OneSizeThatTimmKnows,
}


@pytest.fixture(autouse=True)
def timm(monkeypatch):
    """A stand-in for timm that has nothing to download from."""

    def create_model(name, pretrained, dynamic_img_size=False):
        assert not pretrained, "nothing may be downloaded"
        assert dynamic_img_size == (name == "tokens")
        return MODELS[name]()

    module = types.ModuleType("timm")
    module.__spec__ = importlib.machinery.ModuleSpec("timm", None)
    module.is_model = MODELS.__contains__
    module.models = types.SimpleNamespace(
        is_model_in_modules=lambda name, modules: (
            name == "tokens" and "vision_transformer" in modules
        )
    )
    module.create_model = create_model
    monkeypatch.setitem(sys.modules, "timm", module)
    return module


def trained(**settings):
    """A network with weights that no other test network has."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        network = Tiny(**settings).eval().requires_grad_(False)
        network.norm.running_mean.normal_()
        network.norm.running_var.uniform_(0.5, 2.0)
    return network


def extractor(weights, layers=("norm",), model="tiny", **settings):
    return TorchModuleExtractor(
        library="timm", model=model, layers=layers, weights=weights, device="cpu", **settings
    )


def assert_features_of(network, file, **settings):
    patches = phantom_patches(32, 2)
    mean, std = settings.get("mean", 0.5), settings.get("std", 0.25)
    images = torch.from_numpy((patches.pixels - mean) / std)[:, None].expand(-1, 3, -1, -1)
    expected = network.norm(network.blocks(network.stem(images))).numpy()
    found = extractor(file, **settings).extract(patches)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


WRAPPERS = {
    "as it is": lambda weights: weights,
    "state_dict": lambda weights: {"epoch": 3, "state_dict": weights},
    "model": lambda weights: {"model": weights, "optimizer": {"lr": 0.1}},
    "module": lambda weights: {f"module.{name}": values for name, values in weights.items()},
    "two prefixes": lambda weights: {
        "state_dict": {f"model.backbone.{name}": values for name, values in weights.items()}
    },
    "no head": lambda weights: {
        name: values for name, values in weights.items() if not name.startswith("head")
    },
    "no head, prefix": lambda weights: {
        f"model.{name}": values for name, values in weights.items() if not name.startswith("head")
    },
    "no counter": lambda weights: {
        name: values for name, values in weights.items() if "num_batches" not in name
    },
    "double precision": lambda weights: {
        name: values.double() if values.is_floating_point() else values
        for name, values in weights.items()
    },
}


@pytest.mark.parametrize("end", [".pt", ".pth", ".bin", ".ckpt"])
def test_a_state_dict(end, tmp_path):
    network, file = trained(), tmp_path / f"mine{end}"
    torch.save(network.state_dict(), file)
    assert_features_of(network, file)


def test_a_safetensors_file(tmp_path):
    network = trained()
    save_file(network.state_dict(), tmp_path / "mine.safetensors")
    assert_features_of(network, tmp_path / "mine.safetensors")


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_common_wrappers(wrapper, tmp_path):
    network = trained()
    torch.save(WRAPPERS[wrapper](network.state_dict()), tmp_path / "mine.pt")
    assert_features_of(network, tmp_path / "mine.pt")


def test_a_classifier_of_other_classes(tmp_path):
    network = trained(classes=14)
    torch.save(network.state_dict(), tmp_path / "mine.pt")
    assert_features_of(network, tmp_path / "mine.pt")


def test_a_normalisation_of_its_own(tmp_path):
    network = trained()
    torch.save(network.state_dict(), tmp_path / "mine.pt")
    assert_features_of(network, tmp_path / "mine.pt", mean=0.53, std=0.26)


def test_random_weights_are_always_the_same(tmp_path):
    torch.manual_seed(1)
    expected_draw = torch.rand(3)
    patches = phantom_patches(32, 2)
    torch.manual_seed(1)
    first = extractor("random").extract(patches)
    assert torch.equal(torch.rand(3), expected_draw)
    np.testing.assert_array_equal(extractor("random").extract(patches), first)
    torch.save(trained().state_dict(), tmp_path / "mine.pt")
    assert not np.allclose(extractor(tmp_path / "mine.pt").extract(patches), first)


class RunsCode:
    """What a pickle can do when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


def test_a_pickle_is_not_run(tmp_path):
    torch.save({"state_dict": RunsCode(tmp_path / "was-run")}, tmp_path / "mine.pt")
    with pytest.raises(ConfigurationError, match=r"mine\.pt: holds other objects than weights"):
        extractor(tmp_path / "mine.pt").state()
    assert not (tmp_path / "was-run").exists()


def test_a_whole_network_is_refused(tmp_path):
    torch.save(trained(), tmp_path / "mine.pt")
    with pytest.raises(ConfigurationError, match=r"mine\.pt: .* torch\.save\(network\.state_dict"):
        extractor(tmp_path / "mine.pt").state()


@pytest.mark.parametrize("content", [torch.zeros(3), {}, {"epoch": 3}, [1, 2]])
def test_what_is_no_state_dict(content, tmp_path):
    torch.save(content, tmp_path / "mine.pt")
    with pytest.raises(ConfigurationError, match=r"mine\.pt: is no state dict"):
        extractor(tmp_path / "mine.pt").state()


@pytest.mark.parametrize("end", [".pt", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 cut short"])
def test_damaged_files(content, end, tmp_path):
    file = tmp_path / f"mine{end}"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"mine{end}"):
        extractor(file).state()


def test_a_file_that_is_missing(tmp_path):
    with pytest.raises(
        MissingInputError, match=r"gone\.pt: no such file of weights; set 'weights'"
    ):
        extractor(tmp_path / "gone.pt").extract(phantom_patches(32, 1))


def test_the_weights_of_a_deeper_network(tmp_path):
    torch.save(trained(blocks=6).state_dict(), tmp_path / "mine.pt")
    with pytest.raises(ConfigurationError) as error:
        extractor(tmp_path / "mine.pt").state()
    told = "8 are unknown (blocks.2.weight, blocks.2.bias, blocks.3.weight, ...)"
    assert f"{tmp_path / 'mine.pt'}: these are not the weights of this Tiny" in str(error.value)
    assert told in str(error.value)


def test_the_weights_of_a_wider_network(tmp_path):
    weights = {
        name: values for name, values in trained().state_dict().items() if "bias" not in name
    }
    weights["stem.weight"] = torch.zeros(8, 3, 3, 3)
    torch.save(weights, tmp_path / "mine.pt")
    with pytest.raises(ConfigurationError) as error:
        extractor(tmp_path / "mine.pt").state()
    assert "4 are missing (stem.bias, blocks.0.bias, blocks.1.bias, ...)" in str(error.value)
    assert "1 have another shape (stem.weight (8, 3, 3, 3), not (4, 3, 3, 3))" in str(error.value)


@pytest.mark.parametrize("weights", ["pretraind", "resnet18", "mine.zip", ""])
def test_weights_that_cannot_be_meant(weights):
    with pytest.raises(
        ConfigurationError, match="'weights' must be 'pretrained', 'random' or a fil"
    ):
        extractor(weights)


@pytest.mark.parametrize("settings", [{"std": 0.0}, {"std": -1.0}, {"mean": "x"}, {"mean": True}])
def test_normalisations_that_there_are_not(settings):
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        extractor("random", **settings)


def test_tokens_become_a_map_without_those_of_no_place():
    patches = phantom_patches(56, 3)
    found = extractor("random", ("block",), "tokens").extract(patches)
    expected = patches.pixels.reshape(3, 4, 14, 4, 14).mean(axis=(2, 4))
    assert found.shape == (3, 3, 4, 4)
    for channel in range(3):
        np.testing.assert_allclose(found[:, channel], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("side", "cells"), [(56, 4), (57, 5), (64, 5), (70, 5)])
def test_patches_are_enlarged_to_whole_tokens(side, cells):
    found = extractor("random", ("block",), "tokens").extract(phantom_patches(side, 1))
    assert found.shape == (1, 3, cells, cells)


def test_networks_of_one_size():
    patches = phantom_patches(64, 2)
    found = extractor("random", ("block",), "one-size-known").extract(patches)
    assert found.shape == (2, 3, 2, 2)
    # Its four tokens are the means of quarters, whatever the size.
    quarters = patches.pixels.reshape(2, 2, 32, 2, 32).mean(axis=(2, 4))
    np.testing.assert_allclose(found[:, 0], quarters, atol=0.02)
    with pytest.raises(ConfigurationError, match="does not take patches of 64 pixels: got 64"):
        extractor("random", ("block",), "one-size").extract(patches)


def test_maps_whose_channels_are_last_are_refused():
    with pytest.raises(ConfigurationError, match="'block' gives no feature maps"):
        extractor("random", ("block",), "channels-last").extract(phantom_patches(56, 1))


# ------------------------------------------------------------------------------ in pipelines


TABLES = {
    "pipeline": {"grid_size": 128},
    "segmenter": {"name": "threshold"},
    "fit_sampler": {"name": "lung-crop", "patch_size": 32},
    "sampler": {"name": "lung-crop", "patch_size": 32},
    "model": {"name": "gaussian", "patch_size": 32},
    "scorer": {"name": "feature"},
    "thresholder": {"name": "quantile", "q": 0.9},
}


@pytest.fixture
def own_file(tmp_path):
    torch.save(trained().state_dict(), tmp_path / "mine.pt")
    return tmp_path / "mine.pt"


@pytest.fixture
def fitted(own_file, cohort):
    tables = {
        **TABLES,
        "model": {
            **TABLES["model"],
            "extractor": {
                "name": "torch-module",
                "library": "timm",
                "model": "tiny",
                "layers": ["norm"],
                "weights": str(own_file),
                "device": "cpu",
            },
        },
    }
    return build_pipeline(tables, origin="test").fit(cohort / "normal")


def test_a_pipeline_is_used_where_the_file_lies_elsewhere(fitted, own_file, cohort, tmp_path):
    image = next((cohort / "opacity").iterdir())
    expected = fitted.detect(image)
    fitted.save(tmp_path / "mine.lungpatch")
    elsewhere = shutil.move(own_file, tmp_path / "elsewhere.pt")
    loaded = lungpatch.load_pipeline(tmp_path / "mine.lungpatch")
    with pytest.raises(MissingInputError, match=r"mine\.pt: no such file of weights.*digest"):
        loaded.detect(image)
    loaded.set_params(model__extractor__weights=elsewhere)
    assert loaded.detect(image).pred_score == expected.pred_score
    loaded.save(tmp_path / "moved.lungpatch")
    moved = lungpatch.load_pipeline(tmp_path / "moved.lungpatch")
    assert moved.detect(image).pred_score == expected.pred_score


def test_other_weights_in_the_file_are_refused(fitted, own_file, cohort, tmp_path):
    fitted.save(tmp_path / "mine.lungpatch")
    torch.save(Tiny().state_dict(), own_file)
    with pytest.raises(lungpatch.errors.SavedPipelineError, match="other weights here"):
        lungpatch.load_pipeline(tmp_path / "mine.lungpatch")
    own_file.unlink()
    loaded = lungpatch.load_pipeline(tmp_path / "mine.lungpatch")
    loaded.set_params(model__extractor__weights="random")
    with pytest.raises(ConfigurationError, match="other weights here"):
        loaded.detect(next((cohort / "opacity").iterdir()))


def test_a_fitted_pipeline_keeps_its_weights_until_it_is_fitted_again(fitted, cohort):
    image = next((cohort / "opacity").iterdir())
    before = fitted.detect(image).pred_score
    own = fitted.model.extractor.weights
    fitted.model.extractor.weights = "random"
    with pytest.raises(ConfigurationError, match="other weights here"):
        fitted.detect(image)
    fitted.model.extractor.weights = own
    assert fitted.detect(image).pred_score == before
    fitted.model.extractor.weights = "random"
    assert fitted.fit(cohort / "normal").detect(image).pred_score != before
