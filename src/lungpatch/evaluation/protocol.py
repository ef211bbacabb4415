"""The measuring stick: how well a pipeline finds what readers found, with intervals and controls.

The flow: images and truth -> outcomes of detectors and controls -> statistics -> estimates.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray

from lungpatch.datasets.dataset import Dataset
from lungpatch.datasets.splits import Split
from lungpatch.errors import InsufficientDataError
from lungpatch.evaluation.bootstrap import (
    Estimate,
    Statistic,
    difference,
    estimate,
    patient_weights,
    within,
)
from lungpatch.evaluation.cases import KINDS, Case, leave_out_training, read_cases
from lungpatch.evaluation.froc import BoxCounts, count_boxes, froc_statistics, heat_thresholds
from lungpatch.evaluation.localisation import place_statistics
from lungpatch.evaluation.outcomes import (
    Outcome,
    atlas_pipeline,
    run_pipeline,
    simple_controls,
    training_images,
)
from lungpatch.evaluation.ranking import score_statistics

if TYPE_CHECKING:
    from lungpatch._utils.progress import ProgressCallback
    from lungpatch.pipeline import Pipeline
    from lungpatch.protocols import Segmenter

logger = logging.getLogger(__name__)

N_RESAMPLES = 1000
SMALL, LARGE = 0.05, 0.10
"""Share of the image that the boxes cover: below is small, above is large."""


@attrs.frozen(eq=False, kw_only=True)
class Judgement:
    """All figures of one detector or control.

    Parameters
    ----------
    outcome : Outcome
    statistics, chance : mapping of str to callable
        From weights (R, N); a figure that the outcome says nothing about is absent.
    counts : BoxCounts or None
        What the FROC curve is drawn from.
    froc_images : ndarray of bool, shape (N,)
        The images it is drawn from: with boxes, or read as normal.

    Examples
    --------
    >>> print(estimate(judgement.statistics["pointing"], weights))     # doctest: +SKIP
    0.78 [0.69, 0.87]
    """

    outcome: Outcome
    statistics: Mapping[str, Statistic]
    chance: Mapping[str, Statistic]
    counts: BoxCounts | None
    froc_images: NDArray[np.bool_]


@attrs.frozen(eq=False, kw_only=True)
class Evaluation:
    """What `evaluate` found.

    Parameters
    ----------
    dataset : Dataset
        The images judged.
    cases : tuple of Case
    left_out : mapping of str to int
        Images of patients of the training part, by kind.
    split : Split
    judgements : tuple of Judgement
        The pipelines first, then the controls.
    n_pipelines : int
    groups : mapping of str to ndarray of bool, shape (N,)
        ``all``, by view, by the boxes' size.
    weights : ndarray of float64, shape (R, N)
        The resamples of patients.
    seed : int

    Examples
    --------
    >>> evaluation.table("all")["default"]["pointing"]                 # doctest: +SKIP
    """

    dataset: Dataset
    cases: tuple[Case, ...]
    left_out: Mapping[str, int]
    split: Split
    judgements: tuple[Judgement, ...]
    n_pipelines: int
    groups: Mapping[str, NDArray[np.bool_]]
    weights: NDArray[np.float64]
    seed: int

    def table(self, group: str) -> dict[str, dict[str, Estimate]]:
        """Figures of every detector and control, in one group of images.

        Parameters
        ----------
        group : str
            Of ``groups``.

        Returns
        -------
        dict of str to dict of str to Estimate
            By name and figure; ``chance`` is what the localisation figures would be by chance.
        """
        films = self.groups[group]
        rows = {
            judgement.outcome.name: {
                figure: estimate(within(statistic, films), self.weights)
                for figure, statistic in judgement.statistics.items()
            }
            for judgement in self.judgements
        }
        chance = {
            figure: estimate(within(statistic, films), self.weights)
            for figure, statistic in self.judgements[0].chance.items()
        }
        return rows | {"chance": chance}

    def comparison(self, group: str) -> dict[str, Estimate]:
        """First pipeline minus second, on the same resamples.

        Parameters
        ----------
        group : str

        Returns
        -------
        dict of str to Estimate
            By figure; empty if there is one pipeline only.
        """
        if self.n_pipelines < 2:
            return {}
        first, second = (self.judgements[i].statistics for i in (0, 1))
        films = self.groups[group]
        return {
            figure: estimate(within(difference(first[figure], second[figure]), films), self.weights)
            for figure in first
        }

    def counts(self) -> dict[str, Any]:
        """Images and patients judged, by kind, and how many have boxes.

        Returns
        -------
        dict
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
    """Judge fitted pipelines, and controls beside them.

    Parameters
    ----------
    pipelines : mapping of str to Pipeline
        By name; the first two are compared.
    dataset : Dataset
        With patients, views, boxes and the column ``rsna_class``; see `kinds_of`.
    split : Split
        Patients of its training part are left out, and their normal images make the atlas.
    segmenter : Segmenter
        Finds the lungs that all are judged in.
    seed : int
        Of the resamples.
    progress : callable, optional

    Returns
    -------
    Evaluation

    Raises
    ------
    InsufficientDataError
        If no image is left.
    ConfigurationError
        If a patient is unknown or a column is missing.

    Examples
    --------
    >>> evaluation = evaluate({"default": pipeline}, images, split, segmenter=unet)  # doctest: +SKIP
    """
    for name, pipeline in pipelines.items():
        warn_of_held_images(name, pipeline, split)
    learnt = training_images(dataset, split.training)
    patients = dataset.patient_by_image
    dataset, left_out = leave_out_training(dataset, split)
    if not len(dataset):
        raise InsufficientDataError(
            f"{dataset.name}: every image is of a patient of the training part of {split.name}; "
            "give the images that were held"
        )
    cases = tuple(read_cases(dataset, segmenter, progress=progress))
    outcomes = [
        run_pipeline(name, pipeline, dataset, progress=progress)
        for name, pipeline in pipelines.items()
    ]
    if learnt:
        atlas = atlas_pipeline(seed).fit(learnt, patients=patients)
        outcomes.append(run_pipeline("lung atlas", atlas, dataset, progress=progress))
    outcomes += simple_controls(cases)
    weights = patient_weights(
        [case.patient for case in cases], N_RESAMPLES, np.random.default_rng(seed)
    )
    return Evaluation(
        dataset=dataset,
        cases=cases,
        left_out=left_out,
        split=split,
        judgements=tuple(judge(outcome, cases) for outcome in outcomes),
        n_pipelines=len(pipelines),
        groups=groups_of(cases),
        weights=weights,
        seed=seed,
    )


