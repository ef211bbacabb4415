"""The variants of the ablation, its table, and its paired differences."""

import importlib
from pathlib import Path

import attrs
import numpy as np
import pytest

import lungpatch
from lungpatch._utils.files import write_json
from lungpatch.evaluation import Estimate

ROOT = Path(__file__).parents[2]


@pytest.fixture
def ablation(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("ablation")


@pytest.fixture
def result_of(ablation):
    """Make a result whose first metric is given; the others agree with `default`."""

    def make(first, change, pacemaker):
        others = len(ablation.COLUMNS) - 1
        return ablation.Result(
            values=[first, *[Estimate(value=0.5, low=0.4, high=0.6)] * others],
            differences=[change, *[Estimate(value=0.0, low=-0.1, high=0.1)] * others],
            pacemaker=pacemaker,
        )

    return make


@pytest.fixture
def results(result_of):
    none = Estimate(value=0.0, low=0.0, high=0.0)
    worse = Estimate(value=-0.2, low=-0.3, high=-0.1)
    unclear = Estimate(value=0.02, low=-0.01, high=0.05)
    return {
        "default": result_of(Estimate(value=0.9, low=0.8, high=0.95), none, [[3, 39], [1, 36]]),
        "worse": result_of(Estimate(value=0.7, low=0.6, high=0.8), worse, [[30, 39], [9, 36]]),
        "unclear": result_of(Estimate(value=0.92, low=0.8, high=0.97), unclear, [[2, 38], [0, 36]]),
    }


def cells_of(table):
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.strip().splitlines()
        if line.startswith("|")
    ]


def test_what_differs_from_default_for_sure_is_bold(ablation, results):
    head, _, *rows = cells_of(ablation.table_of(results))[:5]
    assert [len(row) for row in rows] == [len(head)] * 3
    assert [row[:3] for row in rows] == [
        ["default", "0.90", "0.50"],
        ["worse", "**0.70**", "0.50"],
        ["unclear", "0.92", "0.50"],
    ]
    assert [row[-2:] for row in rows] == [
        ["3 of 39", "1 of 36"],
        ["30 of 39", "9 of 36"],
        ["2 of 38", "0 of 36"],
    ]


def test_differences_have_intervals_below_the_values_of_default(ablation, results):
    head, _, *rows = cells_of(ablation.table_of(results))[5:]
    assert head[1] == "boxes: image"
    assert [row[:2] for row in rows] == [
        ["default", "0.90 [0.80, 0.95]"],
        ["worse", "-0.20 [-0.30, -0.10]"],
        ["unclear", "+0.02 [-0.01, +0.05]"],
    ]


def test_a_written_result_is_read_again(ablation, results, tmp_path):
    write_json(tmp_path / "worse.json", attrs.asdict(results["worse"]))
    assert ablation.Result.read(tmp_path / "worse.json") == results["worse"]


def test_a_difference_is_taken_on_the_same_patients(ablation):
    def measured(scores):
        return ablation.Measured(
            value=Estimate(value=np.mean(scores), low=0.0, high=1.0),
            statistic=lambda weights: weights @ scores / weights.sum(axis=1),
            patients=list("abcd"),
        )

    scores = np.array([0.1, 0.9, 0.3, 0.7])
    found = ablation.compare(
        [measured(scores + 0.125)], [measured(scores)], pacemaker=[[0, 1], [0, 1]]
    )
    (change,) = found.differences
    assert (change.value, change.low, change.high) == pytest.approx((0.125, 0.125, 0.125))


def test_every_variant_is_a_pipeline_that_differs_from_default(ablation):
    settings = [
        lungpatch.pipeline.pipeline_settings(lungpatch.load_preset("default", changes=changes))
        for changes in ablation.VARIANTS.values()
    ]
    assert all(each not in settings[:index] for index, each in enumerate(settings))
