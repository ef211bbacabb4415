"""Free-response ROC: lesions hit against false boxes per image, and how well boxes fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import numpy as np

from lungpatch.evaluation.bootstrap import Floats, Statistic, ratio
from lungpatch.pipeline.localisation import label_regions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lungpatch.containers import FloatImage
    from lungpatch.evaluation.cases import Case

FALSE_BOXES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Numbers of false boxes per image at which sensitivity is reported."""
N_THRESHOLDS = 60
MIN_AREA = 64
"""Minimum area of a region that gets a box, in pixels of the evaluation grid: a quarter cell."""


@attrs.frozen(eq=False, kw_only=True)
class BoxCounts:
    """Hits and false boxes of every image at each of T thresholds.

    Parameters
    ----------
    lesions : ndarray of float64, shape (N,)
        Number of true boxes.
    hits, false, overlap : ndarray of float64, shape (N, T)
        Number of lesions hit, number of boxes that hit no lesion, and the sum over lesions of the
        best IoU.

    Examples
    --------
    >>> counts = count_boxes(cases, heatmaps, thresholds, images=boxed)    # doctest: +SKIP
    >>> counts.hits.shape                                              # doctest: +SKIP
    """

    lesions: Floats
    hits: Floats
    false: Floats
    overlap: Floats


def candidate_thresholds(heatmaps: Sequence[FloatImage]) -> Floats:
    """Return thresholds to cut boxes at: quantiles of the pooled maps, chosen without the truth.

    Parameters
    ----------
    heatmaps : sequence of ndarray of float32, shape (H, W)

    Returns
    -------
    ndarray of float64, shape (T,)
        Ascending, from the median to the 99.95th percentile.

    Examples
    --------
    >>> maps = [np.arange(10001, dtype=np.float32).reshape(73, 137)]
    >>> candidate_thresholds(maps)[[0, -1]].round()
    array([5000., 9995.])
    """
    values = [heatmap[~np.isnan(heatmap)] for heatmap in heatmaps]
    pooled = np.concatenate([np.empty(0, np.float32), *values])
    if not pooled.size:
        return np.empty(0)
    quantiles = 1 - np.geomspace(0.5, 0.0005, N_THRESHOLDS)
    return np.unique(np.quantile(pooled.astype(np.float64), quantiles))


def count_boxes(
    cases: Sequence[Case],
    heatmaps: Sequence[FloatImage],
    thresholds: Floats,
    *,
    images: NDArray[np.bool_],
) -> BoxCounts:
    """Cut boxes from every image at every threshold and compare them with the true ones.

    A box surrounds a connected region above the threshold, of at least `MIN_AREA` pixels. It hits
    a lesion if the maximum of its region lies in the true box; a box that hits none is false.

    Parameters
    ----------
    cases : sequence of Case
        N images.
    heatmaps : sequence of ndarray of float32, shape (GRID_SIZE, GRID_SIZE)
    thresholds : ndarray of float64, shape (T,)
    images : ndarray of bool, shape (N,)
        The images to count in; all counts of the others are 0.

    Returns
    -------
    BoxCounts

    Examples
    --------
    >>> counts = count_boxes(cases, heatmaps, thresholds, images=boxed)    # doctest: +SKIP
    """
    shape = (len(cases), len(thresholds))
    hits, false, overlap = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for i, (case, heatmap) in enumerate(zip(cases, heatmaps, strict=True)):
        if not images[i]:
            continue
        for t, threshold in enumerate(thresholds):
            boxes, peaks = boxes_above(heatmap, float(threshold))
            inside = holds(case.boxes, peaks)
            hits[i, t] = inside.any(axis=1).sum()
            false[i, t] = (~inside.any(axis=0)).sum()
            overlap[i, t] = iou(case.boxes, boxes).max(axis=1, initial=0.0).sum()
    lesions = np.array([len(case.boxes) for case in cases], dtype=np.float64) * images
    return BoxCounts(lesions=lesions, hits=hits, false=false, overlap=overlap)


