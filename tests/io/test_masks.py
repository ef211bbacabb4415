import io

import numpy as np
import pytest
import tifffile
from made_dicoms import ramp, save_dicom
from made_dicoms import save_image as save
from PIL import Image
from scipy import ndimage

from lungpatch.errors import InvalidMaskError, MissingInputError
from lungpatch.io import read_mask


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "gif"])
@pytest.mark.parametrize("white", [1, 255])
def test_mask(tmp_path, suffix, white):
    mask = ramp(shape=(20, 30)) > 100
    path = save(tmp_path / f"m.{suffix}", mask.astype(np.uint8) * np.uint8(white))
    np.testing.assert_array_equal(read_mask(path), mask)
    assert read_mask(path).dtype == np.bool_


@pytest.mark.parametrize("dtype", [bool, np.uint16, np.float32, np.uint8])
def test_mask_types(tmp_path, dtype):
    mask = ramp(shape=(20, 30)) > 100
    tifffile.imwrite(tmp_path / "m.tif", mask.astype(dtype))
    np.testing.assert_array_equal(read_mask(tmp_path / "m.tif"), mask)
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.png", mask)), mask)


def test_mask_in_colour(tmp_path):
    mask = ramp() > 100
    red = np.zeros((*mask.shape, 3), np.uint8)
    red[mask, 0] = 255
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.png", red)), mask)


def test_empty_and_full_masks(tmp_path):
    assert not read_mask(save(tmp_path / "e.png", np.zeros((9, 9), np.uint8))).any()
    assert read_mask(save(tmp_path / "f.png", np.ones((9, 9), np.uint8))).all()


def test_bad_masks(tmp_path):
    (tmp_path / "t.png").write_text("no mask")
    save_dicom(tmp_path / "d.dcm", ramp(255), bits=8)
    nan = np.full((9, 9), np.nan, np.float32)
    tifffile.imwrite(tmp_path / "n.tif", nan)
    for name in ("t.png", "d.dcm", "n.tif"):
        with pytest.raises(InvalidMaskError, match=name):
            read_mask(tmp_path / name)
    with pytest.raises(InvalidMaskError):
        read_mask(tmp_path)
    with pytest.raises(MissingInputError, match=r"no\.png"):
        read_mask(tmp_path / "no.png")


# ----------------------------------------------------------------------------- masks of labels


def lungs_of(shape=(120, 140)):
    """A right and a left region, apart from each other."""
    rows, columns = np.indices(shape)
    height, width = shape
    down = ((rows - height / 2) / (0.4 * height)) ** 2
    return tuple(
        down + ((columns - middle * width) / (0.15 * width)) ** 2 < 1 for middle in (0.25, 0.75)
    )


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "gif"])
@pytest.mark.parametrize(
    "labels", [(1, 2), (2, 1), (1, 5), (1, 255), (100, 255), (64, 128), (10, 14), (127, 128)]
)
def test_all_labels_are_lung(tmp_path, suffix, labels):
    right, left = lungs_of()
    levels = (right * labels[0] + left * labels[1]).astype(np.uint8)
    path = save(tmp_path / f"m.{suffix}", levels)
    np.testing.assert_array_equal(read_mask(path), right | left)


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.int32, np.float32, np.float64])
def test_labels_of_every_type(tmp_path, dtype):
    right, left = lungs_of()
    tifffile.imwrite(tmp_path / "m.tif", (right * 1 + left * 2).astype(dtype))
    np.testing.assert_array_equal(read_mask(tmp_path / "m.tif"), right | left)


