"""What the model card of the lung network says of the shipped weights: a few minutes.

    python benchmarks/lung_network.py --data ../shared/data --out lung_network

Overlap with the masks that it was trained on, coverage of opacity boxes on other images, and how
many lungs are plausible. Writes the table `lung_network.inc`; `--publish` also writes the lines of
the model card between `<!-- measured -->` and `<!-- end -->`. Cross-validation is done by
`training/lung_segmenter.py`, which prints its results.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import special
from study import parser_of
from tables import ROOT, markdown_table, write_table

from lungpatch._utils.files import atomic_write
from lungpatch.datasets import Dataset, load_folder
from lungpatch.evaluation.cases import boxes_mask
from lungpatch.io import find_images, read_image, read_mask
from lungpatch.networks.lung_network import load_lung_network, network_input
from lungpatch.segmenters import UNetSegmenter
from lungpatch.segmenters.unet import LUNG_PROBABILITY, lungs_from_logits

if TYPE_CHECKING:
    from pathlib import Path

CARD = ROOT / "src" / "lungpatch" / "weights" / "lung_unet.md"
HALF = 0.5
MIN_COVERAGE = 0.5


def main() -> None:
    arguments = parser_of(__doc__).parse_args()
    data = arguments.data
    adults = load_folder(
        data / "cxr", metadata=data / "cxr" / "metadata.csv", boxes=data / "cxr" / "boxes.csv"
    )
    rows = [
        *training_pairs(data / "lungs"),
        *boxes(adults),
        plausible("adults (NIH)", adults),
        plausible("children (Kermany et al.)", load_folder(data / "kermany")),
    ]
    table = markdown_table(("images", "measure", "value"), rows)
    write_table("lung_network", table, arguments.out, publish=arguments.publish)
    if arguments.publish:
        text = CARD.read_text(encoding="utf-8")
        block = f"<!-- measured -->\n{table}<!-- end -->"
        with atomic_write(CARD) as temporary:
            temporary.write_text(
                re.sub(r"<!-- measured -->.*?<!-- end -->", block, text, flags=re.DOTALL),
                encoding="utf-8",
            )


def training_pairs(folder: Path) -> list[tuple[str, str, str]]:
    """Return the overlap with the masks of the training set, at two thresholds."""
    network = load_lung_network(torch.device("cpu"))
    dice: dict[float, list[float]] = {LUNG_PROBABILITY: [], HALF: []}
    for path in find_images(folder / "image"):
        image = read_image(path)
        mask = read_mask(folder / "mask" / path.name)
        with torch.inference_mode():
            logits = network(network_input(torch.tensor(image.pixels)[None, None]))
        for threshold, found in dice.items():
            # `lungs_from_logits` cuts at LUNG_PROBABILITY.
            shift = special.logit(LUNG_PROBABILITY) - special.logit(threshold)
            lungs = lungs_from_logits(logits + float(shift), image.shape)
            found.append(2 * (lungs & mask).sum() / (lungs.sum() + mask.sum()))
    name = f"{len(dice[HALF])} training pairs"
    return [
        (
            name,
            f"Dice, lung from a probability of {threshold:g}",
            f"mean {np.mean(found):.4f}, lowest {min(found):.4f}",
        )
        for threshold, found in dice.items()
    ]


def boxes(dataset: Dataset) -> list[tuple[str, str, str]]:
    """Return how much of the boxes around opacities lies in the lungs."""
    segmenter = UNetSegmenter(device="cpu")
    coverage: dict[str, list[float]] = {}
    for index in np.flatnonzero([len(labels) > 0 for labels in dataset.box_labels]).tolist():
        image = dataset.read(index)
        lungs = segmenter.segment(image).pixels
        coverage[image.image_id] = [
            float(lungs[boxes_mask(box[None], image.shape)].mean())
            for box in dataset.boxes(index, image.shape)
        ]
    all_boxes = [value for values in coverage.values() for value in values]
    lowest = min(coverage, key=lambda image_id: min(coverage[image_id]))
    low = sum(value < MIN_COVERAGE for value in all_boxes)
    name = f"{len(all_boxes)} opacity boxes on {len(coverage)} adult images"
    return [
        (name, "fraction of a box in the lungs", f"mean {np.mean(all_boxes):.3f}"),
        (name, "lowest", f"{min(all_boxes):.2f} (`{lowest}`); {low} below {MIN_COVERAGE:g}"),
    ]


def plausible(name: str, dataset: Dataset) -> tuple[str, str, str]:
    """Return how many lungs are plausible by `lungpatch.segmenters.plausibility`."""
    segmenter = UNetSegmenter(device="cpu")
    images = [dataset.read(index) for index in range(len(dataset))]
    masks = [segmenter.segment(image) for image in images]
    doubted = [
        image.image_id
        for image, lungs in zip(images, masks, strict=True)
        if lungs.implausible or not lungs.pixels.any()
    ]
    others = f" (not: {', '.join(f'`{image_id}`' for image_id in doubted)})" if doubted else ""
    count = f"{len(images) - len(doubted)} of {len(images)}{others}"
    return f"{len(images)} images of {name}", "plausible lungs", count


if __name__ == "__main__":
    main()