def boxes_above(
    heatmap: FloatImage, threshold: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return boxes around the regions above a threshold, and the position of each maximum.

    Parameters
    ----------
    heatmap : ndarray of float32, shape (H, W)
    threshold : float

    Returns
    -------
    boxes : ndarray of int64, shape (K, 4)
    peaks : ndarray of int64, shape (K, 2)
        Row and column of the highest pixel of each region.

    Examples
    --------
    >>> heatmap = np.zeros((20, 20), np.float32)
    >>> heatmap[2:12, 3:13], heatmap[5, 6] = 1, 2
    >>> boxes, peaks = boxes_above(heatmap, 0.5)
    >>> boxes.tolist(), peaks.tolist()
    ([[2, 3, 12, 13]], [[5, 6]])
    """
    labels, windows = label_regions(heatmap > threshold)
    boxes, peaks = [], []
    for number, window in enumerate(windows, 1):
        region = labels[window] == number
        if region.sum() < MIN_AREA:
            continue
        rows, columns = window
        boxes.append((rows.start, columns.start, rows.stop, columns.stop))
        peak = np.argmax(np.where(region, heatmap[window], -np.inf))
        row, column = np.unravel_index(peak, region.shape)
        peaks.append((rows.start + row, columns.start + column))
    return (
        np.array(boxes, dtype=np.int64).reshape(-1, 4),
        np.array(peaks, dtype=np.int64).reshape(-1, 2),
    )


def holds(boxes: NDArray[np.int64], points: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Say which boxes hold which points.

    Parameters
    ----------
    boxes : ndarray of int64, shape (K, 4)
        Half-open (row0, col0, row1, col1).
    points : ndarray of int64, shape (P, 2)
        Row and column.

    Returns
    -------
    ndarray of bool, shape (K, P)

    Examples
    --------
    >>> holds(np.array([[0, 0, 4, 4]]), np.array([[3, 0], [4, 0]])).tolist()
    [[True, False]]
    """
    after = points[None] >= boxes[:, None, :2]
    before = points[None] < boxes[:, None, 2:]
    inside: NDArray[np.bool_] = np.all(after & before, axis=2)
    return inside


def iou(boxes: NDArray[np.int64], others: NDArray[np.int64]) -> Floats:
    """Return the intersection over union of every box with every other one.

    Parameters
    ----------
    boxes : ndarray of int64, shape (K, 4)
    others : ndarray of int64, shape (L, 4)

    Returns
    -------
    ndarray of float64, shape (K, L)
        In [0, 1].

    Examples
    --------
    >>> iou(np.array([[0, 0, 2, 2]]), np.array([[0, 1, 2, 3], [5, 5, 6, 6]])).round(2)
    array([[0.33, 0.  ]])
    """
    start = np.maximum(boxes[:, None, :2], others[None, :, :2])
    stop = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common = np.maximum(stop - start, 0).prod(axis=2)
    areas, other_areas = (np.prod(each[:, 2:] - each[:, :2], axis=1) for each in (boxes, others))
    union: Floats = (areas[:, None] + other_areas[None] - common).astype(np.float64)
    ratios: Floats = common / union
    return ratios


def froc_statistics(counts: BoxCounts, images: NDArray[np.bool_]) -> dict[str, Statistic]:
    """Return sensitivities at `FALSE_BOXES` false boxes per image, their mean, and the best IoU.

    The sensitivity at a rate [1]_ is the highest at any threshold with at most as many false boxes
    per image; the mean over rates is the score of LUNA16 [2]_. The best box IoU is the mean over
    lesions of the best IoU of a box, at the best threshold, which is chosen on the same images.

    Parameters
    ----------
    counts : BoxCounts
    images : ndarray of bool, shape (N,)
        The images used: with true boxes, and without any, where every box is false.

    Returns
    -------
    dict of str to callable
        From weights (R, N).

    References
    ----------
    .. [1] D. P. Chakraborty, "Maximum likelihood analysis of free-response receiver operating
       characteristic (FROC) data", Medical Physics 16, 1989.
    .. [2] A. A. A. Setio et al., "Validation, comparison, and combination of algorithms for
       automatic detection of pulmonary nodules in computed tomography images: the LUNA16
       challenge", Medical Image Analysis 42, 2017.

    Examples
    --------
    >>> counts = BoxCounts(lesions=np.array([2.0]), hits=np.array([[2.0, 1.0]]),
    ...                    false=np.array([[1.0, 0.0]]), overlap=np.array([[0.5, 0.2]]))
    >>> statistics = froc_statistics(counts, np.array([True]))
    >>> statistics["sensitivity at 0.5"](np.ones((1, 1))).tolist()
    [0.5]
    """

    def at(rate: float) -> Statistic:
        def statistic(weights: Floats) -> Floats:
            sensitivity, false = froc_curve(counts, weights * images)
            best = np.where(false <= rate, sensitivity, 0.0).max(axis=1, initial=0.0)
            return np.where((weights * images) @ counts.lesions > 0, best, np.nan)

        return statistic

    rates = {f"sensitivity at {rate:g}": at(rate) for rate in FALSE_BOXES}

    def best_iou(weights: Floats) -> Floats:
        weights = weights * images
        n_lesions = weights @ counts.lesions
        return ratio((weights @ counts.overlap).max(axis=1, initial=0.0), n_lesions)

    def mean(weights: Floats) -> Floats:
        values: Floats = np.mean([rate(weights) for rate in rates.values()], axis=0)
        return values

    return rates | {"mean sensitivity": mean, "best box IoU": best_iou}


def froc_curve(counts: BoxCounts, weights: Floats) -> tuple[Floats, Floats]:
    """Return the fraction of lesions hit and the false boxes per image at each threshold.

    Parameters
    ----------
    counts : BoxCounts
    weights : ndarray of float64, shape (R, N)

    Returns
    -------
    sensitivity, false : ndarray of float64, shape (R, T)

    Examples
    --------
    >>> counts = BoxCounts(lesions=np.array([2.0, 0.0]), hits=np.array([[1.0], [0.0]]),
    ...                    false=np.array([[0.0], [3.0]]), overlap=np.zeros((2, 1)))
    >>> [values.tolist() for values in froc_curve(counts, np.ones((1, 2)))]
    [[[0.5]], [[1.5]]]
    """
    n_lesions = weights @ counts.lesions
    hits, false = weights @ counts.hits, weights @ counts.false
    return (
        ratio(hits, np.broadcast_to(n_lesions[:, None], hits.shape)),
        ratio(false, np.broadcast_to(weights.sum(axis=1)[:, None], false.shape)),
    )
