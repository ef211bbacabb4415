"""Which grey levels make scores comparable over images and exposures.

    python benchmarks/intensity.py --data ../shared/data/cxr --out intensity

Some detectors of `benchmarks/detectors/`, with each `intensity` of the sampler `lung-crop`, and the
lesion head on local statistics with and without grey, the rest being texture. Fitted and judged as
by `benchmarks/detectors.py`. Then held normal images, one a patient, are exposed otherwise: by how
much the image score moves, in standard deviations of the scores of the same images as they are, is
the second table; 0 is a score that does not depend on the exposure. Writes `intensity.md`. What is
fitted already in `--out` is not fitted again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import numpy as np
from detectors import fitted, unfitted
from scipy import ndimage

import lungpatch
from lungpatch._utils.files import atomic_write
from lungpatch.datasets import Dataset, load_folder, read_patients
from lungpatch.datasets.splits import every_second_patient, load_split
from lungpatch.evaluation.cases import kinds_of, leave_out_training
from lungpatch.evaluation.protocol import Evaluation, evaluate
from lungpatch.io import find_images
from lungpatch.pipeline import Failure, Pipeline
from lungpatch.samplers.lung_crop import INTENSITIES
from lungpatch.segmenters.unet import UNetSegmenter

if TYPE_CHECKING:
    from collections.abc import Callable

    from lungpatch.containers import ChestImage

DETECTORS = ("atlas", "lesion-head-lung")
FIGURES = ("pixel auroc", "pointing", "folder test")


def blur(pixels: np.ndarray, share: float) -> np.ndarray:
    return ndimage.gaussian_filter(pixels, share * pixels.shape[0])


EXPOSURES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "gamma 0.7": lambda pixels: pixels**0.7,
    "gamma 1.4": lambda pixels: pixels**1.4,
    "window 0.1 to 0.9": lambda pixels: (pixels - 0.1) / 0.8,
    "sharpened": lambda pixels: 2 * pixels - blur(pixels, 0.01),
    "blurred": lambda pixels: blur(pixels, 0.004),
}
"""From grey levels in [0, 1]; what leaves that range is clipped. Blurs are shares of the height."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the images and tables")
    parser.add_argument("--out", type=Path, required=True, help="folder for all that is made")
    arguments = parser.parse_args()
    data = arguments.data
    patients = read_patients(data / "metadata.csv")
    normal = every_second_patient(find_images(data / "normal"), patients)
    pipelines = {
        name: fitted(pipeline, arguments.out / f"{name}.lungpatch", normal, patients)
        for name, pipeline in contenders().items()
    }
    films = load_folder(data, metadata=data / "metadata.csv", boxes=data / "boxes.csv")
    split = load_split("cxr-half")
    held, _ = leave_out_training(films, split)
    held = held.select(kinds_of(held) == "normal")
    one_a_patient = held.select(np.unique(held.patients, return_index=True)[1])
    with lungpatch.progress_bar() as progress:
        evaluation = evaluate(pipelines, films, split, segmenter=UNetSegmenter(), progress=progress)
        moved = {}
        for done, (name, pipeline) in enumerate(pipelines.items(), start=1):
            moved[name] = shifts(pipeline, one_a_patient)
            progress("exposures", done, len(pipelines), {})
    table = (
        accuracy_table(evaluation, pipelines)
        + f"\nMean shift of the score of {len(one_a_patient)} held normal images, in standard "
        "deviations:\n\n" + shift_table(moved)
    )
    with atomic_write(arguments.out / "intensity.md") as temporary:
        temporary.write_text(table, encoding="utf-8")
    print(table)


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


def shifts(pipeline: Pipeline, films: Dataset) -> dict[str, float]:
    images = [films.read(index) for index in range(len(films))]
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
        found.append(detection.decision.pred_score)
    return np.array(found)


def accuracy_table(evaluation: Evaluation, pipelines: dict[str, Pipeline]) -> str:
    everywhere, frontal = evaluation.table("all"), evaluation.table("PA")
    lines = [
        f"| detector, intensity | LO-vs-N | the same, PA only | {' | '.join(FIGURES)} |",
        "|---" * (len(FIGURES) + 3) + "|",
    ]
    for name in pipelines:
        row = everywhere[name]
        cells = [row["image auroc"], frontal[name]["image auroc"], *(row[f] for f in FIGURES)]
        lines.append(f"| {name} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def shift_table(moved: dict[str, dict[str, float]]) -> str:
    lines = [
        f"| detector, intensity | {' | '.join(EXPOSURES)} |",
        "|---" * (len(EXPOSURES) + 1) + "|",
    ]
    for name, row in moved.items():
        lines.append(f"| {name} | {' | '.join(f'{shift:.2f}' for shift in row.values())} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
