"""Which normalisation of grey levels makes scores comparable between images and exposures.

    python benchmarks/intensity.py --data ../shared/data/cxr --out intensity

Some detectors of `benchmarks/detectors/`, with each `intensity` of the sampler `lung-crop`, and the
lesion head on local statistics with and without grey levels (the rest is texture). They are fitted
and evaluated as by `benchmarks/detectors.py`. Then the exposure of normal images that were held
out, one per patient, is changed. The second table says how much the image score moves, in standard
deviations of the scores of the unchanged images; 0 is a score that does not depend on the exposure.
Writes the tables `intensity.inc`. A pipeline that is in `--out` already is not fitted again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import numpy as np
from scipy import ndimage
from study import Study, parser_of, unfitted
from tables import markdown_table, write_table

import lungpatch
from lungpatch.evaluation.cases import leave_out_training
from lungpatch.evaluation.kinds import Kinds
from lungpatch.pipeline import Failure, Pipeline
from lungpatch.samplers.lung_crop import INTENSITIES

if TYPE_CHECKING:
    from collections.abc import Callable

    from lungpatch.containers import ChestImage
    from lungpatch.datasets import Dataset
    from lungpatch.evaluation import Evaluation

DETECTORS = ("atlas", "lesion-head-lung")
METRICS = ("pixel AUROC", "pointing game", "folder test")


def blur(pixels: np.ndarray, sigma: float) -> np.ndarray:
    return ndimage.gaussian_filter(pixels, sigma * pixels.shape[0])


EXPOSURES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "gamma 0.7": lambda pixels: pixels**0.7,
    "gamma 1.4": lambda pixels: pixels**1.4,
    "window 0.1 to 0.9": lambda pixels: (pixels - 0.1) / 0.8,
    "sharpened": lambda pixels: 2 * pixels - blur(pixels, 0.01),
    "blurred": lambda pixels: blur(pixels, 0.004),
}
"""Changes of grey levels in [0, 1], clipped to that range; sigma in fractions of the height."""


def main() -> None:
    arguments = parser_of(__doc__).parse_args()
    study = Study.read(arguments.data)
    pipelines = {
        name: study.fitted(pipeline, arguments.out / f"{name}.lungpatch")
        for name, pipeline in contenders().items()
    }
    evaluation = study.evaluate(pipelines)
    held_out, _ = leave_out_training(study.dataset, study.split)
    held_out = held_out.select(Kinds.of(held_out).names == "normal")
    one_per_patient = held_out.select(np.unique(held_out.patients, return_index=True)[1])
    moved = {}
    with lungpatch.progress_bar() as progress:
        for done, (name, pipeline) in enumerate(pipelines.items(), start=1):
            moved[name] = shifts(pipeline, one_per_patient)
            progress("exposures", done, len(pipelines), {})
    tables = (
        accuracy_table(evaluation, pipelines)
        + f"\nMean shift of the score of {len(one_per_patient)} normal images that were held out, "
        "in standard deviations:\n\n" + shift_table(moved)
    )
    write_table("intensity", tables, arguments.out, publish=arguments.publish)


def contenders() -> dict[str, Pipeline]:
    pipelines = {}
    for detector in DETECTORS:
        for intensity in INTENSITIES:
            pipeline = unfitted(detector)
            pipeline.sampler.intensity = pipeline.fit_sampler.intensity = intensity
            pipelines[f"{detector}, {intensity}"] = pipeline
    statistics, texture = unfitted("lesion-head-statistics"), unfitted("lesion-head-statistics")
    texture.model.extractor.statistics = ("deviation", "gradient")
    return pipelines | {
        "lesion-head-statistics, crop": statistics,
        "the same without grey": texture,
    }


def shifts(pipeline: Pipeline, dataset: Dataset) -> dict[str, float]:
    images = [dataset.read(index) for index in range(len(dataset))]
    before = scores(pipeline, images)
    moved = {}
    for name, change in EXPOSURES.items():
        changed = [
            attrs.evolve(image, pixels=np.clip(change(image.pixels), 0, 1).astype(np.float32))
            for image in images
        ]
        shift = np.abs(scores(pipeline, changed) - before)
        moved[name] = float(shift.mean() / before.std())
    return moved


def scores(pipeline: Pipeline, images: list[ChestImage]) -> np.ndarray:
    found = []
    for detection in pipeline.detect_many(images):
        if isinstance(detection, Failure):
            raise detection.error
        found.append(detection.pred_score)
    return np.array(found)


def accuracy_table(evaluation: Evaluation, pipelines: dict[str, Pipeline]) -> str:
    everywhere, frontal = evaluation.table("all"), evaluation.table("PA")
    rows = []
    for name in pipelines:
        row = everywhere[name]
        image = [row["image AUROC"], frontal[name]["image AUROC"]]
        rows.append([name, *image, *(row[metric] for metric in METRICS)])
    head = ("detector, intensity", "image AUROC", "image AUROC, PA", *METRICS)
    return markdown_table(head, rows)


def shift_table(moved: dict[str, dict[str, float]]) -> str:
    rows = [[name, *(f"{shift:.2f}" for shift in row.values())] for name, row in moved.items()]
    return markdown_table(("detector, intensity", *EXPOSURES), rows)


if __name__ == "__main__":
    main()
