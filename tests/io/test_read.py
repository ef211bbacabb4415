import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
import tifffile
import torch
from PIL import Image, ImageFile
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
    RLELossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)
from scipy import ndimage

from lungpatch.errors import (
    ConfigurationError,
    InvalidImageError,
    InvalidMaskError,
    LungpatchError,
    MissingInputError,
)
from lungpatch.io import (
    MAX_SIDE,
    MIN_SIDE,
    as_chest_image,
    holds_dicom,
    image_id_of,
    read_image,
    read_mask,
    resize,
)


def ramp(high=255, shape=(40, 50), dtype=np.uint8):
    """Grey levels 0..high that differ along both axes, so that any turn or flip shows."""
    return np.linspace(0, high, shape[0] * shape[1]).reshape(shape).astype(dtype)


def save(path, array, **options):
    Image.fromarray(array).save(path, **options)
    return path


def save_dicom(path, stored, *, bits=12, photometric="MONOCHROME2", syntax=None, **elements):
    syntax = syntax or ExplicitVRLittleEndian
    stored = np.asarray(stored)
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["lungpatch"])
    data.SOPClassUID = SecondaryCaptureImageStorage
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID
    data.Rows, data.Columns = stored.shape[:2]
    data.SamplesPerPixel = 3 if stored.ndim == 3 else 1
    if stored.ndim == 3:
        data.PlanarConfiguration = 0
    data.PhotometricInterpretation = photometric
    data.BitsAllocated = stored.dtype.itemsize * 8
    data.BitsStored, data.HighBit = bits, bits - 1
    data.PixelRepresentation = int(stored.dtype.kind == "i")
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    data.PixelData = stored.astype(stored.dtype.newbyteorder(order)).tobytes()
    data["PixelData"].VR = "OB" if stored.dtype.itemsize == 1 else "OW"
    for name, value in elements.items():
        if value is None:
            delattr(data, name)
        else:
            setattr(data, name, value)
    if syntax == RLELossless:
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.compress(RLELossless)
    data.save_as(path, enforce_file_format=True)
    return path


def check_refused(path, *words, error=InvalidImageError):
    with pytest.raises(error) as caught:
        read_image(path)
    message = str(caught.value)
    for word in (str(path), *words):
        assert word in message
    assert message.count(str(path)) == 1


# ------------------------------------------------------------------------------ PNG, JPEG, TIFF


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "gif"])
def test_eight_bit_grey(tmp_path, suffix):
    film = ramp()
    image = read_image(save(tmp_path / f"image.{suffix}", film))
    np.testing.assert_array_equal(image.pixels, film / np.float32(255))
    assert image.pixels.dtype == np.float32
    assert image.image_id == "image"
    assert image.source == str(tmp_path / f"image.{suffix}")
    assert image.native_shape == (40, 50)
    assert image.pixel_spacing_mm is None


def test_jpeg(tmp_path):
    film = ramp()
    image = read_image(save(tmp_path / "image.jpg", film, quality=95))
    np.testing.assert_allclose(image.pixels, film / 255, atol=0.02)


def test_content_decides_not_the_suffix(tmp_path):
    film = ramp()
    path = tmp_path / "image.jpg"
    save(path, film, format="PNG")
    np.testing.assert_array_equal(read_image(path).pixels, film / np.float32(255))


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "bmp"])
def test_rgb_becomes_luminance(tmp_path, suffix):
    colour = np.stack([ramp(), ramp()[::-1], ramp()[:, ::-1]], axis=-1)
    image = read_image(save(tmp_path / f"c.{suffix}", colour))
    expected = colour @ [0.299, 0.587, 0.114] / 255
    np.testing.assert_allclose(image.pixels, expected, atol=0.03 if suffix == "jpg" else 0.003)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_alpha_is_laid_over_black(tmp_path, mode, suffix):
    film = ramp()
    alpha = np.full_like(film, 255)
    path = tmp_path / f"a.{suffix}"
    grey = Image.fromarray(film)
    opaque = Image.merge(mode, [grey] * (len(mode) - 1) + [Image.fromarray(alpha)])
    opaque.save(path)
    np.testing.assert_array_equal(read_image(path).pixels, film / np.float32(255))
    alpha[:, :25] = 0
    alpha[:, 25:30] = 51
    opaque.putalpha(Image.fromarray(alpha))
    opaque.save(path)
    np.testing.assert_allclose(read_image(path).pixels, film / 255 * (alpha / 255), atol=1e-6)


