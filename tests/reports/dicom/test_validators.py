"""DICOM objects as others' tools see them: dicom3tools' dciodvfy, and dsrdump, dcm2pnm of DCMTK."""

import os
from copy import deepcopy
from pathlib import Path

import numpy as np
import pydicom
import pytest
from made_dicom_results import (
    PIPELINE,
    dciodvfy_errors,
    detection_in,
    run_validator,
    save_radiograph,
)
from made_dicoms import lookup_table
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from lungpatch.errors import InvalidImageError
from lungpatch.io import read_image
from lungpatch.reports.dicom import KINDS, write_dicom_objects

DATA = Path(
    os.environ.get("LUNGPATCH_DATA", Path(__file__).resolve().parents[3].parent / "shared" / "data")
)
REAL = DATA / "dicom"

CASES = {
    "usual": {},
    "mirrored, inverted, anisotropic": {
        "orientation": "R\\F",
        "photometric": "MONOCHROME1",
        "PixelSpacing": [0.2, 0.1],
    },
    "turned, with a window": {
        "orientation": "F\\R",
        "WindowCenter": "2048",
        "WindowWidth": "3000",
        "RescaleSlope": "1",
        "RescaleIntercept": "0",
    },
    "unknown orientation, aspect ratio": {"orientation": None, "PixelAspectRatio": [3, 2]},
    "no body part": {"BodyPartExamined": ""},
}


def written(path, out, **options):
    return write_dicom_objects(
        detection_in(path, **options), path, out, pipeline=PIPELINE, kinds=KINDS
    )


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("status", ["ok", "no_lungs", "out_of_scope"])
def test_dciodvfy_finds_no_error(tmp_path, case, status):
    path = save_radiograph(tmp_path / "a", **CASES[case])
    options = {"status": status, "spots": ((16, 40), (30, 12)) if status == "ok" else ()}
    for kind, file in written(path, tmp_path, **options).items():
        assert dciodvfy_errors(file) == [], kind


@pytest.mark.parametrize("case", CASES)
def test_dsrdump_reads_the_report(tmp_path, case):
    path = save_radiograph(tmp_path / "a", **CASES[case])
    said = run_validator("dsrdump", written(path, tmp_path)["sr"])
    assert "error" not in said.lower()
    assert "warning" not in said.lower()
    assert "Imaging Measurement Report" in said
    assert said.count('SCOORD:(,,"Image Region")=(POLYLINE') == 2
    assert "Doe^Jane" in said


def test_dcm2pnm_displays_the_overlay_as_it_is(tmp_path):
    file = written(save_radiograph(tmp_path / "a"), tmp_path)["sc"]
    run_validator("dcm2pnm", "-q", file, tmp_path / "a.ppm")
    displayed = np.asarray(Image.open(tmp_path / "a.ppm"))
    np.testing.assert_array_equal(displayed, pydicom.dcmread(file).pixel_array)


@pytest.mark.parametrize("frame", [1, 2])
def test_dcm2pnm_displays_the_masks(tmp_path, frame):
    file = written(save_radiograph(tmp_path / "a", shape=(96, 64)), tmp_path)["seg"]
    run_validator("dcm2pnm", "-q", "+Wm", "+F", frame, file, tmp_path / "a.pgm")
    displayed = np.asarray(Image.open(tmp_path / "a.pgm"))
    np.testing.assert_array_equal(displayed > 0, pydicom.dcmread(file).pixel_array[frame - 1] > 0)


@pytest.mark.parametrize("case", CASES)
def test_the_presentation_shows_what_reading_reads(tmp_path, case):
    """Grey levels by DCMTK's presentation states against those of reading, within 1 of 255."""
    path = save_radiograph(tmp_path / "a", **CASES[case])
    state = written(path, tmp_path)["pr"]
    run_validator("dcmp2pgm", "-p", state, path, tmp_path / "a.pgm")
    displayed = np.asarray(Image.open(tmp_path / "a.pgm"))
    image, source = read_image(path), pydicom.dcmread(path)
    read = image.pixels if source.pixel_array.shape == image.shape else image.pixels.T
    # The turn is not the point here: the levels of all pixels are compared, sorted.
    assert displayed.size == read.size
    np.testing.assert_allclose(
        np.sort(displayed, axis=None), np.sort(read, axis=None) * 255, atol=1.5
    )


