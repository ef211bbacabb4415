"""Conformal p-values, and lists of them with a bounded rate of false discoveries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lungpatch._utils.forks import IMPORTING
from lungpatch.errors import ConfigurationError
from lungpatch.thresholders.checks import check_scores

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MAX_RATE = 0.5
"""Highest rate of false alarms or false discoveries that can be asked for."""


def check_rate(rate: float, name: str) -> float:
    """Return a rate that can be asked for.

    Parameters
    ----------
    rate : float
    name : str
        What messages call it.

    Returns
    -------
    float

    Raises
    ------
    ConfigurationError
        If it is not a number in (0, 0.5].

    Examples
    --------
    >>> check_rate(10, "false_alarm_rate")
    Traceback (most recent call last):
    ...
    lungpatch.errors.ConfigurationError: false_alarm_rate must be a number above 0, at most 0.5,
    such as 0.1 for one normal image in ten; got 10
    """
    is_number = isinstance(rate, (int, float, np.number)) and not isinstance(rate, bool)
    if not is_number or not 0 < rate <= MAX_RATE:
        raise ConfigurationError(
            f"{name} must be a number above 0, at most {MAX_RATE:g}, such as 0.1 for one normal "
            f"image in ten; got {rate!r}"
        )
    return float(rate)


def conformal_p_values(
    pred_scores: ArrayLike, calibration_scores: ArrayLike
) -> NDArray[np.float64]:
    """Return how unusual scores are among those of normal images.

    The conformal p-value of a score ``s`` is ``(1 + #{calibration >= s}) / (n + 1)`` [1]_ [2]_. If
    an image is normal and exchangeable with the ``n`` of the calibration, the probability that its
    p-value is at most ``a`` is at most ``a``, for every ``a``. So ``p <= a`` decides as
    `ConformalThresholder` does with ``alpha=a``.

    Parameters
    ----------
    pred_scores : array_like, shape (N,)
    calibration_scores : array_like, shape (n,)
        One per normal patient, n at least 1.

    Returns
    -------
    ndarray of float64, shape (N,)
        Multiples of ``1 / (n + 1)``, from that to 1.

    Raises
    ------
    InsufficientDataError
        If there is no calibration score.
    ConfigurationError
        If scores are not finite numbers along one axis.

    References
    ----------
    .. [1] V. Vovk, A. Gammerman, G. Shafer, "Algorithmic learning in a random world", Springer
       2005.
    .. [2] S. Bates, E. Candes, L. Lei, Y. Romano, M. Sesia, "Testing for outliers with conformal
       p-values", Annals of Statistics 51, 2023, equation 2. arXiv:2104.08279

    Examples
    --------
    >>> conformal_p_values([0.0, 2.0, 9.0], [1, 2, 3]).tolist()
    [1.0, 0.75, 0.25]
    """
    scores = check_scores(pred_scores, at_least=0)
    normal = np.sort(check_scores(calibration_scores, at_least=1))
    at_least_as_high = normal.size - np.searchsorted(normal, scores, side="left")
    return np.asarray((1 + at_least_as_high) / (normal.size + 1), dtype=np.float64)


def false_discovery_labels(p_values: ArrayLike, rate: float) -> NDArray[np.bool_]:
    """Flag images of a batch so that a bounded fraction of those flagged is expected to be normal.

    Benjamini and Hochberg's procedure [1]_, by `scipy.stats.false_discovery_control`. With
    conformal p-values from one calibration set, the expected fraction of normal images among those
    flagged is at most ``rate`` [2]_: the p-values depend on each other, in a way that the procedure
    allows.

    Parameters
    ----------
    p_values : array_like, shape (N,)
        Of all images of the batch.
    rate : float
        Tolerated fraction of normal images among those flagged, in (0, 0.5].

    Returns
    -------
    ndarray of bool, shape (N,)

    Raises
    ------
    ConfigurationError
        If the rate is outside (0, 0.5], or a p-value is outside [0, 1].

    References
    ----------
    .. [1] Y. Benjamini, Y. Hochberg, "Controlling the false discovery rate", Journal of the Royal
       Statistical Society B 57, 1995.
    .. [2] Bates et al. 2023, as in `conformal_p_values`, theorem 2.

    Examples
    --------
    >>> false_discovery_labels([0.01, 0.04, 0.5, 0.9], 0.1).tolist()
    [True, True, False, False]
    """
    with IMPORTING:  # it takes a third of a second, which few commands need
        from scipy import stats

    check_rate(rate, "fdr")
    values = check_scores(p_values, at_least=0)
    if values.size == 0:
        return np.zeros(0, dtype=np.bool_)
    if values.min() < 0 or values.max() > 1:
        raise ConfigurationError(
            f"p-values must lie in [0, 1], got {values.min():g} to {values.max():g}"
        )
    flagged: NDArray[np.bool_] = stats.false_discovery_control(values, method="bh") <= rate
    return flagged