def test_palette(tmp_path):
    grey = Image.fromarray(ramp())
    palette = Image.fromarray(255 - ramp())
    palette.putpalette([level for i in range(256) for level in [255 - i] * 3])
    assert palette.mode == "P"
    for suffix in ("png", "gif", "tif"):
        palette.save(tmp_path / f"p.{suffix}")
        pixels = read_image(tmp_path / f"p.{suffix}").pixels
        np.testing.assert_array_equal(pixels, np.asarray(grey) / np.float32(255))


def test_palette_with_transparency_per_entry(tmp_path):
    palette = Image.fromarray(ramp())
    palette.putpalette([level for i in range(256) for level in [i] * 3])
    palette.save(tmp_path / "p.png", transparency=bytes([0] * 100 + [255] * 156))
    expected = np.where(ramp() < 100, 0, ramp()) / 255
    np.testing.assert_allclose(read_image(tmp_path / "p.png").pixels, expected, atol=1e-6)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_one_bit(tmp_path, suffix):
    bits = ramp() > 100
    image = read_image(save(tmp_path / f"b.{suffix}", bits))
    np.testing.assert_array_equal(image.pixels, bits)


@pytest.mark.parametrize(
    ("highest", "white"),
    [
        (200, 255),
        (256, 1023),
        (1023, 1023),
        (1024, 4095),
        (4095, 4095),
        (4096, 16383),
        (16384, 65535),
        (65535, 65535),
    ],
)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_takes_the_smallest_depth_that_holds_it(tmp_path, suffix, highest, white):
    film = ramp(highest, dtype=np.uint16)
    image = read_image(save(tmp_path / f"f.{suffix}", film))
    np.testing.assert_allclose(image.pixels, film / white, atol=1e-6)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiff_of_tifffile(tmp_path, byteorder, compression):
    film = ramp(60000, dtype=np.uint16)
    path = tmp_path / "f.tif"
    tifffile.imwrite(path, film, byteorder=byteorder, compression=compression)
    np.testing.assert_allclose(read_image(path).pixels, film / 65535, atol=1e-6)


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate"])
def test_compressed_sixteen_bit_tiff(tmp_path, compression):
    film = ramp(60000, dtype=np.uint16)
    path = save(tmp_path / "f.tif", film, compression=compression)
    np.testing.assert_allclose(read_image(path).pixels, film / 65535, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_is_zero_tiff(tmp_path, dtype):
    white = np.iinfo(dtype).max
    film = ramp(white, dtype=dtype)
    tifffile.imwrite(tmp_path / "w.tif", white - film, photometric="miniswhite")
    np.testing.assert_allclose(read_image(tmp_path / "w.tif").pixels, film / white, atol=1e-6)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_sixteen_bit_rgb_tiff_keeps_its_depth(tmp_path, planar):
    film = ramp(4095, dtype=np.uint16)
    colour = np.stack([film] * 3, axis=-1 if planar == "contig" else 0)
    tifffile.imwrite(tmp_path / "c.tif", colour, photometric="rgb", planarconfig=planar)
    np.testing.assert_allclose(read_image(tmp_path / "c.tif").pixels, film / 4095, atol=1e-6)


def test_sixteen_bit_rgba_tiff(tmp_path):
    film = ramp(4095, dtype=np.uint16)
    alpha = np.full_like(film, 65535)
    alpha[:10] = 0
    colour = np.stack([film, film, film, alpha], axis=-1)
    tifffile.imwrite(tmp_path / "c.tif", colour, photometric="rgb", extrasamples=["unassalpha"])
    expected = film / 4095 * (alpha > 0)
    np.testing.assert_allclose(read_image(tmp_path / "c.tif").pixels, expected, atol=1e-6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(tmp_path, orientation):
    film = ramp()
    exif = Image.Exif()
    exif[274] = orientation
    turned = {
        1: film,
        2: film[:, ::-1],
        3: film[::-1, ::-1],
        4: film[::-1],
        5: film.T,
        6: np.rot90(film, -1),
        7: film[::-1, ::-1].T,
        8: np.rot90(film),
    }[orientation]
    save(tmp_path / "o.png", film, exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "o.png").pixels, turned / np.float32(255))
    save(tmp_path / "o.jpg", film, exif=exif, quality=95)
    np.testing.assert_allclose(read_image(tmp_path / "o.jpg").pixels, turned / 255, atol=0.02)
    tag = [(274, "H", 1, orientation, True)]
    tifffile.imwrite(tmp_path / "o.tif", film, extratags=tag)
    np.testing.assert_array_equal(read_image(tmp_path / "o.tif").pixels, turned / np.float32(255))
    colour = np.stack([film.astype(np.uint16) * 257] * 3, axis=-1)
    tifffile.imwrite(tmp_path / "c.tif", colour, photometric="rgb", extratags=tag)
    np.testing.assert_allclose(read_image(tmp_path / "c.tif").pixels, turned / 255, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_float_tiff_in_unit_range(tmp_path, dtype):
    film = ramp(1, dtype=dtype)
    tifffile.imwrite(tmp_path / "f.tif", film)
    np.testing.assert_allclose(read_image(tmp_path / "f.tif").pixels, film, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.int32])
def test_tiff_of_unknown_scale_is_refused(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "f.tif", ramp(3000, dtype=dtype) - dtype(1000))
    check_refused(tmp_path / "f.tif", "-1000", "2000", "value_range", "as_chest_image")


def test_nan_tiff_is_refused(tmp_path):
    film = ramp(1, dtype=np.float32)
    film[3, 4] = np.nan
    tifffile.imwrite(tmp_path / "f.tif", film)
    check_refused(tmp_path / "f.tif", "NaN")


def test_several_images_are_refused(tmp_path):
    frames = [Image.fromarray(ramp()), Image.fromarray(255 - ramp())]
    for suffix in ("tif", "gif", "png"):
        path = tmp_path / f"m.{suffix}"
        frames[0].save(path, save_all=True, append_images=frames[1:])
        check_refused(path, "2 images")
    tifffile.imwrite(tmp_path / "c.tif", np.zeros((2, 40, 50, 3), np.uint16), photometric="rgb")
    check_refused(tmp_path / "c.tif", "2 images")


# -------------------------------------------------------------------------------------- DICOM


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_dicom_without_window_spans_the_stored_bits(tmp_path, bits, syntax):
    stored = ramp(2**bits - 1 - 20, dtype=np.uint8 if bits == 8 else np.uint16)
    image = read_image(save_dicom(tmp_path / "d.dcm", stored, bits=bits, syntax=syntax))
    np.testing.assert_allclose(image.pixels, stored / (2**bits - 1), atol=1e-6)
    assert image.image_id == "d"


def test_dicom_signed(tmp_path):
    stored = ramp(4000, dtype=np.int16) - np.int16(2048)
    path = save_dicom(tmp_path / "d.dcm", stored, RescaleSlope=2, RescaleIntercept=-7)
    np.testing.assert_allclose(read_image(path).pixels, (stored + 2048.0) / 4095, atol=1e-6)


def test_dicom_monochrome1_is_inverted(tmp_path):
    stored = ramp(4095, dtype=np.uint16)
    path = save_dicom(tmp_path / "d.dcm", stored, photometric="MONOCHROME1")
    np.testing.assert_allclose(read_image(path).pixels, 1 - stored / 4095, atol=1e-6)


def test_dicom_negative_slope_turns_the_order(tmp_path):
    stored = ramp(4095, dtype=np.uint16)
    rescale = {"RescaleSlope": -1, "RescaleIntercept": 4095}
    plain = read_image(save_dicom(tmp_path / "d.dcm", stored, **rescale))
    np.testing.assert_allclose(plain.pixels, 1 - stored / 4095, atol=1e-6)
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    windowed = read_image(save_dicom(tmp_path / "w.dcm", stored, **rescale, **window))
    np.testing.assert_allclose(windowed.pixels, plain.pixels, atol=1e-3)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_dicom_window_by_the_standards_formulas(tmp_path, function, photometric):
    stored = ramp(4095, dtype=np.uint16)
    elements = {"WindowCenter": [1500, 5], "WindowWidth": [1000, 9]}
    elements |= {"RescaleSlope": 0.5, "RescaleIntercept": 100}
    if function:
        elements["VOILUTFunction"] = function
    path = save_dicom(tmp_path / "d.dcm", stored, photometric=photometric, **elements)
    x = stored * 0.5 + 100
    if function == "SIGMOID":
        expected = 1 / (1 + np.exp(-4 * (x - 1500) / 1000))
    elif function == "LINEAR_EXACT":
        expected = np.clip((x - 1500) / 1000 + 0.5, 0, 1)
    else:
        expected = np.clip((x - 1499.5) / 999 + 0.5, 0, 1)
    if photometric == "MONOCHROME1":
        expected = 1 - expected
    np.testing.assert_allclose(read_image(path).pixels, expected, atol=1e-5)


def lookup_table(data, first, bits):
    item = Dataset()
    item.LUTDescriptor = [len(data), first, bits]
    item["LUTDescriptor"].VR = "US"
    item.LUTData = [int(level) for level in data]
    item["LUTData"].VR = "US"
    return Sequence([item])


def test_dicom_voi_table(tmp_path):
    stored = ramp(4095, dtype=np.uint16)
    table = (np.linspace(0, 1, 4000) ** 2 * 1023).astype(int)
    path = save_dicom(tmp_path / "d.dcm", stored, VOILUTSequence=lookup_table(table, 50, 10))
    expected = table[np.clip(stored.astype(int) - 50, 0, 3999)] / 1023
    np.testing.assert_allclose(read_image(path).pixels, expected, atol=1e-6)


def test_dicom_modality_table(tmp_path):
    stored = ramp(4095, dtype=np.uint16)
    table = (np.linspace(1, 0, 4096) * 65535).astype(int)
    path = save_dicom(tmp_path / "d.dcm", stored, ModalityLUTSequence=lookup_table(table, 0, 16))
    np.testing.assert_allclose(read_image(path).pixels, table[stored] / 65535, atol=1e-6)


def test_dicom_spacing(tmp_path):
    stored = ramp(4095, dtype=np.uint16)
    both = {"PixelSpacing": [0.2, 0.3], "ImagerPixelSpacing": [0.4, 0.5]}
    assert read_image(save_dicom(tmp_path / "a", stored, **both)).pixel_spacing_mm == (0.2, 0.3)
    del both["PixelSpacing"]
    assert read_image(save_dicom(tmp_path / "b", stored, **both)).pixel_spacing_mm == (0.4, 0.5)
    nothing = {"PixelSpacing": [0, 0]}
    assert read_image(save_dicom(tmp_path / "c", stored, **nothing)).pixel_spacing_mm is None


def test_dicom_whatever_its_name(tmp_path):
    stored = ramp(4095, dtype=np.uint16)
    for name in ("IM0001", "1.2.840.113619.2", "scan.img"):
        image = read_image(save_dicom(tmp_path / name, stored))
        assert image.image_id == name
        np.testing.assert_allclose(image.pixels, stored / 4095, atol=1e-6)


@pytest.mark.parametrize("implicit", [True, False])
def test_dicom_without_preamble(tmp_path, implicit):
    stored = ramp(4095, dtype=np.uint16)
    path = save_dicom(tmp_path / "full.dcm", stored)
    dataset = pydicom.dcmread(path)
    del dataset.file_meta
    dataset.preamble = None
    bare = tmp_path / "bare.dcm"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(bare, implicit_vr=implicit, little_endian=True)
    assert bare.read_bytes()[128:132] != b"DICM"
    np.testing.assert_allclose(read_image(bare).pixels, stored / 4095, atol=1e-6)


def test_dicom_big_endian_and_rle(tmp_path):
    stored = ramp(4095, dtype=np.uint16)
    big = read_image(save_dicom(tmp_path / "b.dcm", stored, syntax=ExplicitVRBigEndian))
    np.testing.assert_allclose(big.pixels, stored / 4095, atol=1e-6)
    rle = read_image(save_dicom(tmp_path / "r.dcm", stored, syntax=RLELossless))
    np.testing.assert_allclose(rle.pixels, stored / 4095, atol=1e-6)


def test_dicom_colour(tmp_path):
    colour = np.stack([ramp(), ramp()[::-1], ramp()[:, ::-1]], axis=-1)
    expected = colour @ [0.299, 0.587, 0.114] / 255
    rgb = read_image(save_dicom(tmp_path / "c.dcm", colour, bits=8, photometric="RGB"))
    np.testing.assert_allclose(rgb.pixels, expected, atol=1e-5)
    ybr = np.stack([ramp(), np.full_like(ramp(), 128), np.full_like(ramp(), 128)], axis=-1)
    path = save_dicom(tmp_path / "y.dcm", ybr, bits=8, photometric="YBR_FULL")
    np.testing.assert_allclose(read_image(path).pixels, ramp() / 255, atol=0.005)


def test_dicom_refusals(tmp_path):
    stored = ramp(4095, dtype=np.uint16)
    path = tmp_path / "d.dcm"
    check_refused(save_dicom(path, stored, PixelData=None), "without pixel data")
    check_refused(save_dicom(path, stored, NumberOfFrames=3), "3 frames")
    check_refused(save_dicom(path, stored, photometric="PALETTE COLOR"), "PALETTE COLOR")
    check_refused(save_dicom(path, stored, Columns=20_000), "40x20000", "10000")
    check_refused(save_dicom(path, stored, Rows=400), "PixelData", "Rows 400")
    check_refused(
        save_dicom(path, stored, RescaleSlope=0, RescaleIntercept=1), "one level", "RescaleSlope"
    )
    check_refused(save_dicom(path, stored, WindowCenter=9000, WindowWidth=10), "have one value")
    check_refused(save_dicom(path, stored, WindowCenter=9, WindowWidth=0), "WindowWidth")


def test_dicom_names_the_missing_decoder(tmp_path, monkeypatch):
    path = save_dicom(tmp_path / "d.dcm", ramp(4095, dtype=np.uint16))
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xd9"])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path)
    from pydicom.pixels.decoders import JPEGLosslessSV1Decoder

    monkeypatch.setattr(JPEGLosslessSV1Decoder, "_available", {})
    check_refused(path, "JPEG Lossless", "1.2.840.10008.1.2.4.70", "pylibjpeg-libjpeg")


def test_text_named_dcm_is_refused(tmp_path):
    (tmp_path / "t.dcm").write_text("this is no DICOM file at all\n" * 20)
    check_refused(tmp_path / "t.dcm")


# ------------------------------------------------------------------------------------ bad files


def test_missing_path(tmp_path):
    check_refused(tmp_path / "no.png", "no such file", error=MissingInputError)
    check_refused(tmp_path / "no" / "where.png", error=MissingInputError)
    file = save(tmp_path / "f.png", ramp())
    check_refused(file / "below.png", error=MissingInputError)


def test_null_byte_in_path():
    with pytest.raises(LungpatchError):
        read_image("a\0b.png")


def test_folder_is_refused(tmp_path):
    check_refused(tmp_path, "folder", "find_images")


def test_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    check_refused(tmp_path / "pipe.png", "regular file")


def test_no_permission(tmp_path, monkeypatch):
    path = save(tmp_path / "f.png", ramp())

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    check_refused(path, "permission")


def test_empty_and_text_files(tmp_path):
    (tmp_path / "e.png").touch()
    check_refused(tmp_path / "e.png", "empty")
    (tmp_path / "t.png").write_text("not a picture\n")
    check_refused(tmp_path / "t.png", "known format", "PNG")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp", "gif", "dcm"])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.97])
def test_half_an_image_is_an_error(tmp_path, suffix, share, monkeypatch):
    # As other libraries do at import, for the whole process.
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    noise = np.random.default_rng(0).integers(0, 256, (90, 100), dtype=np.uint8)
    path = tmp_path / f"half.{suffix}"
    if suffix == "dcm":
        save_dicom(path, noise, bits=8)
    else:
        save(path, noise)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    check_refused(path)
    assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_damaged_png_is_an_error(tmp_path):
    path = save(tmp_path / "d.png", ramp())
    damaged = bytearray(path.read_bytes())
    damaged[-20] ^= 1  # in the checksum of the pixels, which decoding alone does not look at
    path.write_bytes(damaged)
    check_refused(path)


@pytest.mark.parametrize("shape", [(1, 1), (31, 100), (100, 31)])
def test_too_small(tmp_path, shape):
    check_refused(save(tmp_path / "s.png", ramp(shape=shape)), f"{shape[0]}x{shape[1]}", "32")


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_too_large(tmp_path, suffix):
    path = save(tmp_path / f"l.{suffix}", np.zeros((40, 20_000), np.uint8))
    check_refused(path, "40x20000", "10000")
    path = tmp_path / f"huge.{suffix}"
    Image.new("1", (20_000, 20_000)).save(path)
    check_refused(path, "10000")


def test_largest_and_smallest_are_read(tmp_path):
    image = read_image(save(tmp_path / "l.png", ramp(shape=(MIN_SIDE, MAX_SIDE))))
    assert image.shape == (MIN_SIDE, MAX_SIDE)


def test_large_file_warns_nobody(tmp_path):
    # 100 million pixels, above the level at which Pillow warns of a decompression bomb.
    picture = Image.new("L", (10_000, 9_500))
    picture.putpixel((5, 5), 255)
    picture.save(tmp_path / "l.png", compress_level=1)
    assert read_image(tmp_path / "l.png").shape == (9_500, 10_000)


@pytest.mark.parametrize("level", [0, 7, 255])
def test_constant(tmp_path, level):
    check_refused(save(tmp_path / "c.png", np.full((40, 50), level, np.uint8)), "one value")


def test_sixteen_bit_colour_png_of_few_bits(tmp_path):
    # Pillow reads only the high byte of each sample.
    import struct
    import zlib

    film = np.repeat(ramp(4095, dtype=np.uint16)[..., None], 3, axis=-1)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in film)

    def chunk(name, data):
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 50, 40, 16, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows))
    (tmp_path / "c.png").write_bytes(png + chunk(b"IEND", b""))
    check_refused(tmp_path / "c.png", "16-bit grey")