def warn_of_held_images(name: str, pipeline: Pipeline, split: Split) -> None:
    """Log a warning if a pipeline learnt from more images than the split's training part has.

    Parameters
    ----------
    name : str
    pipeline : Pipeline
    split : Split

    Examples
    --------
    >>> warn_of_held_images("default", pipeline, split)                 # doctest: +SKIP
    """
    report = pipeline.report_
    films = 0 if report is None else sum(report.images.values())
    if films > len(split.training):
        logger.warning(
            "%s learnt from %d images, and the training part of %s has %d: normal images that are "
            "judged may be among them, which makes its folder test worthless",
            name,
            films,
            split.name,
            len(split.training),
        )


def judge(outcome: Outcome, cases: Sequence[Case]) -> Judgement:
    """Compute all that the figures of one outcome need.

    Parameters
    ----------
    outcome : Outcome
    cases : sequence of Case

    Returns
    -------
    Judgement

    Examples
    --------
    >>> judge(outcome, cases).statistics["pointing"]                   # doctest: +SKIP
    """
    kinds = np.array([case.kind for case in cases])
    auroc, precision = score_statistics(outcome.scores, kinds == "opacity", kinds == "read-normal")
    folder, _ = score_statistics(outcome.scores, kinds == "read-normal", kinds == "normal")
    statistics: dict[str, Statistic] = {
        "image auroc": auroc,
        "image ap": precision,
        "folder test": folder,
    }
    chance: dict[str, Statistic] = {}
    counts = None
    films = (kinds == "read-normal") | np.array([len(case.boxes) > 0 for case in cases])
    if outcome.heats is not None:
        placed, chance = place_statistics(cases, outcome.heats)
        judged = [heat for heat, wanted in zip(outcome.heats, films, strict=True) if wanted]
        counts = count_boxes(cases, outcome.heats, heat_thresholds(judged), films=films)
        statistics |= placed | froc_statistics(counts, films)
    return Judgement(
        outcome=outcome, statistics=statistics, chance=chance, counts=counts, froc_images=films
    )


def groups_of(cases: Sequence[Case]) -> dict[str, NDArray[np.bool_]]:
    """Images by view, and by how much of the image the boxes cover.

    The images read as normal are in each of the groups by size: what is found there is false.

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