CURVE = (np.linspace(0, 1, 4096) ** 2 * 4095).astype(np.uint16)
EIGHT = (CURVE >> 4).astype(np.uint8)


def modality_table():
    table = lookup_table(CURVE, 0, 12)
    table[0].ModalityLUTType = "US"
    return table


TABLES = {
    "VOI of 12 bits": {"VOILUTSequence": lookup_table(CURVE, 0, 12)},
    "VOI of 12 bits, said to be 16": {"VOILUTSequence": lookup_table(CURVE, 0, 16)},
    "VOI of 8 bits in words": {"VOILUTSequence": lookup_table(EIGHT, 0, 8)},
    "VOI of bytes": {
        "VOILUTSequence": lookup_table(EIGHT.tobytes(), 0, 8, vr="OW", n_entries=4096)
    },
    "VOI of negative values": {
        "VOILUTSequence": lookup_table(CURVE, -1024, 12),
        "RescaleSlope": "1",
        "RescaleIntercept": "-1024",
    },
    "modality": {"ModalityLUTSequence": modality_table()},
    "modality and window": {
        "ModalityLUTSequence": modality_table(),
        "WindowCenter": "2000",
        "WindowWidth": "1500",
    },
    "modality and exact window": {
        "ModalityLUTSequence": modality_table(),
        "WindowCenter": "2000",
        "WindowWidth": "1500",
        "VOILUTFunction": "LINEAR_EXACT",
    },
    "modality and VOI": {
        "ModalityLUTSequence": modality_table(),
        "VOILUTSequence": lookup_table(CURVE, 0, 12),
    },
}


@pytest.mark.parametrize("case", TABLES)
@pytest.mark.parametrize("encoding", ["explicit", "implicit", "big endian"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_the_presentation_has_tables_that_the_standard_allows(
    tmp_path, case, encoding, photometric
):
    syntax = {"explicit": None, "implicit": ImplicitVRLittleEndian}.get(
        encoding, ExplicitVRBigEndian
    )
    elements = deepcopy(TABLES[case])
    for sequence in (elements.get("ModalityLUTSequence"), elements.get("VOILUTSequence")):
        if encoding == "big endian" and sequence and sequence[0]["LUTData"].VR == "OW":
            pairs = np.frombuffer(sequence[0].LUTData, np.uint16)
            sequence[0].LUTData = pairs.byteswap().tobytes()
    path = save_radiograph(tmp_path / "a", photometric=photometric, syntax=syntax, **elements)
    state = written(path, tmp_path)["pr"]
    assert dciodvfy_errors(state) == []
    run_validator("dcmp2pgm", "-p", state, path, tmp_path / "a.pgm")
    displayed = np.asarray(Image.open(tmp_path / "a.pgm"))
    np.testing.assert_allclose(displayed, read_image(path).pixels * 255, atol=1.5)


def real_images():
    paths = sorted(REAL.iterdir()) if REAL.is_dir() else []
    return [*paths, *(get_testdata_file(name) for name in ("RG1_UNCR.dcm", "RG3_UNCR.dcm"))]


@pytest.mark.parametrize("path", real_images(), ids=lambda path: Path(path or "missing").name)
def test_real_images(tmp_path, path):
    if path is None:
        pytest.skip("pydicom-data is not installed")
    try:
        files = written(path, tmp_path)
    except InvalidImageError as error:
        if "no decoder" not in str(error):
            raise
        pytest.skip(f"no decoder: {error}")
    for kind, file in files.items():
        # What the source's own values cause is not ours: its UIDs are repeated as they are.
        errors = [line for line in dciodvfy_errors(file) if "UID" not in line]
        assert errors == [], kind
    assert "error" not in run_validator("dsrdump", files["sr"]).lower()
