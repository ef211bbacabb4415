import numpy as np
import pytest
import tifffile
from made_dicoms import ramp, save_dicom
from made_dicoms import save_image as save
from PIL import Image

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


def test_a_mask_below_zero_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "m.tif", ramp(9, dtype=np.int16) - np.int16(3))
    with pytest.raises(InvalidMaskError, match="values from -3"):
        read_mask(tmp_path / "m.tif")
