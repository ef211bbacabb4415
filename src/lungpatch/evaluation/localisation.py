"""Whether heat lies where the lesions are: pixels, cells, regions, the hottest point."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lungpatch.evaluation.bootstrap import Floats, Statistic, ratio, weighted_mean
from lungpatch.evaluation.cases import CELL, Case
from lungpatch.evaluation.ranking import (
    histogram_auroc,
    histogram_average_precision,
    ranks,
)
from lungpatch.pipeline.localisation import label_regions

if TYPE_CHECKING:
    from lungpatch.containers import FloatImage

BINS = 2048
"""Quantile bins of pooled scores; AUROC is off by less than one in twice as many."""
PRO_LIMIT = 0.3


def heat_in_lungs(heat: FloatImage, case: Case) -> Floats:
    """Heat of every lung pixel; what was not scored is as low as the lowest of the image.

    A detector gains nothing by leaving difficult pixels out.

    Parameters
    ----------
    heat : ndarray of float32, shape (FRAME, FRAME)
        NaN where nothing was scored.
    case : Case

    Returns
    -------
    ndarray of float64, shape (M,)
        One a pixel of ``case.lungs``; all 0 if none was scored.

    Examples
    --------
    >>> heat_in_lungs(heat, case).shape == (case.lungs.sum(),)         # doctest: +SKIP
    True
    """
    values = heat[case.lungs].astype(np.float64)
    scored = ~np.isnan(values)
    lowest = values[scored].min() if scored.any() else 0.0
    return np.where(scored, values, lowest)


def cells(heat: FloatImage, case: Case) -> tuple[Floats, NDArray[np.bool_]]:
    """Mean heat of the lung cells, and which of them lie in a box.

    The frame is cut into squares of `CELL` pixels. A lung cell is at least half lung; its score is
    the mean heat of its lung pixels; it is positive if its centre lies in a box.

    Parameters
    ----------
    heat : ndarray of float32, shape (FRAME, FRAME)
    case : Case

    Returns
    -------
    scores : ndarray of float64, shape (C,)
    positive : ndarray of bool, shape (C,)

    Examples
    --------
    >>> scores, positive = cells(heat, case)                           # doctest: +SKIP
    """
    filled = np.zeros(case.lungs.shape)
    filled[case.lungs] = heat_in_lungs(heat, case)
    n_lung = _cell_sums(case.lungs)
    chosen = n_lung >= CELL * CELL / 2
    scores = _cell_sums(filled)[chosen] / n_lung[chosen]
    centres = (np.arange(case.lungs.shape[0] // CELL) + 0.5) * CELL
    positive = np.zeros(chosen.shape, dtype=bool)
    for row0, col0, row1, col1 in case.boxes:
        rows = (row0 <= centres) & (centres < row1)
        columns = (col0 <= centres) & (centres < col1)
        positive |= rows[:, None] & columns
    return scores, positive[chosen]


def _cell_sums(values: NDArray[np.generic]) -> Floats:
    rows, columns = (side // CELL for side in values.shape)
    blocks = values.astype(np.float64).reshape(rows, CELL, columns, CELL)
    sums: Floats = blocks.sum(axis=(1, 3))
    return sums


def pointing_hit(heat: FloatImage, case: Case) -> float:
    """Share of the hottest lung pixels that lie in a box: 1 or 0, but for ties.

    Parameters
    ----------
    heat : ndarray of float32, shape (FRAME, FRAME)
    case : Case

    Returns
    -------
    float

    Notes
    -----
    Source: the pointing game of J. Zhang et al., "Top-down neural attention by excitation
    backprop", International Journal of Computer Vision 126, 2018; here within the lungs.

    Examples
    --------
    >>> pointing_hit(heat, case)                                       # doctest: +SKIP
    1.0
    """
    values = heat_in_lungs(heat, case)
    return float(case.lesion[case.lungs][values == values.max()].mean())


def place_statistics(
    cases: Sequence[Case], heats: Sequence[FloatImage]
) -> tuple[dict[str, Statistic], dict[str, Statistic]]:
    """All figures of where the heat lies, and what each would be by chance.

    Images without a box, or with nothing but boxes in the lungs, play no part.

    Parameters
    ----------
    cases : sequence of Case
        N images.
    heats : sequence of ndarray of float32, shape (FRAME, FRAME)
        One an image.

    Returns
    -------
    statistics, chance : dict of str to callable
        From weights (R, N). ``pixel auroc`` and the like are means over images, each image ranked
        within itself; ``pooled`` ones rank all images together.

    Examples
    --------
    >>> statistics, chance = place_statistics(cases, heats)            # doctest: +SKIP
    """
    statistics: dict[str, Statistic] = {}
    chance: dict[str, Statistic] = {}
    pixels = [
        (heat_in_lungs(heat, case), case.lesion[case.lungs]) if case.localised else None
        for case, heat in zip(cases, heats, strict=True)
    ]
    patches = [
        cells(heat, case) if case.localised else None
        for case, heat in zip(cases, heats, strict=True)
    ]
    for name, samples in (("patch", patches), ("pixel", pixels)):
        auroc, precision, prevalence = within_images(samples)
        positive, negative = pooled_histograms(samples)
        statistics |= {
            f"{name} auroc": weighted_mean(auroc),
            f"{name} ap": weighted_mean(precision),
            f"{name} auroc pooled": _of_pooled(histogram_auroc, positive, negative),
            f"{name} ap pooled": _of_pooled(histogram_average_precision, positive, negative),
        }
        chance |= {
            f"{name} auroc": _constant(0.5),
            f"{name} ap": weighted_mean(prevalence),
            f"{name} auroc pooled": _constant(0.5),
            f"{name} ap pooled": _share(positive.sum(axis=1), negative.sum(axis=1)),
        }
    statistics["aupro"] = pro_statistic(cases, pixels)
    chance["aupro"] = _constant(PRO_LIMIT / 2)
    hits = [
        pointing_hit(heat, case) if case.localised else np.nan
        for case, heat in zip(cases, heats, strict=True)
    ]
    statistics["pointing"] = weighted_mean(np.array(hits))
    chance["pointing"] = chance["pixel ap"]
    return statistics, chance


Samples = Sequence[tuple[Floats, NDArray[np.bool_]] | None]


def within_images(samples: Samples) -> tuple[Floats, Floats, Floats]:
    """AUROC, average precision and share of positives of each image by itself.

    Parameters
    ----------
    samples : sequence of (scores, positive) or None
        One an image.

    Returns
    -------
    auroc, average_precision, prevalence : ndarray of float64, shape (N,)
        NaN for an image of one class, or None.

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
        places = ranks(scores)
        n_bins = int(places.max()) + 1
        ill = np.bincount(places[positive], minlength=n_bins)[None].astype(np.float64)
        well = np.bincount(places[~positive], minlength=n_bins)[None].astype(np.float64)
        found[0, index] = histogram_auroc(ill, well)[0]
        found[1, index] = histogram_average_precision(ill, well)[0]
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
            scores, ill = sample
            places = np.searchsorted(edges, scores, side="right")
            positive[index] = np.bincount(places[ill], minlength=edges.size + 1)
            negative[index] = np.bincount(places[~ill], minlength=edges.size + 1)
    return positive, negative


