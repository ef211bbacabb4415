from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage import io

from lungpatch.containers import ChestImage
from lungpatch.datasets.phantom import phantom_chest
from lungpatch.errors import LungpatchError
from lungpatch.networks.lung_network import LungNetwork
from lungpatch.networks.packaged_weights import check_weights
from lungpatch.segmenters.unet import UNetSegmenter

DATA = Path(
    os.environ.get("LUNGPATCH_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
)


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2.0 * (first & second).sum() / (first.sum() + second.sum())


def phantom(height: int, width: int) -> tuple[ChestImage, np.ndarray]:
    """Middle of a phantom chest, and its lungs."""
    case = phantom_chest(0, size=max(height, width))
    top, left = (case.image.shape[0] - height) // 2, (case.image.shape[1] - width) // 2
    middle = np.s_[top : top + height, left : left + width]
    return ChestImage(pixels=case.image.pixels[middle], image_id="phantom"), case.lungs[middle]


@pytest.mark.parametrize("shape", [(256, 256), (512, 512), (700, 600), (301, 350), (100, 100)])
def test_finds_both_lungs_at_the_image_s_own_size(shape):
    image, lungs = phantom(*shape)
    mask = UNetSegmenter(device="cpu").segment(image).pixels
    assert mask.shape == shape
    assert ndimage.label(mask)[1] == 2
    # The phantom's lungs end at the heart, the network's go on behind it.
    assert (mask & lungs).sum() > 0.9 * lungs.sum()
    assert dice(mask, lungs) > 0.8


def test_the_same_image_gives_the_same_mask():
    image, _ = phantom(300, 400)
    first, second = (UNetSegmenter(device="cpu").segment(image).pixels for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_flip_average_mirrors_with_the_image():
    image, _ = phantom(256, 256)
    mirrored = ChestImage(pixels=image.pixels[:, ::-1], image_id="mirrored")
    segmenter = UNetSegmenter(device="cpu", flip_average=True)
    probability = segmenter.probability(image)
    np.testing.assert_allclose(
        segmenter.probability(mirrored)[:, ::-1], probability, rtol=0, atol=1e-4
    )


def test_probability_agrees_with_the_mask_away_from_what_was_cleaned_up():
    image, _ = phantom(300, 260)
    segmenter = UNetSegmenter(device="cpu")
    probability = segmenter.probability(image)
    assert probability.dtype == np.float32
    assert 0.0 <= probability.min() <= probability.max() <= 1.0
    assert dice(probability > 0.5, segmenter.segment(image).pixels) > 0.97


@pytest.mark.parametrize(
    "pixels", [np.full((200, 300), 0.5), np.random.default_rng(0).random((300, 200))]
)
def test_neither_one_grey_level_nor_noise_has_lungs(pixels):
    image = ChestImage(pixels=pixels.astype(np.float32), image_id="no chest")
    assert not UNetSegmenter(device="cpu").segment(image).pixels.any()


def test_weights_of_another_network_are_refused():
    network = LungNetwork()
    weights = network.state_dict()
    del weights["head.bias"]
    weights["extra"] = torch.zeros(1)
    weights["head.weight"] = weights["head.weight"].double()
    with pytest.raises(LungpatchError, match=r"w\.safetensors .* extra, head\.bias, head\.weight"):
        check_weights(weights, network, "w.safetensors")


def test_importing_the_segmenter_imports_neither_torch_nor_skimage():
    code = (
        "import sys, lungpatch.segmenters.unet as unet; unet.UNetSegmenter(); "
        "sys.exit(bool({'torch', 'skimage'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(not (DATA / "lungs").is_dir(), reason=f"no radiographs in {DATA / 'lungs'}")
@pytest.mark.parametrize("name", ["003.png", "041.png", "056.png", "088.png", "113.png"])
def test_agrees_with_masks_it_was_trained_on(name):
    # A regression test: these are training images, so this says nothing about accuracy.
    pixels = io.imread(DATA / "lungs" / "image" / name).astype(np.float32) / 255.0
    expected = io.imread(DATA / "lungs" / "mask" / name) > 127
    image = ChestImage(pixels=pixels, image_id=name)
    assert dice(UNetSegmenter(device="cpu").segment(image).pixels, expected) > 0.94


@pytest.mark.skipif(not (DATA / "kermany").is_dir(), reason=f"no radiographs in {DATA}/kermany")
def test_finds_both_lungs_of_children():
    segmenter = UNetSegmenter(device="cpu")
    for path in sorted((DATA / "kermany").glob("*/*.png"))[::5]:
        pixels = io.imread(path).astype(np.float32) / 255.0
        mask = segmenter.segment(ChestImage(pixels=pixels, image_id=path.stem)).pixels
        assert ndimage.label(mask)[1] == 2, path.name
        assert 0.1 < mask.mean() < 0.7, path.name
