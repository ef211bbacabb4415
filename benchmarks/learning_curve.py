"""What more normal images would bring: the lesion head learnt from a part of the patients.

    python benchmarks/learning_curve.py --data ../shared/data/cxr --out curve

`benchmarks/detectors/lesion-head-lung.toml`, fitted on an eighth, a quarter, a half and all of the
patients of the training part of split `cxr-half`, judged on the held images by the protocol of
`lungpatch evaluate`. Writes and prints `curve.md`. What is fitted already in `--out` is not fitted
again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from detectors import fitted, unfitted

import lungpatch
from lungpatch._utils.files import atomic_write
from lungpatch.datasets import load_folder, read_patients
from lungpatch.datasets.splits import every_second_patient, load_split
from lungpatch.evaluation.protocol import evaluate
from lungpatch.io import find_images
from lungpatch.segmenters.unet import UNetSegmenter
from lungpatch.thresholders.quantile import QuantileThresholder

DETECTOR = "lesion-head-lung"
PARTS = (8, 4, 2, 1)
FIGURES = ("image auroc", "patch auroc", "pixel auroc", "pointing", "folder test")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the images and tables")
    parser.add_argument("--out", type=Path, required=True, help="folder for all that is made")
    arguments = parser.parse_args()
    data = arguments.data
    patients = read_patients(data / "metadata.csv")
    normal = every_second_patient(find_images(data / "normal"), patients)
    owners = sorted({patients[image.name] for image in normal})
    pipelines = {}
    for part in PARTS:
        kept = set(owners[::part])
        images = [image for image in normal if patients[image.name] in kept]
        pipeline = unfitted(DETECTOR)
        pipeline.thresholder = QuantileThresholder()  # conformal needs more images
        saved = arguments.out / f"images-{len(images)}.lungpatch"
        pipelines[str(len(images))] = fitted(pipeline, saved, images, patients)
    with lungpatch.progress_bar() as progress:
        evaluation = evaluate(
            pipelines,
            load_folder(data, metadata=data / "metadata.csv", boxes=data / "boxes.csv"),
            load_split("cxr-half"),
            segmenter=UNetSegmenter(),
            progress=progress,
        )
    rows = evaluation.table("all")
    lines = [
        f"| normal images | {' | '.join(FIGURES)} |",
        "|---" * (len(FIGURES) + 1) + "|",
        *(f"| {name} | {' | '.join(str(rows[name][f]) for f in FIGURES)} |" for name in pipelines),
    ]
    table = "\n".join(lines) + "\n"
    with atomic_write(arguments.out / "curve.md") as temporary:
        temporary.write_text(table, encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