def test_labels_of_lobes_colours_and_palettes(tmp_path):
    right, left = lungs_of()
    lobes = np.zeros(right.shape, np.uint8)
    lobes[:50][right[:50]], lobes[50:80][right[50:80]], lobes[80:][right[80:]] = 1, 2, 3
    lobes[:60][left[:60]], lobes[60:][left[60:]] = 4, 5
    np.testing.assert_array_equal(read_mask(save(tmp_path / "l.png", lobes)), right | left)
    colours = np.zeros((*right.shape, 3), np.uint8)
    colours[right], colours[left] = (255, 0, 0), (0, 0, 255)
    np.testing.assert_array_equal(read_mask(save(tmp_path / "c.png", colours)), right | left)
    palette = Image.fromarray((right * 1 + left * 2).astype(np.uint8))
    palette.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    palette.save(tmp_path / "p.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "p.png"), right | left)


def test_a_small_label_and_thin_lungs(tmp_path):
    right, left = lungs_of((28, 28))
    levels = (right * 1 + left * 2).astype(np.uint8)
    np.testing.assert_array_equal(read_mask(save(tmp_path / "s.png", levels)), right | left)


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
@pytest.mark.parametrize("resample", ["BILINEAR", "BICUBIC", "BOX"])
def test_smoothed_edges_are_no_labels(tmp_path, factor, resample):
    right, left = lungs_of((480, 560))
    mask = Image.fromarray((right | left).astype(np.uint8) * 255)
    size = (560 // factor, 480 // factor)
    small = mask.resize(size, getattr(Image.Resampling, resample))
    small.save(tmp_path / "m.png")
    levels = np.asarray(small)
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png"), levels > levels.max() / 2)


@pytest.mark.parametrize("quality", [10, 30, 50, 75, 95])
def test_the_noise_of_jpeg_is_no_label(tmp_path, quality):
    right, left = lungs_of((480, 560))
    mask = right | left
    save(tmp_path / "m.jpg", mask.astype(np.uint8) * 255, quality=quality)
    assert (read_mask(tmp_path / "m.jpg") != mask).mean() < 0.001
    # Also where the file was converted afterwards.
    noisy = np.asarray(Image.open(tmp_path / "m.jpg"))
    assert len(np.unique(noisy)) > 2
    assert (read_mask(save(tmp_path / "m.png", noisy)) != mask).mean() < 0.001


def soft(levels, edges, quality=90):
    """Levels as they are after smoothing, resampling or JPEG."""
    if edges == "smoothed":
        return ndimage.gaussian_filter(levels.astype(np.float64), 1.5).round().astype(np.uint8)
    if edges == "resampled":
        small = Image.fromarray(levels).resize((110, 100), Image.Resampling.BILINEAR)
        return np.asarray(small.resize(levels.shape[::-1], Image.Resampling.NEAREST))
    stream = io.BytesIO()
    Image.fromarray(levels).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


@pytest.mark.parametrize("edges", ["smoothed", "resampled", "jpeg"])
@pytest.mark.parametrize("labels", [(127, 255), (128, 255), (100, 200), (255, 60), (30, 250)])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_labels_with_soft_edges_are_lung(tmp_path, suffix, labels, edges):
    right, left = lungs_of((240, 280))
    levels = soft((right * labels[0] + left * labels[1]).astype(np.uint8), edges)
    assert len(np.unique(levels)) > 10
    mask = read_mask(save(tmp_path / f"m.{suffix}", levels))
    both = right | left
    assert (mask != both).mean() < 0.03
    for lung in (right, left):
        assert mask[lung].mean() > 0.97


def test_soft_labels_end_at_half_of_the_lowest(tmp_path):
    right, left = lungs_of((240, 280))
    levels = soft((right * 200 + left * 100).astype(np.uint8), "smoothed")
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.png", levels)), levels > 50)


def test_labels_in_jpeg_files(tmp_path):
    right, left = lungs_of((240, 280))
    levels = (right * 127 + left * 255).astype(np.uint8)
    save(tmp_path / "m.jpg", levels, quality=75)
    assert (read_mask(tmp_path / "m.jpg") != (right | left)).mean() < 0.005
    save(tmp_path / "n.jpg", (right * 1 + left * 2).astype(np.uint8), quality=95)
    with pytest.raises(
        InvalidMaskError, match=r"n\.jpg: is a JPEG whose highest level is 3, .*PNG"
    ):
        read_mask(tmp_path / "n.jpg")
    save(tmp_path / "z.jpg", np.zeros((40, 50), np.uint8))
    assert not read_mask(tmp_path / "z.jpg").any()


@pytest.mark.parametrize("sigma", [8, 32])
def test_maps_of_probabilities_have_no_labels(tmp_path, sigma):
    right, left = lungs_of((240, 280))
    probable = ndimage.gaussian_filter((right | left) * 255.0, sigma).astype(np.float32)
    tifffile.imwrite(tmp_path / "p.tif", probable)
    np.testing.assert_array_equal(read_mask(tmp_path / "p.tif"), probable > probable.max() / 2)


def test_a_mask_without_a_background_is_refused(tmp_path):
    right, left = lungs_of()
    palette = Image.fromarray((right * 1 + left * 2).astype(np.uint8))
    palette.putpalette([255, 255, 255, 128, 0, 0, 0, 128, 0])
    palette.save(tmp_path / "p.png")
    with pytest.raises(
        InvalidMaskError, match=r"levels from 38 to 255, and none is the background"
    ):
        read_mask(tmp_path / "p.png")


def test_a_mask_below_zero_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "m.tif", ramp(9, dtype=np.int16) - np.int16(3))
    with pytest.raises(InvalidMaskError, match="values from -3"):
        read_mask(tmp_path / "m.tif")
