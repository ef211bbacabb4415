"""Normal against pneumonia on whole images: PneumoniaMNIST, or the folder it was made from.

    python benchmarks/whole_image.py --data ../shared/data/pneumoniamnist_28.npz
    python benchmarks/whole_image.py --data chest_xray/

Detectors are fitted to the normal images of the publisher's training split. `--split validation` is
for experiments; the test split is evaluated once. Lungs are not segmented: at 28 pixels there is
little to find, and published results are of whole images too. Writes a table: AUROC with its
bootstrap 95 % interval over images (patients are not published for PneumoniaMNIST), AP, seconds of
training, milliseconds per image.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score
from tables import markdown_table, write_table

from lungpatch.datasets import Dataset, load_chest_xray, load_pneumoniamnist
from lungpatch.evaluation import auroc, bootstrap_interval
from lungpatch.pipeline import build_pipeline

SIDE, LARGE_SIDE = 64, 128
"""Sides that images are enlarged to; the second for the lung network, which was trained at 256."""


def detectors() -> dict[str, dict[str, Any]]:
    """Return the settings of model and scorer of each detector, by name."""
    excess = {"name": "feature", "difference": "excess", "top_fraction": 0.3, "smoothing": 0.03}
    distance = excess | {"difference": "distance"}
    size = {"patch_size": SIDE}
    lungs = {"extractor": {"name": "lung-encoder"}, "patch_size": LARGE_SIDE}
    return {
        "mean grey (control)": {},
        "PCA, L2": {
            "model": {"name": "pca", "n_components": 30} | size,
            "scorer": {"name": "l2"},
        },
        "autoencoder, SAD": {
            "model": {"name": "autoencoder", "loss": "l1", "epochs": 30} | size,
            "scorer": {"name": "sad"},
        },
        "atlas": {"model": {"name": "atlas"} | size, "scorer": excess},
        "Gaussian of statistics": {"model": {"name": "gaussian"} | size, "scorer": distance},
        "memory bank of statistics": {
            "model": {"name": "memory-bank", "coreset_fraction": 0.05} | size,
            "scorer": distance,
        },
        "lesion head on statistics": {
            "model": {"name": "lesion-head", "passes": 4, "max_patches": 2000} | size,
            "scorer": excess,
        },
        "Gaussian of lung features": {
            "model": {"name": "gaussian"} | lungs,
            "scorer": distance,
        },
        "memory bank of lung features": {
            "model": {"name": "memory-bank", "coreset_fraction": 0.05} | lungs,
            "scorer": distance,
        },
        "lesion head on lung features": {
            "model": {"name": "lesion-head", "passes": 4, "max_patches": 2000} | lungs,
            "scorer": excess,
        },
        "synthetic lesions": {
            "model": {"name": "synthetic-lesion", "epochs": 15, "patience": 15} | size,
            "scorer": excess,
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="NPZ file or chest_xray folder")
    parser.add_argument("--only", nargs="+", choices=detectors(), help="some of the detectors")
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    parser.add_argument(
        "--publish", action="store_true", help="write the table into the documentation, too"
    )
    arguments = parser.parse_args()
    data = load(arguments.data)
    test = data.select(data.splits == arguments.split)
    abnormal = test.labels == "pneumonia"
    normal = data.select((data.splits == "training") & (data.labels == "normal"))
    print(
        f"{len(normal)} normal images to fit to; "
        f"{arguments.split}: {(~abnormal).sum()} normal, {abnormal.sum()} not"
    )
    rows = []
    for name, tables in detectors().items():
        if arguments.only and name not in arguments.only:
            continue
        if not tables:
            scores, trained, took = mean_grey(test), 0.0, 0.0
        else:
            scores, trained, took = run(tables, normal, test)
        low, high = bootstrap_interval(auroc, [scores, abnormal], rng=np.random.default_rng(0))
        rows.append(
            (
                name,
                f"{100 * auroc(scores, abnormal):.1f}",
                f"{100 * low:.1f} to {100 * high:.1f}",
                f"{100 * average_precision_score(abnormal, scores):.1f}",
                f"{trained:.0f}",
                f"{1000 * took / len(test):.1f}",
            )
        )
        print(*rows[-1], sep=", ", flush=True)
    head = ("detector", "AUROC, %", "95 % interval", "AP, %", "training, s", "ms per image")
    write_table("whole_image", markdown_table(head, rows), None, publish=arguments.publish)


def load(path: Path) -> Dataset:
    return load_chest_xray(path) if path.is_dir() else load_pneumoniamnist(path)


def run(tables: dict[str, Any], normal: Dataset, test: Dataset) -> tuple[np.ndarray, float, float]:
    """Return the scores of the test images, seconds of fitting and seconds of detecting."""
    side = tables["model"]["patch_size"]
    whole = {"name": "grid", "patch_size": side, "stride": side, "min_lung_fraction": 0.0}
    pipeline = build_pipeline(
        tables
        | {
            "pipeline": {"grid_size": side, "image_score": "mean", "validation_fraction": 0.1},
            "segmenter": {"name": "whole-image"},
            "fit_sampler": whole,
            "sampler": whole,
            "thresholder": {"name": "quantile"},
        },
        origin=__file__,
    )
    start = time.perf_counter()
    pipeline.fit(normal, patients=normal.patient_by_image)
    fitted = time.perf_counter()
    found = list(pipeline.detect_many(test))
    scores = np.array([detection.pred_score for detection in found])
    return scores, fitted - start, time.perf_counter() - fitted


def mean_grey(test: Dataset) -> np.ndarray:
    return np.array([test.read(index).pixels.mean() for index in range(len(test))])


if __name__ == "__main__":
    main()