# --------------------------------------------------------------------------------------- arrays


@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
@pytest.mark.parametrize(
    ("dtype", "value_range", "low", "high"),
    [
        (np.uint8, None, 0, 255),
        (np.uint8, (0, 250), 0, 250),
        (np.uint16, (0, 4095), 0, 4095),
        (np.int16, (-1000, 3000), -1000, 3000),
        (np.int64, (0, 10**6), 0, 10**6),
        (np.float16, (0, 1), 0, 1),
        (np.float32, (0, 1), 0, 1),
        (np.float32, (-1, 1), -1, 1),
        (np.float64, (0.1, 0.7), 0, 1),
    ],
)
def test_array(dtype, value_range, low, high, convert):
    black, white = value_range or (0, 255)
    array = (black + ramp(1, dtype=np.float64) * (white - black)).clip(black, white).astype(dtype)
    image = as_chest_image(convert(array), value_range=value_range, image_id="a")
    expected = (array.astype(np.float64) - black) / (white - black)
    np.testing.assert_allclose(image.pixels, expected, atol=1e-6)
    assert (image.image_id, image.source) == ("a", "array")


def test_array_of_bool():
    bits = ramp() > 9
    np.testing.assert_array_equal(as_chest_image(bits).pixels, bits)


def test_tensor_with_gradient_or_bfloat16():
    tensor = torch.from_numpy(ramp(1, dtype=np.float32)).requires_grad_()
    np.testing.assert_array_equal(
        as_chest_image(tensor, value_range=(0, 1)).pixels, tensor.detach().numpy()
    )
    with pytest.raises(InvalidImageError, match="cannot be taken"):
        as_chest_image(tensor.to(torch.bfloat16), value_range=(0, 1))


