"""Thresholds and colour scale, from scores of normal images held out of training."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from lungpatch.containers import ColourScale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lungpatch._utils.progress import ProgressCallback
    from lungpatch.pipeline.steps import ImageInput, Steps
    from lungpatch.protocols import Thresholder

SAMPLES_PER_IMAGE = 2000
"""Pixels of each calibration map that the colour scale is taken from."""


def _scores(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


@attrs.frozen(kw_only=True)
class Calibration:
    """What normal images held out of training say: their scores, and the thresholds from them.

    Parameters
    ----------
    image_scores : tuple of float
        The highest image score of each patient.
    map_scores : tuple of float
        The maximum of each patient's anomaly maps.
    threshold : float
        For the image score; the pipeline's thresholder fitted on ``image_scores``.
    map_threshold : float
        For the anomaly map; the same, fitted on ``map_scores``.
    rule : str
        The thresholder that found both.
    colour_scale : ColourScale
        One scale for the maps of all images.

    Examples
    --------
    >>> from lungpatch.containers import ColourScale
    >>> Calibration(image_scores=(1.0, 1.5), map_scores=(3.0, 4.0), threshold=1.5,
    ...             map_threshold=4.0, rule="QuantileThresholder",
    ...             colour_scale=ColourScale(low=1.0, high=7.0)).threshold
    1.5
    """

    image_scores: tuple[float, ...] = attrs.field(converter=_scores)
    map_scores: tuple[float, ...] = attrs.field(converter=_scores)
    threshold: float
    map_threshold: float
    rule: str
    colour_scale: ColourScale


def fit_thresholds(
    thresholder: Thresholder, image_scores: Sequence[float], map_scores: Sequence[float]
) -> tuple[float, float]:
    """Fit a thresholder on calibration scores.

    Parameters
    ----------
    thresholder : Thresholder
        Is left fitted on the image scores.
    image_scores, map_scores : sequence of float
        One per patient.

    Returns
    -------
    threshold, map_threshold : float

    Examples
    --------
    >>> from lungpatch.thresholders import QuantileThresholder
    >>> fit_thresholds(QuantileThresholder(q=1.0), [1.0, 2.0], [5.0, 7.0])
    (2.0, 7.0)
    """
    of_images = thresholder.fit(np.array(image_scores))
    of_maps = copy.deepcopy(of_images).fit(np.array(map_scores))
    return of_images.threshold_, of_maps.threshold_


def calibrate(
    steps: Steps,
    held_out: Sequence[tuple[ImageInput, str]],
    *,
    notify: ProgressCallback,
    rng: np.random.Generator,
) -> Calibration:
    """Score normal images that the model was not trained on, and set the thresholds.

    Parameters
    ----------
    steps : Steps
        With a fitted model.
    held_out : sequence of (image, patient)
        Images that can be scored.
    notify : callable
        Called after each image.
    rng : numpy.random.Generator
        Draws the pixels that the colour scale is taken from.

    Returns
    -------
    Calibration

    Examples
    --------
    >>> calibrate(pipeline, held_out, notify=silent, rng=rng).threshold    # doctest: +SKIP
    1.5
    """
    image_scores: dict[str, float] = {}
    map_scores: dict[str, float] = {}
    samples = []
    for count, (image, patient) in enumerate(held_out, start=1):
        (scored,) = steps.score([steps.prepare(image)])
        assert scored.pred_score is not None  # its status was ok when it was first read
        values = scored.anomaly_map.heatmap[scored.anomaly_map.scored]
        image_scores[patient] = max(image_scores.get(patient, -math.inf), scored.pred_score)
        map_scores[patient] = max(map_scores.get(patient, -math.inf), float(values.max()))
        samples.append(rng.choice(values, SAMPLES_PER_IMAGE))
        notify("calibrate", count, len(held_out), {})
    threshold, map_threshold = fit_thresholds(
        steps.thresholder, [*image_scores.values()], [*map_scores.values()]
    )
    return Calibration(
        image_scores=image_scores.values(),
        map_scores=map_scores.values(),
        threshold=threshold,
        map_threshold=map_threshold,
        rule=type(steps.thresholder).__name__,
        colour_scale=ColourScale.from_normal(np.concatenate(samples), map_threshold),
    )
