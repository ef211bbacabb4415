import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from lungpatch.evaluation.ranking import (
    histogram_auroc,
    histogram_average_precision,
    rank_correlation,
    ranks,
    score_statistics,
)

ROWS = st.lists(
    st.tuples(st.integers(-5, 5), st.booleans(), st.integers(0, 3)), min_size=2, max_size=30
).filter(lambda rows: {label for _, label, weight in rows if weight} == {True, False})


@given(ROWS)
def test_weighted_metrics_equal_scikit_learn(rows):
    scores, labels, weights = (np.array(column) for column in zip(*rows, strict=True))
    auroc, precision = score_statistics(scores.astype(float), labels, ~labels)
    drawn = weights[None].astype(float)
    assert auroc(drawn)[0] == pytest.approx(roc_auc_score(labels, scores, sample_weight=weights))
    assert precision(drawn)[0] == pytest.approx(
        average_precision_score(labels, scores, sample_weight=weights)
    )


@given(ROWS)
def test_a_monotone_change_of_scores_changes_nothing(rows):
    scores, labels, weights = (np.array(column) for column in zip(*rows, strict=True))
    drawn = weights[None].astype(float)
    for before, after in zip(
        score_statistics(scores.astype(float), labels, ~labels),
        score_statistics(np.exp(scores), labels, ~labels),
        strict=True,
    ):
        assert before(drawn) == pytest.approx(after(drawn))


def test_many_resamples_at_once_are_each_their_own():
    rng = np.random.default_rng(0)
    positive = rng.integers(0, 5, (6, 9)).astype(float)
    negative = rng.integers(1, 5, (6, 9)).astype(float)
    for metric in (histogram_auroc, histogram_average_precision):
        together = metric(positive, negative)
        alone = [metric(positive[i : i + 1], negative[i : i + 1])[0] for i in range(6)]
        assert together == pytest.approx(alone)


def test_without_a_class_the_metric_is_undefined():
    auroc, _ = score_statistics(np.array([1.0, 2.0]), np.array([True, False]), np.zeros(2, bool))
    assert np.isnan(auroc(np.ones((1, 2)))[0])


def test_an_image_without_a_score_is_the_least_anomalous():
    assert ranks(np.array([-3.0, np.nan])).tolist() == [1, 0]


PAIRS = st.lists(
    st.tuples(st.integers(-3, 3), st.integers(0, 4), st.integers(0, 3)), min_size=2, max_size=20
)


@given(PAIRS)
def test_weighted_rank_correlation_equals_scipy_on_repeated_images(rows):
    scores, values, weights = (np.array(column) for column in zip(*rows, strict=True))
    (found,) = rank_correlation(scores.astype(float), values.astype(float))(
        weights[None].astype(float)
    )
    repeated = np.repeat(scores, weights), np.repeat(values, weights)
    if min(len(set(each.tolist())) for each in repeated) < 2:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(stats.spearmanr(*repeated).statistic)


def test_rank_correlation_of_many_resamples_at_once():
    rng = np.random.default_rng(0)
    correlation = rank_correlation(rng.normal(size=12), rng.integers(0, 4, 12).astype(float))
    weights = rng.integers(0, 3, (5, 12)).astype(float)
    alone = [correlation(weights[i : i + 1])[0] for i in range(5)]
    assert correlation(weights) == pytest.approx(alone)
