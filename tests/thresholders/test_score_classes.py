"""Multi-Otsu and the mixture, against scikit-image, scikit-learn and exhaustive search."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from skimage.filters import threshold_multiotsu, threshold_otsu
from sklearn.mixture import GaussianMixture

from lungpatch.errors import InsufficientDataError
from lungpatch.thresholders.base import FittedThresholds
from lungpatch.thresholders.mixture import MixtureThresholder, fit_gaussian_mixture
from lungpatch.thresholders.multi_otsu import (
    MultiOtsuThresholder,
    between,
    min_variance_thresholds,
)
from lungpatch.thresholders.quantile import QuantileThresholder


def variance_within(scores, classes):
    return sum(
        ((scores[classes == c] - scores[classes == c].mean()) ** 2).sum()
        for c in np.unique(classes)
    )


@given(
    st.lists(st.floats(-1e3, 1e3).map(lambda x: round(x, 3)), min_size=3, max_size=14),
    st.integers(2, 4),
)
def test_multi_otsu_finds_the_best_of_all_splits(values, classes):
    scores = np.array(values)
    distinct = np.unique(scores)
    if len(distinct) < classes:
        return
    best = min(
        variance_within(scores, np.searchsorted(distinct[list(cut)], scores, side="right"))
        for cut in itertools.combinations(range(1, len(distinct)), classes - 1)
    )
    found = MultiOtsuThresholder(classes=classes).fit(scores).classify(scores)
    assert len(np.unique(found)) == classes
    assert variance_within(scores, found) == pytest.approx(best, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_multi_otsu_equals_scikit_image_where_its_histogram_is_exact(classes):
    rng = np.random.default_rng(0)
    grey = np.concatenate([rng.poisson(m, 400) for m in (20, 60, 110)]).astype(np.uint8)
    theirs = threshold_multiotsu(grey, classes=classes) if classes > 2 else [threshold_otsu(grey)]
    ours = MultiOtsuThresholder(classes=classes).fit(grey)
    np.testing.assert_array_equal(
        ours.classify(grey), np.digitize(grey, np.asarray(theirs), right=True)
    )


def test_multi_otsu_is_not_misled_by_one_huge_score():
    # A histogram of 256 bins between 0 and 1e6 would put all the rest into one bin.
    scores = np.array([1.0, 1.1, 1.2, 5.0, 5.1, 5.2, 1e6])
    assert MultiOtsuThresholder(classes=3).fit(scores).classify(scores).tolist() == [
        0,
        0,
        0,
        1,
        1,
        1,
        2,
    ]


@pytest.mark.parametrize("steps", range(4))
@pytest.mark.parametrize("start", [1.0, -1.0, 5e-324, 0.0, 1e308])
def test_multi_otsu_splits_neighbouring_floats(start, steps):
    low = start
    for _ in range(steps):
        low = np.nextafter(low, np.inf)
    high = np.nextafter(low, np.inf)
    found = MultiOtsuThresholder(classes=2).fit([low, high])
    assert found.classify([low, high]).tolist() == [0, 1]
    assert found.threshold_ == between(low, high) == low


def test_multi_otsu_keeps_its_digits_far_from_0():
    # Differences a million million times smaller than the scores.
    groups = np.array([0.0, 1.0, 2.0, 10.0, 11.0, 12.0, 30.0, 31.0, 32.0])
    for offset in (1e9, 1e12, 1e14, -1e14):
        found = MultiOtsuThresholder().fit(offset + groups).thresholds_
        assert found == (offset + 6.0, offset + 21.0)


@pytest.mark.parametrize("thresholder", [MultiOtsuThresholder(), MixtureThresholder()])
def test_too_few_different_scores_are_refused(thresholder):
    with pytest.raises(InsufficientDataError, match=r"at least 3 different scores, got 2"):
        thresholder.fit([1.0, 1.0, 2.0, 2.0])


def three_kinds(seed=0, sizes=(900, 300, 600)):
    rng = np.random.default_rng(seed)
    parts = [
        rng.normal(mean, std, size)
        for mean, std, size in zip((1.0, 5.0, 12.0), (0.4, 1.5, 2.0), sizes, strict=True)
    ]
    return np.concatenate(parts)


@pytest.mark.parametrize("seed", range(4))
def test_mixture_equals_scikit_learn(seed):
    scores = three_kinds(seed)
    reference = GaussianMixture(
        3, n_init=5, tol=1e-9, max_iter=2000, reg_covar=1e-9, random_state=seed
    ).fit(scores[:, None])
    order = np.argsort(reference.means_[:, 0])
    weights, means, variances = fit_gaussian_mixture(scores, 3)
    np.testing.assert_allclose(weights, reference.weights_[order], rtol=0.01)
    np.testing.assert_allclose(means, reference.means_[order, 0], rtol=0.01)
    np.testing.assert_allclose(variances, reference.covariances_[order, 0, 0], rtol=0.02)


def test_mixture_classifies_as_the_likeliest_component():
    scores = three_kinds()
    thresholder = MixtureThresholder().fit(scores)
    reference = GaussianMixture(3, n_init=5, tol=1e-9, max_iter=2000, random_state=0)
    labels = reference.fit_predict(scores[:, None])
    rank = np.argsort(np.argsort(reference.means_[:, 0]))
    # Far below the lowest mean a wider component may win again; there are no such scores here.
    assert (thresholder.classify(scores) == rank[labels]).mean() > 0.995


def test_mixture_thresholds_lie_where_posteriors_are_equal():
    scores = three_kinds()
    weights, means, variances = fit_gaussian_mixture(scores, 3)
    for i, threshold in enumerate(MixtureThresholder().fit(scores).thresholds_):
        joint = weights * norm.pdf(threshold, means, np.sqrt(variances))
        assert joint[i] == pytest.approx(joint[i + 1], rel=1e-9)
        assert means[i] < threshold < means[i + 1]


def test_mixture_follows_shift_and_scale():
    scores = three_kinds()
    plain = np.array(MixtureThresholder().fit(scores).thresholds_)
    moved = MixtureThresholder().fit(1e-4 * scores + 7).thresholds_
    np.testing.assert_allclose(moved, 1e-4 * plain + 7, rtol=1e-6)


def test_repeated_scores_do_not_collapse_the_mixture():
    scores = np.repeat([1.0, 2.0, 9.0], 50)
    thresholder = MixtureThresholder().fit(scores)
    assert thresholder.classify([1.0, 2.0, 9.0]).tolist() == [0, 1, 2]


def test_a_component_that_is_nowhere_the_likeliest_is_refused():
    scores = np.random.default_rng(0).laplace(size=200)
    with pytest.raises(InsufficientDataError, match="do not form 3 groups"):
        MixtureThresholder().fit(scores)


def test_skewed_scores_of_one_mode_still_give_ascending_thresholds():
    scores = np.random.default_rng(0).lognormal(sigma=0.8, size=2100)
    low, high = MixtureThresholder().fit(scores).thresholds_
    assert scores.min() < low < high < scores.max()


@pytest.mark.parametrize("q", [0.0, 0.5, 0.95, 1.0])
def test_quantile_equals_numpy(q):
    scores = three_kinds()
    assert QuantileThresholder(q=q).fit(scores).threshold_ == np.quantile(scores, q)


def test_least_variance_thresholds_are_midway_between_the_groups():
    scores = np.array([1.0, 2.0, 3.0, 11.0, 12.0, 13.0, 31.0, 32.0, 33.0])
    assert min_variance_thresholds(scores, 3).tolist() == [7.0, 22.0]
    assert min_variance_thresholds(scores, 1).tolist() == []


@pytest.mark.parametrize("thresholder", [MultiOtsuThresholder(), MixtureThresholder()])
def test_a_class_is_the_number_of_thresholds_below(thresholder):
    assert isinstance(thresholder, FittedThresholds)
    scores = np.concatenate([np.arange(m, m + 5.0) for m in (0, 100, 200)])
    fitted = thresholder.fit(scores)
    assert fitted.classify(scores).tolist() == [0] * 5 + [1] * 5 + [2] * 5
    # A score at a threshold is not above it.
    assert fitted.classify([fitted.threshold_]).tolist() == [0]
