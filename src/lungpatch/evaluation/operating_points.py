"""What a pipeline decides at its shipped thresholds, and at thresholds for other rates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from lungpatch.errors import InsufficientDataError
from lungpatch.evaluation.bootstrap import (
    Estimate,
    Floats,
    Statistic,
    estimate,
    ratio,
    weighted_mean,
    within,
)
from lungpatch.evaluation.cases import GRID_SIZE, Case
from lungpatch.evaluation.froc import holds
from lungpatch.pipeline.localisation import localise
from lungpatch.thresholders import ConformalThresholder

if TYPE_CHECKING:
    from lungpatch.containers import Localisation
    from lungpatch.evaluation.kinds import Kinds
    from lungpatch.pipeline import Detection
    from lungpatch.pipeline.calibration import Calibration

RATES = (0.05, 0.1, 0.2)
"""False-alarm rates at which decisions are counted, beside the shipped thresholds."""
SHIPPED = "as shipped"


@attrs.frozen(kw_only=True)
class OperatingPoint:
    """The two thresholds of a pipeline at one tolerated rate of false alarms.

    Parameters
    ----------
    name : str
        ``"as shipped"``, or the rate.
    threshold, region_threshold : float or None
        For image scores and for regions of the map; None if the rate cannot be asked for.
    reason : str
        Why it cannot.

    Examples
    --------
    >>> OperatingPoint(name="as shipped", threshold=5.0, region_threshold=6.2).reason
    ''
    """

    name: str
    threshold: float | None
    region_threshold: float | None
    reason: str = ""


def operating_points(calibration: Calibration) -> tuple[OperatingPoint, ...]:
    """Return the shipped thresholds of a pipeline, and those for each of `RATES`.

    Parameters
    ----------
    calibration : Calibration

    Returns
    -------
    tuple of OperatingPoint

    Examples
    --------
    >>> [point.name for point in operating_points(pipeline.calibration_)]  # doctest: +SKIP
    ['as shipped', '0.05', '0.1', '0.2']
    """
    points = [
        OperatingPoint(
            name=SHIPPED,
            threshold=calibration.threshold,
            region_threshold=calibration.region_threshold,
        )
    ]
    for rate in RATES:
        try:
            changed = calibration.at_rates(false_alarm_rate=rate, false_box_rate=rate)
        except InsufficientDataError:
            needed = ConformalThresholder(alpha=rate).min_scores
            points.append(
                OperatingPoint(
                    name=f"{rate:g}",
                    threshold=None,
                    region_threshold=None,
                    reason=f"a rate of {rate:g} needs {needed} calibration patients, there are "
                    f"{calibration.n_patients}",
                )
            )
        else:
            points.append(
                OperatingPoint(
                    name=f"{rate:g}",
                    threshold=changed.threshold,
                    region_threshold=changed.region_threshold,
                )
            )
    return tuple(points)


@attrs.frozen(eq=False, kw_only=True)
class Outcomes:
    """What a pipeline decided on N images at each of P operating points.

    Parameters
    ----------
    n_patients : int
        Number of normal patients that the pipeline was calibrated on.
    points : tuple of OperatingPoint
    flagged : ndarray of bool, shape (P, N)
        Whether the image is above the threshold.
    peaks : tuple of tuple of ndarray of int64, shape (K, 2)
        By point and image: where each region that got a box has its maximum, as row and column of
        the evaluation grid.
    n_undecided : int
        Number of images that are out of scope or have no score; they are not flagged.

    Examples
    --------
    >>> run_pipeline("default", pipeline, images).outcomes.flagged.mean(axis=1)  # doctest: +SKIP
    array([0.24, 0.41, 0.52, 0.66])
    """

    n_patients: int
    points: tuple[OperatingPoint, ...]
    flagged: NDArray[np.bool_]
    peaks: tuple[tuple[NDArray[np.int64], ...], ...]
    n_undecided: int

    @property
    def finest_rate(self) -> float:
        """The lowest false-alarm rate that can be asked for."""
        return 1 / (self.n_patients + 1)


def decide(
    found: Detection, points: Sequence[OperatingPoint]
) -> list[tuple[bool, NDArray[np.int64]]]:
    """Return the outcome of one image at each operating point.

    Parameters
    ----------
    found : Detection
        At the shipped thresholds.
    points : sequence of OperatingPoint

    Returns
    -------
    list of (bool, ndarray of int64, shape (K, 2))
        Whether the image is flagged, and the peaks of its boxes on the evaluation grid. Nothing is
        found out of scope, nor at a point without thresholds.

    Examples
    --------
    >>> decide(found, operating_points(pipeline.calibration_))[0][0]   # doctest: +SKIP
    True
    """
    nothing = np.empty((0, 2), dtype=np.int64)
    outcomes = []
    for point in points:
        flagged, peaks = False, nothing
        if point.threshold is not None and found.status != "out_of_scope":
            assert point.region_threshold is not None
            if found.decision is not None:
                flagged = found.decision.pred_score > point.threshold
            peaks = region_peaks(
                found.anomaly_map.heatmap, localise(found.anomaly_map, point.region_threshold)
            )
        outcomes.append((flagged, peaks))
    return outcomes


def region_peaks(heatmap: NDArray[np.floating], found: Localisation) -> NDArray[np.int64]:
    """Return where each region has its maximum, on the evaluation grid.

    Parameters
    ----------
    heatmap : ndarray of float32, shape (H, W)
    found : Localisation
        Regions of this map.

    Returns
    -------
    ndarray of int64, shape (K, 2)
        Row and column.

    Examples
    --------
    >>> from lungpatch.containers import AnomalyMap
    >>> heatmap = np.zeros((128, 128), np.float32)
    >>> heatmap[10:20, 30:40], heatmap[12, 37] = 1.0, 2.0
    >>> region_peaks(heatmap, localise(AnomalyMap(heatmap=heatmap), 0.5)).tolist()
    [[25, 75]]
    """
    peaks = np.empty((len(found.boxes), 2), dtype=np.int64)
    for number, (row0, col0, row1, col1) in enumerate(found.boxes):
        window = np.where(
            found.pred_mask[row0:row1, col0:col1], heatmap[row0:row1, col0:col1], -np.inf
        )
        # A region that lies in the box of another one may be higher.
        first = np.argwhere(window == found.box_scores[number])[0] + (row0, col0)
        peaks[number] = (2 * first + 1) * GRID_SIZE // (2 * np.array(heatmap.shape))
    return peaks


@attrs.frozen(kw_only=True)
class PointResult:
    """What a pipeline finds, and how often it is wrong, at one operating point.

    Parameters
    ----------
    point : OperatingPoint
    flagged : mapping of str to Estimate
        By kind of image, and for all positive kinds together (see
        `lungpatch.evaluation.kinds.Kinds.groups`): fraction of the images that are flagged. Of
        positive images that is the sensitivity, of normal ones the false-alarm rate.
    with_boxes : mapping of str to Estimate
        Likewise: fraction of the images with at least one predicted box.
    lesions_hit : Estimate or None
        Fraction of the true boxes that hold the maximum of a region with a predicted box; None if
        there is no true box.
    false_boxes : mapping of str to Estimate
        By kind of normal image: predicted boxes per image that hit no true box.

    Examples
    --------
    >>> print(evaluation.operating_points()["default"][0].flagged["opacity"])  # doctest: +SKIP
    0.24 [0.13, 0.36]
    """

    point: OperatingPoint
    flagged: Mapping[str, Estimate]
    with_boxes: Mapping[str, Estimate]
    lesions_hit: Estimate | None
    false_boxes: Mapping[str, Estimate]


def point_results(
    outcomes: Outcomes, cases: Sequence[Case], kinds: Kinds, weights: Floats
) -> list[PointResult]:
    """Count the outcomes of a pipeline, by kind of image, with intervals.

    Parameters
    ----------
    outcomes : Outcomes
        Of N images.
    cases : sequence of Case
        The same images.
    kinds : Kinds
        Theirs.
    weights : ndarray of float64, shape (R, N)
        From `lungpatch.evaluation.bootstrap.patient_weights`.

    Returns
    -------
    list of PointResult
        One per operating point. Its mappings are empty where its rate cannot be asked for.

    Examples
    --------
    >>> point_results(outcomes, cases, kinds, weights)[0].lesions_hit  # doctest: +SKIP
    """
    groups = kinds.groups()
    normal = [kind for kind in groups if kinds.roles.get(kind) in ("reference", "normal")]
    patients = np.array([case.patient for case in cases])
    lesions = np.array([len(case.boxes) for case in cases], dtype=np.float64)

    def mean_of(values: Floats, kind: str) -> Estimate:
        return estimate(within(weighted_mean(values), groups[kind]), weights)

    def fractions(chosen: Floats) -> dict[str, Estimate]:
        return {
            kind: with_width(mean_of(chosen, kind), n_patients=len(set(patients[images].tolist())))
            for kind, images in groups.items()
        }

    results = []
    for point, flagged, peaks in zip(
        outcomes.points, outcomes.flagged, outcomes.peaks, strict=True
    ):
        if point.reason:
            results.append(
                PointResult(
                    point=point, flagged={}, with_boxes={}, lesions_hit=None, false_boxes={}
                )
            )
            continue
        inside = [holds(case.boxes, found) for case, found in zip(cases, peaks, strict=True)]
        hits = np.array([hit.any(axis=1).sum() for hit in inside], dtype=np.float64)
        false = np.array([(~hit.any(axis=0)).sum() for hit in inside], dtype=np.float64)
        boxed = np.array([len(found) > 0 for found in peaks], dtype=np.float64)
        lesions_hit = None
        if lesions.any():
            lesions_hit = with_width(
                estimate(_ratio_of(hits, lesions), weights),
                n_patients=len(set(patients[lesions > 0].tolist())),
            )
        results.append(
            PointResult(
                point=point,
                flagged=(
                    {} if kinds.known_by == "boxes" else fractions(flagged.astype(np.float64))
                ),
                with_boxes=fractions(boxed),
                lesions_hit=lesions_hit,
                false_boxes={kind: mean_of(false, kind) for kind in normal},
            )
        )
    return results


def _ratio_of(part: Floats, whole: Floats) -> Statistic:
    return lambda weights: ratio(weights @ part, weights @ whole)


def with_width(found: Estimate, *, n_patients: int) -> Estimate:
    """Give an interval a width where all resamples agree, since none or all were counted.

    If none of n patients is counted, a fraction may still be as high as ``1 - 0.025^(1/n)``
    (Clopper and Pearson's exact interval), and if all are, as low as ``0.025^(1/n)``.

    Parameters
    ----------
    found : Estimate
        Of a fraction.
    n_patients : int
        Number of patients that it rests on.

    Returns
    -------
    Estimate
        As it was, unless its value is 0 or 1 and its interval has no width.

    Examples
    --------
    >>> print(with_width(Estimate(value=0.0, low=0.0, high=0.0), n_patients=27))
    0.00 [0.00, 0.13]
    """
    if found.value not in (0.0, 1.0) or found.low != found.high or math.isnan(found.low):
        return found
    interval = stats.binomtest(round(found.value) * n_patients, n_patients).proportion_ci(0.95)
    return attrs.evolve(found, low=float(interval.low), high=float(interval.high))