def test_array_channels():
    film = ramp()
    expected = film / np.float32(255)
    for array in (film[..., None], film[None], np.stack([film] * 3, axis=-1)):
        np.testing.assert_allclose(as_chest_image(array).pixels, expected, atol=1e-6)
    alpha = np.where(film > 50, 255, 0).astype(np.uint8)
    image = as_chest_image(np.stack([film, film, film, alpha], axis=-1))
    np.testing.assert_allclose(image.pixels, expected * (film > 50), atol=1e-6)
    for shape in ((3, 40, 50), (40,), (2, 40, 50, 1), (40, 50, 2), (0, 40), (40, 0, 3)):
        with pytest.raises(InvalidImageError, match="shape|no pixels"):
            as_chest_image(np.zeros(shape, np.uint8))


def test_array_is_copied():
    array = ramp(1, dtype=np.float32)
    image = as_chest_image(array, value_range=(0, 1))
    array[:] = 0
    assert image.pixels.max() == 1
    array[0, 0] = 1  # still writeable


@pytest.mark.parametrize(
    ("array", "proposal"),
    [
        (ramp(3000, dtype=np.uint16), "(0, 4095)"),
        (ramp(30, dtype=np.int32), "(0, 255)"),
        (ramp(1, dtype=np.float32), "(0, 1)"),
        (ramp(90, dtype=np.float32), "(black, white)"),
    ],
)
def test_range_must_be_given(array, proposal):
    with pytest.raises(InvalidImageError, match="value_range") as caught:
        as_chest_image(array, image_id="image 7")
    assert proposal in str(caught.value)
    assert str(caught.value).startswith("image 7:")


