"""What normal images and painted lesions would choose, and what labels would gain.

    python benchmarks/choice_without_labels.py --data ../shared/data/cxr --out choice

Settings of the members of the preset `default`: ridge and smoothing of the lesion head, and the
weight of a network that was trained on painted lesions beside it. All are fitted to three quarters
of the patients of the training part of split `cxr-half`. Criteria that need no label:

- painted: pixel AUROC and pointing game on lesions that are painted, with a fixed seed, into normal
  images of the other quarter.
- AUCp: image AUROC of all images held out of the pneumonia folder, whatever readers called them,
  against normal images of that quarter. It rewards a detector that recognises the folder.

Beside them are the metrics that use readers' labels and boxes on held-out images, by the protocol
of `lungpatch evaluate`, and the gain of a choice by these very metrics, which is more than a choice
by labels could gain on other images. Writes the table `choice.inc`. A pipeline that is in `--out`
already is not fitted again.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import attrs
import numpy as np
from study import Study, parser_of, unfitted
from tables import markdown_table, write_table

import lungpatch
from lungpatch.evaluation import Case, Predictions, auroc, leave_out_training, read_cases
from lungpatch.evaluation.bootstrap import Statistic, difference, estimate, patient_weights
from lungpatch.evaluation.cases import listed_in, to_evaluation_grid
from lungpatch.evaluation.kinds import Kinds
from lungpatch.evaluation.localisation import localisation_statistics
from lungpatch.evaluation.protocol import N_RESAMPLES
from lungpatch.evaluation.ranking import score_statistics
from lungpatch.io import resize
from lungpatch.synthesis import LesionSynthesiser

if TYPE_CHECKING:
    from pathlib import Path

    from lungpatch.containers import ChestImage
    from lungpatch.datasets import Dataset
    from lungpatch.pipeline import Pipeline, PreparedImage
    from lungpatch.protocols import Segmenter

RIDGES = (0.001, 0.01, 0.1, 0.3, 1.0)
SMOOTHINGS = (0.0, 0.03, 0.05, 0.08)
WEIGHTS = ((1.0, 0.0), (1.0, 0.25), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0))
SHIPPED = ("ridge 0.1, smoothing 0.05", "1 : 1")
"""The preset has two networks of weight 0.5; here they are one."""
PARTS = {"fitting": 0.75, "choosing": 0.25}
PAINTINGS = 3
"""Number of times that lesions are painted into each image."""
UNLABELLED = ("painted pixel AUROC", "painted pointing game", "AUCp")
LABELLED = ("pixel AUROC", "pointing game", "image AUROC")
BATCH_SIZE = 8


@attrs.frozen(kw_only=True)
class Setting:
    """The results of one setting: criteria that need no label, and metrics that need labels."""

    criteria: Mapping[str, float]
    metrics: Mapping[str, Statistic]


def main() -> None:
    arguments = parser_of(__doc__).parse_args()
    study = Study.read(arguments.data)
    images = study.dataset
    training = np.isin(images.patients, sorted(study.split.patients("training")))
    training |= listed_in(images, study.split.training)
    training &= Kinds.of(images).names == "normal"
    parts = images.select(training).split_by_patient(PARTS, seed=0)
    fitting = list(parts["fitting"])
    grids = {
        "lesion head": lesion_heads(study, fitting, arguments.out),
        "lesion head : synthetic-lesion": ensembles(study, fitting, arguments.out),
    }
    held_out, _ = leave_out_training(images, study.split)
    segmenter = lungpatch.UNetSegmenter()
    with lungpatch.progress_bar() as progress:
        cases = read_cases(held_out, segmenter, progress=progress)
        first = next(iter(grids["lesion head"].values()))
        comparison = Comparison(first, held_out, cases, parts["choosing"], segmenter)
        total = sum(map(len, grids.values()))
        tables: list[dict[str, Setting]] = []
        for pipelines in grids.values():
            done = sum(map(len, tables))
            tables.append({})
            for name, pipeline in pipelines.items():
                tables[-1][name] = comparison.of(pipeline)
                progress("settings", done + len(tables[-1]), total, {})
    weights = patient_weights(
        [case.patient for case in cases], N_RESAMPLES, np.random.default_rng(0)
    )
    text = "\n".join(
        f"{settings_table(title, settings, weights)}\n{choice_table(settings, shipped, weights)}"
        for title, settings, shipped in zip(grids, tables, SHIPPED, strict=True)
    )
    write_table("choice", text, arguments.out, publish=arguments.publish)


def lesion_heads(study: Study, fitting: Sequence[Path], out: Path) -> dict[str, Pipeline]:
    pipelines = {}
    for ridge in RIDGES:
        pipeline = unfitted("lesion-head-lung")
        pipeline.model.ridge = ridge
        pipeline = fitted(study, pipeline, out / f"ridge-{ridge:g}.lungpatch", fitting)
        for smoothing in SMOOTHINGS:
            name = f"ridge {ridge:g}, smoothing {smoothing:g}"
            scorer = attrs.evolve(pipeline.scorer, smoothing=smoothing)
            pipelines[name] = attrs.evolve(pipeline, scorer=scorer)
    return pipelines


def ensembles(study: Study, fitting: Sequence[Path], out: Path) -> dict[str, Pipeline]:
    pipeline = unfitted("default")
    pipeline.model.members = pipeline.model.members[:2]
    pipeline = fitted(study, pipeline, out / "ensemble.lungpatch", fitting)
    return {
        f"{first:g} : {second:g}": attrs.evolve(
            pipeline, model=weighted(pipeline.model, (first, second))
        )
        for first, second in WEIGHTS
    }


def fitted(study: Study, pipeline: Pipeline, saved: Path, fitting: Sequence[Path]) -> Pipeline:
    # No threshold is used, so no patients are held out for one.
    pipeline.thresholder = lungpatch.QuantileThresholder()
    pipeline.calibration_fraction = 0.01
    return study.fitted(pipeline, saved, fitting)


def weighted(model: lungpatch.EnsembleModel, weights: Sequence[float]) -> lungpatch.EnsembleModel:
    """Return the same fitted members with other weights, without those of weight 0."""
    kept = [index for index, weight in enumerate(weights) if weight]
    other = lungpatch.EnsembleModel(
        members=[attrs.evolve(model.members[index], weight=weights[index]) for index in kept]
    )
    other.calibration_ = tuple(model.calibration_[index] for index in kept)
    return other


class Comparison:
    """Images with and without truth, prepared once for all settings."""

    def __init__(
        self,
        pipeline: Pipeline,
        held_out: Dataset,
        cases: list[Case],
        choosing: Dataset,
        segmenter: Segmenter,
    ) -> None:
        self.cases, self.pool = cases, held_out.labels == "pneumonia"
        self.held_out = [pipeline.prepare(image) for image in held_out]
        self.normal = [pipeline.prepare(image) for image in choosing]
        painted = paint(choosing, segmenter, side=pipeline.grid_size)
        self.painted = [pipeline.prepare(image) for image, _ in painted]
        self.painted_cases = [case for _, case in painted]

    def of(self, pipeline: Pipeline) -> Setting:
        """Run a fitted pipeline on all images."""
        held_out, normal, painted = (
            predict(pipeline, images) for images in (self.held_out, self.normal, self.painted)
        )
        localisation, _ = localisation_statistics(self.painted_cases, painted.heatmaps)
        all_painted = np.ones((1, len(self.painted_cases)))
        pool = held_out.scores[self.pool]
        criteria = (
            float(localisation["pixel AUROC"](all_painted)[0]),
            float(localisation["pointing game"](all_painted)[0]),
            auroc(np.r_[normal.scores, pool], np.repeat([0, 1], [len(self.normal), len(pool)])),
        )
        metrics, _ = localisation_statistics(self.cases, held_out.heatmaps)
        kinds = np.array([case.kind for case in self.cases])
        metrics["image AUROC"], _ = score_statistics(
            held_out.scores, kinds == "opacity", kinds == "read-normal"
        )
        return Setting(
            criteria=dict(zip(UNLABELLED, criteria, strict=True)),
            metrics={name: metrics[name] for name in LABELLED},
        )


def paint(dataset: Dataset, segmenter: Segmenter, *, side: int) -> list[tuple[ChestImage, Case]]:
    synthesiser = LesionSynthesiser(normal_fraction=0.0)
    rng = np.random.default_rng(0)
    images = [resize(dataset.read(index), side) for index in range(len(dataset))]
    lungs = [segmenter.segment(image).pixels for image in images]
    painted = []
    for _, index in itertools.product(range(PAINTINGS), range(len(dataset))):
        image, mask = images[index], lungs[index]
        lesion = synthesiser.paint(image.pixels, mask, rng, other=images[index - 1].pixels)
        case = Case(
            index=index,
            image_id=image.image_id,
            patient=str(dataset.patients[index]),
            view=str(dataset.views[index]),
            kind="other",
            role="neither",
            pixels=to_evaluation_grid(lesion.pixels),
            lungs=to_evaluation_grid(mask),
            boxes=np.empty((0, 4), np.int64),
            marked=to_evaluation_grid(lesion.alpha >= 0.5),
        )
        painted.append((attrs.evolve(image, pixels=lesion.pixels), case))
    return painted


def predict(pipeline: Pipeline, images: Sequence[PreparedImage]) -> Predictions:
    scored = [
        one
        for start in range(0, len(images), BATCH_SIZE)
        for one in pipeline.score(images[start : start + BATCH_SIZE])
    ]
    return Predictions(
        name="setting",
        scores=np.array([one.pred_score for one in scored], dtype=np.float64),
        heatmaps=tuple(to_evaluation_grid(one.anomaly_map.heatmap) for one in scored),
    )


def settings_table(title: str, settings: dict[str, Setting], weights: np.ndarray) -> str:
    rows = [
        [
            name,
            *(f"{setting.criteria[criterion]:.3f}" for criterion in UNLABELLED),
            *(estimate(setting.metrics[metric], weights) for metric in LABELLED),
        ]
        for name, setting in settings.items()
    ]
    return markdown_table((title, *UNLABELLED, *LABELLED), rows)


def choice_table(settings: dict[str, Setting], shipped: str, weights: np.ndarray) -> str:
    """Return what each criterion chooses, and how much the best setting by each label gains."""
    every_image = np.ones((1, weights.shape[1]))
    labelled = {
        metric: {name: float(s.metrics[metric](every_image)[0]) for name, s in settings.items()}
        for metric in LABELLED
    }
    best = {metric: max(values, key=values.__getitem__) for metric, values in labelled.items()}
    choices = {
        criterion: max(settings, key=lambda name: settings[name].criteria[criterion])
        for criterion in UNLABELLED
    }
    choices |= {f"label: {metric}": name for metric, name in best.items()} | {"shipped": shipped}
    rows = [
        [
            criterion,
            name,
            *(
                estimate(
                    difference(settings[best[m]].metrics[m], settings[name].metrics[m]), weights
                )
                for m in LABELLED
            ),
        ]
        for criterion, name in choices.items()
    ]
    head = ("chosen by", "setting", *(f"gain in {metric} by labels" for metric in LABELLED))
    return markdown_table(head, rows)


if __name__ == "__main__":
    main()
