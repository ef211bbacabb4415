"""Metrics of image scores and of single anomaly maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import numpy as np
from scipy import stats

from lungpatch.errors import InsufficientDataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray


def auroc(pred_scores: ArrayLike, gt_labels: ArrayLike) -> float:
    """Return the area under the ROC curve.

    It is the probability that a positive scores higher than a negative, computed as the
    Mann-Whitney statistic [1]_; ties count half.

    Parameters
    ----------
    pred_scores : array_like of float, shape (N,)
    gt_labels : array_like of bool, shape (N,)

    Returns
    -------
    float
        In [0, 1]; 0.5 is chance.

    Raises
    ------
    InsufficientDataError
        If one of the classes is empty.

    See Also
    --------
    bootstrap_interval : its interval.

    References
    ----------
    .. [1] J. A. Hanley and B. J. McNeil, "The meaning and use of the area under a receiver
       operating characteristic (ROC) curve", Radiology 143, 1982.

    Examples
    --------
    >>> auroc([1, 2, 3, 4], [False, True, False, True])
    0.75
    """
    scores = np.asarray(pred_scores, dtype=np.float64)
    positive = np.asarray(gt_labels, dtype=bool)
    n_positive = int(positive.sum())
    n_negative = positive.size - n_positive
    if n_positive == 0 or n_negative == 0:
        raise InsufficientDataError(
            f"AUROC needs both classes; got {n_positive} positive and {n_negative} negative"
        )
    ranks = stats.rankdata(scores)
    above = float(ranks[positive].sum()) - n_positive * (n_positive + 1) / 2
    return above / (n_positive * n_negative)


@attrs.frozen(kw_only=True)
class LocalisationScore:
    """How well one anomaly map localises a known region.

    Parameters
    ----------
    pixel_auroc : float
        AUROC of the scored pixels in the region against the other scored pixels of the image.
    pointing_hit : bool
        Whether the maximum of the map lies in the region.
    chance : float
        Fraction of the scored pixels that lie in the region: the probability that a random point
        hits.

    Examples
    --------
    >>> LocalisationScore(pixel_auroc=0.5, pointing_hit=True, chance=0.2).pointing_hit
    True
    """

    pixel_auroc: float
    pointing_hit: bool
    chance: float


def score_localisation(
    heatmap: NDArray[np.floating], gt_mask: NDArray[np.bool_]
) -> LocalisationScore:
    """Compare one anomaly map with the true region, over scored pixels.

    Parameters
    ----------
    heatmap : ndarray of float, shape (H, W)
        NaN where nothing was scored.
    gt_mask : ndarray of bool, shape (H, W)

    Returns
    -------
    LocalisationScore

    Raises
    ------
    InsufficientDataError
        If the scored pixels lie all inside or all outside the region.

    Examples
    --------
    >>> import numpy as np
    >>> heatmap = np.array([[0.1, 0.9, np.nan]])
    >>> score_localisation(heatmap, np.array([[False, True, True]]))
    LocalisationScore(pixel_auroc=1.0, pointing_hit=True, chance=0.5)
    """
    scored = ~np.isnan(heatmap)
    inside = gt_mask[scored]
    scores = heatmap[scored]
    return LocalisationScore(
        pixel_auroc=auroc(scores, inside),
        pointing_hit=bool(inside[np.argmax(scores)]),
        chance=float(inside.mean()),
    )


def bootstrap_interval(
    statistic: Callable[..., float],
    samples: Sequence[NDArray[np.generic]],
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
    n_resamples: int = 1000,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of ``statistic(*samples)``.

    The first axis of all samples is resampled jointly. Resamples on which the statistic is
    undefined (it is NaN, or raises `InsufficientDataError`) are left out.

    Parameters
    ----------
    statistic : callable
        Takes as many arrays as there are ``samples`` and returns a float.
    samples : sequence of ndarray
        Equal lengths N; row ``i`` of each belongs to the same image (or patient).
    rng : numpy.random.Generator
    confidence : float
        In (0, 1).
    n_resamples : int

    Returns
    -------
    tuple of float
        Lower and upper end.

    Raises
    ------
    InsufficientDataError
        If the statistic is undefined on every resample.

    Examples
    --------
    >>> import numpy as np
    >>> values = np.arange(100.0)
    >>> low, high = bootstrap_interval(lambda v: v.mean(), [values], rng=np.random.default_rng(0))
    >>> low < 49.5 < high
    True
    """
    count = len(samples[0])
    found = []
    for _ in range(n_resamples):
        index = rng.integers(count, size=count)
        try:
            found.append(statistic(*(sample[index] for sample in samples)))
        except InsufficientDataError:
            continue
    found = [value for value in found if not np.isnan(value)]
    if not found:
        raise InsufficientDataError(
            f"no interval can be computed from {count} samples: the statistic is undefined on "
            "every resample"
        )
    tail = (1 - confidence) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    return float(low), float(high)
