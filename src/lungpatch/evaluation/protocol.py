"""The evaluation protocol: how well pipelines find what readers found, with intervals and controls.

The flow: images and truth -> predictions of detectors and controls -> statistics -> estimates.
"""

from __future__ import annotations

import logging
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
from lungpatch.evaluation.cases import KINDS, Case, leave_out_training, listed_in, read_cases
from lungpatch.evaluation.froc import (
    BoxCounts,
    candidate_thresholds,
    count_boxes,
    froc_statistics,
)
from lungpatch.evaluation.localisation import localisation_statistics
from lungpatch.evaluation.predictions import (
    Predictions,
    atlas_pipeline,
    run_pipeline,
    simple_controls,
)
from lungpatch.evaluation.ranking import score_statistics

if TYPE_CHECKING:
    from lungpatch._utils.progress import ProgressCallback
    from lungpatch.pipeline import Pipeline
    from lungpatch.protocols import Segmenter

logger = logging.getLogger(__name__)

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
        absent if the predictions do not allow it, such as localisation without maps.
    box_counts : BoxCounts or None
        The data of the FROC curve.
    froc_images : ndarray of bool, shape (N,)
        The images of the FROC curve: with boxes, or read as normal.

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
    left_out : mapping of str to int
        Number of images left out because of the training part, by kind.
    split : Split
    results : tuple of DetectorResult
        The pipelines first, then the controls.
    n_pipelines : int
    groups : mapping of str to ndarray of bool, shape (N,)
        ``all``, by view, and by the size of the boxes.
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
    left_out: Mapping[str, int]
    split: Split
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
        return rows | {"chance": chance}

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
        kinds = [case.kind for case in self.cases]
        return {
            "images": len(self.cases),
            "patients": len({case.patient for case in self.cases}),
            **{kind: kinds.count(kind) for kind in KINDS},
            "boxed": sum(len(case.boxes) > 0 for case in self.cases),
            "boxes": sum(len(case.boxes) for case in self.cases),
            "localised": sum(case.localised for case in self.cases),
        }


