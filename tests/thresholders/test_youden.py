import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from lungpatch.errors import ConfigurationError, InsufficientDataError
from lungpatch.thresholders.youden import YoudenThresholder


def youden_index(scores, labels, threshold):
    called = scores > threshold
    return called[labels].mean() - called[~labels].mean()


@given(
    st.lists(st.tuples(st.integers(0, 15), st.booleans()), min_size=2, max_size=40).filter(
        lambda rows: len({label for _, label in rows}) == 2
    )
)
def test_the_index_is_the_best_on_scikit_learns_roc_curve(rows):
    scores = np.array([score for score, _ in rows], dtype=float)
    labels = np.array([label for _, label in rows])
    false_rate, true_rate, _ = roc_curve(labels, scores, drop_intermediate=False)
    threshold = YoudenThresholder().fit(scores, labels).threshold_
    best = (true_rate - false_rate).max()
    assert youden_index(scores, labels, threshold) == pytest.approx(best, abs=1e-12)


def test_of_equally_good_thresholds_the_highest_is_taken():
    # 1.5 and 3.5 both give J = 1/2.
    assert YoudenThresholder().fit([1, 2, 3, 4], [0, 1, 0, 1]).threshold_ == 3.5


def test_scores_that_tell_nothing_call_nothing():
    scores = np.array([1.0, 1.0, 1.0, 1.0])
    threshold = YoudenThresholder().fit(scores, [0, 1, 0, 1]).threshold_
    assert not (scores > threshold).any()


def test_missing_labels_are_an_error():
    with pytest.raises(ConfigurationError, match=r"fit\(pred_scores, gt_labels\)"):
        YoudenThresholder().fit([1.0, 2.0])


@pytest.mark.parametrize("label", [0, 1])
def test_labels_of_one_kind_are_an_error(label):
    with pytest.raises(InsufficientDataError, match=f"{3 * label} anomalous of 3"):
        YoudenThresholder().fit([1.0, 2.0, 3.0], [label] * 3)


@pytest.mark.parametrize(
    "labels", [[0, 1], [0, 1, 2], [0.5, 0, 1], ["a", "b", "c"], [0, np.nan, 1]]
)
def test_labels_that_do_not_fit_are_an_error(labels):
    with pytest.raises(ConfigurationError, match="gt_labels"):
        YoudenThresholder().fit([1.0, 2.0, 3.0], labels)
