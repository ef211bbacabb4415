"""How much of an anomaly lies on what is marked: a share of the score, of the area, an overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lungpatch.evaluation.bootstrap import Statistic, ratio
from lungpatch.evaluation.localisation import scores_in_lungs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lungpatch.containers import BoolImage, FloatImage
    from lungpatch.evaluation.cases import Case


def energy_share(heatmap: FloatImage, case: Case) -> float:
    """Return the share of the score that lies on marked lung: the energy-based pointing game [1]_.

    Scores may be below 0, so what a pixel has is its excess over the median of the lungs.

    Parameters
    ----------
    heatmap : ndarray of float32, shape (GRID_SIZE, GRID_SIZE)
    case : Case

    Returns
    -------
    float
        In [0, 1]; by chance the fraction of the lungs that is marked. That fraction, too, if all
        scores are equal, and NaN if localisation cannot be measured.

    References
    ----------
    .. [1] H. Wang et al., "Score-CAM: score-weighted visual explanations for convolutional neural
       networks", CVPR Workshops, 2020.

    Examples
    --------
    >>> energy_share(heatmap, case)                                    # doctest: +SKIP
    0.43
    """
    if not case.localised:
        return float("nan")
    scores = scores_in_lungs(heatmap, case)
    excess = np.maximum(scores - np.median(scores), 0)
    if not excess.any():
        excess = np.ones_like(excess)
    return float(excess[case.marked[case.lungs]].sum() / excess.sum())


def share_above(
    cases: Sequence[Case], heatmaps: Sequence[FloatImage], threshold: float
) -> Statistic:
    """Return the share of the lung pixels above a threshold that are marked, as a statistic.

    It is the precision of the pixels of all images together.

    Parameters
    ----------
    cases : sequence of Case
        Images in which localisation cannot be measured are ignored.
    heatmaps : sequence of ndarray of float32, shape (GRID_SIZE, GRID_SIZE)
    threshold : float

    Returns
    -------
    callable
        From weights (R, N); NaN where no pixel is above the threshold.

    Examples
    --------
    >>> share_above(cases, heatmaps, 5.0)(np.ones((1, len(cases))))    # doctest: +SKIP
    array([0.61])
    """
    above = [
        case.lungs & (heatmap > threshold) & case.localised
        for case, heatmap in zip(cases, heatmaps, strict=True)
    ]
    hits = np.array(
        [(pixels & case.marked).sum() for pixels, case in zip(above, cases, strict=True)], float
    )
    all_above = np.array([pixels.sum() for pixels in above], float)
    return lambda weights: ratio(weights @ hits, weights @ all_above)


def overlap(one: BoolImage, other: BoolImage) -> float:
    """Return the intersection over union of two masks.

    Parameters
    ----------
    one, other : ndarray of bool, shape (H, W)

    Returns
    -------
    float
        In [0, 1]; NaN if both are empty.

    Examples
    --------
    >>> overlap(np.array([[True, True, False]]), np.array([[False, True, True]])).__round__(2)
    0.33
    """
    union = np.count_nonzero(one | other)
    return float(np.count_nonzero(one & other) / union) if union else float("nan")


def highest_lung(heatmap: FloatImage, case: Case, n_pixels: int) -> BoolImage:
    """Return the mask of the lung pixels with the highest scores; of equal ones the upper left.

    Parameters
    ----------
    heatmap : ndarray of float32, shape (GRID_SIZE, GRID_SIZE)
    case : Case
    n_pixels : int

    Returns
    -------
    ndarray of bool, shape (GRID_SIZE, GRID_SIZE)

    Examples
    --------
    >>> highest_lung(heatmap, case, 500).sum()                         # doctest: +SKIP
    500
    """
    order = np.argsort(-scores_in_lungs(heatmap, case), kind="stable")[:n_pixels]
    mask: BoolImage = np.zeros(case.lungs.shape, dtype=np.bool_)
    rows, columns = np.nonzero(case.lungs)
    mask[rows[order], columns[order]] = True
    return mask


def point_hit(point: tuple[float, float], case: Case) -> float:
    """Return 1 if a point is marked, in the lungs or not, else 0.

    Parameters
    ----------
    point : tuple of float
        Row and column, of pixel centres.
    case : Case

    Returns
    -------
    float

    Examples
    --------
    >>> point_hit((12.0, 30.5), case)                                  # doctest: +SKIP
    1.0
    """
    row, column = (int(np.rint(each)) for each in point)
    return float(case.marked[row, column])
