"""Milliseconds an image of the lung segmenters, and how much of it the network takes.

python benchmarks/lung_segmentation.py --data ../shared/data/cxr/normal --threads 2
"""

from __future__ import annotations

import argparse
import statistics
import time
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from skimage import io

from lungpatch.containers import ChestImage
from lungpatch.networks.lung_network import NETWORK_SIDE, load_lung_network
from lungpatch.segmenters.threshold import ThresholdSegmenter
from lungpatch.segmenters.unet import UNetSegmenter

if TYPE_CHECKING:
    from collections.abc import Callable

WARM_UP = 10
REPEATS = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of 8-bit grey PNG")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    paths = sorted(arguments.data.glob("*.png"))[:REPEATS]
    images = [
        ChestImage(pixels=io.imread(path).astype(np.float32) / 255.0, image_id=path.stem)
        for path in paths
    ]
    network = load_lung_network(torch.device("cpu"))
    standard = torch.zeros(1, 1, NETWORK_SIDE, NETWORK_SIDE)

    def forward(_: ChestImage) -> None:
        with torch.inference_mode():
            network(standard)

    rows: dict[str, Callable[[ChestImage], object]] = {
        "forward pass alone": forward,
        "unet": UNetSegmenter(device="cpu").segment,
        "unet, flip_average": UNetSegmenter(device="cpu", flip_average=True).segment,
        "threshold": ThresholdSegmenter().segment,
    }
    print(f"median of {REPEATS} images of {images[0].shape}, {arguments.threads} threads")
    medians = median_ms(rows, images)
    for name, milliseconds in medians.items():
        print(f"{name:20s} {milliseconds:6.1f} ms")
    outside = 1.0 - medians["forward pass alone"] / medians["unet"]
    print(f"unet: {outside:.0%} of the time outside the network")


def median_ms(
    rows: dict[str, Callable[[ChestImage], object]], images: list[ChestImage]
) -> dict[str, float]:
    """Take turns on each image, so that whatever else the machine does slows all rows alike."""
    seconds: dict[str, list[float]] = {name: [] for name in rows}
    for image in islice(cycle(images), WARM_UP + REPEATS):
        for name, segment in rows.items():
            started = time.perf_counter()
            segment(image)
            seconds[name].append(time.perf_counter() - started)
    return {name: 1000.0 * statistics.median(taken[WARM_UP:]) for name, taken in seconds.items()}


if __name__ == "__main__":
    main()
