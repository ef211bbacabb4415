"""Calibration: scores of normal images that no model was trained on, and what follows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import attrs
import numpy as np
from attrs import validators

from lungpatch.containers import ColourScale, FloatImage
from lungpatch.containers.arrays import check_lengths
from lungpatch.containers.lung_coordinates import LEFT, RIGHT, ZONE_BORDERS, ZONES, LungFrame
from lungpatch.pipeline.localisation import region_score
from lungpatch.thresholders import ConformalThresholder, conformal_p_values
from lungpatch.thresholders.p_values import check_rate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lungpatch._utils.progress import ProgressCallback
    from lungpatch.pipeline.results import ScoredImage
    from lungpatch.pipeline.steps import ImageInput, Steps
    from lungpatch.protocols import Thresholder

SAMPLES_PER_IMAGE = 2000
"""Pixels of each calibration map that the colour scale is taken from."""

LUNG_ZONES = tuple(f"{side} {zone}" for side in ("right", "left") for zone in ZONES)
"""The thirds of each lung, from apex to base."""

Method = Literal["split", "cross", "site"]


def _scores(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _finite(_: Any, attribute: attrs.Attribute[Any], values: tuple[float, ...]) -> None:
    if not np.isfinite(np.asarray(values, np.float64)).all():
        raise ValueError(f"{attribute.name} must be finite numbers")


@attrs.frozen(kw_only=True)
class NormalImage:
    """What calibration keeps of one normal image.

    Parameters
    ----------
    patient : str
    image_score : float
    region_score : float
        The highest level at which its map has a region; see
        `lungpatch.pipeline.localisation.region_score`.
    grey : float
        Mean grey level within the lungs, in [0, 1].
    zone_scores : mapping of str to float
        Mean anomaly score within each of `LUNG_ZONES` that holds scored pixels.
    samples : ndarray of float32, shape (SAMPLES_PER_IMAGE,)
        Anomaly scores of pixels drawn at random.

    Examples
    --------
    >>> score_normal(pipeline, held_out, notify=silent, rng=rng)[0].image_score  # doctest: +SKIP
    1.5
    """

    patient: str
    image_score: float
    region_score: float
    grey: float
    zone_scores: Mapping[str, float]
    samples: FloatImage = attrs.field(repr=False, eq=False)


@attrs.frozen(kw_only=True)
class Calibration:
    """What normal images say that no model was trained on: their scores, and the thresholds.

    Parameters
    ----------
    method : {"split", "cross", "site"}
        Where the scores come from: of images held out of the training; of every image, by a model
        that was trained without it and its fold; or of a site's own images.
    image_scores : tuple of float
        The highest image score of each patient.
    region_scores : tuple of float
        The highest region score of each patient; see
        `lungpatch.pipeline.localisation.region_score`.
    threshold : float
        For the image score; the pipeline's thresholder fitted on ``image_scores``.
    region_threshold : float
        For regions of the anomaly map; the region thresholder fitted on ``region_scores``.
    rule : str
        The thresholder that found ``threshold``.
    colour_scale : ColourScale
        One scale for the maps of all images.
    greys : tuple of float
        Mean grey level within the lungs of each image, in [0, 1].
    zone_scores : mapping of str to tuple of float
        Mean anomaly scores within the zones of the lungs (`LUNG_ZONES`), one per image that has
        the zone.

    Examples
    --------
    >>> from lungpatch.containers import ColourScale
    >>> calibration = Calibration(
    ...     method="split", image_scores=(1.0, 1.5, 2.0), region_scores=(3.0, 4.0, 5.0),
    ...     threshold=2.0, region_threshold=5.0, rule="QuantileThresholder",
    ...     colour_scale=ColourScale(low=1.0, high=7.0), greys=(0.4, 0.5, 0.5), zone_scores={})
    >>> calibration
    Calibration(split, 3 patients, finest rate 0.25, threshold 2, region threshold 5)
    >>> calibration.p_value(1.2)
    0.75
    """

    method: Method = attrs.field(validator=validators.in_(get_args(Method)))
    image_scores: tuple[float, ...] = attrs.field(converter=_scores, validator=_finite)
    region_scores: tuple[float, ...] = attrs.field(converter=_scores, validator=_finite)
    threshold: float = attrs.field(validator=validators.instance_of((float, int)))
    region_threshold: float = attrs.field(validator=validators.instance_of((float, int)))
    rule: str = attrs.field(validator=validators.instance_of(str))
    colour_scale: ColourScale
    greys: tuple[float, ...] = attrs.field(converter=_scores, validator=_finite)
    zone_scores: Mapping[str, tuple[float, ...]] = attrs.field(
        validator=validators.deep_mapping(validators.in_(LUNG_ZONES), _finite)
    )

    def __attrs_post_init__(self) -> None:
        check_lengths(
            "Calibration",
            {"image_scores": len(self.image_scores), "region_scores": len(self.region_scores)},
        )

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Restore what ``attrs.asdict`` made of a calibration, also by way of JSON.

        Parameters
        ----------
        record : mapping

        Returns
        -------
        Calibration

        Raises
        ------
        LookupError, TypeError, ValueError
            If it is not the record of a calibration.
        """
        zones = {zone: _scores(values) for zone, values in record["zone_scores"].items()}
        scale = ColourScale(**record["colour_scale"])
        return cls(**{**record, "zone_scores": zones, "colour_scale": scale})

    @property
    def n_patients(self) -> int:
        """Number of normal patients."""
        return len(self.image_scores)

    @property
    def finest_rate(self) -> float:
        """The lowest false-alarm rate that can be asked for, and the lowest p-value."""
        return 1.0 / (self.n_patients + 1)

    def p_value(self, pred_score: float) -> float:
        """Return how unusual an image score is among those of the normal patients.

        See `lungpatch.thresholders.conformal_p_values`.

        Parameters
        ----------
        pred_score : float

        Returns
        -------
        float
            In [``finest_rate``, 1].
        """
        return float(conformal_p_values([pred_score], self.image_scores)[0])

    def at_rates(
        self, *, false_alarm_rate: float | None = None, false_box_rate: float | None = None
    ) -> Self:
        """Return the same calibration with other thresholds.

        Parameters
        ----------
        false_alarm_rate : float, optional
            Fraction of normal images that may be above the threshold, in (0, 0.5]; as it is by
            default.
        false_box_rate : float, optional
            Fraction of normal images that may have a box, in (0, 0.5]; as it is by default.

        Returns
        -------
        Calibration

        Raises
        ------
        ConfigurationError
            If a rate is outside (0, 0.5].
        InsufficientDataError
            If a rate is finer than the number of patients allows.
        """
        changed: dict[str, Any] = {}
        if false_alarm_rate is not None:
            conformal = _conformal(false_alarm_rate, "false_alarm_rate")
            changed["threshold"] = conformal.fit(self.image_scores).threshold_
            changed["rule"] = type(conformal).__name__
        if false_box_rate is not None:
            conformal = _conformal(false_box_rate, "false_box_rate")
            changed["region_threshold"] = conformal.fit(self.region_scores).threshold_
        return attrs.evolve(self, **changed)

    def __repr__(self) -> str:
        return (
            f"Calibration({self.method}, {self.n_patients} patients, finest rate "
            f"{self.finest_rate:.2g}, threshold {self.threshold:.4g}, region threshold "
            f"{self.region_threshold:.4g})"
        )