def test_array_outside_its_range_names_the_actual_values():
    with pytest.raises(InvalidImageError, match="from 0 to 300") as caught:
        as_chest_image(ramp(300, dtype=np.uint16), value_range=(0, 255))
    assert "(0, 255)" in str(caught.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_array_that_is_not_finite(bad):
    array = ramp(1, dtype=np.float32)
    array[1, 1] = bad
    with pytest.raises(InvalidImageError, match="NaN or infinite"):
        as_chest_image(array, value_range=(0, 1))


@pytest.mark.parametrize(
    "array",
    [np.zeros((40, 40), np.uint8), ramp(shape=(31, 40)), np.zeros((2, 10_001), np.uint8)],
)
def test_unusable_array(array):
    with pytest.raises(InvalidImageError, match="image: "):
        as_chest_image(array, image_id="image")


@pytest.mark.parametrize("array", [np.full((40, 40), "a"), np.zeros((40, 40), complex), None])
def test_array_of_another_kind(array):
    with pytest.raises(InvalidImageError):
        as_chest_image(array)


@pytest.mark.parametrize("value_range", [(1, 0), (0, 0), (0, np.nan), (0,), 5, "01", ("a", "b")])
def test_value_range_must_make_sense(value_range):
    with pytest.raises(ConfigurationError, match="value_range"):
        as_chest_image(ramp(), value_range=value_range)


def test_array_spacing():
    assert as_chest_image(ramp(), pixel_spacing_mm=(0.1, 0.2)).pixel_spacing_mm == (0.1, 0.2)
    with pytest.raises(ConfigurationError, match="pixel_spacing_mm"):
        as_chest_image(ramp(), pixel_spacing_mm=(0, 1))


# ------------------------------------------------------------------------------------- resizing


@pytest.mark.parametrize("shape", [(256, 256), (512, 512), (300, 700), (100, 130)])
def test_resize_shape_spacing_and_mean(shape):
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.random(shape), 3)
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    image = as_chest_image(smooth, value_range=(0, 1), pixel_spacing_mm=(0.2, 0.3), image_id="s")
    small = resize(image, 128)
    assert small.shape == (128, 128)
    assert small.native_shape == shape
    assert small.image_id == "s"
    assert small.pixel_spacing_mm == pytest.approx((0.2 * shape[0] / 128, 0.3 * shape[1] / 128))
    assert small.pixels.mean() == pytest.approx(smooth.mean(), abs=0.01)


