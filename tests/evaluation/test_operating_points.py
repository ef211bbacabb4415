"""Decisions at the shipped thresholds and at other rates, counted by hand."""

from pathlib import Path

import attrs
import numpy as np
import pytest

from lungpatch.containers import AnomalyMap, ColourScale
from lungpatch.datasets.dataset import Dataset
from lungpatch.evaluation.bootstrap import Estimate, patient_weights
from lungpatch.evaluation.cases import GRID_SIZE
from lungpatch.evaluation.kinds import Kinds
from lungpatch.evaluation.operating_points import (
    RATES,
    OperatingPoint,
    Outcomes,
    decide,
    operating_points,
    point_results,
    region_peaks,
    with_width,
)
from lungpatch.pipeline.calibration import Calibration
from lungpatch.pipeline.localisation import localise
from lungpatch.thresholders import conformal_p_values


def _calibration(n, **changes):
    return Calibration(
        **{
            "method": "split",
            "image_scores": np.arange(1.0, n + 1),
            "region_scores": 10 * np.arange(1.0, n + 1),
            "threshold": 3.5,
            "region_threshold": 44.0,
            "rule": "QuantileThresholder",
            "colour_scale": ColourScale(low=1.0, high=7.0),
            "greys": [0.4] * n,
            "zone_scores": {},
        }
        | changes
    )


def test_rates_are_5_10_and_20_in_a_hundred():
    assert RATES == (0.05, 0.1, 0.2)


def test_points_are_the_shipped_thresholds_and_the_conformal_ones():
    calibration = _calibration(39)
    shipped, *others = operating_points(calibration)
    assert (shipped.name, shipped.threshold, shipped.region_threshold) == ("as shipped", 3.5, 44.0)
    # The ceil(40 (1 - rate))-th smallest of 39.
    assert [(p.name, p.threshold, p.region_threshold) for p in others] == [
        ("0.05", 38.0, 380.0),
        ("0.1", 36.0, 360.0),
        ("0.2", 32.0, 320.0),
    ]


@pytest.mark.parametrize("n", [39, 57, 100])
def test_flagged_at_a_rate_is_a_p_value_of_at_most_that_rate(n):
    scores = np.arange(0.0, n + 2, 0.5)
    p_values = conformal_p_values(scores, np.arange(1.0, n + 1))
    for rate, point in zip(RATES, operating_points(_calibration(n))[1:], strict=True):
        assert ((scores > point.threshold) == (p_values <= rate)).all()


@pytest.mark.parametrize(("n", "possible"), [(3, 0), (4, 1), (8, 1), (9, 2), (18, 2), (19, 3)])
def test_a_rate_finer_than_the_patients_allow_is_empty_with_a_reason(n, possible):
    points = operating_points(_calibration(n))
    assert [point.threshold is not None for point in points[1:]] == [
        number < possible for number in (2, 1, 0)
    ]
    for point, needed in zip(points[1:], (19, 9, 4), strict=True):
        reason = f"a rate of {point.name} needs {needed} calibration patients, there are {n}"
        assert point.reason == ("" if point.threshold is not None else reason)
        assert (point.threshold is None) == (point.region_threshold is None)
    assert not points[0].reason


def test_a_point_without_thresholds_finds_nothing(fitted, cohort):
    found = fitted.detect(sorted((cohort / "opacity").iterdir())[0])
    empty = OperatingPoint(name="0.01", threshold=None, region_threshold=None, reason="few")
    lowest = OperatingPoint(name="0.5", threshold=-1.0, region_threshold=-1.0)
    (flagged, peaks), (also, others) = decide(found, [empty, lowest])
    assert (flagged, len(peaks)) == (False, 0)
    assert also
    assert len(others)
    outside = attrs.evolve(found, status="out_of_scope", decision=None)
    flagged, peaks = decide(outside, [lowest])[0]
    assert (flagged, len(peaks)) == (False, 0)


def test_outcomes_at_the_shipped_thresholds_are_those_of_the_detection(fitted, cohort):
    points = operating_points(fitted.calibration_)
    for path in sorted(cohort.glob("*/*-00*.png"))[:8]:
        found = fitted.detect(path)
        flagged, peaks = decide(found, points)[0]
        assert flagged == found.decision.pred_label
        assert len(peaks) == len(found.localisation.boxes)


def test_a_score_at_the_threshold_is_not_above_it(fitted, cohort):
    found = fitted.detect(sorted((cohort / "opacity").iterdir())[0])
    score = found.pred_score
    at, below = (
        OperatingPoint(name="0.5", threshold=threshold, region_threshold=np.inf)
        for threshold in (score, np.nextafter(score, -np.inf))
    )
    assert [flagged for flagged, _ in decide(found, [at, below])] == [False, True]


