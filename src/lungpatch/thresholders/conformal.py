"""A threshold with a guaranteed rate of false alarms."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Self

import attrs
import numpy as np
from attrs import validators

from lungpatch._utils.component import plain_errors
from lungpatch.errors import InsufficientDataError
from lungpatch.thresholders.base import FittedThresholds
from lungpatch.thresholders.checks import check_scores

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class ConformalThresholder(FittedThresholds):
    """Guarantee a rate of at most ``alpha`` false alarms, whatever the distribution of scores.

    The split-conformal threshold [1]_ [2]_ is the ``k``-th smallest of ``n`` normal scores,
    ``k = ceil((n + 1) (1 - alpha))``. The probability that the next normal image, exchangeable
    with these, scores above it is at most ``alpha``, and at least ``alpha - 1 / (n + 1)`` if no
    two scores are equal. No anomalous image is needed.

    Parameters
    ----------
    alpha : float
        Maximum rate of false alarms, in (0, 1).

    See Also
    --------
    QuantileThresholder : Without a guarantee, for few patients.

    Notes
    -----
    The guarantee is for images like those given to ``fit``: of normal patients, held out of
    training (a model reconstructs better what it was trained on), one score per patient (images of
    one patient are alike), from the same devices. It holds on average over calibration sets: the
    rate for one set scatters around it by about ``sqrt(alpha (1 - alpha) / n)``.

    References
    ----------
    .. [1] V. Vovk, A. Gammerman, G. Shafer, "Algorithmic learning in a random world", Springer
       2005.
    .. [2] J. Lei et al., "Distribution-free predictive inference for regression", Journal of the
       American Statistical Association 113, 2018, theorem 2.2. arXiv:1604.04173

    Examples
    --------
    >>> from lungpatch.thresholders import ConformalThresholder
    >>> ConformalThresholder(alpha=0.05).min_scores
    19
    >>> ConformalThresholder(alpha=0.25).fit([3, 1, 2, 7]).threshold_
    7.0
    >>> ConformalThresholder(alpha=0.1).fit([3, 1, 2])
    Traceback (most recent call last):
    ...
    lungpatch.errors.InsufficientDataError: a false-alarm rate of at most 0.1 needs the scores of
    at least 9 normal patients, got 3: give more, or ask for a rate of 0.25 or above
    """

    alpha: float = attrs.field(
        default=0.1,
        validator=[validators.instance_of(float), validators.gt(0), validators.lt(1)],
    )

    @property
    def min_scores(self) -> int:
        """Minimum number of scores that ``fit`` needs: ``(1 - alpha) / alpha``, rounded up."""
        return math.ceil((1 - self._exact_alpha) / self._exact_alpha)

    @property
    def _exact_alpha(self) -> Fraction:
        # The decimal as it was written, so that no rounding error moves k by one.
        return Fraction(str(self.alpha))

    def fit(self, pred_scores: ArrayLike, gt_labels: ArrayLike | None = None) -> Self:
        """Set the threshold.

        Parameters
        ----------
        pred_scores : array_like, shape (N,)
            One score per normal patient, held out of training.
        gt_labels : None
            Not used.

        Returns
        -------
        ConformalThresholder
            Itself.

        Raises
        ------
        InsufficientDataError
            If there are fewer than ``min_scores``: no finite threshold gives the guarantee.
        ConfigurationError
            If the scores are not finite numbers along one axis.
        """
        scores = check_scores(pred_scores, at_least=0)
        count = scores.size
        if count < self.min_scores:
            lowest = math.ceil(1000 / (count + 1)) / 1000
            remedy = f", or ask for a rate of {lowest:g} or above" if lowest < 1 else ""
            raise InsufficientDataError(
                f"a false-alarm rate of at most {self.alpha:g} needs the scores of at least "
                f"{self.min_scores} normal patients, got {count}: give more{remedy}"
            )
        rank = math.ceil((count + 1) * (1 - self._exact_alpha))
        self._thresholds = (float(np.sort(scores)[rank - 1]),)
        return self
