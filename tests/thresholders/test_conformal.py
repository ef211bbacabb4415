import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungpatch.errors import InsufficientDataError
from lungpatch.thresholders.conformal import ConformalThresholder


@pytest.mark.parametrize(
    ("alpha", "count"), [(0.05, 19), (0.05, 20), (0.05, 100), (0.1, 37), (0.3, 5)]
)
def test_the_rate_of_false_alarms_is_within_its_bounds(alpha, count):
    """Simulation: new calibration scores and a new normal image, many times over."""
    rng = np.random.default_rng(0)
    repetitions = 4000
    alarms = 0
    for _ in range(repetitions):
        scores = rng.gamma(2.0, size=count + 1)  # skewed: no distribution is assumed
        threshold = ConformalThresholder(alpha=alpha).fit(scores[:-1]).threshold_
        alarms += scores[-1] > threshold
    rate = alarms / repetitions
    error = 4 * math.sqrt(alpha * (1 - alpha) / repetitions)
    assert alpha - 1 / (count + 1) - error <= rate <= alpha + error


@given(
    st.lists(st.integers(0, 6), min_size=2, max_size=40),
    st.floats(0.01, 0.99),
)
def test_the_guarantee_holds_for_any_exchangeable_scores(values, alpha):
    """Each of n + 1 scores, ties included, in turn is the new image: exact, not simulated."""
    thresholder = ConformalThresholder(alpha=alpha)
    if len(values) - 1 < thresholder.min_scores:
        return
    alarms = sum(
        value > thresholder.fit(values[:i] + values[i + 1 :]).threshold_
        for i, value in enumerate(values)
    )
    assert alarms <= alpha * len(values) + 1e-9


@given(st.integers(1, 60), st.integers(1, 99))
def test_without_ties_the_rate_is_the_highest_that_is_allowed(count, percent):
    thresholder = ConformalThresholder(alpha=percent / 100)
    if count < thresholder.min_scores:
        return
    values = np.random.default_rng(count).permutation(count + 1).astype(float)
    alarms = sum(
        value > thresholder.fit(np.delete(values, i)).threshold_ for i, value in enumerate(values)
    )
    # In integers: no rounding error may cost a rank.
    assert alarms == percent * (count + 1) // 100


def test_the_threshold_is_the_kth_smallest_score():
    scores = np.random.default_rng(0).permutation(np.arange(1.0, 100.0))  # n = 99
    assert ConformalThresholder(alpha=0.05).fit(scores).threshold_ == 95.0
    assert ConformalThresholder(alpha=0.1).fit(scores).threshold_ == 90.0


@pytest.mark.parametrize(
    ("alpha", "least"), [(0.05, 19), (0.1, 9), (0.01, 99), (0.5, 1), (0.9, 1), (0.3, 3)]
)
def test_too_few_scores_say_how_many_are_needed(alpha, least):
    thresholder = ConformalThresholder(alpha=alpha)
    assert thresholder.min_scores == least
    assert thresholder.fit(np.arange(least)).threshold_ == least - 1
    with pytest.raises(InsufficientDataError, match=f"at least {least} .*got {least - 1}"):
        thresholder.fit(np.arange(least - 1))


def test_an_alpha_from_numpy_is_taken():
    assert ConformalThresholder(alpha=np.float64(0.05)).min_scores == 19


@pytest.mark.parametrize(("count", "alpha"), [(1, "0.5"), (2, "0.334"), (5, "0.167"), (9, "0.1")])
def test_the_alpha_that_is_proposed_works_and_no_lower_one_does(count, alpha):
    scores = np.arange(float(count))
    with pytest.raises(InsufficientDataError) as error:
        ConformalThresholder(alpha=0.05).fit(scores)
    remedy = f"got {count}: give more, or ask for a rate of {alpha} or above"
    assert str(error.value).endswith(remedy)
    assert ConformalThresholder(alpha=float(alpha)).fit(scores).threshold_ == count - 1
    with pytest.raises(InsufficientDataError):
        ConformalThresholder(alpha=float(alpha) - 0.001).fit(scores)


def test_without_any_score_no_alpha_is_proposed():
    with pytest.raises(InsufficientDataError) as error:
        ConformalThresholder(alpha=0.05).fit([])
    assert str(error.value).endswith("at least 19 normal patients, got 0: give more")


def test_the_default_rate():
    assert ConformalThresholder().alpha == 0.1
