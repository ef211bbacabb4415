"""Scores have no unit: thresholds follow their scale, however small or large they are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungpatch.errors import InsufficientDataError
from lungpatch.thresholders import (
    ConformalThresholder,
    MixtureThresholder,
    MultiOtsuThresholder,
    QuantileThresholder,
    YoudenThresholder,
)
from lungpatch.thresholders.checks import normalised
from lungpatch.thresholders.mixture import fit_gaussian_mixture
from lungpatch.thresholders.multi_otsu import min_variance_thresholds

KINDS = [
    ConformalThresholder(alpha=0.25),
    MultiOtsuThresholder(),
    QuantileThresholder(q=0.7),
    YoudenThresholder(),
]
GROUPS = np.concatenate(
    [np.random.default_rng(0).normal(mean, 1.0, 40) for mean in (2.0, 12.0, 25.0)]
)
FACTORS = [1e-170, 1e-12, 1e12, 1e160, 1e300]


def labels_of(scores):
    return scores > np.median(scores)


@pytest.mark.parametrize("thresholder", KINDS, ids=lambda kind: type(kind).__name__)
@given(
    scores=st.lists(
        st.floats(-1e3, 1e3).map(lambda x: round(x, 3)), min_size=4, max_size=20, unique=True
    ),
    exponent=st.integers(-950, 950),
)
def test_powers_of_two_change_nothing_but_the_scale(thresholder, scores, exponent):
    scores = np.array(scores)
    plain = np.array(thresholder.fit(scores, labels_of(scores)).thresholds_)
    scaled = np.ldexp(scores, exponent)
    found = thresholder.fit(scaled, labels_of(scores)).thresholds_
    np.testing.assert_array_equal(found, np.ldexp(plain, exponent))


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize(
    "thresholder", [*KINDS, MixtureThresholder()], ids=lambda kind: type(kind).__name__
)
def test_thresholds_follow_any_factor(thresholder, factor):
    plain = np.array(thresholder.fit(GROUPS, labels_of(GROUPS)).thresholds_)
    found = thresholder.fit(factor * GROUPS, labels_of(GROUPS)).thresholds_
    np.testing.assert_allclose(np.array(found) / factor, plain, rtol=1e-6)


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_classes_do_not_depend_on_the_scale(factor, sign):
    scores = sign * factor * np.array([1.0, 2.0, 11.0, 12.0, 21.0, 22.0])
    expected = [0, 0, 1, 1, 2, 2] if sign > 0 else [2, 2, 1, 1, 0, 0]
    assert MultiOtsuThresholder().fit(scores).classify(scores).tolist() == expected
    # The mixture needs more than two scores per component.
    many = np.concatenate([scores, 1.01 * scores, 0.99 * scores])
    assert MixtureThresholder().fit(many).classify(scores).tolist() == expected


@pytest.mark.parametrize("factor", [1e-170, 1.0, 1e150])
def test_a_mixture_of_any_scale(factor):
    weights, means, variances = fit_gaussian_mixture(factor * GROUPS, 3)
    expected_weights, expected_means, expected_variances = fit_gaussian_mixture(GROUPS, 3)
    np.testing.assert_allclose(weights, expected_weights, rtol=1e-9)
    np.testing.assert_allclose(means / factor, expected_means, rtol=1e-9)
    if factor != 1e-170:  # whose variances are too small for a number
        np.testing.assert_allclose(variances / factor**2, expected_variances, rtol=1e-6)


def test_a_wide_range_of_scores():
    scores = np.array([-1.7e308, -1.6e308, 0.0, 1e300, 1.6e308, 1.7e308])
    found = MultiOtsuThresholder().fit(scores)
    assert found.classify(scores).tolist() == [0, 0, 1, 1, 2, 2]
    assert np.isfinite(found.thresholds_).all()
    tiny = np.array([0.0, 5e-324, 1e-323])
    assert MultiOtsuThresholder().fit(tiny).classify(tiny).tolist() == [0, 1, 2]


@given(st.lists(st.floats(-1e308, 1e308), min_size=1, max_size=9))
def test_normalised_scores_are_the_scores_over_a_power_of_two(values):
    scores = np.array(values)
    scaled, exponent = normalised(scores)
    assert np.abs(scaled).max() < 1
    assert np.abs(scaled).max() >= 0.5 or not scores.any()
    # What is lost is far below the largest score.
    lost = np.abs(np.ldexp(scaled, exponent) - scores)
    assert (lost <= 1e-300 * np.abs(scores).max()).all()


def test_the_error_of_a_mixture_speaks_of_the_scores_themselves():
    scores = 1e6 * np.random.default_rng(0).laplace(size=200)
    with pytest.raises(InsufficientDataError) as error:
        MixtureThresholder().fit(scores)
    _, means, variances = fit_gaussian_mixture(scores, 3)
    for values in (means, np.sqrt(variances)):
        assert ", ".join(f"{value:.4g}" for value in values) in str(error.value)


def test_equal_scores_have_one_class():
    assert min_variance_thresholds(np.full(4, 7.0), 1).tolist() == []
    with pytest.raises(InsufficientDataError, match="2 classes need at least 2 different"):
        min_variance_thresholds(np.full(4, 7.0), 2)
