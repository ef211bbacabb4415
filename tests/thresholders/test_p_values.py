import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lungpatch.errors import ConfigurationError, InsufficientDataError
from lungpatch.thresholders import (
    ConformalThresholder,
    conformal_p_values,
    false_discovery_labels,
)
from lungpatch.thresholders.p_values import check_rate

# Few values, so that ties are common.
few_values = st.lists(st.integers(0, 9), min_size=1, max_size=60)


@given(few_values, few_values)
def test_the_p_value_is_the_fraction_that_scores_as_high(scores, calibration):
    """The formula, by hand."""
    by_hand = [
        (1 + sum(other >= score for other in calibration)) / (len(calibration) + 1)
        for score in scores
    ]
    assert conformal_p_values(scores, calibration).tolist() == by_hand


@given(few_values, few_values, st.sampled_from([0.05, 0.1, 0.2, 0.25, 0.5]))
def test_at_most_the_rate_is_what_the_thresholder_calls_above(scores, calibration, rate):
    thresholder = ConformalThresholder(alpha=rate)
    if len(calibration) < thresholder.min_scores:
        assert not (conformal_p_values(scores, calibration) <= rate).any()
        return
    above = thresholder.fit(calibration).classify(scores) > 0
    assert ((conformal_p_values(scores, calibration) <= rate) == above).all()


@given(st.lists(st.integers(0, 9), min_size=2, max_size=40), st.integers(1, 20))
def test_p_values_of_exchangeable_scores_are_valid(values, twentieths):
    """Each of n + 1 scores in turn is the new image: exact, not simulated."""
    rate = twentieths / 20
    p_values = [
        conformal_p_values([value], values[:i] + values[i + 1 :])[0]
        for i, value in enumerate(values)
    ]
    assert np.mean(np.array(p_values) <= rate) <= rate


def test_p_values_need_a_calibration_score_and_finite_numbers():
    with pytest.raises(InsufficientDataError, match="at least 1 score"):
        conformal_p_values([1.0], [])
    with pytest.raises(ConfigurationError, match="NaN or infinite"):
        conformal_p_values([np.nan], [1.0])
    assert conformal_p_values([], [1.0]).shape == (0,)


@given(st.lists(st.floats(0, 1), max_size=30), st.sampled_from([0.05, 0.1, 0.3]))
def test_the_flagged_are_those_of_benjamini_and_hochberg(p_values, rate):
    """Their paper's rule: the largest i with p_(i) <= i q / m; all up to it."""
    ordered = sorted(p_values)
    fits = [i for i, p in enumerate(ordered, start=1) if p <= i * rate / len(ordered)]
    highest = ordered[max(fits) - 1] if fits else -1.0
    # At equality the two ways of computing may round differently.
    near = [abs(p * len(ordered) - i * rate) < 1e-12 for i, p in enumerate(ordered, start=1)]
    if not any(near):
        expected = [p <= highest for p in p_values]
        assert false_discovery_labels(p_values, rate).tolist() == expected


def test_false_discoveries_of_a_batch_stay_under_the_rate():
    """Simulation: 40 normal and 10 anomalous images, one calibration set of 200."""
    rng = np.random.default_rng(0)
    fractions = []
    for _ in range(600):
        calibration = rng.normal(size=200)
        scores = np.concatenate([rng.normal(size=40), rng.normal(3.0, size=10)])
        flagged = false_discovery_labels(conformal_p_values(scores, calibration), 0.2)
        fractions.append(flagged[:40].sum() / max(1, flagged.sum()))
    mean, error = np.mean(fractions), stats.sem(fractions)
    assert mean <= 0.2 * 40 / 50 + 4 * error  # theorem 2: the rate times the fraction of normals
    assert mean > 0.1  # and the procedure is not idle


@pytest.mark.parametrize("p_values", [[1.1], [-0.1, 0.5]])
def test_p_values_outside_of_their_range_are_refused(p_values):
    with pytest.raises(ConfigurationError, match=r"in \[0, 1\]"):
        false_discovery_labels(p_values, 0.1)


@pytest.mark.parametrize("rate", [0, -0.1, 0.51, 10, True, "0.1", None, float("nan")])
def test_rates_that_cannot_be_asked_for_are_refused(rate):
    with pytest.raises(ConfigurationError, match="my_rate must be a number above 0, at most 0.5"):
        check_rate(rate, "my_rate")


def test_the_bounds_of_the_rate():
    assert check_rate(0.5, "rate") == 0.5
    assert check_rate(np.float32(0.25), "rate") == 0.25
