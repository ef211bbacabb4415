"""Real and made files against what other programs make of them."""

import io
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from made_dicoms import (
    check_refused,
    check_refused_by_name,
    displayed_by_dcmtk,
    lookup_table,
    ramp,
    save_dicom,
)
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_rescale, apply_windowing
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from lungpatch.containers.lung_coordinates import split_lungs
from lungpatch.io import find_images, read_image, read_mask
from lungpatch.segmenters import MaskFolderSegmenter

SHARED = Path(
    os.environ.get("LUNGPATCH_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data")
).parent
CASES, DICOM = SHARED / "cases", SHARED / "data" / "dicom"
cases = pytest.mark.skipif(not CASES.is_dir(), reason=f"{CASES} is not there")
real = pytest.mark.skipif(not DICOM.is_dir(), reason=f"{DICOM} is not there")

# dcm2pnm widens levels to 16 bits by zeros, so white is one level darker.
U12 = ramp(4095, (60, 70), np.uint16)
S12 = ramp(4095, (60, 70), np.int16) - np.int16(2048)
CURVE = (np.linspace(0, 1, 4096) ** 0.5 * 4095).astype(int)
WINDOW = {"WindowCenter": 1500, "WindowWidth": 1000}


# --------------------------------------------------------------------------- DCMTK, made files