def bin_edges(samples: Samples) -> Floats:
    """Edges between the bins of pooled scores; all of them where there are no more than `BINS`.

    Parameters
    ----------
    samples : sequence of (scores, positive) or None

    Returns
    -------
    ndarray of float64, shape (B - 1,)
        A score lies in the bin whose number is the count of edges not above it.

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
        shares = np.linspace(0, 1, BINS + 1)[1:-1]
        return np.unique(np.quantile(np.concatenate(pooled), shares))
    return values[1:]


def pro_statistic(cases: Sequence[Case], samples: Samples) -> Statistic:
    """Area under the per-region overlap curve up to a false positive rate of `PRO_LIMIT`.

    A region is a connected part of the boxes' union, within the lungs; the overlap is the share of
    it above a threshold, the mean over regions; false positives are lung pixels beside the boxes of
    the same images. The area is divided by `PRO_LIMIT`, so that 1 is perfect.

    Parameters
    ----------
    cases : sequence of Case
    samples : sequence of (scores, positive) or None
        Of the lung pixels.

    Returns
    -------
    callable
        From weights (R, N).

    Notes
    -----
    Source: P. Bergmann et al., "The MVTec anomaly detection dataset", International Journal of
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
        scores, ill = sample
        places = np.searchsorted(edges, scores, side="right")
        negative[index] = np.bincount(places[~ill], minlength=edges.size + 1)
        labels = label_regions(case.lesion)[0][case.lungs]
        for region in range(1, int(labels.max()) + 1):
            counts = np.bincount(places[labels == region], minlength=edges.size + 1)
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
    figure: Callable[[Floats, Floats], Floats], positive: Floats, negative: Floats
) -> Statistic:
    return lambda weights: figure(weights @ positive, weights @ negative)


def _share(part: Floats, rest: Floats) -> Statistic:
    return lambda weights: ratio(weights @ part, weights @ (part + rest))


def _constant(value: float) -> Statistic:
    return lambda weights: np.full(len(weights), value)
