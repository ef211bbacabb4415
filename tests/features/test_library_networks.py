"""Features of real networks, against what their own libraries compute; no download."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import lungpatch
from lungpatch.errors import ConfigurationError
from lungpatch.features.torch_module import TorchModuleExtractor
from lungpatch.testing.samples import phantom_patches

EVERY_CELL = 1000
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def library(name):
    return pytest.importorskip(name, reason=f"{name} is not installed")


def seeded(build, seed=7):
    """Build a network with other random weights than the extractor's."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build().eval().requires_grad_(False)
        for values in network.parameters():
            values += 0.02 * torch.randn(values.shape)
    return network


def normalised(patches, mean, std):
    images = torch.from_numpy(patches.pixels.copy())[:, None]
    mean, std = (torch.tensor(values)[:, None, None] for values in (mean, std))
    return (images - mean) / std


def features(patches, file, **settings):
    extractor = TorchModuleExtractor(weights=file, grid=EVERY_CELL, device="cpu", **settings)
    return extractor.extract(patches)


def assert_close(found, expected):
    size = float(np.abs(expected).max())
    assert found.shape == expected.shape
    np.testing.assert_allclose(found / size, expected / size, rtol=0, atol=2e-5)


def test_a_convolutional_network_of_timm(tmp_path):
    timm = library("timm")
    network = seeded(lambda: timm.create_model("resnet18", num_classes=3))
    torch.save({"state_dict": network.state_dict()}, tmp_path / "mine.pth")
    patches = phantom_patches(96, 2)
    images = normalised(patches, *IMAGENET)
    maps = network.forward_intermediates(images, indices=[2, 3], intermediates_only=True)
    for layer, expected in zip(("layer2", "layer3"), maps, strict=True):
        found = features(
            patches, tmp_path / "mine.pth", library="timm", model="resnet18", layers=(layer,)
        )
        assert_close(found, expected.numpy())


@pytest.mark.parametrize(
    ("model", "side"), [("vit_tiny_patch16_224", 64), ("vit_small_patch14_reg4_dinov2", 70)]
)
def test_a_vision_transformer_of_timm(model, side, tmp_path):
    timm = library("timm")
    network = seeded(lambda: timm.create_model(model, dynamic_img_size=True))
    save_file(network.state_dict(), tmp_path / "mine.safetensors")
    patches = phantom_patches(side, 2)
    (expected,) = network.forward_intermediates(
        normalised(patches, network.pretrained_cfg["mean"], network.pretrained_cfg["std"]),
        indices=[7],
        intermediates_only=True,
    )
    found = features(
        patches,
        tmp_path / "mine.safetensors",
        library="timm",
        model=model,
        layers=("blocks.7",),
    )
    assert_close(found, expected.numpy())


def test_patches_are_enlarged_to_whole_tokens():
    library("timm")
    settings = {"library": "timm", "model": "vit_small_patch14_dinov2", "layers": ("blocks.0",)}
    assert features(phantom_patches(64, 1), "random", **settings).shape == (1, 384, 5, 5)


def test_a_network_of_timm_of_one_size_only():
    library("timm")
    settings = {"library": "timm", "model": "mixer_s32_224", "layers": ("blocks.0",)}
    assert features(phantom_patches(64, 1), "random", **settings).shape == (1, 512, 7, 7)


def test_maps_whose_channels_are_last_are_refused():
    library("timm")
    settings = {"library": "timm", "model": "swin_tiny_patch4_window7_224"}
    with pytest.raises(ConfigurationError, match=r"'layers.0' gives no feature maps"):
        features(phantom_patches(64, 1), "random", layers=("layers.0",), **settings)


@pytest.mark.parametrize("names", ["as they are saved", "of RAD-DINO's file"])
def test_dinov2_as_transformers_computes_it(names, tmp_path):
    library("timm")
    transformers = library("transformers")
    config = transformers.Dinov2Config(hidden_size=384, num_attention_heads=6, image_size=518)
    network = seeded(lambda: transformers.Dinov2Model(config))
    if names == "as they are saved":
        network.save_pretrained(tmp_path)
    else:
        renamed = {
            name.replace("attention.q_proj", "attention.attention.query")
            .replace("attention.k_proj", "attention.attention.key")
            .replace("attention.v_proj", "attention.attention.value")
            .replace("attention.o_proj", "attention.output.dense"): values
            for name, values in network.state_dict().items()
        }
        assert "encoder.layer.11.attention.attention.query.weight" in renamed
        save_file(renamed, tmp_path / "model.safetensors")
    patches = phantom_patches(518, 1)
    images = normalised(patches, [0.5307] * 3, [0.2583] * 3)
    tokens = network(pixel_values=images).last_hidden_state[:, 1:]
    expected = tokens.transpose(1, 2).reshape(1, 384, 37, 37)
    found = features(
        patches,
        tmp_path / "model.safetensors",
        library="timm",
        model="vit_small_patch14_dinov2",
        layers=("norm",),
        mean=0.5307,
        std=0.2583,
    )
    assert_close(found, expected.numpy())


