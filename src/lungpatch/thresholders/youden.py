"""The threshold that separates labelled images best."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

import attrs
import numpy as np

from lungpatch._utils.component import plain_errors
from lungpatch.thresholders.base import FittedThresholds
from lungpatch.thresholders.checks import check_labels, check_scores
from lungpatch.thresholders.multi_otsu import between

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class YoudenThresholder(FittedThresholds):
    """Maximise sensitivity + specificity - 1 on labelled images (Youden's J).

    It [1]_ uses labels: metrics on the images that it was fitted to are optimistic. Fit it to
    images that are not used for testing.

    See Also
    --------
    QuantileThresholder, ConformalThresholder : Thresholds from normal scores, without labels.

    Notes
    -----
    The threshold is midway between two neighbouring scores. Of equally good ones it is the
    highest, which gives the fewest false alarms.

    References
    ----------
    .. [1] W. J. Youden, "Index for rating diagnostic tests", Cancer 3, 1950.
       doi:10.1002/1097-0142(1950)3:1<32::AID-CNCR2820030106>3.0.CO;2-3

    Examples
    --------
    >>> from lungpatch.thresholders import YoudenThresholder
    >>> YoudenThresholder().fit([1, 2, 3, 4, 5], [0, 0, 1, 0, 1]).threshold_
    2.5
    """

    uses_labels: ClassVar[bool] = True

    @property
    def min_scores(self) -> int:
        """Minimum number of scores that ``fit`` needs: one of each label."""
        return 2

    def fit(self, pred_scores: ArrayLike, gt_labels: ArrayLike | None = None) -> Self:
        """Set the threshold.

        Parameters
        ----------
        pred_scores : array_like, shape (N,)
        gt_labels : array_like of bool, shape (N,)
            True or 1 for anomalous.

        Returns
        -------
        YoudenThresholder
            Itself.

        Raises
        ------
        InsufficientDataError
            If there are fewer than two scores, or all labels are equal.
        ConfigurationError
            If scores or labels are missing, of the wrong shape, or no finite numbers.
        """
        scores = check_scores(pred_scores, at_least=self.min_scores)
        positive = check_labels(gt_labels, scores.size)
        values, rank = np.unique(scores, return_inverse=True)
        # For each distinct score: how many of each label are not above it.
        missed = np.cumsum(np.bincount(rank[positive], minlength=values.size))
        spared = np.cumsum(np.bincount(rank[~positive], minlength=values.size))
        # J times the number of pairs, in integers, so that ties are exact.
        n_positive, n_negative = int(missed[-1]), int(spared[-1])
        index = spared * n_positive - missed * n_negative
        best = values.size - 1 - int(np.argmax(index[::-1]))
        above = values[best + 1] if best + 1 < values.size else values[best]
        self._thresholds = (float(between(values[best], above)),)
        return self
