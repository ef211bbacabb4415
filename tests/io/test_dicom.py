import warnings

import numpy as np
import pydicom
import pytest
from made_dicoms import check_refused, lookup_table, ramp, save_dicom
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
    RLELossless,
)

from lungpatch.io import read_image


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
