import numpy as np
import pytest
import tifffile
from made_dicoms import ramp, save_dicom
from made_dicoms import save_image as save

from lungpatch.errors import (
    InvalidMaskError,
    MissingInputError,
)
from lungpatch.io import (
    read_mask,
)


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
