"""Sides: the patient's right is at the left of an image, and the head at the top."""

import json

import numpy as np
import pytest
from made_dicoms import ramp, save_dicom
from stored_orientations import STORED

from lungpatch.io import read_image, resize

U12 = ramp(4095, dtype=np.uint16)
SHOWN = U12 / 4095


def saved(path, stored, orientation, **elements):
    return save_dicom(
        path, np.ascontiguousarray(stored), PatientOrientation=orientation.split("\\"), **elements
    )


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("oblique", ["", "A", "PH"])
def test_every_orientation_is_displayed_alike(tmp_path, orientation, oblique):
    across = "H" if orientation[0] in "LR" else "L"
    row, column = orientation.split("\\")
    stated = f"{row}{oblique.replace('H', across)}\\{column}"
    stored = STORED[orientation](U12)
    image = read_image(saved(tmp_path / "d", stored, stated, PixelSpacing=[0.2, 0.3]))
    np.testing.assert_allclose(image.pixels, SHOWN, atol=1e-6)
    exchanged = orientation[0] in "FH"
    assert image.pixel_spacing_mm == ((0.3, 0.2) if exchanged else (0.2, 0.3))
    assert image.native_shape == U12.shape
    assert image.pixels.flags.c_contiguous
    note = image.reading[-1]
    assert note.startswith(f"PatientOrientation {stated}: ")
    assert ("as displayed" in note) == (orientation == "L\\F")
    assert ("left to right" in note) == ("R" in orientation)
    assert ("top to bottom" in note) == ("H" in orientation)
    assert ("exchanged" in note) == exchanged
    assert image.tags["PatientOrientation"] == stated


@pytest.mark.parametrize(
    "orientation", ["A\\F", "P\\F", "AL\\F", "PR\\FL", "L\\P", "L\\PF", "F\\A"]
)
def test_other_views_are_taken_as_they_are_stored(tmp_path, orientation):
    image = read_image(saved(tmp_path / "d", U12, orientation))
    np.testing.assert_allclose(image.pixels, SHOWN, atol=1e-6)
    assert "not that of a frontal view" in image.reading[-1]


@pytest.mark.parametrize(
    ("orientation", "word"),
    [
        ("L\\R", "contradicts itself"),
        ("L\\L", "contradicts itself"),
        ("F\\H", "contradicts itself"),
        ("R", "not that of a human"),
        ("R\\", "not that of a human"),
        ("R\\F\\A", "not that of a human"),
        ("LE\\CD", "not that of a human"),
        ("RT\\V", "not that of a human"),
        ("X\\Y", "not that of a human"),
    ],
)
def test_what_is_not_understood_is_not_applied_and_noted(tmp_path, orientation, word):
    image = read_image(saved(tmp_path / "d", U12, orientation))
    np.testing.assert_allclose(image.pixels, SHOWN, atol=1e-6)
    assert word in image.reading[-1]
    assert "the patient's right at the left" in image.reading[-1]


@pytest.mark.parametrize("elements", [{}, {"PatientOrientation": ""}])
def test_a_missing_orientation_is_noted(tmp_path, elements):
    image = read_image(save_dicom(tmp_path / "d", U12, **elements))
    np.testing.assert_allclose(image.pixels, SHOWN, atol=1e-6)
    assert image.reading[-1].startswith("no PatientOrientation")
    assert "PatientOrientation" not in image.tags


def test_notes_and_tags_stay_with_a_resized_image(tmp_path):
    path = saved(tmp_path / "d", U12, "R\\F", PatientID=" P 7 ", Modality="DX")
    image = read_image(path)
    small = resize(image, 32)
    assert small.reading == image.reading
    assert small.tags == image.tags
    assert image.tags["PatientID"] == "P 7"
    assert json.loads(json.dumps([small.reading, small.tags])) == [list(small.reading), small.tags]
    assert (image.tags["Rows"], image.tags["Columns"]) == ("40", "50")
    assert not any("P 7" in note for note in image.reading)
