"""One pipeline in several threads against the same pipeline in one.

    python benchmarks/threads.py [--data FOLDER] [--images 200] [--threads 8]

Every thread detects in every image, each in an order of its own. Whatever differs by a bit from
the results of one thread is counted. Without a folder phantom images are made.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

import lungpatch
from lungpatch.datasets import phantom_cohort
from lungpatch.io import find_images


def main() -> None:
    parser = argparse.ArgumentParser(description="Stress test of threads.")
    parser.add_argument("--data", type=Path, help="a folder of images; by default phantoms")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--pipeline", action="append", help="by default: default and paper")
    arguments = parser.parse_args()
    images = read_images(arguments.data, arguments.images)
    print(f"{len(images)} images, {arguments.threads} threads, PyTorch {torch.__version__}")
    for name in arguments.pipeline or ("default", "paper"):
        compare(name, images, arguments.threads)


def read_images(folder: Path | None, count: int) -> list[lungpatch.ChestImage]:
    """Return images of a folder, or phantoms."""
    if folder is None:
        return [case.image for case in phantom_cohort(count // 2, count - count // 2, seed=0)]
    paths = find_images(folder)
    return [lungpatch.read_image(path) for path in paths[:count]]


def compare(name: str, images: list[lungpatch.ChestImage], threads: int) -> None:
    """Print how many detections of several threads differ from those of one."""
    alone = lungpatch.load_pipeline(name)
    start = time.perf_counter()
    expected = [arrays(alone.detect(image)) for image in images]
    seconds = time.perf_counter() - start
    # Loaded anew, so that the threads are the first to use whatever is loaded at first use.
    shared = lungpatch.load_pipeline(name)

    def work(number: int) -> int:
        order = np.random.default_rng(number).permutation(len(images))
        return sum(differ(arrays(shared.detect(images[i])), expected[i]) for i in order)

    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        differences = sum(pool.map(work, range(threads)))
    rate = threads * len(images) / (time.perf_counter() - start)
    print(
        f"{name}: {differences} differences in {threads * len(images)} detections; "
        f"{rate:.2f} images per second, {len(images) / seconds:.2f} in one thread",
        flush=True,
    )


def arrays(detection: lungpatch.Detection) -> dict[str, Any]:
    """Return what is compared."""
    decision = detection.decision
    return {
        "status": np.array(detection.status),
        "score": np.array(np.nan if decision is None else decision.pred_score),
        "lungs": detection.lungs.pixels,
        "scores": detection.scores.values,
        "heatmap": detection.anomaly_map.heatmap,
        "boxes": detection.localisation.boxes,
    }


def differ(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether any bit differs."""
    return any(one[name].tobytes() != other[name].tobytes() for name in other)


if __name__ == "__main__":
    main()
