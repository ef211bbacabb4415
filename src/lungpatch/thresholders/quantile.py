"""A quantile of the normal scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import attrs
import numpy as np
from attrs import validators

from lungpatch._utils.component import plain_errors
from lungpatch.thresholders.base import FittedThresholds
from lungpatch.thresholders.checks import check_scores

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class QuantileThresholder(FittedThresholds):
    """Use a quantile of the normal scores.

    A fraction of about ``1 - q`` of normal images has scores above it. With few scores this
    fraction is uncertain; `ConformalThresholder` bounds it.

    Parameters
    ----------
    q : float
        Fraction of the normal scores below the threshold, in [0, 1]; linear between scores.

    See Also
    --------
    ConformalThresholder : Guarantees a rate of false alarms.

    Examples
    --------
    >>> from lungpatch.thresholders import QuantileThresholder
    >>> QuantileThresholder(q=0.75).fit([1, 2, 3, 4, 5]).threshold_
    4.0
    """

    q: float = attrs.field(
        default=0.95,
        validator=[validators.instance_of((int, float)), validators.ge(0), validators.le(1)],
    )

    def fit(self, pred_scores: ArrayLike, gt_labels: ArrayLike | None = None) -> Self:
        """Set the threshold.

        Parameters
        ----------
        pred_scores : array_like, shape (N,)
            Scores of normal images, preferably held out of training.
        gt_labels : None
            Not used.

        Returns
        -------
        QuantileThresholder
            Itself.

        Raises
        ------
        InsufficientDataError, ConfigurationError
            If there are no scores, or they are not finite numbers along one axis.
        """
        scores = check_scores(pred_scores, at_least=self.min_scores)
        self._thresholds = (float(np.quantile(scores, self.q)),)
        return self