@pytest.mark.parametrize("side", [128, 256, 512])
def test_a_peak_is_where_the_map_is_highest(side):
    heatmap = np.zeros((side, side), dtype=np.float32)
    scale = side // 128
    # A frame, and within it a smaller and higher region.
    heatmap[10 * scale : 80 * scale, 10 * scale : 80 * scale] = 2.0
    heatmap[15 * scale : 75 * scale, 15 * scale : 75 * scale] = 0.0
    heatmap[40 * scale : 50 * scale, 40 * scale : 50 * scale] = 3.0
    heatmap[70 * scale, 12 * scale] = 2.5
    heatmap[44 * scale, 47 * scale] = 9.0
    found = localise(AnomalyMap(heatmap=heatmap), 1.0)
    peaks = region_peaks(heatmap, found)
    # The centre of the model pixel, on a grid of 256 pixels.
    expected = [
        [(p * scale + 0.5) * GRID_SIZE / side // 1 for p in at] for at in ((44, 47), (70, 12))
    ]
    assert peaks.tolist() == expected
    assert region_peaks(heatmap, localise(AnomalyMap(heatmap=heatmap), 10.0)).shape == (0, 2)


@pytest.fixture
def counted(make_case):
    """Two opacities (of one patient), two read as normal, one normal; and two operating points."""
    cases = [
        make_case(0, boxes=[(0, 0, 30, 30), (100, 100, 120, 120)], patient="a"),
        make_case(1, boxes=[(50, 50, 60, 60)], patient="a"),
        make_case(2, kind="read-normal"),
        make_case(3, kind="read-normal"),
        make_case(4, kind="normal"),
    ]
    readings = ["Lung Opacity"] * 2 + ["Normal"] * 2 + [""]
    kinds = Kinds.of(
        Dataset(
            name="five",
            images=[Path(f"{number}.png") for number in range(5)],
            labels=["pneumonia"] * 4 + ["normal"],
            columns={"rsna_class": readings},
        )
    )
    none = np.empty((0, 2), dtype=np.int64)
    outcomes = Outcomes(
        n_patients=9,
        points=(
            OperatingPoint(name="as shipped", threshold=1.0, region_threshold=1.0),
            OperatingPoint(name="0.05", threshold=None, region_threshold=None, reason="few"),
        ),
        flagged=np.array([[True, False, True, False, False], [False] * 5]),
        peaks=(
            # One in the first box, twice; one beside all boxes; two in an image read as normal.
            (np.array([[3, 3], [29, 0], [30, 0]]), none, np.array([[1, 1], [2, 2]]), none, none),
            (none,) * 5,
        ),
        n_undecided=0,
    )
    return outcomes, cases, kinds


def test_decisions_are_counted_by_kind(counted):
    outcomes, cases, kinds = counted
    weights = patient_weights([c.patient for c in cases], 500, np.random.default_rng(0))
    shipped, empty = point_results(outcomes, cases, kinds, weights)
    values = {kind: found.value for kind, found in shipped.flagged.items()}
    assert values == {"opacity": 0.5, "read-normal": 0.5, "normal": 0.0}
    boxed = {kind: found.value for kind, found in shipped.with_boxes.items()}
    assert boxed == {"opacity": 0.5, "read-normal": 0.5, "normal": 0.0}
    assert shipped.lesions_hit.value == pytest.approx(1 / 3)
    false = {kind: found.value for kind, found in shipped.false_boxes.items()}
    assert false == {"read-normal": 1.0, "normal": 0.0}
    assert (empty.flagged, empty.with_boxes, empty.lesions_hit) == ({}, {}, None)
    assert outcomes.finest_rate == 0.1


def test_images_of_a_patient_are_resampled_together(counted):
    outcomes, cases, kinds = counted
    weights = patient_weights([c.patient for c in cases], 500, np.random.default_rng(0))
    shipped, _ = point_results(outcomes, cases, kinds, weights)
    # Both opacities are of one patient, so that every resample holds half of them flagged.
    assert shipped.flagged["opacity"] == Estimate(value=0.5, low=0.5, high=0.5)
    assert (shipped.flagged["read-normal"].low, shipped.flagged["read-normal"].high) == (0.0, 1.0)


def test_without_labels_nothing_is_said_of_images(counted):
    outcomes, cases, _ = counted
    boxes = [[(0.1, 0.1, 0.2, 0.2)], [(0.1, 0.1, 0.2, 0.2)], (), (), ()]
    images = [Path(f"{number}.png") for number in range(5)]
    kinds = Kinds.of(Dataset(name="five", images=images, relative_boxes=boxes))
    weights = patient_weights([c.patient for c in cases], 50, np.random.default_rng(0))
    shipped, _ = point_results(outcomes, cases, kinds, weights)
    assert shipped.flagged == {}
    assert {kind: found.value for kind, found in shipped.with_boxes.items()} == {
        "boxed": 0.5,
        "no box": pytest.approx(1 / 3),
    }
    assert shipped.false_boxes == {}


def test_none_or_all_of_few_patients_leave_a_wide_interval():
    none = with_width(Estimate(value=0.0, low=0.0, high=0.0), n_patients=27)
    assert none == Estimate(value=0.0, low=0.0, high=pytest.approx(1 - 0.025 ** (1 / 27)))
    everyone = with_width(Estimate(value=1.0, low=1.0, high=1.0), n_patients=5)
    assert everyone == Estimate(value=1.0, low=pytest.approx(0.025 ** (1 / 5)), high=1.0)
    for found in (
        Estimate(value=0.0, low=0.0, high=0.1),
        Estimate(value=0.5, low=0.5, high=0.5),
        Estimate(value=np.nan, low=np.nan, high=np.nan),
    ):
        assert with_width(found, n_patients=3) is found
