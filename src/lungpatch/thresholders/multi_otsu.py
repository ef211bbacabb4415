"""Thresholds of minimum variance within classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import attrs
import numpy as np
from attrs import validators

from lungpatch._utils.component import plain_errors
from lungpatch.errors import InsufficientDataError
from lungpatch.thresholders.base import FittedThresholds
from lungpatch.thresholders.checks import check_scores, normalised

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class MultiOtsuThresholder(FittedThresholds):
    """Split scores into classes of minimum variance, by Otsu's method for several classes.

    With three classes of patch scores these are the paper's (table 1): normal lung, lung with
    opacity, outside the lung. ``threshold_`` is the lowest threshold.

    Parameters
    ----------
    classes : int
        Number of classes, at least 2.

    See Also
    --------
    MixtureThresholder : Fits one Gaussian per class.

    Notes
    -----
    The method is that of [1]_ for the classes of [2]_. The result is exact: the best of all splits
    of the scores themselves, not of a histogram, found by dynamic programming in
    O(classes N log N) for N distinct scores. A threshold is midway between the neighbouring scores
    of two classes. Classes are always found, even if the distribution has only one mode.

    References
    ----------
    .. [1] N. Otsu, "A threshold selection method from gray-level histograms", IEEE Transactions on
       Systems, Man, and Cybernetics 9, 1979. doi:10.1109/TSMC.1979.4310076
    .. [2] P.-S. Liao, T.-S. Chen, P.-C. Chung, "A fast algorithm for multilevel thresholding",
       Journal of Information Science and Engineering 17, 2001.

    Examples
    --------
    >>> from lungpatch.thresholders import MultiOtsuThresholder
    >>> thresholder = MultiOtsuThresholder(classes=3).fit([1, 2, 11, 12, 21, 22])
    >>> thresholder.thresholds_
    (6.5, 16.5)
    >>> thresholder.classify([0, 6.5, 7, 30]).tolist()
    [0, 0, 1, 2]
    """

    classes: int = attrs.field(default=3, validator=[validators.instance_of(int), validators.ge(2)])

    @property
    def min_scores(self) -> int:
        """Minimum number of distinct scores that ``fit`` needs: one per class."""
        return self.classes

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
        MultiOtsuThresholder
            Itself.

        Raises
        ------
        InsufficientDataError
            If there are fewer distinct scores than classes.
        ConfigurationError
            If the scores are not finite numbers along one axis.
        """
        scores = check_scores(pred_scores, at_least=self.min_scores)
        self._thresholds = tuple(min_variance_thresholds(scores, self.classes).tolist())
        return self


def between(low: Any, high: Any) -> NDArray[np.float64]:
    """Return the middle of two scores, but never ``high`` itself, so that ``high`` is above it.

    Examples
    --------
    >>> float(between(1.0, 2.0))
    1.5
    """
    middle = np.asarray(low / 2 + high / 2, dtype=np.float64)
    return np.where((middle >= low) & (middle < high), middle, low)


def min_variance_thresholds(scores: NDArray[np.float64], classes: int) -> NDArray[np.float64]:
    """Find the thresholds of minimum variance within classes.

    Parameters
    ----------
    scores : ndarray of float64, shape (N,)
    classes : int
        At least 1.

    Returns
    -------
    ndarray of float64, shape (classes - 1,)
        Ascending.

    Raises
    ------
    InsufficientDataError
        If there are fewer distinct scores than classes.

    Examples
    --------
    >>> import numpy as np
    >>> min_variance_thresholds(np.array([1.0, 2.0, 9.0]), 2)
    array([5.5])
    """
    values, counts = np.unique(scores, return_counts=True)
    if values.size < classes:
        raise InsufficientDataError(
            f"{classes} classes need at least {classes} different scores, got {values.size}"
        )
    scaled, exponent = normalised(scores)
    centred = np.ldexp(values, -exponent) - scaled.mean()
    centred /= np.abs(centred).max() or 1.0  # no digits are lost in the squares
    weight = np.concatenate([[0], np.cumsum(counts)])
    total = np.concatenate([[0], np.cumsum(counts * centred)])

    def between_variance(start: Any, stop: Any) -> Any:
        """Return what values[start:stop], as one class, add to the variance between classes."""
        return (total[stop] - total[start]) ** 2 / (weight[stop] - weight[start])

    # best[j] is the highest variance between `number` classes of values[:j].
    size = values.size
    best = np.full(size + 1, -np.inf)
    best[1:] = between_variance(0, np.arange(1, size + 1))
    splits = []
    for number in range(2, classes + 1):
        last = np.zeros(size + 1, dtype=np.int64)
        improved = np.full(size + 1, -np.inf)
        # The best start of the last class never moves down as j grows, so in each half of a range
        # of j only the starts on its side of the middle's are tried.
        ranges = [(number, size, number - 1, size - 1)]
        while ranges:
            low, high, first_start, last_start = ranges.pop()
            if low > high:
                continue
            stop = (low + high) // 2
            starts = np.arange(first_start, min(last_start, stop - 1) + 1)
            value = best[starts] + between_variance(starts, stop)
            at = int(np.argmax(value))
            last[stop], improved[stop] = starts[at], value[at]
            ranges.append((low, stop - 1, first_start, int(starts[at])))
            ranges.append((stop + 1, high, int(starts[at]), last_start))
        best = improved
        splits.append(last)

    cuts = []
    stop = size
    for last in reversed(splits):
        stop = int(last[stop])
        cuts.append(stop)
    at_cut = np.array(cuts[::-1], dtype=np.int64)
    return between(values[at_cut - 1], values[at_cut])
