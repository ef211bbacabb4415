"""What normal images and painted lesions choose, and what labels would have gained.

    python benchmarks/choice_without_labels.py --data ../shared/data/cxr --out choice

Settings of the members of the preset `default`: ridge and smoothing of the lesion head, and the
weight of a network that saw painted lesions beside it. They learn from three quarters of the
patients of the training part of split `cxr-half`. What could choose without a label:

- painted: pixel AUROC and pointing game on lesions painted, by a fixed seed, into normal images of
  the other quarter.
- AUCp: image-level AUROC of all held images of the folder of the ill, whatever readers called them,
  against normal images of that quarter. A detector that sees the folder gains by it.

Beside them the figures that readers' labels and boxes give on held images, by the protocol of
`lungpatch evaluate`, and what a choice by those very figures would have gained: more than a choice
by labels could gain on other images. Writes `choice.md`. What is fitted already in `--out` is not
fitted again.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import numpy as np
from detectors import fitted, unfitted

import lungpatch
from lungpatch._utils.files import atomic_write
from lungpatch.datasets import Dataset, load_folder
from lungpatch.datasets.splits import load_split
from lungpatch.evaluation.bootstrap import (
    Estimate,
    Statistic,
    difference,
    estimate,
    patient_weights,
)
from lungpatch.evaluation.cases import Case, in_frame, kinds_of, leave_out_training, read_cases
from lungpatch.evaluation.localisation import place_statistics
from lungpatch.evaluation.metrics import auroc
from lungpatch.evaluation.outcomes import Outcome
from lungpatch.evaluation.protocol import N_RESAMPLES
from lungpatch.evaluation.ranking import score_statistics
from lungpatch.io import resize
from lungpatch.models.ensemble import EnsembleModel
from lungpatch.segmenters.unet import UNetSegmenter
from lungpatch.synthesis import LesionSynthesiser
from lungpatch.thresholders.quantile import QuantileThresholder

if TYPE_CHECKING:
    from lungpatch.containers import ChestImage
    from lungpatch.pipeline import Pipeline, PreparedImage
    from lungpatch.protocols import Segmenter

RIDGES = (0.001, 0.01, 0.1, 0.3, 1.0)
SMOOTHINGS = (0.0, 0.03, 0.05, 0.08)
WEIGHTS = ((1.0, 0.0), (1.0, 0.25), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0))
SHIPPED = ("ridge 0.1, smoothing 0.05", "1 : 1")
"""The preset has two networks of weight 0.5; here they are one."""
PARTS = {"learning": 0.75, "choosing": 0.25}
PAINTINGS = 3
"""How often lesions are painted into each image."""
UNLABELLED = ("painted pixel auroc", "painted pointing", "AUCp")
LABELLED = ("pixel auroc", "pointing", "image auroc")
BATCH_SIZE = 8


@attrs.frozen(kw_only=True)
class Setting:
    """What is known of one setting: criteria that need no label, and figures that do."""

    criteria: Mapping[str, float]
    figures: Mapping[str, Statistic]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the images and tables")
    parser.add_argument("--out", type=Path, required=True, help="folder for all that is made")
    arguments = parser.parse_args()
    data = arguments.data
    films = load_folder(data, metadata=data / "metadata.csv", boxes=data / "boxes.csv")
    split = load_split("cxr-half")
    training = np.isin(films.patients, sorted(set(split.training.values())))
    parts = films.select(training & (kinds_of(films) == "normal")).split_by_patient(PARTS, seed=0)
    grids = {
        "lesion head": lesion_heads(parts["learning"], arguments.out),
        "lesion head : synthetic-lesion": ensembles(parts["learning"], arguments.out),
    }
    held, _ = leave_out_training(films, split)
    segmenter = UNetSegmenter()
    with lungpatch.progress_bar() as progress:
        cases = read_cases(held, segmenter, progress=progress)
        judgement = Judge(
            next(iter(grids["lesion head"].values())), held, cases, parts["choosing"], segmenter
        )
        total = sum(map(len, grids.values()))
        tables: list[dict[str, Setting]] = []
        for pipelines in grids.values():
            done = sum(map(len, tables))
            tables.append({})
            for name, pipeline in pipelines.items():
                tables[-1][name] = judgement.of(pipeline)
                progress("settings", done + len(tables[-1]), total, {})
    weights = patient_weights(
        [case.patient for case in cases], N_RESAMPLES, np.random.default_rng(0)
    )
    text = "\n".join(
        f"{settings_table(title, settings, weights)}\n{choice_table(settings, shipped, weights)}"
        for title, settings, shipped in zip(grids, tables, SHIPPED, strict=True)
    )
    with atomic_write(arguments.out / "choice.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(text)


def lesion_heads(normal: Dataset, out: Path) -> dict[str, Pipeline]:
    pipelines = {}
    for ridge in RIDGES:
        pipeline = unfitted("lesion-head-lung")
        pipeline.model.ridge = ridge
        pipeline = learnt(pipeline, out / f"ridge-{ridge:g}.lungpatch", normal)
        for smoothing in SMOOTHINGS:
            scorer = attrs.evolve(pipeline.scorer, smoothing=smoothing)
            name = f"ridge {ridge:g}, smoothing {smoothing:g}"
            pipelines[name] = attrs.evolve(pipeline, scorer=scorer)
    return pipelines


def ensembles(normal: Dataset, out: Path) -> dict[str, Pipeline]:
    pipeline = unfitted("default")
    pipeline.model.members = pipeline.model.members[:2]
    pipeline = learnt(pipeline, out / "ensemble.lungpatch", normal)
    return {
        f"{first:g} : {second:g}": attrs.evolve(
            pipeline, model=weighted(pipeline.model, (first, second))
        )
        for first, second in WEIGHTS
    }


def learnt(pipeline: Pipeline, saved: Path, normal: Dataset) -> Pipeline:
    # No threshold is looked at, so no patients are kept for one.
    pipeline.thresholder, pipeline.calibration_fraction = QuantileThresholder(), 0.01
    return fitted(pipeline, saved, list(normal), normal.patient_by_image)


def weighted(model: EnsembleModel, weights: Sequence[float]) -> EnsembleModel:
    """Return the same fitted members with other weights, without those of weight 0."""
    kept = [index for index, weight in enumerate(weights) if weight]
    other = EnsembleModel(
        members=[attrs.evolve(model.members[index], weight=weights[index]) for index in kept]
    )
    other.calibration_ = tuple(model.calibration_[index] for index in kept)
    return other


class Judge:
    """Images with and without truth, their lungs found once for all settings."""

    def __init__(
        self,
        pipeline: Pipeline,
        held: Dataset,
        cases: list[Case],
        choosing: Dataset,
        segmenter: Segmenter,
    ) -> None:
        self.cases, self.pool = cases, held.labels == "pneumonia"
        self.held = [pipeline.prepare(film) for film in held]
        self.normal = [pipeline.prepare(film) for film in choosing]
        painted = paint(choosing, segmenter, side=pipeline.grid_size)
        self.painted = [pipeline.prepare(film) for film, _ in painted]
        self.painted_cases = [case for _, case in painted]

    def of(self, pipeline: Pipeline) -> Setting:
        """Run a fitted pipeline over all images."""
        held, normal, painted = (
            outcome(pipeline, films) for films in (self.held, self.normal, self.painted)
        )
        places, _ = place_statistics(self.painted_cases, painted.heats)
        all_painted = np.ones((1, len(self.painted_cases)))
        pool = held.scores[self.pool]
        criteria = (
            float(places["pixel auroc"](all_painted)[0]),
            float(places["pointing"](all_painted)[0]),
            auroc(np.r_[normal.scores, pool], np.repeat([0, 1], [len(self.normal), len(pool)])),
        )
        figures, _ = place_statistics(self.cases, held.heats)
        kinds = np.array([case.kind for case in self.cases])
        figures["image auroc"], _ = score_statistics(
            held.scores, kinds == "opacity", kinds == "read-normal"
        )
        return Setting(
            criteria=dict(zip(UNLABELLED, criteria, strict=True)),
            figures={name: figures[name] for name in LABELLED},
        )


def paint(films: Dataset, segmenter: Segmenter, *, side: int) -> list[tuple[ChestImage, Case]]:
    synthesiser = LesionSynthesiser(normal_fraction=0.0)
    rng = np.random.default_rng(0)
    images = [resize(films.read(index), side) for index in range(len(films))]
    lungs = [segmenter.segment(image).pixels for image in images]
    painted = []
    for _, index in itertools.product(range(PAINTINGS), range(len(films))):
        image, mask = images[index], lungs[index]
        lesion = synthesiser.paint(image.pixels, mask, rng, other=images[index - 1].pixels)
        film = attrs.evolve(image, pixels=lesion.pixels)
        case = Case(
            index=index,
            image_id=image.image_id,
            patient=str(films.patients[index]),
            view=str(films.views[index]),
            kind="other",
            pixels=in_frame(lesion.pixels),
            lungs=in_frame(mask),
            boxes=np.empty((0, 4), np.int64),
            relative_area=0.0,
            lesion=in_frame((lesion.alpha >= 0.5) & mask),
        )
        painted.append((film, case))
    return painted


def outcome(pipeline: Pipeline, films: Sequence[PreparedImage]) -> Outcome:
    scored = [
        one
        for start in range(0, len(films), BATCH_SIZE)
        for one in pipeline.score(films[start : start + BATCH_SIZE])
    ]
    return Outcome(
        name="setting",
        scores=np.array([one.pred_score for one in scored], dtype=np.float64),
        heats=tuple(in_frame(one.anomaly_map.heatmap) for one in scored),
    )


def settings_table(title: str, settings: dict[str, Setting], weights: np.ndarray) -> str:
    head = (title, *UNLABELLED, *LABELLED)
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, setting in settings.items():
        cells = [f"{setting.criteria[criterion]:.3f}" for criterion in UNLABELLED]
        cells += [str(estimate(setting.figures[figure], weights)) for figure in LABELLED]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def choice_table(settings: dict[str, Setting], shipped: str, weights: np.ndarray) -> str:
    """Say what each criterion chooses, and by how much the best setting by each label is better."""
    every_image = np.ones((1, weights.shape[1]))
    labelled = {
        figure: {name: float(s.figures[figure](every_image)[0]) for name, s in settings.items()}
        for figure in LABELLED
    }
    best = {figure: max(values, key=values.__getitem__) for figure, values in labelled.items()}
    choices = {
        criterion: max(settings, key=lambda name: settings[name].criteria[criterion])
        for criterion in UNLABELLED
    }
    choices |= {f"label: {figure}": name for figure, name in best.items()} | {"shipped": shipped}
    head = ("chosen by", "setting", *(f"gain in {figure} by labels" for figure in LABELLED))
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for criterion, name in choices.items():
        gains: list[Estimate] = [
            estimate(difference(settings[best[f]].figures[f], settings[name].figures[f]), weights)
            for f in LABELLED
        ]
        lines.append(f"| {criterion} | {name} | {' | '.join(map(str, gains))} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
