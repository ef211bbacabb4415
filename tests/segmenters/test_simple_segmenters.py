"""The whole image, the grey threshold and the folder of masks."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from lungpatch.containers import ChestImage
from lungpatch.errors import ConfigurationError, InvalidMaskError, MissingInputError
from lungpatch.io import read_image, read_mask, resize
from lungpatch.segmenters.mask_folder import MaskFolderSegmenter
from lungpatch.segmenters.threshold import ThresholdSegmenter
from lungpatch.segmenters.whole_image import WholeImageSegmenter

DATA = Path(os.environ.get("LUNGPATCH_DATA", Path(__file__).parents[3] / "shared" / "data"))


def dice(a, b):
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def schematic_chest(height, width):
    """Two dark ellipses in a bright body in front of dark air, and the ellipses."""
    row, column = np.meshgrid(
        (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij"
    )
    lungs = np.zeros((height, width), bool)
    for centre in (0.32, 0.68):
        lungs |= ((row - 0.48) / 0.3) ** 2 + ((column - centre) / 0.13) ** 2 < 1
    pixels = np.where((np.abs(column - 0.5) < 0.47) & (row > 0.08), 0.75, 0.05)
    pixels[lungs] = 0.3
    noise = np.random.default_rng(0).normal(0, 0.03, pixels.shape)
    blurred = ndimage.gaussian_filter(pixels, 0.01 * max(height, width)) + noise
    return ChestImage(pixels=np.clip(blurred, 0, 1).astype(np.float32), image_id="chest"), lungs


@pytest.mark.parametrize("shape", [(3, 5), (64, 64)])
def test_the_whole_image_is_lung(shape):
    image = ChestImage(pixels=np.zeros(shape, np.float32), image_id="a")
    mask = WholeImageSegmenter().segment(image)
    assert mask.pixels.shape == shape
    assert mask.pixels.all()


@pytest.mark.parametrize("shape", [(64, 64), (256, 256), (300, 240), (2000, 1500), (4000, 3500)])
def test_threshold_finds_two_dark_lungs_at_any_size(shape):
    image, lungs = schematic_chest(*shape)
    mask = ThresholdSegmenter().segment(image)
    assert mask.pixels.shape == shape
    assert dice(mask.pixels, lungs) > 0.8
    assert ndimage.label(mask.pixels)[1] == 2


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((128, 128)),
        np.full((128, 128), 0.5),
        np.random.default_rng(0).random((128, 128)) / 2,
        np.tile(np.linspace(0, 1, 128), (128, 1)),
        np.tile(np.linspace(0, 1, 128)[:, None], (1, 128)),
        np.zeros((1, 1)),
        np.random.default_rng(0).random((1, 500)),
        np.random.default_rng(0).random((2, 3)),
    ],
    ids=["black", "grey", "noise", "ramp", "ramp-down", "one-pixel", "one-row", "tiny"],
)
def test_threshold_finds_nothing_where_nothing_looks_like_a_lung(pixels):
    image = ChestImage(pixels=pixels.astype(np.float32), image_id="a")
    mask = ThresholdSegmenter().segment(image)
    assert mask.pixels.shape == image.shape
    assert not mask.pixels.any()


@pytest.mark.skipif(not (DATA / "lungs").is_dir(), reason="needs the radiographs with lung masks")
def test_threshold_finds_most_of_real_lungs():
    paths = sorted((DATA / "lungs" / "image").glob("*.png"))[::6]
    found = [
        dice(
            ThresholdSegmenter().segment(read_image(path)).pixels,
            read_mask(DATA / "lungs" / "mask" / path.name),
        )
        for path in paths
    ]
    assert np.median(found) > 0.75


def write_mask(path, mask):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.asarray(mask, np.uint8) * 255).save(path)


@pytest.fixture
def image():
    return ChestImage(pixels=np.zeros((40, 60), np.float32), image_id="image.1")


@pytest.fixture
def lung():
    lung = np.zeros((40, 60), bool)
    lung[10:30, 5:25] = True
    return lung


@pytest.mark.parametrize(
    "name",
    ["image.1.png", "image.1.mask.png", "image.1_mask.png", "image.1.tif", "image.1_mask.tiff"],
)
def test_masks_are_matched_by_stem(tmp_path, image, lung, name):
    write_mask(tmp_path / name, lung)
    write_mask(tmp_path / "image.png", ~lung)
    mask = MaskFolderSegmenter(folder=str(tmp_path)).segment(image)
    np.testing.assert_array_equal(mask.pixels, lung)


def test_other_suffixes_can_be_named(tmp_path, image, lung):
    write_mask(tmp_path / "image.1-lungs.png", lung)
    segmenter = MaskFolderSegmenter(folder=str(tmp_path), suffixes=("-lungs",))
    np.testing.assert_array_equal(segmenter.segment(image).pixels, lung)
    with pytest.raises(ConfigurationError, match="suffixes"):
        MaskFolderSegmenter(folder=str(tmp_path), suffixes="-lungs")


@pytest.mark.parametrize("size", [20, 40, 50, 256])
def test_the_mask_follows_the_image_to_the_working_size(tmp_path, image, lung, size):
    write_mask(tmp_path / "image.1.png", lung)
    mask = MaskFolderSegmenter(folder=str(tmp_path)).segment(resize(image, size))
    assert mask.pixels.shape == (size, size)
    # The same part of the image, to within half a pixel at each of its four sides.
    assert mask.fraction == pytest.approx(lung.mean(), abs=1.7 / size)
    row0, column0, row1, column1 = mask.bounding_box
    np.testing.assert_allclose(
        [row0 / size, column0 / size, row1 / size, column1 / size],
        [10 / 40, 5 / 60, 30 / 40, 25 / 60],
        atol=0.51 / size,
    )


def test_an_empty_mask_is_no_error(tmp_path, image):
    write_mask(tmp_path / "image.1.png", np.zeros((40, 60)))
    assert MaskFolderSegmenter(folder=str(tmp_path)).segment(image).fraction == 0


def test_a_mask_of_another_shape_is_refused_with_both_shapes(tmp_path, image):
    write_mask(tmp_path / "image.1.png", np.ones((60, 40)))
    with pytest.raises(InvalidMaskError, match=r"image\.1\.png.*60x40.*40x60"):
        MaskFolderSegmenter(folder=str(tmp_path)).segment(image)


def test_a_mask_of_the_working_size_is_refused_too(tmp_path, image):
    write_mask(tmp_path / "image.1.png", np.ones((64, 64)))
    with pytest.raises(InvalidMaskError, match=r"64x64.*40x60"):
        MaskFolderSegmenter(folder=str(tmp_path)).segment(resize(image, 64))


def test_a_missing_mask_names_image_folder_and_what_was_looked_for(tmp_path, image):
    with pytest.raises(
        InvalidMaskError, match=r"image\.1: no mask in .*image\.1_mask\.png"
    ) as caught:
        MaskFolderSegmenter(folder=str(tmp_path)).segment(image)
    assert str(tmp_path) in str(caught.value)


def test_two_masks_of_one_image_are_refused(tmp_path, image, lung):
    write_mask(tmp_path / "image.1.png", lung)
    write_mask(tmp_path / "image.1_mask.png", lung)
    with pytest.raises(InvalidMaskError, match=r"2 masks.*image\.1\.png and image\.1_mask\.png"):
        MaskFolderSegmenter(folder=str(tmp_path)).segment(image)


def test_an_unreadable_mask_is_an_invalid_mask(tmp_path, image):
    (tmp_path / "image.1.png").write_text("not an image")
    with pytest.raises(InvalidMaskError, match=r"image\.1\.png"):
        MaskFolderSegmenter(folder=str(tmp_path)).segment(image)


def test_a_missing_folder_is_reported_at_first_use(tmp_path, image):
    segmenter = MaskFolderSegmenter(folder=str(tmp_path / "nowhere"))
    with pytest.raises(MissingInputError, match="nowhere"):
        segmenter.segment(image)
