"""Rank statistics of weighted scores and of histograms, many resamples at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lungpatch.evaluation.bootstrap import Floats, Statistic, ratio

if TYPE_CHECKING:
    from numpy.typing import NDArray


def histogram_auroc(positive: Floats, negative: Floats) -> Floats:
    """Return the AUROC of counts per score, ascending; scores in one bin count as ties.

    Parameters
    ----------
    positive, negative : ndarray of float64, shape (R, B)

    Returns
    -------
    ndarray of float64, shape (R,)

    Examples
    --------
    >>> histogram_auroc(np.array([[0.0, 1.0, 1.0]]), np.array([[1.0, 1.0, 0.0]])).tolist()
    [0.875]
    """
    below = np.cumsum(negative, axis=1) - negative
    wins = (positive * (below + negative / 2)).sum(axis=1)
    return ratio(wins, positive.sum(axis=1) * negative.sum(axis=1))


def histogram_average_precision(positive: Floats, negative: Floats) -> Floats:
    """Return the average precision of counts per score, ascending.

    The precision at each score is weighted by the recall gained there:
    ``sum_b (R_b - R_(b+1)) P_b`` over the bins from the highest down, as scikit-learn defines it.

    Parameters
    ----------
    positive, negative : ndarray of float64, shape (R, B)

    Returns
    -------
    ndarray of float64, shape (R,)

    Examples
    --------
    >>> histogram_average_precision(np.array([[0.0, 1.0]]), np.array([[1.0, 1.0]])).tolist()
    [0.5]
    """
    hits = np.cumsum(positive[:, ::-1], axis=1)
    predicted = hits + np.cumsum(negative[:, ::-1], axis=1)
    precision = np.divide(hits, predicted, out=np.zeros_like(hits), where=predicted > 0)
    total = positive.sum(axis=1)
    return ratio((positive[:, ::-1] * precision).sum(axis=1), total)


def score_statistics(
    scores: Floats, positive: NDArray[np.bool_], negative: NDArray[np.bool_]
) -> tuple[Statistic, Statistic]:
    """Return AUROC and average precision of one score per image as statistics.

    Parameters
    ----------
    scores : ndarray of float64, shape (N,)
        NaN where there is no score; such an image counts as the least anomalous.
    positive, negative : ndarray of bool, shape (N,)
        Images that are neither are ignored.

    Returns
    -------
    auroc, average_precision : callable
        From weights (R, N).

    Examples
    --------
    >>> scores, positive = np.array([1.0, 3.0, 2.0]), np.array([False, True, True])
    >>> auroc, _ = score_statistics(scores, positive, ~positive)
    >>> auroc(np.ones((1, 3))).tolist()
    [1.0]
    """
    bins = ranks(scores)
    one_hot = np.eye(bins.max(initial=0) + 1)[bins]

    def counts(weights: Floats) -> tuple[Floats, Floats]:
        return (weights * positive) @ one_hot, (weights * negative) @ one_hot

    return (
        lambda weights: histogram_auroc(*counts(weights)),
        lambda weights: histogram_average_precision(*counts(weights)),
    )


def rank_correlation(scores: Floats, values: Floats) -> Statistic:
    """Return Spearman's rank correlation [1]_ of scores and known values as a statistic.

    Parameters
    ----------
    scores : ndarray of float64, shape (N,)
        NaN where there is no score; such an image counts as the least anomalous.
    values : ndarray of float64, shape (N,)

    Returns
    -------
    callable
        From weights (R, N). It is NaN if all scores or all values are equal.

    References
    ----------
    .. [1] C. Spearman, "The proof and measurement of association between two things", American
       Journal of Psychology 15, 1904.

    Examples
    --------
    >>> correlation = rank_correlation(np.array([1.0, 5.0, 9.0]), np.array([0.1, 0.7, 0.2]))
    >>> correlation(np.ones((1, 3))).tolist()
    [0.5]
    """
    below = [
        (column[:, None] < column) + (column[:, None] == column) / 2.0
        for column in (ranks(scores), ranks(values))
    ]

    def statistic(weights: Floats) -> Floats:
        total = weights.sum(axis=1, keepdims=True)
        one, other = (weights @ each - total / 2 for each in below)  # ranks around their mean
        covariance = (weights * one * other).sum(axis=1)
        spread = np.sqrt((weights * one**2).sum(axis=1) * (weights * other**2).sum(axis=1))
        return ratio(covariance, np.where(spread > 1e-9, spread, 0.0))

    return statistic


def ranks(scores: Floats) -> NDArray[np.int64]:
    """Rank scores from 0; equal scores share a rank, and NaN (no score) ranks lowest.

    Parameters
    ----------
    scores : ndarray of float64, shape (N,)

    Returns
    -------
    ndarray of int64, shape (N,)

    Examples
    --------
    >>> ranks(np.array([2.0, np.nan, 7.0, 2.0])).tolist()
    [1, 0, 2, 1]
    """
    filled = np.where(np.isnan(scores), -np.inf, scores)
    return np.unique(filled, return_inverse=True)[1].astype(np.int64)
