"""The evaluation protocol: how well pipelines find what readers found, with intervals and controls.

The flow: images and truth -> predictions of detectors and controls -> statistics -> estimates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray

from lungpatch.datasets import Dataset, Split
from lungpatch.errors import InsufficientDataError
from lungpatch.evaluation.bootstrap import (
    Estimate,
    Statistic,
    difference,
    estimate,
    patient_weights,
    within,
)
from lungpatch.evaluation.cases import VIEWS, Case, read_cases
from lungpatch.evaluation.froc import (
    BoxCounts,
    candidate_thresholds,
    count_boxes,
    froc_statistics,
)
from lungpatch.evaluation.kinds import Kinds
from lungpatch.evaluation.localisation import localisation_statistics
from lungpatch.evaluation.operating_points import PointResult, point_results
from lungpatch.evaluation.predictions import (
    Predictions,
    atlas_pipeline,
    run_pipeline,
    simple_controls,
)
from lungpatch.evaluation.preparation import prepare, warn_of_held_out_images
from lungpatch.evaluation.ranking import score_statistics
from lungpatch.evaluation.sections import measurable, reasons_left_out

if TYPE_CHECKING:
    from lungpatch._utils.progress import ProgressCallback
    from lungpatch.pipeline import Pipeline
    from lungpatch.protocols import Segmenter

N_RESAMPLES = 1000
SMALL, LARGE = 0.05, 0.10
"""Fraction of the image that the boxes cover: below the first is small, above the second large."""


@attrs.frozen(eq=False, kw_only=True)
class DetectorResult:
    """The metrics of one detector or control, as functions of resampling weights.

    Parameters
    ----------
    predictions : Predictions
    statistics, chance : mapping of str to callable
        By metric, from weights (R, N); ``chance`` holds the metric's value by chance. A metric is
        absent if the predictions do not allow it, such as localisation without maps, or the
        images, such as localisation without boxes.
    box_counts : BoxCounts or None
        The data of the FROC curve; None if the predictions or the images do not allow it.
    froc_images : ndarray of bool, shape (N,)
        The images of the FROC curve: with boxes, or of the kind that the role ``reference`` has.

    See Also
    --------
    Evaluation.table : the values of these functions, with intervals.

    Examples
    --------
    >>> print(estimate(result.statistics["pointing game"], weights))   # doctest: +SKIP
    0.78 [0.69, 0.87]
    """

    predictions: Predictions
    statistics: Mapping[str, Statistic]
    chance: Mapping[str, Statistic]
    box_counts: BoxCounts | None
    froc_images: NDArray[np.bool_]


@attrs.frozen(eq=False, kw_only=True)
class Evaluation:
    """The result of `evaluate`.

    Parameters
    ----------
    dataset : Dataset
        The images that were evaluated.
    cases : tuple of Case
    kinds : Kinds
        Theirs.
    left_out : mapping of str to int
        Number of images left out because of the training part, by kind.
    split : Split or None
        None: nothing was left out.
    notes : tuple of str
        What was assumed, in sentences: what was taken as normal, and more.
    metrics_left_out : mapping of str to str
        Metrics that these images do not allow, and why.
    results : tuple of DetectorResult
        The pipelines first, then the controls.
    n_pipelines : int
    groups : mapping of str to ndarray of bool, shape (N,)
        ``all``, by view if views are known, and by the size of the boxes if there are any.
    weights : ndarray of float64, shape (R, N)
        How often each resample of patients holds each image.
    seed : int

    Examples
    --------
    >>> print(evaluation.table("all")["default"]["pointing game"])     # doctest: +SKIP
    0.85 [0.75, 0.92]
    """

    dataset: Dataset
    cases: tuple[Case, ...]
    kinds: Kinds
    left_out: Mapping[str, int]
    split: Split | None
    notes: tuple[str, ...]
    metrics_left_out: Mapping[str, str]
    results: tuple[DetectorResult, ...]
    n_pipelines: int
    groups: Mapping[str, NDArray[np.bool_]]
    weights: NDArray[np.float64]
    seed: int

    def table(self, group: str) -> dict[str, dict[str, Estimate]]:
        """Return the metrics of every detector and control in one group of images.

        Parameters
        ----------
        group : str
            A key of ``groups``.

        Returns
        -------
        dict of str to dict of str to Estimate
            By detector and metric. The row ``chance`` holds the values that localisation metrics
            have by chance.

        Examples
        --------
        >>> evaluation.table("AP")["default"]["image AUROC"].low       # doctest: +SKIP
        0.71
        """
        images = self.groups[group]
        rows = {
            result.predictions.name: {
                metric: estimate(within(statistic, images), self.weights)
                for metric, statistic in result.statistics.items()
            }
            for result in self.results
        }
        chance = {
            metric: estimate(within(statistic, images), self.weights)
            for metric, statistic in self.results[0].chance.items()
        }
        return rows | ({"chance": chance} if chance else {})

    def comparison(self, group: str) -> dict[str, Estimate]:
        """Return the metrics of the first pipeline minus those of the second, paired.

        Both are computed on the same resamples.

        Parameters
        ----------
        group : str
            A key of ``groups``.

        Returns
        -------
        dict of str to Estimate
            By metric; empty if there are fewer than two pipelines.

        Examples
        --------
        >>> print(evaluation.comparison("all")["pixel AUROC"])         # doctest: +SKIP
        0.38 [0.31, 0.45]
        """
        if self.n_pipelines < 2:
            return {}
        first, second = (self.results[i].statistics for i in (0, 1))
        images = self.groups[group]
        return {
            metric: estimate(
                within(difference(first[metric], second[metric]), images), self.weights
            )
            for metric in first
        }

    def operating_points(self) -> dict[str, list[PointResult]]:
        """Return what each pipeline decides at its shipped thresholds and at other rates.

        Returns
        -------
        dict of str to list of PointResult
            By pipeline, for all images.

        Examples
        --------
        >>> for result in evaluation.operating_points()["default"]:    # doctest: +SKIP
        ...     print(result.point.name, result.flagged["opacity"])
        """
        tables = {}
        for result in self.results[: self.n_pipelines]:
            predictions = result.predictions
            assert predictions.outcomes is not None
            tables[predictions.name] = point_results(
                predictions.outcomes, self.cases, self.kinds, self.weights
            )
        return tables

    def counts(self) -> dict[str, Any]:
        """Return the numbers of images, patients and boxes, and of images by kind.

        Returns
        -------
        dict

        Examples
        --------
        >>> evaluation.counts()["images"]                              # doctest: +SKIP
        341
        """
        return {
            **self.kinds.counts(),
            "images": len(self.cases),
            "patients": len({case.patient for case in self.cases}),
            "boxed": sum(len(case.boxes) > 0 for case in self.cases),
            "boxes": sum(len(case.boxes) for case in self.cases),
            "localised": sum(case.localised for case in self.cases),
        }


def evaluate(
    pipelines: Mapping[str, Pipeline],
    dataset: Dataset,
    split: Split | None = None,
    *,
    segmenter: Segmenter,
    seed: int = 0,
    progress: ProgressCallback | None = None,
) -> Evaluation:
    """Evaluate fitted pipelines, and controls beside them.

    Images whose file name or patient is in the training part of the split are left out first.
    What the images do not allow is left out, with a reason.

    Parameters
    ----------
    pipelines : mapping of str to Pipeline
        By name; the first two are compared. With none, the controls alone are evaluated.
    dataset : Dataset
        With labels, boxes, or both; better with patients, views and the column ``rsna_class``. What
        is taken as normal: see `lungpatch.evaluation.kinds.Kinds.of`.
    split : Split, optional
        The control ``lung atlas`` is fitted to the images of its training part, if these are
        enough. By default nothing
        is left out; then patients need not be known, and each image counts as one.
    segmenter : Segmenter
        Finds the lungs in which all detectors are evaluated.
    seed : int
        Seed of the resamples.
    progress : callable, optional

    Returns
    -------
    Evaluation

    Raises
    ------
    InsufficientDataError
        If no image is left, or nothing can be measured: none is labelled normal, and none has a
        box.
    MissingInputError
        If a file of the table does not exist.
    ConfigurationError
        If there is a split, and a patient is unknown or a file of the split is listed for another
        patient than there.

    See Also
    --------
    write_report : writes the evaluation as files.

    Examples
    --------
    >>> images = load_folder("images", metadata="m.csv", boxes="b.csv")  # doctest: +SKIP
    >>> evaluation = evaluate(
    ...     {"default": pipeline}, images, load_split("cxr-half"),
    ...     segmenter=lungpatch.UNetSegmenter())                       # doctest: +SKIP
    """
    for name, pipeline in pipelines.items():
        warn_of_held_out_images(name, pipeline, split)
    prepared = prepare(dataset, split)
    remaining = prepared.remaining
    cases = tuple(read_cases(remaining, segmenter, kinds=prepared.kinds, progress=progress))
    predictions = [
        run_pipeline(name, pipeline, remaining, progress=progress)
        for name, pipeline in pipelines.items()
    ]
    notes = list(prepared.notes)
    if len(prepared.training):
        training = prepared.training
        try:
            atlas = atlas_pipeline(seed).fit(training, patients=training.patient_by_image)
        except InsufficientDataError as error:
            notes.append(f"The control `lung atlas` is left out: {error}.")
        else:
            predictions.append(run_pipeline("lung atlas", atlas, remaining, progress=progress))
    predictions += simple_controls(cases)
    weights = patient_weights(
        [case.patient for case in cases], N_RESAMPLES, np.random.default_rng(seed)
    )
    return Evaluation(
        dataset=remaining,
        cases=cases,
        kinds=prepared.kinds,
        left_out=prepared.left_out,
        split=split,
        notes=tuple(notes),
        metrics_left_out=reasons_left_out(cases, prepared.kinds),
        results=tuple(evaluate_predictions(each, cases) for each in predictions),
        n_pipelines=len(pipelines),
        groups=groups_of(cases),
        weights=weights,
        seed=seed,
    )


def evaluate_predictions(predictions: Predictions, cases: Sequence[Case]) -> DetectorResult:
    """Prepare all metrics of one detector or control.

    Parameters
    ----------
    predictions : Predictions
        Of N images.
    cases : sequence of Case
        The same images.

    Returns
    -------
    DetectorResult

    Examples
    --------
    >>> result = evaluate_predictions(predictions, cases)              # doctest: +SKIP
    >>> result.statistics["pointing game"](np.ones((1, len(cases))))   # doctest: +SKIP
    array([0.85])
    """
    roles = np.array([case.role for case in cases])
    auroc, precision = score_statistics(
        predictions.scores, roles == "positive", roles == "reference"
    )
    folder, _ = score_statistics(predictions.scores, roles == "reference", roles == "normal")
    statistics: dict[str, Statistic] = {
        "image AUROC": auroc,
        "image AP": precision,
        "folder test": folder,
    }
    chance: dict[str, Statistic] = {}
    counts = None
    boxed = np.array([len(case.boxes) > 0 for case in cases])
    chosen = (roles == "reference") | boxed
    heatmaps = predictions.heatmaps
    if heatmaps is not None and boxed.any():
        localisation, chance = localisation_statistics(cases, heatmaps)
        pooled = [heatmap for heatmap, wanted in zip(heatmaps, chosen, strict=True) if wanted]
        counts = count_boxes(cases, heatmaps, candidate_thresholds(pooled), images=chosen)
        statistics |= localisation | froc_statistics(counts, chosen)
    possible = measurable(cases)
    return DetectorResult(
        predictions=predictions,
        statistics={name: each for name, each in statistics.items() if name in possible},
        chance={name: each for name, each in chance.items() if name in possible},
        box_counts=counts,
        froc_images=chosen,
    )


def groups_of(cases: Sequence[Case]) -> dict[str, NDArray[np.bool_]]:
    """Group images by view, and by the fraction of the image that the boxes cover.

    Images that were read as normal are in each of the groups by size: a finding there is false.
    Where no view is known, or no image has a box, there are no such groups.

    Parameters
    ----------
    cases : sequence of Case

    Returns
    -------
    dict of str to ndarray of bool, shape (N,)

    Examples
    --------
    >>> list(groups_of([]))
    ['all']
    """
    views = np.array([case.view for case in cases], dtype=np.str_)
    areas = np.array([case.relative_area for case in cases], dtype=np.float64)
    normal = np.array([case.role == "reference" for case in cases], dtype=bool) & (areas == 0)
    groups = {"all": np.ones(len(cases), dtype=bool)}
    if np.isin(views, VIEWS).any():
        groups |= {view: views == view for view in VIEWS}
    if (areas > 0).any():
        groups |= {
            "small boxes": normal | ((areas > 0) & (areas < SMALL)),
            "medium boxes": normal | ((areas >= SMALL) & (areas <= LARGE)),
            "large boxes": normal | (areas > LARGE),
        }
    return groups
