"""Pipelines on several sources of truth: one table, the human line, and the spread over sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs
import numpy as np

from lungpatch.datasets import Dataset, Split
from lungpatch.errors import ConfigurationError, InsufficientDataError
from lungpatch.evaluation.bootstrap import (
    Estimate,
    Statistic,
    difference,
    estimate,
    patient_weights,
    weighted_mean,
    weighted_median,
)
from lungpatch.evaluation.cases import Case, of_training_patients, read_cases
from lungpatch.evaluation.localisation import localisation_statistics
from lungpatch.evaluation.operating_points import SHIPPED, with_width
from lungpatch.evaluation.predictions import Predictions, run_pipeline, simple_controls
from lungpatch.evaluation.preparation import warn_of_held_out_images
from lungpatch.evaluation.protocol import N_RESAMPLES
from lungpatch.evaluation.ranking import rank_correlation, score_statistics
from lungpatch.evaluation.shares import (
    energy_share,
    highest_lung,
    overlap,
    point_hit,
    share_above,
)
from lungpatch.evaluation.sources import KnownImage, Part, Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from lungpatch._utils.progress import ProgressCallback
    from lungpatch.containers import FloatImage
    from lungpatch.evaluation.kinds import Role
    from lungpatch.pipeline import Pipeline
    from lungpatch.protocols import Segmenter

LOCALISATION = (
    "pixel AUROC",
    "pooled pixel AUROC",
    "patch AUROC",
    "pooled patch AUROC",
    "pointing game",
    "energy pointing game",
    "share above threshold",
    "median IoU",
)
METRICS = ("image AUROC", "folder test", *LOCALISATION, "rank correlation")
"""All metrics of the rows; each row has those that its truth allows."""
MIN_PATIENTS = 3
"""Minimum number of patients, of each kind that is compared, for an interval."""
SECOND_READERS = "second readers"
"""Name of the human line among the detectors of a row."""
CHANCE = "chance"
"""Name of the values by chance among them."""
NO_SPLIT = (
    "No split was given, so no image was left out. Normal images of the folder that detectors are "
    "fitted to were not used, but to paint lesions into: there is no folder test."
)


@attrs.frozen(eq=False, kw_only=True)
class PartResult:
    """The metrics of all detectors on one part of a source: a row of the table.

    Parameters
    ----------
    source, part : str
    cases : tuple of Case
    predictions : mapping of str to Predictions
        Of these images, by pipeline.
    metrics : mapping of str to mapping of str to Estimate
        By detector and metric: the pipelines, the controls, ``chance``, and ``second readers``
        where there are any.
    differences : mapping of str to Estimate
        By metric, the first pipeline minus the second on the same resamples; empty if there is one.

    Examples
    --------
    >>> print(evaluation.rows[0].metrics["default"]["pixel AUROC"])    # doctest: +SKIP
    0.79 [0.75, 0.83]
    """

    source: str
    part: str
    cases: tuple[Case, ...]
    predictions: Mapping[str, Predictions]
    metrics: Mapping[str, Mapping[str, Estimate]]
    differences: Mapping[str, Estimate]

    @property
    def n_images(self) -> int:
        """Number of images."""
        return len(self.cases)

    @property
    def n_patients(self) -> int:
        """Number of patients."""
        return len({case.patient for case in self.cases})

    @property
    def n_localised(self) -> int:
        """Number of images in which localisation is measured."""
        return sum(case.localised for case in self.cases)

    def n_of(self, role: Role) -> int:
        """Return the number of images in a role.

        Parameters
        ----------
        role : {"positive", "reference", "normal", "neither"}

        Returns
        -------
        int
        """
        return sum(case.role == role for case in self.cases)

    @property
    def images_in_words(self) -> str:
        """How many images metrics rest on, such as ``54 against 27, 72 marked``."""
        words = []
        if self.n_of("positive") and self.n_of("reference"):
            words.append(f"{self.n_of('positive')} against {self.n_of('reference')}")
        if self.n_localised:
            words.append(f"{self.n_localised} marked")
        return ", ".join(words) or str(self.n_images)


@attrs.frozen(kw_only=True)
class Spread:
    """A metric over sources.

    Parameters
    ----------
    lowest, mean, highest : float

    Examples
    --------
    >>> print(Spread(lowest=0.7, mean=0.75, highest=0.8))
    0.75 (0.70 to 0.80)
    """

    lowest: float
    mean: float
    highest: float

    def __str__(self) -> str:
        return f"{self.mean:.2f} ({self.lowest:.2f} to {self.highest:.2f})"


@attrs.frozen(eq=False, kw_only=True)
class SourcesEvaluation:
    """The result of `evaluate_sources`.

    Parameters
    ----------
    rows : tuple of PartResult
    sources : tuple of Source
        Without the images that were left out.
    pipelines : tuple of str
    milliseconds : mapping of str to float
        Median time per image, by pipeline.
    split : Split or None
    n_left_out : int
        Number of images left out because of the training part of the split.
    seed : int
    notes : tuple of str
        What a reader of the table must know, in sentences.

    Examples
    --------
    >>> str(evaluation.spread("default")["pixel AUROC"])               # doctest: +SKIP
    '0.77 (0.76 to 0.79)'
    """

    rows: tuple[PartResult, ...]
    sources: tuple[Source, ...]
    pipelines: tuple[str, ...]
    milliseconds: Mapping[str, float]
    split: Split | None
    n_left_out: int
    seed: int
    notes: tuple[str, ...]

    def row(self, source: str, part: str | None = None) -> PartResult:
        """Return the row of a part of a source, by default of all of it.

        Parameters
        ----------
        source : str
        part : str, optional

        Returns
        -------
        PartResult

        Raises
        ------
        ConfigurationError
            If there is none.

        Examples
        --------
        >>> evaluation.row("second-readers", "effusion").n_images      # doctest: +SKIP
        52
        """
        for each in self.rows:
            if each.source == source and part in (None, each.part):
                return each
        raise ConfigurationError(
            f"no row for {source!r}{'' if part is None else f', {part!r}'}; there are "
            + ", ".join(f"{each.source}: {each.part}" for each in self.rows)
        )

    def spread(self, detector: str) -> dict[str, Spread]:
        """Return the metrics of a detector over the sources that say where opacities are.

        Parameters
        ----------
        detector : str

        Returns
        -------
        dict of str to Spread
            Of metrics that at least two of these sources have.

        Examples
        --------
        >>> evaluation.spread("default")["pointing game"].lowest       # doctest: +SKIP
        0.56
        """
        rows = [self.row(source.name) for source in self.sources if source.of_opacities]
        found = {}
        for metric in METRICS:
            values = [
                row.metrics[detector][metric].value
                for row in rows
                if metric in row.metrics.get(detector, {})
            ]
            values = [value for value in values if not np.isnan(value)]
            if len(values) > 1:
                found[metric] = Spread(
                    lowest=min(values), mean=float(np.mean(values)), highest=max(values)
                )
        return found


def evaluate_sources(
    pipelines: Mapping[str, Pipeline],
    sources: Sequence[Source],
    split: Split | None = None,
    *,
    segmenter: Segmenter,
    seed: int = 0,
    progress: ProgressCallback | None = None,
) -> SourcesEvaluation:
    """Evaluate fitted pipelines on several sources of truth, and controls beside them.

    Each image is detected once per pipeline, whatever number of sources knows it. Intervals are of
    patients drawn with replacement, within each row.

    Parameters
    ----------
    pipelines : mapping of str to Pipeline
        By name; the first two are compared. With none, the controls alone are evaluated.
    sources : sequence of Source
        From `lungpatch.evaluation.sources.load_source`.
    split : Split, optional
        Images of its training part and of their patients are left out. By default no image is,
        and images with the role ``normal``, of a folder that detectors are fitted to, are not used.
    segmenter : Segmenter
        Finds the lungs in which all detectors are evaluated.
    seed : int
        Seed of the resamples.
    progress : callable, optional

    Returns
    -------
    SourcesEvaluation

    Raises
    ------
    InsufficientDataError
        If no image is left of a source.
    ConfigurationError
        As by `lungpatch.evaluation.cases.check_patients`, if there is a split.
    MissingInputError, InvalidImageError
        If an image cannot be read.

    See Also
    --------
    lungpatch.evaluation.sources_report.write_sources_report : writes it as files.
    lungpatch.evaluation.evaluate : one folder of images, with more metrics.

    Examples
    --------
    Severity that goes with the grey level, so that a control finds it:

    >>> from pathlib import Path
    >>> import lungpatch
    >>> images = [KnownImage(path=Path(f"{grey}.png"), patient=str(grey), rating=grey,
    ...                      pixels=np.full((64, 64), grey, np.uint8)) for grey in (20, 90, 200)]
    >>> source = Source(name="made up", about="", parts=(Part(name="all", images=tuple(images)),))
    >>> evaluation = evaluate_sources({}, [source], segmenter=lungpatch.WholeImageSegmenter())
    >>> print(evaluation.row("made up").metrics["mean lung grey"]["rank correlation"])
    1.00 [1.00, 1.00]

    A fitted pipeline on all sources of a folder:

    >>> evaluate_sources({"default": pipeline}, load_sources("data"),
    ...                  segmenter=lungpatch.UNetSegmenter())          # doctest: +SKIP
    """
    for name, pipeline in pipelines.items():
        warn_of_held_out_images(name, pipeline, split)
    kept = [held_out(source, split) for source in sources]
    dataset = images_of(kept)
    position = {known.key: index for index, known in enumerate(_each_once(kept))}
    cases = read_cases(dataset, segmenter, progress=progress)
    predictions = [
        run_pipeline(name, pipeline, dataset, progress=progress)
        for name, pipeline in pipelines.items()
    ]
    controls = simple_controls(cases)
    rows = []
    for source in kept:
        for part in source.parts:
            chosen = [position[known.key] for known in part.images]
            rows.append(
                _part_result(
                    source.name,
                    part,
                    [
                        _case_of(cases[index], known)
                        for index, known in zip(chosen, part.images, strict=True)
                    ],
                    [_select(each, chosen) for each in predictions],
                    [_select(each, chosen) for each in controls],
                    seed=seed,
                )
            )
    notes = [note for source in kept for note in source.notes]
    return SourcesEvaluation(
        rows=tuple(rows),
        sources=tuple(kept),
        pipelines=tuple(pipelines),
        milliseconds={each.name: each.milliseconds for each in predictions},
        split=split,
        n_left_out=len(images_of(sources)) - len(dataset),
        seed=seed,
        notes=(*notes, *([NO_SPLIT] if split is None else [])),
    )


def held_out(source: Source, split: Split | None) -> Source:
    """Return a source without the images that a detector may have been fitted to.

    Parameters
    ----------
    source : Source
    split : Split or None
        None: images with the role ``normal`` are left out.

    Returns
    -------
    Source
        Parts that lose all images are left out, but for the first.

    Raises
    ------
    InsufficientDataError
        If no image is left.
    ConfigurationError
        As by `lungpatch.evaluation.cases.check_patients`.

    Examples
    --------
    >>> from pathlib import Path
    >>> known = [KnownImage(path=Path(name), patient="1", role=role)
    ...          for name, role in (("a.png", "normal"), ("b.png", "positive"))]
    >>> source = Source(name="two", about="", parts=(Part(name="all", images=tuple(known)),))
    >>> [known.role for known in held_out(source, None).parts[0].images]
    ['positive']
    """
    if split is None:
        parts = [part.where(lambda known: known.role != "normal") for part in source.parts]
    else:
        trained = of_training_patients(images_of([source]), split)
        left_out = {
            known.key for known, out in zip(_each_once([source]), trained, strict=True) if out
        }
        parts = [part.where(lambda known: known.key not in left_out) for part in source.parts]
    if not parts[0].images:
        raise InsufficientDataError(
            f"{source.name}: every image may have been used to fit a pipeline; give another "
            "split, or other sources"
        )
    return attrs.evolve(source, parts=tuple(part for part in parts if part.images))


def images_of(sources: Sequence[Source]) -> Dataset:
    """Return all images of sources, each once.

    Parameters
    ----------
    sources : sequence of Source

    Returns
    -------
    Dataset

    Examples
    --------
    >>> images_of([])
    Dataset('sources', 0 images, patients unknown)
    """
    known = _each_once(sources)
    return Dataset(
        name="sources",
        images=[image.path if image.pixels is None else image.pixels for image in known],
        image_ids=[image.image_id for image in known],
        patients=[image.patient for image in known],
        views=[image.view for image in known],
    )


def _each_once(sources: Sequence[Source]) -> list[KnownImage]:
    by_key = {
        image.key: image for source in sources for part in source.parts for image in part.images
    }
    return list(by_key.values())


def _case_of(case: Case, known: KnownImage) -> Case:
    return attrs.evolve(
        case, role=known.role, marked=known.marked, lungs=case.lungs & ~known.ignored
    )


def _select(predictions: Predictions, chosen: Sequence[int]) -> Predictions:
    heatmaps = predictions.heatmaps
    return attrs.evolve(
        predictions,
        scores=predictions.scores[list(chosen)],
        heatmaps=None if heatmaps is None else tuple(heatmaps[index] for index in chosen),
    )


def _part_result(
    source: str,
    part: Part,
    cases: list[Case],
    predictions: list[Predictions],
    controls: list[Predictions],
    *,
    seed: int,
) -> PartResult:
    weights = patient_weights(
        [case.patient for case in cases], N_RESAMPLES, np.random.default_rng(seed)
    )
    measured = _patients_by_metric(cases)
    statistics = {
        each.name: part_statistics(part, cases, each) for each in (*predictions, *controls)
    }
    statistics[CHANCE] = chance_statistics(cases)
    if _has_second_readers(part):
        statistics[SECOND_READERS] = second_reader_statistics(part, cases)
    metrics = {
        name: {
            metric: _estimate(metric, each, weights, measured.get(metric))
            for metric, each in of_one.items()
        }
        for name, of_one in statistics.items()
        if of_one
    }
    differences = {}
    if predictions[1:]:
        first, second = (statistics[each.name] for each in predictions[:2])
        differences = {
            metric: estimate(difference(first[metric], second[metric]), weights)
            for metric in first
            if metric in second
        }
    return PartResult(
        source=source,
        part=part.name,
        cases=tuple(cases),
        predictions={each.name: each for each in predictions},
        metrics=metrics,
        differences=differences,
    )


def _patients_by_metric(cases: Sequence[Case]) -> dict[str, int]:
    """Return how many patients the positive images of a metric, or the marked ones, are of."""

    def number(images: Iterable[Case]) -> int:
        return len({case.patient for case in images})

    compared = [
        number(case for case in cases if case.role == role) for role in ("positive", "reference")
    ]
    localised = number(case for case in cases if case.localised)
    return dict.fromkeys(LOCALISATION, localised) | {"image AUROC": min(compared)}


def _estimate(
    metric: str, statistic: Statistic, weights: NDArray[np.float64], n_patients: int | None
) -> Estimate:
    """Estimate a metric; without an interval if it rests on too few patients, or all agree."""
    found = estimate(statistic, weights)
    if n_patients is None:
        return found
    if metric == "pointing game":
        found = with_width(found, n_patients=n_patients)
    if n_patients < MIN_PATIENTS or found.low == found.high:
        return attrs.evolve(found, low=np.nan, high=np.nan)
    return found


def part_statistics(
    part: Part, cases: Sequence[Case], predictions: Predictions
) -> dict[str, Statistic]:
    """Return the metrics of one detector that the truth of a part allows.

    Parameters
    ----------
    part : Part
        Of N images.
    cases : sequence of Case
        The same images, with what the part knows of them.
    predictions : Predictions
        Of the same images.

    Returns
    -------
    dict of str to callable
        From weights (R, N), by metric.

    Examples
    --------
    >>> list(part_statistics(part, cases, predictions))                # doctest: +SKIP
    ['image AUROC', 'pixel AUROC', ...]
    """
    roles = np.array([case.role for case in cases])
    found: dict[str, Statistic] = {}
    for metric, positive, negative in (
        ("image AUROC", "positive", "reference"),
        ("folder test", "reference", "normal"),
    ):
        if {positive, negative} <= set(roles.tolist()):
            found[metric], _ = score_statistics(
                predictions.scores, roles == positive, roles == negative
            )
    ratings = np.array([known.rating for known in part.images])
    if not np.isnan(ratings).any():
        found["rank correlation"] = rank_correlation(predictions.scores, ratings)
    heatmaps = predictions.heatmaps
    if heatmaps is not None and any(case.localised for case in cases):
        localisation, _ = localisation_statistics(cases, heatmaps)
        found |= {metric: each for metric, each in localisation.items() if metric in METRICS}
        found["energy pointing game"] = weighted_mean(
            np.array([energy_share(*each) for each in zip(heatmaps, cases, strict=True)])
        )
        threshold = _shipped_region_threshold(predictions)
        if threshold is not None:
            found["share above threshold"] = share_above(cases, heatmaps, threshold)
        if _has_second_readers(part):
            found["median IoU"] = weighted_median(_overlaps(part, cases, heatmaps))
    return found


def _has_second_readers(part: Part) -> bool:
    return all(known.second is not None for known in part.images)


def _overlaps(
    part: Part, cases: Sequence[Case], heatmaps: Sequence[FloatImage]
) -> NDArray[np.float64]:
    """Return the IoU of each map, cut to as large an area as the second readers marked."""
    found = np.full(len(cases), np.nan)
    for index, (known, case) in enumerate(zip(part.images, cases, strict=True)):
        if known.second is not None and case.localised:
            n_pixels = int(np.count_nonzero(known.second.marked & case.lungs))
            found[index] = overlap(highest_lung(heatmaps[index], case, n_pixels), case.lesion)
    return found


def _shipped_region_threshold(predictions: Predictions) -> float | None:
    if predictions.outcomes is None:
        return None
    (shipped,) = (point for point in predictions.outcomes.points if point.name == SHIPPED)
    return shipped.region_threshold


def chance_statistics(cases: Sequence[Case]) -> dict[str, Statistic]:
    """Return the values of the metrics by chance, where they are not 0.5 or 0.

    Parameters
    ----------
    cases : sequence of Case
        N images.

    Returns
    -------
    dict of str to callable
        From weights (R, N): the fraction of the lungs that is marked, mean over images or of all
        images together. Empty if localisation cannot be measured.

    Examples
    --------
    >>> chance_statistics([])
    {}
    """
    if not any(case.localised for case in cases):
        return {}
    _, chance = localisation_statistics(cases, [case.pixels for case in cases])
    return {
        "pointing game": chance["pixel AP"],
        "energy pointing game": chance["pixel AP"],
        "share above threshold": chance["pooled pixel AP"],
    }


def second_reader_statistics(part: Part, cases: Sequence[Case]) -> dict[str, Statistic]:
    """Return what the second readers reach against the first, as if they were a detector.

    Parameters
    ----------
    part : Part
        Of N images that both marked.
    cases : sequence of Case
        The same images, with what the first readers marked.

    Returns
    -------
    dict of str to callable
        From weights (R, N): ``pointing game``, with the centre of their largest region as the
        point, and ``median IoU`` of what both marked in the lungs.

    Examples
    --------
    >>> second_reader_statistics(Part(name="none", images=()), []).keys()
    dict_keys(['pointing game', 'median IoU'])
    """
    hits, overlaps = np.full((2, len(cases)), np.nan)
    for index, (known, case) in enumerate(zip(part.images, cases, strict=True)):
        if known.second is not None and case.localised:
            hits[index] = point_hit(known.second.point, case)
            overlaps[index] = overlap(known.second.marked & case.lungs, case.lesion)
    return {"pointing game": weighted_mean(hits), "median IoU": weighted_median(overlaps)}