def test_resize_halves_by_the_triangle_filter():
    image = as_chest_image(np.random.default_rng(0).random((64, 64)), value_range=(0, 1))
    weights = np.array([1, 3, 3, 1]) / 8
    blurred = ndimage.correlate1d(image.pixels.astype(float), weights, axis=0, origin=-1)
    blurred = ndimage.correlate1d(blurred, weights, axis=1, origin=-1)
    inner = resize(image, 32).pixels[1:-1, 1:-1]
    np.testing.assert_allclose(inner, blurred[2:-2:2, 2:-2:2], atol=1e-6)


def test_resize_does_not_alias():
    stripes = np.zeros((512, 512), bool)
    stripes[::2] = True
    small = resize(as_chest_image(stripes), 200).pixels
    assert np.abs(small - 0.5).max() < 0.2


def test_resize_to_its_own_size_is_the_same_object():
    image = as_chest_image(ramp(shape=(64, 64)))
    assert resize(image, 64) is image
    small = resize(image, 32)
    assert resize(small, 32) is small
    assert resize(small, 48).native_shape == (64, 64)


@pytest.mark.parametrize("size", [0, -1, 10_001, 2.0, True])
def test_resize_refuses(size):
    with pytest.raises(ConfigurationError, match="size"):
        resize(as_chest_image(ramp()), size)


# ---------------------------------------------------------------------------------------- masks


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


# --------------------------------------------------------------------------------------- import


def test_import_is_light():
    code = (
        "import sys, lungpatch.io; "
        "heavy = {'torch', 'skimage', 'pydicom', 'tifffile', 'PIL'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_image_is_named_after_its_file(tmp_path):
    path = tmp_path / "a.b.png"
    Image.linear_gradient("L").save(path)
    assert read_image(path).image_id == image_id_of(path) == "a.b"
    # A DICOM UID's last number is no suffix.
    assert image_id_of(tmp_path / "1.2.840") == "1.2.840"


def test_dicom_is_told_by_its_content(tmp_path):
    path = tmp_path / "image"
    path.write_bytes(b"\0" * 128 + b"DICM")
    assert holds_dicom(path)
    path.write_bytes(b"DICM")
    assert not holds_dicom(path)
    assert not holds_dicom(tmp_path / "nothing")