def evaluate(
    pipelines: Mapping[str, Pipeline],
    dataset: Dataset,
    split: Split,
    *,
    segmenter: Segmenter,
    seed: int = 0,
    progress: ProgressCallback | None = None,
) -> Evaluation:
    """Evaluate fitted pipelines, and controls beside them.

    Images whose file name or patient is in the training part of the split are left out first.

    Parameters
    ----------
    pipelines : mapping of str to Pipeline
        By name; the first two are compared. With none, the controls alone are evaluated.
    dataset : Dataset
        With patients, views, boxes and the column ``rsna_class``; see `kinds_of`.
    split : Split
        The control ``lung atlas`` is fitted to the images of its training part.
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
        If no image is left.
    ConfigurationError
        If a patient is unknown, a file of the split is listed for another patient than there, or a
        column is missing.

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
    remaining, left_out = leave_out_training(dataset, split)
    training = dataset.select(listed_in(dataset, split.training))
    if not len(remaining):
        raise InsufficientDataError(
            f"{dataset.name}: every image is of a patient of the training part of {split.name}; "
            "give images that were held out"
        )
    warn_of_unrelated_split(dataset, split)
    cases = tuple(read_cases(remaining, segmenter, progress=progress))
    predictions = [
        run_pipeline(name, pipeline, remaining, progress=progress)
        for name, pipeline in pipelines.items()
    ]
    if len(training):
        atlas = atlas_pipeline(seed).fit(training, patients=training.patient_by_image)
        predictions.append(run_pipeline("lung atlas", atlas, remaining, progress=progress))
    predictions += simple_controls(cases)
    weights = patient_weights(
        [case.patient for case in cases], N_RESAMPLES, np.random.default_rng(seed)
    )
    return Evaluation(
        dataset=remaining,
        cases=cases,
        left_out=left_out,
        split=split,
        results=tuple(evaluate_predictions(each, cases) for each in predictions),
        n_pipelines=len(pipelines),
        groups=groups_of(cases),
        weights=weights,
        seed=seed,
    )


def warn_of_held_out_images(name: str, pipeline: Pipeline, split: Split) -> None:
    """Log a warning if a pipeline was fitted to more images than the split's training part has.

    Parameters
    ----------
    name : str
    pipeline : Pipeline
    split : Split

    Examples
    --------
    >>> warn_of_held_out_images("default", pipeline, split)             # doctest: +SKIP
    """
    report = pipeline.report_
    n_images = 0 if report is None else sum(report.images.values())
    if n_images > len(split.training):
        logger.warning(
            "%s was fitted to %d images, and the training part of %s has %d: it may have been "
            "fitted to normal images that it is evaluated on, which makes its folder test "
            "worthless",
            name,
            n_images,
            split.name,
            len(split.training),
        )


def warn_of_unrelated_split(dataset: Dataset, split: Split) -> None:
    """Log a warning if a split names no file and no patient of a data set.

    Parameters
    ----------
    dataset : Dataset
    split : Split

    Examples
    --------
    >>> warn_of_unrelated_split(dataset, split)                        # doctest: +SKIP
    """
    patients = split.patients("training") | split.patients("held")
    files = listed_in(dataset, [*split.training, *split.held])
    if not (files.any() or patients & set(dataset.patients.tolist())):
        logger.warning(
            "the split %s names no file and no patient of %s, so nothing was left out: make sure "
            "that no pipeline was fitted to these images",
            split.name,
            dataset.name,
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
    kinds = np.array([case.kind for case in cases])
    auroc, precision = score_statistics(
        predictions.scores, kinds == "opacity", kinds == "read-normal"
    )
    folder, _ = score_statistics(predictions.scores, kinds == "read-normal", kinds == "normal")
    statistics: dict[str, Statistic] = {
        "image AUROC": auroc,
        "image AP": precision,
        "folder test": folder,
    }
    chance: dict[str, Statistic] = {}
    counts = None
    chosen = (kinds == "read-normal") | np.array([len(case.boxes) > 0 for case in cases])
    heatmaps = predictions.heatmaps
    if heatmaps is not None:
        localisation, chance = localisation_statistics(cases, heatmaps)
        pooled = [heatmap for heatmap, wanted in zip(heatmaps, chosen, strict=True) if wanted]
        counts = count_boxes(cases, heatmaps, candidate_thresholds(pooled), images=chosen)
        statistics |= localisation | froc_statistics(counts, chosen)
    return DetectorResult(
        predictions=predictions,
        statistics=statistics,
        chance=chance,
        box_counts=counts,
        froc_images=chosen,
    )


def groups_of(cases: Sequence[Case]) -> dict[str, NDArray[np.bool_]]:
    """Group images by view, and by the fraction of the image that the boxes cover.

    Images that were read as normal are in each of the groups by size: a finding there is false.

    Parameters
    ----------
    cases : sequence of Case

    Returns
    -------
    dict of str to ndarray of bool, shape (N,)

    Examples
    --------
    >>> list(groups_of([]))
    ['all', 'AP', 'PA', 'small boxes', 'medium boxes', 'large boxes']
    """
    views = np.array([case.view for case in cases], dtype=np.str_)
    areas = np.array([case.relative_area for case in cases], dtype=np.float64)
    normal = np.array([case.kind == "read-normal" for case in cases], dtype=bool) & (areas == 0)
    return {
        "all": np.ones(len(cases), dtype=bool),
        "AP": views == "AP",
        "PA": views == "PA",
        "small boxes": normal | ((areas > 0) & (areas < SMALL)),
        "medium boxes": normal | ((areas >= SMALL) & (areas <= LARGE)),
        "large boxes": normal | (areas > LARGE),
    }
