"""Whether anomaly scores are high where the lesions are: by pixel, cell, region and maximum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lungpatch.evaluation.bootstrap import Floats, Statistic, ratio, weighted_mean
from lungpatch.evaluation.cases import CELL_SIZE, Case
from lungpatch.evaluation.ranking import (
    histogram_auroc,
    histogram_average_precision,
    ranks,
)
from lungpatch.pipeline.localisation import label_regions

if TYPE_CHECKING:
    from lungpatch.containers import FloatImage

BINS = 2048
"""Number of quantile bins of pooled scores; the error of the AUROC is below ``1 / (2 BINS)``."""
PRO_LIMIT = 0.3
"""Highest false positive rate of the per-region overlap curve."""


def scores_in_lungs(heatmap: FloatImage, case: Case) -> Floats:
    """Return the score of every lung pixel; unscored pixels get the lowest score of the image.

    So a detector gains nothing by leaving difficult pixels out.

    Parameters
    ----------
    heatmap : ndarray of float32, shape (GRID_SIZE, GRID_SIZE)
        NaN where nothing was scored.
    case : Case

    Returns
    -------
    ndarray of float64, shape (M,)
        One per pixel of ``case.lungs``; all 0 if none was scored.

    Examples
    --------
    >>> scores_in_lungs(heatmap, case).shape == (case.lungs.sum(),)    # doctest: +SKIP
    True
    """
    values = heatmap[case.lungs].astype(np.float64)
    scored = ~np.isnan(values)
    lowest = values[scored].min() if scored.any() else 0.0
    return np.where(scored, values, lowest)


def cell_scores(heatmap: FloatImage, case: Case) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the mean score of the lung cells, and which of them are marked.

    The evaluation grid is divided into squares of `CELL_SIZE` pixels per side. A lung cell is at
    least half lung; its score is the mean over its lung pixels; it is positive if its centre is
    marked.

    Parameters
    ----------
    heatmap : ndarray of float32, shape (GRID_SIZE, GRID_SIZE)
    case : Case

    Returns
    -------
    scores : ndarray of float64, shape (C,)
    positive : ndarray of bool, shape (C,)

    Examples
    --------
    >>> scores, positive = cell_scores(heatmap, case)                  # doctest: +SKIP
    """
    filled = np.zeros(case.lungs.shape)
    filled[case.lungs] = scores_in_lungs(heatmap, case)
    n_lung = _cell_sums(case.lungs)
    chosen = n_lung >= CELL_SIZE * CELL_SIZE / 2
    scores = _cell_sums(filled)[chosen] / n_lung[chosen]
    centres = slice(CELL_SIZE // 2, None, CELL_SIZE)
    return scores, case.marked[centres, centres][chosen]


def _cell_sums(values: NDArray[np.generic]) -> Floats:
    rows, columns = (side // CELL_SIZE for side in values.shape)
    blocks = values.astype(np.float64).reshape(rows, CELL_SIZE, columns, CELL_SIZE)
    sums: Floats = blocks.sum(axis=(1, 3))
    return sums


def pointing_hit(heatmap: FloatImage, case: Case) -> float:
    """Return whether the highest lung pixel is marked, as the pointing game [1]_ asks.

    The original takes the maximum over the whole image; here it is over the lungs.

    Parameters
    ----------
    heatmap : ndarray of float32, shape (GRID_SIZE, GRID_SIZE)
    case : Case

    Returns
    -------
    float
        1 or 0; if several pixels are equally high, the fraction of them that are marked.

    References
    ----------
    .. [1] J. Zhang et al., "Top-down neural attention by excitation backprop", International
       Journal of Computer Vision 126, 2018.

    Examples
    --------
    >>> pointing_hit(heatmap, case)                                    # doctest: +SKIP
    1.0
    """
    values = scores_in_lungs(heatmap, case)
    return float(case.lesion[case.lungs][values == values.max()].mean())


def localisation_statistics(
    cases: Sequence[Case], heatmaps: Sequence[FloatImage]
) -> tuple[dict[str, Statistic], dict[str, Statistic]]:
    """Return all localisation metrics, and the value of each by chance.

    Images in which no lung is marked, or all of it, are ignored.

    Parameters
    ----------
    cases : sequence of Case
        N images.
    heatmaps : sequence of ndarray of float32, shape (GRID_SIZE, GRID_SIZE)
        One per image.

    Returns
    -------
    statistics, chance : dict of str to callable
        From weights (R, N). ``pixel AUROC`` and the like are computed within each image and
        averaged over images; ``pooled pixel AUROC`` and the like rank the pixels of all images
        together.

    Examples
    --------
    >>> statistics, chance = localisation_statistics(cases, heatmaps)  # doctest: +SKIP
    """
    statistics: dict[str, Statistic] = {}
    chance: dict[str, Statistic] = {}
    pixels = pixel_samples(cases, heatmaps)
    patches = [
        cell_scores(heatmap, case) if case.localised else None
        for case, heatmap in zip(cases, heatmaps, strict=True)
    ]
    for name, samples in (("patch", patches), ("pixel", pixels)):
        auroc, precision, prevalence = within_images(samples)
        positive, negative = pooled_histograms(samples)
        statistics |= {
            f"{name} AUROC": weighted_mean(auroc),
            f"{name} AP": weighted_mean(precision),
            f"pooled {name} AUROC": _of_pooled(histogram_auroc, positive, negative),
            f"pooled {name} AP": _of_pooled(histogram_average_precision, positive, negative),
        }
        chance |= {
            f"{name} AUROC": _constant(0.5),
            f"{name} AP": weighted_mean(prevalence),
            f"pooled {name} AUROC": _constant(0.5),
            f"pooled {name} AP": _fraction(positive.sum(axis=1), negative.sum(axis=1)),
        }
    statistics["AUPRO"] = pro_statistic(cases, pixels)
    chance["AUPRO"] = _constant(PRO_LIMIT / 2)
    hits = [
        pointing_hit(heatmap, case) if case.localised else np.nan
        for case, heatmap in zip(cases, heatmaps, strict=True)
    ]
    statistics["pointing game"] = weighted_mean(np.array(hits))
    chance["pointing game"] = chance["pixel AP"]
    return statistics, chance


Samples = Sequence[tuple[Floats, NDArray[np.bool_]] | None]


def pixel_samples(cases: Sequence[Case], heatmaps: Sequence[FloatImage]) -> Samples:
    """Return scores and truth of the lung pixels of each image.

    Parameters
    ----------
    cases : sequence of Case
    heatmaps : sequence of ndarray of float32, shape (GRID_SIZE, GRID_SIZE)

    Returns
    -------
    sequence of (scores, positive) or None
        None for an image in which localisation cannot be measured.

    Examples
    --------
    >>> pixel_samples([], [])
    []
    """
    return [
        (scores_in_lungs(heatmap, case), case.lesion[case.lungs]) if case.localised else None
        for case, heatmap in zip(cases, heatmaps, strict=True)
    ]


def within_images(samples: Samples) -> tuple[Floats, Floats, Floats]:
    """Return AUROC, average precision and the fraction of positives within each image.

    Parameters
    ----------
    samples : sequence of (scores, positive) or None
        One per image.

    Returns
    -------
    auroc, average_precision, prevalence : ndarray of float64, shape (N,)
        NaN for None, and for an image with one class only.

    Examples
    --------
    >>> auroc, _, _ = within_images([(np.array([1.0, 2.0]), np.array([False, True])), None])
    >>> auroc.tolist()
    [1.0, nan]
    """
    found = np.full((3, len(samples)), np.nan)
    for index, sample in enumerate(samples):
        if sample is None or not 0 < sample[1].sum() < sample[1].size:
            continue
        scores, positive = sample
        bins = ranks(scores)
        n_bins = int(bins.max()) + 1
        positives = np.bincount(bins[positive], minlength=n_bins)[None].astype(np.float64)
        negatives = np.bincount(bins[~positive], minlength=n_bins)[None].astype(np.float64)
        found[0, index] = histogram_auroc(positives, negatives)[0]
        found[1, index] = histogram_average_precision(positives, negatives)[0]
        found[2, index] = positive.mean()
    return found[0], found[1], found[2]


def pooled_histograms(samples: Samples) -> tuple[Floats, Floats]:
    """Count positives and negatives per image and score, in `BINS` bins of equal count.

    Parameters
    ----------
    samples : sequence of (scores, positive) or None

    Returns
    -------
    positive, negative : ndarray of float64, shape (N, B)

    Examples
    --------
    >>> positive, _ = pooled_histograms([(np.array([1.0, 2.0]), np.array([False, True]))])
    >>> positive.tolist()
    [[0.0, 1.0]]
    """
    edges = bin_edges(samples)
    positive = np.zeros((len(samples), edges.size + 1))
    negative = np.zeros_like(positive)
    for index, sample in enumerate(samples):
        if sample is not None:
            scores, truth = sample
            bins = np.searchsorted(edges, scores, side="right")
            positive[index] = np.bincount(bins[truth], minlength=edges.size + 1)
            negative[index] = np.bincount(bins[~truth], minlength=edges.size + 1)
    return positive, negative


def bin_edges(samples: Samples) -> Floats:
    """Return the edges between the bins of pooled scores.

    If there are at most `BINS` different scores, each has a bin of its own.

    Parameters
    ----------
    samples : sequence of (scores, positive) or None

    Returns
    -------
    ndarray of float64, shape (B - 1,)
        The bin of a score is the number of edges that are not above it.

    Examples
    --------
    >>> bin_edges([(np.array([1.0, 5.0, 2.0]), np.zeros(3, bool)), None]).tolist()
    [2.0, 5.0]
    """
    pooled = [sample[0] for sample in samples if sample is not None]
    if not pooled:
        return np.empty(0)
    values = np.unique(np.concatenate(pooled))
    if values.size > BINS:
        quantiles = np.linspace(0, 1, BINS + 1)[1:-1]
        return np.unique(np.quantile(np.concatenate(pooled), quantiles))
    return values[1:]


def pro_statistic(cases: Sequence[Case], samples: Samples) -> Statistic:
    """Return the area under the per-region overlap curve (AUPRO) [1]_ as a statistic.

    A region is a connected part of the marked lung pixels; its overlap is the fraction of it
    above a threshold. The mean overlap of all regions is drawn against the fraction of the other
    lung pixels of the same images above the threshold, up to `PRO_LIMIT`. The area is divided by
    `PRO_LIMIT`, so that 1 is perfect.

    Parameters
    ----------
    cases : sequence of Case
    samples : sequence of (scores, positive) or None
        From `pixel_samples`.

    Returns
    -------
    callable
        From weights (R, N).

    References
    ----------
    .. [1] P. Bergmann et al., "The MVTec anomaly detection dataset", International Journal of
       Computer Vision 129, 2021.

    Examples
    --------
    >>> pro_statistic(cases, pixels)(np.ones((1, len(cases))))         # doctest: +SKIP
    """
    edges = bin_edges(samples)
    overlap = np.zeros((len(cases), edges.size + 1))
    negative = np.zeros_like(overlap)
    n_regions = np.zeros(len(cases))
    for index, (case, sample) in enumerate(zip(cases, samples, strict=True)):
        if sample is None:
            continue
        scores, truth = sample
        bins = np.searchsorted(edges, scores, side="right")
        negative[index] = np.bincount(bins[~truth], minlength=edges.size + 1)
        labels = label_regions(case.lesion)[0][case.lungs]
        for region in range(1, int(labels.max()) + 1):
            counts = np.bincount(bins[labels == region], minlength=edges.size + 1)
            overlap[index] += counts / counts.sum()
            n_regions[index] += 1

    def statistic(weights: Floats) -> Floats:
        caught = np.cumsum((weights @ overlap)[:, ::-1], axis=1)
        alarms = np.cumsum((weights @ negative)[:, ::-1], axis=1)
        pro = ratio(caught, np.broadcast_to((weights @ n_regions)[:, None], caught.shape))
        rate = ratio(alarms, np.broadcast_to(alarms[:, -1:], alarms.shape))
        return np.array([_area_up_to(x, y) for x, y in zip(rate, pro, strict=True)])

    return statistic


def _area_up_to(rate: Floats, pro: Floats) -> float:
    if np.isnan(rate).any() or np.isnan(pro).any():
        return float("nan")
    rate, pro = np.r_[0.0, rate], np.r_[0.0, pro]
    inside = rate < PRO_LIMIT
    end = np.interp(PRO_LIMIT, rate, pro)
    x, y = np.r_[rate[inside], PRO_LIMIT], np.r_[pro[inside], end]
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2) / PRO_LIMIT)


def _of_pooled(
    metric: Callable[[Floats, Floats], Floats], positive: Floats, negative: Floats
) -> Statistic:
    return lambda weights: metric(weights @ positive, weights @ negative)


def _fraction(part: Floats, rest: Floats) -> Statistic:
    return lambda weights: ratio(weights @ part, weights @ (part + rest))


def _constant(value: float) -> Statistic:
    return lambda weights: np.full(len(weights), value)
