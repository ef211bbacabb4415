"""Milliseconds per image of the lung segmenters, and the part of it that the network takes.

python benchmarks/lung_segmentation.py --data ../shared/data/cxr/normal --threads 2

Writes the table `lung_segmentation.inc`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from tables import markdown_table, write_table

from lungpatch.io import find_images, read_image
from lungpatch.networks.lung_input import NETWORK_SIDE
from lungpatch.networks.lung_network import load_lung_network
from lungpatch.segmenters import ThresholdSegmenter, UNetSegmenter

if TYPE_CHECKING:
    from collections.abc import Callable

    from lungpatch.containers import ChestImage

WARM_UP = 10
REPEATS = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of images")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    parser.add_argument(
        "--publish", action="store_true", help="write the table into the documentation, too"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    images = [read_image(path) for path in find_images(arguments.data)[:REPEATS]]
    network = load_lung_network(torch.device("cpu"))
    standard = torch.zeros(1, 1, NETWORK_SIDE, NETWORK_SIDE)

    def forward(_: ChestImage) -> None:
        with torch.inference_mode():
            network(standard)

    rows: dict[str, Callable[[ChestImage], object]] = {
        "forward pass alone": forward,
        "`unet`": UNetSegmenter(device="cpu").segment,
        "`unet`, `flip_average`": UNetSegmenter(device="cpu", flip_average=True).segment,
        "`threshold`": ThresholdSegmenter().segment,
    }
    medians = median_ms(rows, images)
    table = markdown_table([*medians], [[f"{median:.1f} ms" for median in medians.values()]])
    write_table("lung_segmentation", table, None, publish=arguments.publish)


def median_ms(
    rows: dict[str, Callable[[ChestImage], object]], images: list[ChestImage]
) -> dict[str, float]:
    """Time the rows in turns on each image, so that other load on the machine slows all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in rows}
    for image in islice(cycle(images), WARM_UP + REPEATS):
        for name, segment in rows.items():
            started = time.perf_counter()
            segment(image)
            seconds[name].append(time.perf_counter() - started)
    return {name: 1000.0 * statistics.median(taken[WARM_UP:]) for name, taken in seconds.items()}


if __name__ == "__main__":
    main()
