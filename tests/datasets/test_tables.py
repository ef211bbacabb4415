from pathlib import Path

import numpy as np
import pytest

from lungpatch._utils.patients import normalise_patient
from lungpatch.datasets import Dataset, read_patients
from lungpatch.datasets.tables import Row, read_table
from lungpatch.errors import ConfigurationError, MissingInputError

BOX = ("x", "y", "w", "h")


def row(**values):
    return Row(
        path=Path("t.csv"), line=5, values={name: str(value) for name, value in values.items()}
    )


@pytest.mark.parametrize(
    "patient",
    ["1280", "00001280", "1280.0", "00001280.00", " 1280\t", "1280.", 1280, 1280.0, np.int64(1280),
     np.float32(1280), "\uff11\uff12\uff18\uff10"],
)  # fmt: skip
def test_one_patient_in_every_spelling(patient):
    assert normalise_patient(patient) == "1280"


@pytest.mark.parametrize(
    ("patient", "expected"),
    [
        ("IM-0115", "IM-0115"),
        ("1.2.840.0", "1.2.840.0"),
        ("1280.5", "1280.5"),
        ("1280.05", "1280.05"),
        ("-5", "-5"),
        ("0x10", "0x10"),
        ("person1_2", "person1_2"),
        ("000", "0"),
        (0, "0"),
        ("100", "100"),
        (1e20, "100000000000000000000"),
    ],
)
def test_other_ids_stay_as_they_are(patient, expected):
    assert normalise_patient(patient) == expected
    assert normalise_patient(expected) == expected


@pytest.mark.parametrize("patient", [None, "", "  ", float("nan"), np.float64("nan")])
def test_an_unknown_patient_is_empty(patient):
    assert normalise_patient(patient) == ""


def test_patients_of_a_table_and_of_a_dataset_are_written_in_one_way(tmp_path):
    table = tmp_path / "m.csv"
    table.write_text("file,patient\na.png,00007\nb.png,7.0\nc.png,70\na.png,7\n")
    assert read_patients(table) == {"a.png": "7", "b.png": "7", "c.png": "70"}
    images = [Path(f"{name}.png") for name in "abcd"]
    dataset = Dataset(name="set", images=images, patients=["007", 7.0, np.nan, "P7"])
    assert dataset.patients.tolist() == ["7", "7", "", "P7"]
    same = Dataset(name="set", images=images[:2], patients=np.array(["07", "7"]))
    assert same.patient_by_image == {"a": "7", "b": "7"}
    halves = Dataset(name="set", images=images, patients=["1", "01", "2", "2.0"])
    parts = halves.split_by_patient({"a": 0.5, "b": 0.5}, seed=0)
    assert [len(part) for part in parts.values()] == [2, 2]


def test_a_file_of_two_patients_is_refused_and_of_two_spellings_is_not(tmp_path):
    table = tmp_path / "m.csv"
    table.write_text("file,patient\na.png,07\na.png,7\na.png,70\n")
    with pytest.raises(ConfigurationError, match=r"line 4 gives a\.png the patient 70.* 7;"):
        read_patients(table)


def test_boxes_are_rows_then_columns_in_fractions_of_the_side():
    assert row(x=100, y=200, w=300, h=50).relative_box(BOX, side=1000) == (0.2, 0.1, 0.25, 0.4)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"x": -0.5, "y": 0.2, "w": 1.0, "h": 0.1}, (0.2, 0.0, 0.3, 0.5)),
        ({"x": 0.2, "y": -0.5, "w": 0.1, "h": 1.0}, (0.0, 0.2, 0.5, 0.3)),
        ({"x": 0.9, "y": 0.5, "w": 1.0, "h": 0.25}, (0.5, 0.9, 0.75, 1.0)),
        ({"x": 0.5, "y": 0.9, "w": 0.25, "h": 1.0}, (0.9, 0.5, 1.0, 0.75)),
        ({"x": 0.0, "y": 0.0, "w": 1.5, "h": 1.5}, (0.0, 0.0, 1.0, 1.0)),
    ],
)
def test_boxes_are_cut_at_each_border(values, expected):
    assert row(**values).relative_box(BOX, side=1.0) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"x": 0, "y": 0, "w": 0, "h": 1}, "'w' must be above 0"),
        ({"x": 0, "y": 0, "w": 1, "h": -1}, "'h' must be above 0"),
        ({"x": 0, "y": 0, "w": 1.501, "h": 1}, "'w' is 1.501, but an image measures 1"),
        ({"x": 0, "y": 0, "w": 1, "h": 1.501}, "'h' is 1.501, but an image measures 1"),
        ({"x": -0.5, "y": 0, "w": 0.5, "h": 1}, "'x' and y put the box outside"),
        ({"x": 1.0, "y": 0, "w": 0.5, "h": 1}, "'x' and y put the box outside"),
        ({"x": 0, "y": -0.5, "w": 1, "h": 0.5}, "'x' and y put the box outside"),
        ({"x": 0, "y": 1.0, "w": 1, "h": 0.5}, "'x' and y put the box outside"),
        ({"x": "inf", "y": 0, "w": 1, "h": 1}, "'x' must be a number, got 'inf'"),
    ],
)
def test_boxes_that_cannot_be_are_named_with_line_and_column(values, message):
    with pytest.raises(ConfigurationError, match=rf"t\.csv: line 5: column {message}"):
        row(**values).relative_box(BOX, side=1.0)


def test_rows_keep_their_line_and_short_rows_are_filled(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text('file , x\n\n,\na.png\n"b\n.png", 2 ,extra\n')
    rows = read_table(table, ["file"])
    assert [dict(each.values) for each in rows] == [
        {"file": "a.png", "x": ""},
        {"file": "b\n.png", "x": "2"},
    ]
    assert [each.line for each in rows] == [4, 6]
    with pytest.raises(MissingInputError, match="no such file"):
        read_table(table / "below.csv", ["file"])