@pytest.mark.parametrize(
    ("stored", "options", "elements"),
    [
        (U12, (), {}),
        (U12, (), {"photometric": "MONOCHROME1"}),
        (S12, (), {}),
        (U12, (), {"RescaleSlope": -2, "RescaleIntercept": 100}),
        (U12, ("+Wi", "1"), WINDOW),
        (U12, ("+Wi", "1"), WINDOW | {"photometric": "MONOCHROME1"}),
        (U12, ("+Wi", "1"), WINDOW | {"VOILUTFunction": "SIGMOID"}),
        (S12, ("+Wi", "1"), WINDOW | {"WindowCenter": 100}),
        (U12, ("+Wi", "1"), WINDOW | {"RescaleSlope": -1, "RescaleIntercept": 4095}),
        (U12, ("+Wi", "1"), WINDOW | {"syntax": ExplicitVRBigEndian}),
        (U12, ("+Wi", "1"), WINDOW | {"syntax": ImplicitVRLittleEndian}),
        (U12, ("+Wi", "1"), WINDOW | {"syntax": DeflatedExplicitVRLittleEndian}),
        (U12, ("+Wi", "1"), WINDOW | {"syntax": RLELossless}),
        (U12, ("+Wi", "1"), {"WindowCenter": [2000, 9], "WindowWidth": [800, 7]}),
        (U12, ("+Wl", "1", "+Mv"), {"VOILUTSequence": lookup_table(CURVE, 0, 16)}),
        (U12, ("+Wl", "1", "+Mv"), {"VOILUTSequence": lookup_table(CURVE, 0, 10)}),
        (U12, ("+Wl", "1", "+Mv"), {"VOILUTSequence": lookup_table(CURVE // 2, 0, 16)}),
        (U12, ("+Wl", "1", "+Mv"), {"VOILUTSequence": lookup_table(CURVE[:3000], 500, 12)}),
        (S12, ("+Wl", "1", "+Mv"), {"VOILUTSequence": lookup_table(CURVE, -2048, 12)}),
        (U12, ("+Wl", "1", "+Mv"), {"VOILUTSequence": lookup_table(CURVE // 16, 0, 8)}),
        (U12, ("+Mm",), {"ModalityLUTSequence": lookup_table(CURVE, 0, 12)}),
        (U12, ("+Mm",), {"ModalityLUTSequence": lookup_table(CURVE, 0, 16)}),
        (U12, ("+Mm", "+Wi", "1"), WINDOW | {"ModalityLUTSequence": lookup_table(CURVE, 0, 12)}),
        (U12 << 4, (), {"HighBit": 15}),
        (U12 << 2, (), {"HighBit": 13}),
        (U12 | 0x8000, (), {}),
        ((S12 & 0x0FFF).astype(np.int16), (), {}),
        (U12, (), {"photometric": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}),
    ],
)
def test_made_files_are_read_as_dcmtk_displays_them(tmp_path, stored, options, elements):
    path = save_dicom(tmp_path / "d.dcm", stored, **elements)
    displayed = displayed_by_dcmtk(path, *options)
    table = elements.get("VOILUTSequence")
    of_bytes = table is not None and table[0].LUTDescriptor[2] == 8
    one_level = 1 / 255 if of_bytes else 1 / 2047
    np.testing.assert_allclose(read_image(path).pixels, displayed, atol=one_level)


@pytest.mark.parametrize("name", ["mlut_18.dcm", "vlut_04.dcm", "RG3_UNCR.dcm", "MR2_UNCR.dcm"])
def test_real_files_are_read_as_dcmtk_displays_them(tmp_path, name):
    path = data_file(tmp_path, name)
    dataset = pydicom.dcmread(path)
    options = ["+Mm", "+Mv"]
    if "VOILUTSequence" in dataset:
        options += ["+Wl", "1"]
    elif "WindowCenter" in dataset:
        options += ["+Wi", "1"]
    displayed = displayed_by_dcmtk(path, *options)
    if dataset.get("PatientOrientation") == ["R", "F"]:
        displayed = displayed[:, ::-1]
    np.testing.assert_allclose(read_image(path).pixels, displayed, atol=1e-3)


@pytest.mark.parametrize("elements", [WINDOW, WINDOW | {"VOILUTFunction": "LINEAR_EXACT"}])
@pytest.mark.parametrize("slope", [1, -0.5])
def test_windows_as_pydicom_computes_them(tmp_path, elements, slope):
    intercept = 20 if slope > 0 else 3000
    path = save_dicom(
        tmp_path / "d.dcm", U12, RescaleSlope=slope, RescaleIntercept=intercept, **elements
    )
    dataset = pydicom.dcmread(path)
    values = apply_rescale(dataset.pixel_array, dataset)
    levels = apply_windowing(values, dataset)
    # Its range runs from the lowest stored value to the highest, also where the slope is negative.
    black, white = float(intercept), 4095 * slope + intercept
    expected = (levels - black) / (white - black)
    np.testing.assert_allclose(read_image(path).pixels, expected, atol=1e-5)


# ---------------------------------------------------------------------- the Philips chest of PyPI


def data_file(tmp_path, name):
    """A copy of a file of the package pydicom-data; skips where it is not installed."""
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip("the package pydicom-data is not installed")
    return Path(shutil.copy(path, tmp_path / name))


@pytest.mark.parametrize("kind", ["R", "I"])
def test_the_philips_chest_as_it_comes(tmp_path, kind):
    """R: lossless JPEG 2000 and what it decodes to; I: the same of lossy JPEG 2000."""
    plain = read_image(data_file(tmp_path, f"RG1_UNC{kind}.dcm"))
    packed = read_image(data_file(tmp_path, f"RG1_J2K{kind}.dcm"))
    np.testing.assert_allclose(packed.pixels, plain.pixels, atol=1e-3)
    assert packed.reading == plain.reading
    stored = pydicom.dcmread(tmp_path / f"RG1_UNC{kind}.dcm").pixel_array
    expected = 1 - np.clip((stored - 14999.5) / 29999 + 0.5, 0, 1)
    np.testing.assert_allclose(plain.pixels, expected, atol=1e-6)
    displayed = displayed_by_dcmtk(tmp_path / f"RG1_UNC{kind}.dcm", "+Wi", "1")
    np.testing.assert_allclose(plain.pixels, displayed, atol=1e-3)


def encoded(dataset, encoding, path):
    """Write a dataset in another encoding, none of which loses anything."""
    values = dataset.pixel_array
    if encoding == "no preamble":
        with path.open("wb") as file:
            pydicom.dcmwrite(file, strip_meta(dataset), implicit_vr=True, little_endian=True)
        return
    if encoding == "TIFF preamble":
        dataset.preamble = b"II*\0\x08\0\0\0".ljust(128, b"\0")
    elif encoding == "top bits":
        dataset.PixelData = (values << 1).astype("<u2").tobytes()
        dataset.HighBit = 15
    elif encoding == "MONOCHROME2":
        dataset.PixelData = (2**15 - 1 - values).astype("<u2").tobytes()
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.WindowCenter = 2**15 - 15000
    elif encoding == "mirrored":
        dataset.PixelData = np.ascontiguousarray(values[:, ::-1]).astype("<u2").tobytes()
        dataset.PatientOrientation = ["R", "F"]
    elif encoding == "transposed":
        dataset.PixelData = np.ascontiguousarray(values.T).astype("<u2").tobytes()
        dataset.Rows, dataset.Columns = values.shape[::-1]
        dataset.PatientOrientation = ["F", "L"]
    elif encoding == "big endian":
        dataset.PixelData = values.astype(">u2").tobytes()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        with path.open("wb") as file:
            pydicom.dcmwrite(
                file, dataset, implicit_vr=False, little_endian=False, force_encoding=True
            )
        return
    elif encoding == "JPEG 2000":
        stream = io.BytesIO()
        Image.fromarray(values).save(stream, format="JPEG2000", no_jp2=True)
        dataset.PixelData = encapsulate([stream.getvalue()])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    elif encoding == "RLE":
        dataset.compress(RLELossless)
    else:
        dataset.file_meta.TransferSyntaxUID = {
            "implicit": ImplicitVRLittleEndian,
            "explicit": ExplicitVRLittleEndian,
            "deflated": DeflatedExplicitVRLittleEndian,
        }[encoding]
    dataset.save_as(path, enforce_file_format=True)


def strip_meta(dataset):
    bare = pydicom.Dataset(dataset)
    bare.pop("TransferSyntaxUID", None)
    return bare


@pytest.mark.parametrize(
    "encoding",
    [
        "implicit",
        "explicit",
        "big endian",
        "deflated",
        "RLE",
        "JPEG 2000",
        "no preamble",
        "TIFF preamble",
        "top bits",
        "MONOCHROME2",
        "mirrored",
        "transposed",
    ],
)
def test_the_philips_chest_in_other_encodings(tmp_path, encoding):
    path = data_file(tmp_path, "RG1_UNCR.dcm")
    expected = read_image(path).pixels
    encoded(pydicom.dcmread(path), encoding, tmp_path / "other")
    np.testing.assert_allclose(read_image(tmp_path / "other").pixels, expected, atol=1e-3)


@pytest.mark.parametrize("option", ["+ti", "+te", "+tb", "+td"])
def test_the_philips_chest_written_by_dcmtk(tmp_path, option):
    program = shutil.which("dcmconv")
    if program is None:
        pytest.skip("dcmconv is not installed (Debian: apt-get install dcmtk)")
    path = data_file(tmp_path, "RG1_UNCR.dcm")
    expected = read_image(path).pixels
    other = tmp_path / "other.dcm"
    subprocess.run([program, option, path, other], check=True, capture_output=True)
    np.testing.assert_allclose(read_image(other).pixels, expected, atol=1e-3)
    if option == "+td":
        return  # nothing but the meta information says that a dataset is deflated
    subprocess.run([program, option, "-F", path, other], check=True, capture_output=True)
    np.testing.assert_allclose(read_image(other).pixels, expected, atol=1e-3)


# ------------------------------------------------------------------------- ../shared/data/dicom


@real
def test_the_folder_of_real_files():
    names = [path.name for path in find_images(DICOM)]
    assert names == [
        "dental_modality_lut_sequence.dcm",
        "dog_lateral_labelled_thorax.dcm",
        "fuji_cr_chest_no_preamble",
        "hip_rle_tiff_preamble.dcm",
        "nih_chest_jpeg.dcm",
    ]


@real
@pytest.mark.parametrize(
    ("name", "options", "atol"),
    [
        ("fuji_cr_chest_no_preamble", ("+Wi", "1"), 1e-3),
        ("dog_lateral_labelled_thorax.dcm", ("+Wi", "1"), 1 / 255),
        ("hip_rle_tiff_preamble.dcm", ("+Wi", "1"), 1e-3),
        ("nih_chest_jpeg.dcm", (), 3 / 255),
    ],
)
def test_real_files_as_dcmtk_displays_them(tmp_path, name, options, atol):
    path = Path(shutil.copy(DICOM / name, tmp_path / "d.dcm"))
    source = decompressed(path)
    np.testing.assert_allclose(
        read_image(path).pixels, displayed_by_dcmtk(source, *options), atol=atol
    )


def decompressed(path):
    """Decompress a file by DCMTK; skips where that is not installed."""
    syntax = pydicom.dcmread(path, stop_before_pixels=True, force=True).file_meta
    kind = syntax.get("TransferSyntaxUID", ExplicitVRLittleEndian)
    if not kind.is_compressed:
        return path
    program = shutil.which("dcmdrle" if kind == RLELossless else "dcmdjpeg")
    if program is None:
        pytest.skip("dcmdrle and dcmdjpeg are not installed (Debian: apt-get install dcmtk)")
    other = path.with_name(f"decompressed-{path.name}")
    subprocess.run([program, path, other], check=True, capture_output=True)
    return other


@real
def test_a_real_modality_table(tmp_path):
    """Lossless JPEG, decompressed by DCMTK; its table uses 10 of the 16 bits that it states."""
    path = decompressed(Path(shutil.copy(DICOM / "dental_modality_lut_sequence.dcm", tmp_path)))
    image = read_image(path)
    np.testing.assert_allclose(image.pixels, displayed_by_dcmtk(path, "+Mm"), atol=1e-3)
    dataset = pydicom.dcmread(path)
    entries = np.frombuffer(dataset.ModalityLUTSequence[0].LUTData, "<u2")
    np.testing.assert_allclose(image.pixels, 1 - entries[dataset.pixel_array] / 1023, atol=1e-6)
    assert "its descriptor says 16 bits, its entries need 10" in image.reading[0]


@real
def test_a_real_file_without_its_decoder(monkeypatch):
    from pydicom.pixels.decoders import JPEGLosslessSV1Decoder

    monkeypatch.setattr(JPEGLosslessSV1Decoder, "_available", {})
    path = DICOM / "dental_modality_lut_sequence.dcm"
    check_refused_by_name(path, "JPEG Lossless", "1.2.840.10008.1.2.4.70", "pylibjpeg-libjpeg")


# ------------------------------------------------------------------------------ ../shared/cases


@cases
@pytest.mark.parametrize(
    "name", ["tiff_preamble_le", "highbit15", "bits16_12used", "modlut12", "voilut16_12data"]
)
def test_cases_as_dcmtk_displays_them(tmp_path, name):
    path = Path(shutil.copy(CASES / f"{name}.dcm", tmp_path))
    options = {"modlut12": ("+Mm",), "voilut16_12data": ("+Wl", "1", "+Mv")}.get(name, ())
    displayed = displayed_by_dcmtk(path, *options)
    if name == "bits16_12used":
        displayed = displayed * 65535 / 4095  # the one rule in which we differ
    np.testing.assert_allclose(read_image(path).pixels, displayed, atol=1e-3)


@cases
def test_one_image_in_all_its_disguises():
    """The cases are one film: as it is, and through tables that all hold the same curve."""
    plain = read_image(CASES / "tiff_preamble_le.dcm").pixels
    for name in ("highbit15", "bits16_12used"):
        np.testing.assert_array_equal(read_image(CASES / f"{name}.dcm").pixels, plain)
    curved = read_image(CASES / "modlut12.dcm").pixels
    np.testing.assert_array_equal(read_image(CASES / "voilut16_12data.dcm").pixels, curved)
    bytes_of_it = read_image(CASES / "voilut8_words.dcm").pixels
    np.testing.assert_allclose(bytes_of_it, curved, atol=1 / 255)
    dataset = pydicom.dcmread(CASES / "voilut8_words.dcm")
    table = np.frombuffer(dataset.VOILUTSequence[0].LUTData, "<u2")
    np.testing.assert_allclose(bytes_of_it, table[dataset.pixel_array] / 255, atol=1e-6)


@cases
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cols_small", ["Columns 511", "PixelData (7FE0,0010)", "524288", "523264"]),
        ("no_pi", ["PhotometricInterpretation (0028,0004)"]),
        ("no_rows", ["Rows (0028,0010)"]),
        ("pixels_empty", ["PixelData (7FE0,0010) is empty"]),
        ("win_comma", ["WindowCenter (0028,1050)", "'2000,5'", "comma", "point"]),
    ],
)
def test_cases_that_are_refused_by_the_name_of_the_tag(name, words):
    check_refused_by_name(CASES / f"{name}.dcm", *words)


@cases
def test_a_real_twelve_bit_jpeg(tmp_path, monkeypatch):
    from pydicom.pixels.decoders import JPEGExtended12BitDecoder

    only = {"pillow": JPEGExtended12BitDecoder._available["pillow"]}
    monkeypatch.setattr(JPEGExtended12BitDecoder, "_available", only)
    check_refused_by_name(
        CASES / "jpeg12_real.dcm", "12-bit JPEG", "1.2.840.10008.1.2.4.51", "pylibjpeg-libjpeg"
    )
    path = decompressed(Path(shutil.copy(CASES / "jpeg12_real.dcm", tmp_path)))
    plain = read_image(CASES / "tiff_preamble_le.dcm").pixels
    np.testing.assert_allclose(read_image(path).pixels, plain, atol=0.02)


@cases
def test_a_packed_tiff_of_a_dark_film():
    image = read_image(CASES / "tif12packed.tif")
    assert image.reading == ("white is 4095: the file states 12 bits",)
    data = np.frombuffer((CASES / "tif12packed.tif").read_bytes()[-512 * 768 :], np.uint8)
    bits = np.unpackbits(data).reshape(512, 512, 12)
    expected = bits @ (1 << np.arange(11, -1, -1)) / 4095
    np.testing.assert_allclose(image.pixels, expected, atol=1e-6)


@cases
def test_a_mirror_image_that_says_so():
    usual = read_image(CASES / "orientation_LF.dcm")
    mirrored = read_image(CASES / "orientation_RF_flipped.dcm")
    np.testing.assert_array_equal(usual.pixels, mirrored.pixels)
    stored = pydicom.dcmread(CASES / "orientation_RF_flipped.dcm").pixel_array
    np.testing.assert_array_equal(mirrored.pixels, stored[:, ::-1] / np.float32(255))


@cases
def test_a_mask_of_labels(tmp_path):
    levels = np.asarray(Image.open(CASES / "labelmask_012.png"))
    mask = read_mask(CASES / "labelmask_012.png")
    np.testing.assert_array_equal(mask, levels > 0)
    sides = split_lungs(mask)
    assert sides.right[levels == 1].mean() > 0.99
    assert sides.left[levels == 2].mean() > 0.99
    shutil.copy(CASES / "labelmask_012.png", tmp_path / "labelmask_film.png")
    found = MaskFolderSegmenter(folder=str(tmp_path)).segment(
        read_image(CASES / "labelmask_film.png")
    )
    np.testing.assert_array_equal(found.pixels, levels > 0)


@cases
def test_no_case_reaches_the_last_resort():
    for path in sorted([*CASES.glob("*.dcm"), *CASES.glob("*.tif"), *CASES.glob("*.png")]):
        try:
            read_image(path)
        except ValueError:
            message = check_refused(path)
            assert ": cannot be decoded" not in message
            assert "damaged" not in message
