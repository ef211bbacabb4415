import numpy as np
import pytest

from lungpatch.evaluation.bootstrap import (
    Estimate,
    difference,
    estimate,
    patient_weights,
    ratio,
    weighted_mean,
    within,
)


def test_images_of_a_patient_are_drawn_together():
    weights = patient_weights(["a", "b", "a", "c"], 200, np.random.default_rng(0))
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert weights.mean(axis=0) == pytest.approx(1.0, abs=0.2)


def test_interval_of_a_mean_fits_theory():
    values = np.random.default_rng(0).normal(size=300)
    weights = patient_weights([str(i) for i in range(300)], 2000, np.random.default_rng(1))
    found = estimate(weighted_mean(values), weights)
    half = 1.96 * values.std() / np.sqrt(300)
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.02)
    assert found.high == pytest.approx(values.mean() + half, abs=0.02)


def test_images_of_few_patients_make_a_wide_interval():
    values = np.repeat([0.0, 1.0, 0.0, 1.0], 25)
    one_each = patient_weights([str(i) for i in range(100)], 500, np.random.default_rng(0))
    four = patient_weights(np.repeat(list("abcd"), 25), 500, np.random.default_rng(0))
    narrow, wide = (estimate(weighted_mean(values), weights) for weights in (one_each, four))
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


def test_a_paired_difference_of_equals_has_no_spread():
    mean = weighted_mean(np.random.default_rng(0).normal(size=50))
    weights = patient_weights([str(i) for i in range(50)], 100, np.random.default_rng(0))
    assert estimate(difference(mean, mean), weights) == Estimate(value=0.0, low=0.0, high=0.0)


def test_within_counts_some_images_only():
    mean = within(weighted_mean(np.array([1.0, 5.0])), np.array([False, True]))
    assert mean(np.ones((1, 2))).tolist() == [5.0]


def test_nothing_to_compute_from_is_a_dash():
    found = estimate(weighted_mean(np.array([np.nan, np.nan])), np.ones((5, 2)))
    assert str(found) == "-"
    assert np.isnan(ratio(np.array([0.0]), np.array([0.0])))[0]