def _conformal(rate: float, name: str) -> ConformalThresholder:
    return ConformalThresholder(alpha=check_rate(rate, name))


def fit_thresholds(
    steps: Steps, image_scores: Sequence[float], region_scores: Sequence[float]
) -> tuple[float, float]:
    """Fit the thresholders of a pipeline on calibration scores.

    Parameters
    ----------
    steps : Steps
        Its thresholders are left fitted.
    image_scores, region_scores : sequence of float
        One per patient.

    Returns
    -------
    threshold, region_threshold : float

    Examples
    --------
    >>> import lungpatch
    >>> steps = lungpatch.load_preset("paper")
    >>> steps.thresholder.q = steps.region_thresholder.q = 1.0
    >>> fit_thresholds(steps, [1.0, 2.0], [5.0, 7.0])
    (2.0, 7.0)
    """
    of_images: Thresholder = steps.thresholder.fit(np.array(image_scores))
    of_regions: Thresholder = steps.region_thresholder.fit(np.array(region_scores))
    return of_images.threshold_, of_regions.threshold_


def score_normal(
    steps: Steps,
    images: Sequence[tuple[ImageInput, str]],
    *,
    notify: ProgressCallback,
    rng: np.random.Generator,
) -> list[NormalImage]:
    """Score normal images that the model was not trained on.

    Parameters
    ----------
    steps : Steps
        With a fitted model.
    images : sequence of (image, patient)
        Images that can be scored.
    notify : callable
        Called after each image.
    rng : numpy.random.Generator
        Draws the pixels that the colour scale is taken from.

    Returns
    -------
    list of NormalImage
        In order.

    Examples
    --------
    >>> score_normal(pipeline, held_out, notify=silent, rng=rng)       # doctest: +SKIP
    """
    normals = []
    for count, (image, patient) in enumerate(images, start=1):
        (scored,) = steps.score([steps.prepare(image)])
        normals.append(normal_image(scored, patient, rng=rng))
        notify("calibrate", count, len(images), {})
    return normals


