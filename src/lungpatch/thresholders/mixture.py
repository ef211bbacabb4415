"""A mixture of Gaussians."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self

import attrs
import numpy as np
from attrs import validators

from lungpatch._utils.component import plain_errors
from lungpatch.errors import InsufficientDataError
from lungpatch.thresholders.base import FittedThresholds
from lungpatch.thresholders.checks import check_scores, normalised
from lungpatch.thresholders.multi_otsu import min_variance_thresholds

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_MAX_ITERATIONS = 2000
_TOLERANCE = 1e-9  # increase of the mean log-likelihood below which EM ends
_VARIANCE_FLOOR = 1e-6  # of the variance of all scores; else a component could shrink to a point


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class MixtureThresholder(FittedThresholds):
    """Set thresholds where neighbouring Gaussians of a mixture are equally likely.

    With three components of patch scores these stand for the paper's three classes (table 1):
    normal lung, lung with opacity, outside the lung. ``threshold_`` is the lowest threshold.

    Parameters
    ----------
    n_components : int
        Number of Gaussians, at least 2.

    See Also
    --------
    MultiOtsuThresholder : Splits scores without assuming a distribution.

    Notes
    -----
    The mixture is fitted by expectation-maximisation [1]_, starting from the classes of minimum
    variance (see `MultiOtsuThresholder`), so nothing is random. Components are in the order of
    their means. The threshold between two neighbours is where, with rising scores, the higher one
    becomes more likely.

    References
    ----------
    .. [1] A. P. Dempster, N. M. Laird, D. B. Rubin, "Maximum likelihood from incomplete data via
       the EM algorithm", Journal of the Royal Statistical Society B 39, 1977, section 4.3.

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch.thresholders import MixtureThresholder
    >>> rng = np.random.default_rng(0)
    >>> scores = np.concatenate([rng.normal(mean, 1, 500) for mean in (0, 10, 20)])
    >>> [round(t) for t in MixtureThresholder().fit(scores).thresholds_]
    [5, 15]
    """

    n_components: int = attrs.field(
        default=3, validator=[validators.instance_of(int), validators.ge(2)]
    )

    @property
    def min_scores(self) -> int:
        """Minimum number of distinct scores that ``fit`` needs: one per component."""
        return self.n_components

    def fit(self, pred_scores: ArrayLike, gt_labels: ArrayLike | None = None) -> Self:
        """Set the thresholds.

        Parameters
        ----------
        pred_scores : array_like, shape (N,)
            Scores of all classes together.
        gt_labels : None
            Not used.

        Returns
        -------
        MixtureThresholder
            Itself.

        Raises
        ------
        InsufficientDataError
            If there are fewer distinct scores than components, or the scores do not form that
            many groups: there is a component that is nowhere the most likely one.
        ConfigurationError
            If the scores are not finite numbers along one axis.
        """
        scores = check_scores(pred_scores, at_least=self.min_scores)
        scaled, exponent = normalised(scores)
        weights, means, variances = fit_gaussian_mixture(scaled, self.n_components)
        thresholds = _crossings(weights, means, variances)
        if not np.isfinite(thresholds).all() or (np.diff(thresholds) <= 0).any():
            deviations = np.ldexp(np.sqrt(variances), exponent)
            raise InsufficientDataError(
                f"the scores do not form {self.n_components} groups: a fitted Gaussian is nowhere "
                f"the most likely one. Lower n_components, or use a thresholder that needs no "
                f"groups, such as 'quantile'; means {_text(np.ldexp(means, exponent))}, standard "
                f"deviations {_text(deviations)}, weights {_text(weights)}"
            )
        self._thresholds = tuple(np.ldexp(thresholds, exponent).tolist())
        return self


def fit_gaussian_mixture(
    scores: NDArray[np.float64], n_components: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Fit a mixture of Gaussians by expectation-maximisation.

    Parameters
    ----------
    scores : ndarray of float64, shape (N,)
    n_components : int

    Returns
    -------
    weights, means, variances : ndarray of float64, shape (n_components,)
        In ascending order of the means.

    Raises
    ------
    InsufficientDataError
        If there are fewer distinct scores than components.

    Examples
    --------
    >>> import numpy as np
    >>> scores = np.array([0.0, 1.0, 2.0, 10.0, 11.0, 12.0])
    >>> weights, means, variances = fit_gaussian_mixture(scores, 2)
    >>> weights.round(3).tolist(), means.round(3).tolist()
    ([0.5, 0.5], [1.0, 11.0])
    """
    thresholds = min_variance_thresholds(scores, n_components)
    membership = np.searchsorted(thresholds, scores, side="left")
    scaled, exponent = normalised(scores)
    centre, scale = scaled.mean(), scaled.std()
    x = ((scaled - centre) / scale)[:, None]
    responsibility = np.eye(n_components)[membership]
    previous = -math.inf
    for _ in range(_MAX_ITERATIONS):
        # A component without any score keeps a weight that is too small to have an effect.
        mass = responsibility.sum(axis=0) + 10 * np.finfo(np.float64).eps
        weights = mass / mass.sum()
        means = (responsibility * x).sum(axis=0) / mass
        variances = np.maximum(
            (responsibility * (x - means) ** 2).sum(axis=0) / mass, _VARIANCE_FLOOR
        )
        log_joint = np.log(weights) - 0.5 * (
            np.log(2 * math.pi * variances) + (x - means) ** 2 / variances
        )
        highest = log_joint.max(axis=1, keepdims=True)  # subtracted, so that no exp underflows
        joint = np.exp(log_joint - highest)
        density = joint.sum(axis=1, keepdims=True)
        likelihood = float((np.log(density) + highest).mean())
        if likelihood - previous < _TOLERANCE:
            break
        previous = likelihood
        responsibility = joint / density
    order = np.argsort(means)
    return (
        weights[order],
        np.ldexp(means[order] * scale + centre, exponent),
        np.ldexp(variances[order] * scale**2, 2 * exponent),
    )


def _crossings(
    weights: NDArray[np.float64], means: NDArray[np.float64], variances: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return where the higher of two neighbours becomes more likely, with rising scores.

    NaN if it does so nowhere.
    """
    # The log of the ratio low : high is a x^2 + b x + c, with x counted from the lower mean. The
    # threshold is the root where it falls.
    low, high = variances[:-1], variances[1:]
    distance = np.diff(means)
    a = 0.5 / high - 0.5 / low
    b = -distance / high
    c = 0.5 * distance**2 / high - np.diff(np.log(weights)) + 0.5 * np.diff(np.log(variances))
    discriminant = b**2 - 4 * a * c
    crosses = (discriminant > 0) & (distance > 0)
    root = np.sqrt(np.where(crosses, discriminant, np.nan))
    return means[:-1] + 2 * c / (root - b)


def _text(values: NDArray[np.float64]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
