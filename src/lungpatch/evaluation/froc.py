"""Free-response ROC: lesions hit against false boxes an image, and how well boxes fit."""

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
N_THRESHOLDS = 60
MIN_AREA = 64
"""Regions of fewer pixels of the frame, a quarter of a cell, are no finding."""


@attrs.frozen(eq=False, kw_only=True)
class BoxCounts:
    """What the boxes of every image hit and miss at each of T thresholds.

    Parameters
    ----------
    lesions : ndarray of float64, shape (N,)
        True boxes.
    hits, false, overlap : ndarray of float64, shape (N, T)
        Lesions hit, boxes that hit none, and the sum over lesions of the best IoU.

    Examples
    --------
    >>> counts = count_boxes(cases, heats, thresholds, images=boxed)    # doctest: +SKIP
    >>> counts.hits.shape                                              # doctest: +SKIP
    """

    lesions: Floats
    hits: Floats
    false: Floats
    overlap: Floats


def heat_thresholds(heats: Sequence[FloatImage]) -> Floats:
    """Thresholds to cut boxes at: quantiles of the pooled heat, without a look at the truth.

    Parameters
    ----------
    heats : sequence of ndarray of float32, shape (H, W)

    Returns
    -------
    ndarray of float64, shape (T,)
        Ascending, from the median to the 99.95th percentile.

    Examples
    --------
    >>> heat_thresholds([np.arange(10001, dtype=np.float32).reshape(73, 137)])[[0, -1]].round()
    array([5000., 9995.])
    """
    values = [heat[~np.isnan(heat)] for heat in heats]
    pooled = np.concatenate([np.empty(0, np.float32), *values])
    if not pooled.size:
        return np.empty(0)
    shares = 1 - np.geomspace(0.5, 0.0005, N_THRESHOLDS)
    return np.unique(np.quantile(pooled.astype(np.float64), shares))


def count_boxes(
    cases: Sequence[Case],
    heats: Sequence[FloatImage],
    thresholds: Floats,
    *,
    images: NDArray[np.bool_],
) -> BoxCounts:
    """Cut boxes from every image at every threshold and compare them with the true ones.

    A box surrounds a connected region above the threshold, of at least `MIN_AREA` pixels. It hits
    a lesion if the hottest pixel of its region lies in the true box; one that hits none is false.

    Parameters
    ----------
    cases : sequence of Case
        N images.
    heats : sequence of ndarray of float32, shape (FRAME, FRAME)
    thresholds : ndarray of float64, shape (T,)
    images : ndarray of bool, shape (N,)
        Those wanted; the others count nothing.

    Returns
    -------
    BoxCounts

    Examples
    --------
    >>> counts = count_boxes(cases, heats, thresholds, images=boxed)    # doctest: +SKIP
    """
    shape = (len(cases), len(thresholds))
    hits, false, overlap = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for i, (case, heat) in enumerate(zip(cases, heats, strict=True)):
        if not images[i]:
            continue
        for t, threshold in enumerate(thresholds):
            boxes, peaks = boxes_above(heat, float(threshold))
            inside = _holds(case.boxes, peaks)
            hits[i, t] = inside.any(axis=1).sum()
            false[i, t] = (~inside.any(axis=0)).sum()
            overlap[i, t] = iou(case.boxes, boxes).max(axis=1, initial=0.0).sum()
    lesions = np.array([len(case.boxes) for case in cases], dtype=np.float64) * images
    return BoxCounts(lesions=lesions, hits=hits, false=false, overlap=overlap)


def boxes_above(heat: FloatImage, threshold: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Boxes around the regions above a threshold, and the hottest pixel of each.

    Parameters
    ----------
    heat : ndarray of float32, shape (H, W)
    threshold : float

    Returns
    -------
    boxes : ndarray of int64, shape (K, 4)
    peaks : ndarray of int64, shape (K, 2)

    Examples
    --------
    >>> heat = np.zeros((20, 20), np.float32)
    >>> heat[2:12, 3:13], heat[5, 6] = 1, 2
    >>> boxes, peaks = boxes_above(heat, 0.5)
    >>> boxes.tolist(), peaks.tolist()
    ([[2, 3, 12, 13]], [[5, 6]])
    """
    labels, windows = label_regions(heat > threshold)
    boxes, peaks = [], []
    for number, window in enumerate(windows, 1):
        region = labels[window] == number
        if region.sum() < MIN_AREA:
            continue
        rows, columns = window
        boxes.append((rows.start, columns.start, rows.stop, columns.stop))
        peak = np.argmax(np.where(region, heat[window], -np.inf))
        row, column = np.unravel_index(peak, region.shape)
        peaks.append((rows.start + row, columns.start + column))
    return (
        np.array(boxes, dtype=np.int64).reshape(-1, 4),
        np.array(peaks, dtype=np.int64).reshape(-1, 2),
    )


def _holds(boxes: NDArray[np.int64], points: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each box holds each point, (K, P)."""
    after = points[None] >= boxes[:, None, :2]
    before = points[None] < boxes[:, None, 2:]
    inside: NDArray[np.bool_] = np.all(after & before, axis=2)
    return inside


def iou(boxes: NDArray[np.int64], others: NDArray[np.int64]) -> Floats:
    """Intersection over union of each box with each other one.

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
    shared = np.maximum(stop - start, 0).prod(axis=2)
    areas, other_areas = (np.prod(each[:, 2:] - each[:, :2], axis=1) for each in (boxes, others))
    union: Floats = (areas[:, None] + other_areas[None] - shared).astype(np.float64)
    ratios: Floats = shared / union
    return ratios


def froc_statistics(counts: BoxCounts, images: NDArray[np.bool_]) -> dict[str, Statistic]:
    """Sensitivity at `FALSE_BOXES` false boxes an image, their mean, and the best mean IoU.

    Parameters
    ----------
    counts : BoxCounts
    images : ndarray of bool, shape (N,)
        Those judged: with true boxes, and without any, where every box is false.

    Returns
    -------
    dict of str to callable
        From weights (R, N). The best threshold is chosen on the images it is measured on.

    Notes
    -----
    The sensitivity at a rate is the highest at any threshold with no more false boxes an image.
    Source: D. P. Chakraborty, "Maximum likelihood analysis of free-response receiver operating
    characteristic (FROC) data", Medical Physics 16, 1989; the mean over rates as in LUNA16 (A.
    Setio et al., Medical Image Analysis 42, 2017).

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
            return np.where(np.isnan(sensitivity).any(axis=1), np.nan, best)

        return statistic

    rates = {f"sensitivity at {rate:g}": at(rate) for rate in FALSE_BOXES}

    def best_iou(weights: Floats) -> Floats:
        weights = weights * images
        n_lesions = weights @ counts.lesions
        return ratio((weights @ counts.overlap).max(axis=1, initial=0.0), n_lesions)

    def mean(weights: Floats) -> Floats:
        values: Floats = np.mean([rate(weights) for rate in rates.values()], axis=0)
        return values

    return rates | {"mean sensitivity": mean, "best box iou": best_iou}


def froc_curve(counts: BoxCounts, weights: Floats) -> tuple[Floats, Floats]:
    """Share of lesions hit and false boxes an image at each threshold.

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
