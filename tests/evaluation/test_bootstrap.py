import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungpatch.evaluation.bootstrap import (
    Estimate,
    difference,
    estimate,
    patient_weights,
    ratio,
    weighted_mean,
    weighted_median,
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


def test_resamples_on_which_a_metric_is_undefined_are_left_out_of_its_interval():
    values = np.array([0.0, 1.0, np.nan, np.nan, np.nan])
    weights = patient_weights(list("abcde"), 4000, np.random.default_rng(0))
    drawn = weighted_mean(values)(weights)
    undefined = np.isnan(drawn)
    # Neither a nor b is in (3/5)^5 of the resamples.
    assert undefined.mean() == pytest.approx(0.6**5, abs=0.02)
    found = estimate(weighted_mean(values), weights)
    low, high = np.quantile(drawn[~undefined], [0.025, 0.975])
    assert (found.value, found.low, found.high) == (0.5, low, high) == (0.5, 0.0, 1.0)
    inner = estimate(lambda w: np.where(w[:, 0] > 1, np.nan, w[:, 1]), weights)
    kept = weights[weights[:, 0] <= 1, 1]
    assert (inner.low, inner.high) == tuple(np.quantile(kept, [0.025, 0.975]))


def test_a_metric_that_is_undefined_on_every_resample_is_a_dash():
    found = estimate(lambda w: np.where((w == 1).all(axis=1), 0.5, np.nan), np.zeros((5, 2)))
    assert str(found) == "-"
    undefined = estimate(lambda w: np.where((w == 1).all(axis=1), np.nan, 0.5), np.zeros((5, 2)))
    assert np.isnan([undefined.value, undefined.low, undefined.high]).all()


def test_interval_ends_are_the_quantiles_of_the_resamples():
    weights = np.arange(1000.0)[:, None]
    found = estimate(lambda w: w[:, 0], weights)
    assert (found.value, found.low, found.high) == (1.0, 24.975, 974.025)
    assert str(Estimate(value=1.005, low=0.2549, high=2.0)) == "1.00 [0.25, 2.00]"


def test_every_resample_draws_as_many_patients_as_there_are():
    weights = patient_weights(list("abca"), 300, np.random.default_rng(0))
    assert weights.shape == (300, 4)
    assert set(weights[:, 1].tolist()) >= {0.0, 1.0, 2.0}
    again = patient_weights(list("abca"), 300, np.random.default_rng(0))
    assert (weights == again).all()
    assert (weights != patient_weights(list("abca"), 300, np.random.default_rng(1))).any()


def test_a_difference_is_the_first_minus_the_second():
    one, other = weighted_mean(np.array([3.0, 4.0])), weighted_mean(np.array([1.0, 1.0]))
    assert difference(one, other)(np.array([[1.0, 0.0], [0.0, 1.0]])).tolist() == [2.0, 3.0]


def test_ratios():
    quotients = ratio(np.array([1.0, 2.0, 3.0, 0.0]), np.array([4.0, 0.0, -1.0, 2.0]))
    assert np.isnan(quotients).tolist() == [False, True, True, False]
    assert quotients[[0, 3]].tolist() == [0.25, 0.0]


def test_an_estimate_without_an_interval_is_printed_without_one():
    assert str(Estimate(value=0.5, low=np.nan, high=np.nan)) == "0.50"


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 3)), max_size=12))
def test_a_weighted_median_is_the_median_of_repeated_values(rows):
    values = np.array([value for value, _ in rows], dtype=float)
    weights = np.array([weight for _, weight in rows], dtype=int)
    repeated = np.repeat(values, weights)
    (found,) = weighted_median(np.r_[values, np.nan])(np.r_[weights, 2][None].astype(float))
    if repeated.size:
        assert found == np.median(repeated)
    else:
        assert np.isnan(found)
