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
