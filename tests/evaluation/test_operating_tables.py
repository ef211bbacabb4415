"""Decisions as text and as records."""

import attrs
import numpy as np
import pytest

from lungpatch.datasets.dataset import Dataset
from lungpatch.evaluation.bootstrap import patient_weights
from lungpatch.evaluation.kinds import ALL_POSITIVE, N_SHOWN, Kinds
from lungpatch.evaluation.operating_points import OperatingPoint, Outcomes, PointResult
from lungpatch.evaluation.operating_tables import (
    OperatingTables,
    operating_record,
    operating_tables,
)
from lungpatch.evaluation.predictions import Predictions
from lungpatch.evaluation.protocol import Evaluation, evaluate_predictions
from lungpatch.evaluation.report import markdown


def _evaluation(make_case, labels, flagged):
    """An evaluation of images with labels, flagged at the shipped threshold and at no other."""
    n = len(labels)
    kinds = Kinds.of(
        Dataset(
            name="own",
            images=[np.zeros((64, 64), np.uint8)] * n,
            image_ids=[str(number) for number in range(n)],
            labels=labels,
        )
    )
    cases = tuple(
        attrs.evolve(make_case(number), kind=str(kinds.names[number]), role=kinds.role_of(number))
        for number in range(n)
    )
    none = (np.empty((0, 2), dtype=np.int64),) * n
    outcomes = Outcomes(
        n_patients=14,
        points=(
            OperatingPoint(name="as shipped", threshold=1.25, region_threshold=2.5),
            OperatingPoint(name="0.05", threshold=None, region_threshold=None, reason="too few"),
        ),
        flagged=np.array([flagged, [False] * n], dtype=bool),
        peaks=(none, none),
        n_undecided=2,
    )
    predictions = Predictions(
        name="own", scores=np.arange(float(n)), heatmaps=None, outcomes=outcomes
    )
    patients = [case.patient for case in cases]
    return Evaluation(
        dataset=None,
        cases=cases,
        kinds=kinds,
        left_out={},
        split=None,
        notes=("A note.",),
        metrics_left_out={"folder test": "a reason"},
        results=(evaluate_predictions(predictions, cases),),
        n_pipelines=1,
        groups={"all": np.ones(n, dtype=bool)},
        weights=patient_weights(patients, 100, np.random.default_rng(0)),
        seed=0,
    )


@pytest.fixture
def evaluation(make_case):
    labels = ["normal"] * 4 + ["scar|old"] * 2 + [""]
    return _evaluation(make_case, labels, [True, False, False, False, True, True, True])


def test_rows_are_kinds_and_columns_are_operating_points(evaluation):
    found = operating_tables(evaluation)["own"]
    assert isinstance(found, OperatingTables)
    assert found.head == ("as shipped", "rate 0.05")
    assert list(found.images) == [
        "scar|old (positive, 2 images)",
        "normal (normal, 4 images)",
        "no label (neither, 1 image)",
    ]
    assert found.images["scar|old (positive, 2 images)"] == ("1.00 [0.16, 1.00]", "")
    assert found.images["normal (normal, 4 images)"][0].startswith("0.25 [0.00, ")
    assert list(found.boxes)[-1] == "false boxes per normal image"
    assert not any(row.startswith("true boxes") for row in found.boxes)
    assert "calibrated on 14 normal patients" in found.facts[0]
    assert "finest false-alarm rate that can be asked for is 0.067" in found.facts[0]
    assert "image scores above 1.25, regions above 2.5" in found.facts[0]
    assert found.facts[1:] == (
        "Rate 0.05 is empty: too few.",
        "2 images are out of scope or without a score, and count as not flagged.",
    )


def test_records_hold_the_same(evaluation):
    (results,) = evaluation.operating_points().values()
    assert all(isinstance(result, PointResult) for result in results)
    record = operating_record(evaluation)["own"]
    assert (record["calibration_patients"], record["finest_rate"]) == (14, 1 / 15)
    assert record["undecided_images"] == 2
    shipped, empty = record["points"]
    assert shipped["threshold"] == 1.25
    assert shipped["flagged"]["normal"] == attrs.asdict(results[0].flagged["normal"])
    assert shipped["flagged"]["normal"]["value"] == 0.25
    assert (empty["flagged"], empty["threshold"], empty["reason"]) == ({}, None, "too few")


def test_many_kinds_are_in_the_records_but_not_in_the_text(make_case):
    labels = [f"label {number:02d}" for number in range(N_SHOWN + 2)] + ["normal"]
    evaluation = _evaluation(make_case, labels, [True] * len(labels))
    rows = list(operating_tables(evaluation)["own"].images)
    assert rows[0] == f"{ALL_POSITIVE} ({N_SHOWN + 2} images)"
    assert rows[1:-1] == [f"label {number:02d} (positive, 1 image)" for number in range(N_SHOWN)]
    assert rows[-1] == "normal (normal, 1 image)"
    (record,) = operating_record(evaluation).values()
    assert len(record["points"][0]["flagged"]) == N_SHOWN + 4


def test_tables_in_markdown_are_tables(evaluation):
    text = markdown(evaluation, {"all": evaluation.table("all")}, {"all": {}})
    lines = text.splitlines()
    row, boxes = [line for line in lines if line.startswith("| scar")]
    # A bar in a label would begin another cell.
    assert row == r"| scar\|old (positive, 2 images) | 1.00 [0.16, 1.00] |  |"
    assert (
        boxes == r"| scar\|old (positive, 2 images): fraction with a box | 0.00 [0.00, 0.84] |  |"
    )
    assert "- A note." in lines
    assert "- Not computed, since a reason: folder test." in lines
    assert "images of any other label against images labelled normal" in text
    assert "folder test |" not in text
