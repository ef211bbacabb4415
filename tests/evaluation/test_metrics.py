import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from lungpatch.errors import InsufficientDataError
from lungpatch.evaluation.metrics import (
    LocalisationScore,
    auroc,
    bootstrap_interval,
    score_localisation,
)


@given(
    st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2).filter(
        lambda rows: len({label for _, label in rows}) == 2
    )
)
def test_auroc_equals_scikit_learn(rows):
    scores, labels = zip(*rows, strict=True)
    assert auroc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))


def test_auroc_needs_both_classes():
    with pytest.raises(InsufficientDataError, match="2 positive and 0 negative"):
        auroc([1, 2], [True, True])


def test_localisation_ignores_unscored_pixels():
    heatmap = np.array([[3.0, 1.0, 2.0, np.nan]])
    score = score_localisation(heatmap, np.array([[False, False, True, True]]))
    assert isinstance(score, LocalisationScore)
    assert score.pixel_auroc == 0.5
    assert not score.pointing_hit
    assert score.chance == pytest.approx(1 / 3)


def test_bootstrap_interval_of_a_mean_fits_theory():
    values = np.random.default_rng(0).normal(size=400)
    low, high = bootstrap_interval(np.mean, [values], rng=np.random.default_rng(1))
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.02)
    assert high == pytest.approx(values.mean() + half, abs=0.02)


def test_pointing_hit_and_chance_by_hand():
    heatmap = np.array([[3.0, np.nan], [5.0, 1.0], [2.0, 4.0]])
    region = np.array([[False, True], [True, False], [False, False]])
    found = score_localisation(heatmap, region)
    assert found == LocalisationScore(pixel_auroc=1.0, pointing_hit=True, chance=0.2)
    with pytest.raises(InsufficientDataError, match="0 positive and 5 negative"):
        score_localisation(heatmap, np.array([[False, True], [False, False], [False, False]]))


def _mean_of_positives(values):
    if not (values > 0).any():
        raise InsufficientDataError("none")
    return float(values[values > 0].mean())


@pytest.mark.parametrize(
    "statistic",
    [_mean_of_positives, lambda v: v[v > 0].mean() if (v > 0).any() else np.nan],
    ids=["raises", "nan"],
)
def test_undefined_resamples_are_left_out(statistic):
    values = np.array([1.0, 2.0, -1.0, -1.0, -1.0])
    low, high = bootstrap_interval(statistic, [values], rng=np.random.default_rng(0))
    assert (low, high) == (1.0, 2.0)
    for nothing in (lambda v: np.nan, lambda v: _mean_of_positives(-np.abs(v))):
        with pytest.raises(InsufficientDataError, match="no interval.* 5 samples"):
            bootstrap_interval(nothing, [values], rng=np.random.default_rng(0), n_resamples=9)


def test_samples_are_resampled_jointly_and_confidence_widens_the_interval():
    values = np.random.default_rng(0).normal(size=50)
    same = bootstrap_interval(
        lambda one, other: float(np.abs(one - other).max()), [values, values],
        rng=np.random.default_rng(0), n_resamples=50,
    )  # fmt: skip
    assert same == (0.0, 0.0)
    found = [
        bootstrap_interval(np.mean, [values], rng=np.random.default_rng(0), confidence=level)
        for level in (0.5, 0.95)
    ]
    assert found[1][0] < found[0][0] < values.mean() < found[0][1] < found[1][1]
    draws = np.random.default_rng(0)
    means = [values[draws.integers(50, size=50)].mean() for _ in range(1000)]
    assert found[0] == tuple(np.quantile(means, [0.25, 0.75]))