def test_registers_as_transformers_computes_them(tmp_path):
    library("timm")
    transformers = library("transformers")
    config = transformers.Dinov2WithRegistersConfig(
        hidden_size=384, num_attention_heads=6, image_size=518, patch_size=14
    )
    network = seeded(lambda: transformers.Dinov2WithRegistersModel(config))
    network.save_pretrained(tmp_path)
    patches = phantom_patches(518, 1)
    tokens = network(pixel_values=normalised(patches, *IMAGENET)).last_hidden_state[:, 5:]
    found = features(
        patches,
        tmp_path / "model.safetensors",
        library="timm",
        model="vit_small_patch14_reg4_dinov2",
        layers=("norm",),
    )
    assert_close(found, tokens.transpose(1, 2).reshape(1, 384, 37, 37).numpy())


def test_a_network_of_torchvision(tmp_path):
    torchvision = library("torchvision")
    network = seeded(lambda: torchvision.models.densenet121(num_classes=5))
    torch.save(network.state_dict(), tmp_path / "mine.pt")
    layers = ("features.denseblock2", "features.norm5")
    extractor = torchvision.models.feature_extraction.create_feature_extractor
    patches = phantom_patches(64, 2)
    maps = extractor(network, list(layers))(normalised(patches, *IMAGENET))
    for layer in layers:
        found = features(
            patches,
            tmp_path / "mine.pt",
            library="torchvision",
            model="densenet121",
            layers=(layer,),
        )
        assert_close(found, maps[layer].numpy())


def test_a_vision_transformer_of_torchvision():
    library("torchvision")
    settings = {"library": "torchvision", "model": "vit_b_32"}
    found = features(
        phantom_patches(64, 1), "random", layers=("encoder.layers.encoder_layer_0",), **settings
    )
    assert found.shape == (1, 768, 7, 7)


@pytest.mark.parametrize("model", ["densenet121-res224-nih", "resnet50-res512-all"])
def test_networks_of_torchxrayvision(model, tmp_path):
    torchxrayvision = library("torchxrayvision")
    models = torchxrayvision.models
    if model.startswith("densenet"):
        network = seeded(lambda: models.DenseNet(weights=None))
        layer, inner, side = "features.denseblock3", network.features[:9], 224
        state = {**network.state_dict(), "op_threshs": torch.rand(18)}
    else:
        # As its constructor builds it behind the download.
        resnet = seeded(library("torchvision").models.resnet50)
        resnet.conv1 = seeded(lambda: torch.nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False))
        layer, inner, side = "model.layer2", torch.nn.Sequential(*list(resnet.children())[:6]), 512
        state = {f"model.{name}": values for name, values in resnet.state_dict().items()}
    torch.save(state, tmp_path / "mine.pt")
    patches = phantom_patches(256, 1)
    images = 2048 * torch.from_numpy(patches.pixels.copy())[:, None] - 1024
    expected = inner(torchxrayvision.utils.fix_resolution(images, side, network_name(model)))
    found = features(
        patches, tmp_path / "mine.pt", library="torchxrayvision", model=model, layers=(layer,)
    )
    assert_close(found, expected.numpy())


def network_name(model):
    return model  # the library prints its warning once a name


PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "own-backbones.md"
RECIPES = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_there_are_three_recipes():
    assert len(RECIPES) == 3


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_recipes_name_what_there_is(recipe, tmp_path):
    library(re.search(r'library = "(\w+)"', recipe)[1])
    file = tmp_path / "recipe.toml"
    file.write_text(recipe, encoding="utf-8")
    pipeline = lungpatch.load_config(
        file, changes={"model.members.1.model.extractor.device": "cpu"}
    )
    extractor = pipeline.model.members[1].model.extractor
    assert Path(extractor.weights).suffix in {".pt", ".safetensors"}
    extractor.weights = "random"
    assert extractor.extract(phantom_patches(64, 1)).shape[:2] == (1, CHANNELS[extractor.model])


CHANNELS = {
    "resnet50": 512 + 1024,
    "densenet121-res224-nih": 512 + 1024,
    "vit_base_patch14_dinov2": 768,
}
