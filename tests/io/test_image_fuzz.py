"""Whatever bytes a file holds, reading it gives an image or an error of ours, and nothing else."""

import io
import tempfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
import tifffile
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless, SecondaryCaptureImageStorage

from lungpatch.containers import ChestImage
from lungpatch.errors import (
    ConfigurationError,
    InvalidImageError,
    InvalidMaskError,
    MissingInputError,
)
from lungpatch.io import as_chest_image, read_image, read_mask

fuzz = settings(deadline=None, derandomize=True, max_examples=60)
IMAGE = np.random.default_rng(0).integers(0, 256, (33, 37), dtype=np.uint8)


def encoded(form, array=IMAGE, mode=None, **options):
    stream = io.BytesIO()
    Image.fromarray(array).convert(mode).save(stream, form, **options)
    return stream.getvalue()


def tiff(array, **options):
    stream = io.BytesIO()
    tifffile.imwrite(stream, array, **options)
    return stream.getvalue()


def dicom(compress=False):
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    data.SOPClassUID, data.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3"
    data.Rows, data.Columns = IMAGE.shape
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME1"
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    data.PixelRepresentation = 0
    data.WindowCenter, data.WindowWidth = 1000, 3000
    data.RescaleSlope, data.RescaleIntercept = 1, 0
    data.PixelSpacing = [0.1, 0.2]
    data.PixelData = (IMAGE.astype("<u2") * 16).tobytes()
    data["PixelData"].VR = "OW"
    if compress:
        data.compress(RLELossless)
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, data, enforce_file_format=True)
    return stream.getvalue()


WHOLE = {
    "png": encoded("PNG"),
    "16-bit png": encoded("PNG", IMAGE.astype(np.uint16) * 257),
    "palette png": encoded("PNG", mode="P", transparency=3),
    "colour png": encoded("PNG", mode="RGBA"),
    "jpeg": encoded("JPEG"),
    "progressive jpeg": encoded("JPEG", progressive=True),
    "tiff": encoded("TIFF"),
    "lzw tiff": encoded("TIFF", compression="tiff_lzw"),
    "colour tiff": tiff(np.stack([IMAGE.astype(np.uint16)] * 3, axis=-1), photometric="rgb"),
    "float tiff": tiff(IMAGE / 255),
    "bmp": encoded("BMP"),
    "gif": encoded("GIF"),
    "dicom": dicom(),
    "rle dicom": dicom(compress=True),
}
HEADS = [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"BM", b"GIF89a"]


def check(content, suffix):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "image" + suffix)
        path.write_bytes(content)
        for read, refused in ((read_image, InvalidImageError), (read_mask, InvalidMaskError)):
            message = ""
            try:
                result = read(path)
            except refused as error:
                message = str(error)
            if message:
                assert message.startswith(f"{path}: ")
            elif read is read_image:
                assert isinstance(result, ChestImage)
                assert result.pixels.min() < result.pixels.max()
            else:
                assert result.dtype == np.bool_
                assert result.ndim == 2


@pytest.mark.parametrize("kind", WHOLE)
def test_the_undamaged_files_are_read(kind, tmp_path):
    path = tmp_path / "image"
    path.write_bytes(WHOLE[kind])
    assert read_image(path).shape == IMAGE.shape


@fuzz
@given(
    st.sampled_from([*HEADS, bytes(128) + b"DICM"]),
    st.binary(max_size=400),
    st.sampled_from([".png", ".dcm", ""]),
)
def test_random_bytes(head, body, suffix):
    check(head + body, suffix)


@pytest.mark.parametrize("kind", WHOLE)
@fuzz
@given(fraction=st.floats(0, 1))
def test_truncation_never_gives_half_an_image(kind, fraction):
    whole = WHOLE[kind]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "image")
        path.write_bytes(whole)
        expected = read_image(path).pixels
        path.write_bytes(whole[: int(len(whole) * fraction)])
        try:
            pixels = read_image(path).pixels
        except InvalidImageError:
            return
        # Only what follows the pixels was lost.
        np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize("kind", WHOLE)
@fuzz
@given(
    # Most damage that a decoder can trip over lies in the header.
    flips=st.lists(
        st.tuples(st.integers(0, 400) | st.integers(0, 5000), st.integers(1, 255)), min_size=1
    )
)
def test_damaged_bytes(kind, flips):
    damaged = bytearray(WHOLE[kind])
    for position, change in flips:
        damaged[position % len(damaged)] ^= change
    check(bytes(damaged), "")


@fuzz
@given(
    st.sampled_from(sorted(WHOLE)),
    st.integers(0, 1000),
    st.binary(min_size=1, max_size=20),
    st.booleans(),
)
@example("tiff", 8, b"\xff\xff", False)
def test_inserted_and_replaced_bytes(kind, position, inserted, replace):
    whole = WHOLE[kind]
    position %= len(whole)
    rest = whole[position + len(inserted) if replace else position :]
    check(whole[:position] + inserted + rest, "")


@fuzz
@given(st.text(max_size=40))
def test_any_path(name):
    try:
        read_image("/no-such-folder/" + name)
    except (MissingInputError, InvalidImageError):
        return
    pytest.fail("read a file that is not there")


@fuzz
@given(
    st.sampled_from(["u1", "?", "u2", "i2", "i8", "f2", "f4", "f8", "c8", "U1", "M8[s]", "O"]),
    st.lists(st.sampled_from([0, 1, 3, 4, 32, 33]), max_size=4),
    st.none() | st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)),
    st.integers(0, 2**32 - 1),
)
def test_any_array(dtype, shape, value_range, seed):
    values = np.random.default_rng(seed).integers(0, 256, shape)
    array = values.astype(dtype)
    try:
        image = as_chest_image(array, value_range=value_range)
    except (InvalidImageError, ConfigurationError):
        return
    assert image.pixels.ndim == 2
    assert image.pixels.min() < image.pixels.max()


@fuzz
@given(st.sampled_from(["u2", "i2", "i4", "f4", "f8"]), st.floats(-500, 500), st.floats(1e-2, 1e3))
def test_array_is_normalised_linearly(dtype, black, span):
    whole = np.dtype(dtype).kind in "iu"
    if dtype == "u2":
        black = abs(black)
    array = np.linspace(np.ceil(black) if whole else black, black + span, 32 * 32)
    array = array.reshape(32, 32).astype(dtype)
    low, high = float(array.min()), float(array.max())
    if low == high:
        return
    pixels = as_chest_image(array, value_range=(low, high)).pixels
    assert pixels.min() == 0
    assert pixels.max() == 1
    np.testing.assert_allclose(
        pixels, (array.astype(np.float64) - low) / (high - low), atol=1e-6, rtol=0
    )
