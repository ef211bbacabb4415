"""Checks of scores and labels, and their scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lungpatch.errors import ConfigurationError, InsufficientDataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def check_scores(pred_scores: ArrayLike, *, at_least: int) -> NDArray[np.float64]:
    """Return scores as float64, shape (N,).

    Parameters
    ----------
    pred_scores : array_like, shape (N,)
    at_least : int
        Minimum number of scores.

    Returns
    -------
    ndarray of float64, shape (N,)

    Raises
    ------
    ConfigurationError
        If they are not numbers along one axis, or hold NaN or infinite values.
    InsufficientDataError
        If there are fewer than ``at_least``.

    Examples
    --------
    >>> check_scores([1, 2], at_least=1)
    array([1., 2.])
    """
    try:
        scores = np.asarray(pred_scores, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"pred_scores must be numbers, one per image: {error}") from error
    if scores.ndim != 1:
        raise ConfigurationError(
            f"pred_scores must have one axis, one score per image, got shape {scores.shape}"
        )
    bad = np.count_nonzero(~np.isfinite(scores))
    if bad:
        raise ConfigurationError(
            f"{bad} of {scores.size} pred_scores are NaN or infinite: leave out images that "
            "could not be scored"
        )
    if scores.size < at_least:
        raise InsufficientDataError(f"needs at least {at_least} scores, got {scores.size}")
    return scores


def normalised(scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Bring the largest score below 1, so that squares neither overflow nor become 0.

    Scores are divided by a power of two, which rounds nothing.

    Parameters
    ----------
    scores : ndarray of float64, shape (N,)
        At least one.

    Returns
    -------
    scaled : ndarray of float64, shape (N,)
        Between -1 and 1.
    exponent : int
        ``np.ldexp(scaled, exponent)`` gives the scores back.

    Examples
    --------
    >>> normalised(np.array([3.0, -1.0]))
    (array([ 0.75, -0.25]), 2)
    """
    exponent = int(np.frexp(np.abs(scores).max())[1])
    return np.ldexp(scores, -exponent), exponent


def check_labels(gt_labels: ArrayLike | None, count: int) -> NDArray[np.bool_]:
    """Return labels as bool, shape (N,), and make sure that both values occur.

    Parameters
    ----------
    gt_labels : array_like, shape (N,), or None
        True or 1 for anomalous, False or 0 for normal.
    count : int
        Number of scores.

    Returns
    -------
    ndarray of bool, shape (N,)

    Raises
    ------
    ConfigurationError
        If they are missing, their number is not ``count``, or they are anything but 0 and 1.
    InsufficientDataError
        If all are equal.

    Examples
    --------
    >>> check_labels([0, 1], 2)
    array([False,  True])
    """
    if gt_labels is None:
        raise ConfigurationError("needs labels: call fit(pred_scores, gt_labels)")
    labels = np.asarray(gt_labels)
    if labels.shape != (count,):
        raise ConfigurationError(
            f"gt_labels must be one per score, got shape {labels.shape} for {count} scores"
        )
    if not np.isin(labels, (0, 1)).all():
        raise ConfigurationError("gt_labels must be 0 (normal) or 1 (anomalous) only")
    positive: NDArray[np.bool_] = labels.astype(np.bool_)
    if positive.all() or not positive.any():
        raise InsufficientDataError(
            "gt_labels must hold normal and anomalous images, got "
            f"{np.count_nonzero(positive)} anomalous of {count}"
        )
    return positive