def normal_image(scored: ScoredImage, patient: str, *, rng: np.random.Generator) -> NormalImage:
    """Take from a scored image what calibration keeps.

    Parameters
    ----------
    scored : ScoredImage
        With a score.
    patient : str
    rng : numpy.random.Generator
        Draws the pixels that the colour scale is taken from.

    Returns
    -------
    NormalImage

    Examples
    --------
    >>> normal_image(scored, "p1", rng=rng).image_score                # doctest: +SKIP
    1.5
    """
    assert scored.pred_score is not None
    prepared, heatmap = scored.prepared, scored.anomaly_map.heatmap
    lungs = prepared.lungs.pixels
    return NormalImage(
        patient=patient,
        image_score=scored.pred_score,
        region_score=region_score(scored.anomaly_map),
        grey=float(prepared.resized.pixels[lungs].mean()),
        zone_scores=_zone_scores(heatmap, prepared.lungs.frame),
        samples=rng.choice(heatmap[scored.anomaly_map.scored], SAMPLES_PER_IMAGE),
    )


def summarise(steps: Steps, normals: Sequence[NormalImage], method: Method) -> Calibration:
    """Set thresholds and colour scale from normal images.

    Parameters
    ----------
    steps : Steps
        Its thresholders are left fitted.
    normals : sequence of NormalImage
        At least as many patients as the thresholders need.
    method : {"split", "cross", "site"}

    Returns
    -------
    Calibration

    Raises
    ------
    InsufficientDataError
        If a thresholder needs more patients.

    Examples
    --------
    >>> summarise(pipeline, normals, "split").threshold                # doctest: +SKIP
    1.5
    """
    patients = [normal.patient for normal in normals]
    image_scores = highest_by_patient(patients, [normal.image_score for normal in normals])
    region_scores = highest_by_patient(patients, [normal.region_score for normal in normals])
    threshold, region_threshold = fit_thresholds(steps, image_scores, region_scores)
    samples = np.concatenate([normal.samples for normal in normals])
    return Calibration(
        method=method,
        image_scores=image_scores,
        region_scores=region_scores,
        threshold=threshold,
        region_threshold=region_threshold,
        rule=type(steps.thresholder).__name__,
        colour_scale=ColourScale.from_normal(samples, region_threshold),
        greys=[normal.grey for normal in normals],
        zone_scores={
            zone: tuple(n.zone_scores[zone] for n in normals if zone in n.zone_scores)
            for zone in LUNG_ZONES
        },
    )


def highest_by_patient(patients: Sequence[str], scores: Sequence[float]) -> tuple[float, ...]:
    """Return the highest score of each patient, in the order in which patients come first.

    Several images of a patient are alike, and images are not exchangeable; patients are.

    Parameters
    ----------
    patients : sequence of str, length N
    scores : sequence of float, length N
        Of an image of each of these patients.

    Returns
    -------
    tuple of float

    Examples
    --------
    >>> highest_by_patient(["b", "a", "b"], [1.0, 3.0, 2.0])
    (2.0, 3.0)
    """
    highest: dict[str, float] = {}
    for patient, score in zip(patients, scores, strict=True):
        highest[patient] = max(highest.get(patient, score), score)
    return tuple(highest.values())


def _zone_scores(heatmap: FloatImage, frame: LungFrame) -> dict[str, float]:
    zone_index = np.digitize(frame.coordinates()[0], ZONE_BORDERS)
    means = {}
    for side_index, side in ((RIGHT, "right"), (LEFT, "left")):
        scored = np.isfinite(heatmap) & (frame.side == side_index)
        for index, zone in enumerate(ZONES):
            values = heatmap[scored & (zone_index == index)]
            if values.size:
                means[f"{side} {zone}"] = float(values.mean(dtype=np.float64))
    return means
