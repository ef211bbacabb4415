"""Bootstrap intervals over patients: a metric is a function of how often each image was drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
"""Maps weights (R, N), how often each of N images counts, to R values; NaN where undefined."""


def patient_weights(
    patients: Sequence[str], n_resamples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return how often each image counts when patients are drawn with replacement.

    Parameters
    ----------
    patients : sequence of str
        Patient of each of N images.
    n_resamples : int
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of float64, shape (n_resamples, N)
        Equal for all images of a patient.

    Examples
    --------
    >>> weights = patient_weights(["a", "a", "b"], 5, np.random.default_rng(0))
    >>> bool((weights[:, 0] == weights[:, 1]).all()), (weights[:, 1:].sum(axis=1)).tolist()
    (True, [2.0, 2.0, 2.0, 2.0, 2.0])
    """
    _, owner = np.unique(np.asarray(patients), return_inverse=True)
    count = int(owner.max()) + 1
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=n_resamples)
    return drawn[:, owner].astype(np.float64)


@attrs.frozen(kw_only=True)
class Estimate:
    """The value of a metric with its percentile bootstrap interval of 95 %.

    Parameters
    ----------
    value, low, high : float
        NaN if the metric is undefined; ``low`` and ``high`` also where patients are too few for an
        interval.

    Examples
    --------
    >>> print(Estimate(value=0.5, low=0.25, high=0.75))
    0.50 [0.25, 0.75]
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if np.isnan(self.value):
            return "-"
        if np.isnan(self.low):
            return f"{self.value:.2f}"
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def estimate(statistic: Statistic, weights: Floats) -> Estimate:
    """Compute a metric on all images, and its interval.

    Parameters
    ----------
    statistic : callable
        From weights (R, N) to R values.
    weights : ndarray of float64, shape (R, N)
        From `patient_weights`. Resamples on which the statistic is NaN, such as an AUROC without a
        positive image, are left out of the interval.

    Returns
    -------
    Estimate

    Examples
    --------
    >>> values = np.array([0.0, 1.0])
    >>> weights = patient_weights(["a", "b"], 1000, np.random.default_rng(0))
    >>> print(estimate(lambda w: w @ values / w.sum(axis=1), weights))
    0.50 [0.00, 1.00]
    """
    value = float(statistic(np.ones((1, weights.shape[1])))[0])
    found = statistic(weights)
    found = found[~np.isnan(found)]
    if np.isnan(value) or not found.size:
        return Estimate(value=np.nan, low=np.nan, high=np.nan)
    low, high = np.quantile(found, [0.025, 0.975])
    return Estimate(value=value, low=float(low), high=float(high))


def difference(one: Statistic, other: Statistic) -> Statistic:
    """Return the first statistic minus the second on the same resamples, a paired comparison.

    Parameters
    ----------
    one, other : callable

    Returns
    -------
    callable

    Examples
    --------
    >>> difference(lambda w: w[:, 0], lambda w: w[:, 1])(np.array([[3.0, 1.0]])).tolist()
    [2.0]
    """
    return lambda weights: one(weights) - other(weights)


def within(statistic: Statistic, images: NDArray[np.bool_]) -> Statistic:
    """Return the statistic on some of the images only.

    Parameters
    ----------
    statistic : callable
    images : ndarray of bool, shape (N,)

    Returns
    -------
    callable

    Examples
    --------
    >>> total = within(lambda w: w.sum(axis=1), np.array([True, False]))
    >>> total(np.array([[3.0, 1.0]])).tolist()
    [3.0]
    """
    return lambda weights: statistic(weights * images)


def weighted_mean(values: Floats) -> Statistic:
    """Return the mean over images as a statistic; images with the value NaN do not count.

    Parameters
    ----------
    values : ndarray of float64, shape (N,)

    Returns
    -------
    callable

    Examples
    --------
    >>> weighted_mean(np.array([1.0, 4.0, np.nan]))(np.array([[2.0, 1.0, 9.0]])).tolist()
    [2.0]
    """
    known = ~np.isnan(values)
    filled = np.where(known, values, 0.0)

    def statistic(weights: Floats) -> Floats:
        return ratio(weights @ filled, weights @ known)

    return statistic


def weighted_median(values: Floats) -> Statistic:
    """Return the median over images as a statistic; images with the value NaN do not count.

    Parameters
    ----------
    values : ndarray of float64, shape (N,)

    Returns
    -------
    callable
        From weights (R, N), which are whole numbers.

    Examples
    --------
    >>> weighted_median(np.array([3.0, 1.0, np.nan]))(np.array([[1.0, 2.0, 9.0]])).tolist()
    [1.0]
    """
    order = np.argsort(values)[: int((~np.isnan(values)).sum())]  # NaN is sorted last
    ordered = values[order]

    def statistic(weights: Floats) -> Floats:
        counts = np.cumsum(weights[:, order], axis=1)
        medians = np.full(len(weights), np.nan)
        for index, count in enumerate(counts):
            if count.size and count[-1]:
                middle = [(count[-1] - 1) // 2, count[-1] // 2]
                medians[index] = ordered[np.searchsorted(count, middle, side="right")].mean()
        return medians

    return statistic


def ratio(part: Floats, whole: Floats) -> Floats:
    """Divide two arrays; the result is NaN where the divisor is 0.

    Parameters
    ----------
    part, whole : ndarray of float64

    Returns
    -------
    ndarray of float64

    Examples
    --------
    >>> ratio(np.array([1.0, 1.0]), np.array([2.0, 0.0])).tolist()
    [0.5, nan]
    """
    quotient: Floats = np.full(np.shape(part), np.nan)
    return np.divide(part, whole, out=quotient, where=np.asarray(whole) > 0)
