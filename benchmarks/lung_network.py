"""What the model card of the lung network says of the shipped weights: a few minutes.

    python benchmarks/lung_network.py --data ../shared/data --out lung_network

Overlap with the masks that it was trained on, coverage of the opacities that readers marked on
other images, and how many lungs are plausible. Writes the table `lung_network.inc`; `--publish`
also writes the lines of the model card between `<!-- measured -->` and `<!-- end -->`.
Cross-validation is done by `training/lung_segmenter.py`, which prints its results.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import numpy as np
import torch
from scipy import special
from study import parser_of
from tables import ROOT, markdown_table, write_table

from lungpatch._utils.files import atomic_write
from lungpatch.containers import BoolImage
from lungpatch.containers.grids import to_native_grid
from lungpatch.datasets import Dataset, load_folder
from lungpatch.evaluation.cases import boxes_mask
from lungpatch.evaluation.sources import polygon_mask
from lungpatch.io import find_images, read_image, read_mask
from lungpatch.networks.lung_network import load_lung_network, network_input
from lungpatch.segmenters import UNetSegmenter
from lungpatch.segmenters.lung_logits import LUNG_PROBABILITY, lungs_from_logits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CARD = ROOT / "src" / "lungpatch" / "weights" / "lung_unet.md"
HALF = 0.5
MIN_COVERAGE = 0.5
WORST = 4
GRID = (512, 512)
"""Rows and columns on which regions and lungs are compared."""


def main() -> None:
    arguments = parser_of(__doc__).parse_args()
    data = arguments.data
    adults = load_folder(
        data / "cxr", metadata=data / "cxr" / "metadata.csv", boxes=data / "cxr" / "boxes.csv"
    )
    rows = [
        *training_pairs(data / "lungs"),
        *coverage(read_regions(data)),
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
            logits = network(network_input(torch.tensor(image.pixels)[None, None]))[0, 0].numpy()
        for threshold, found in dice.items():
            # `lungs_from_logits` cuts at LUNG_PROBABILITY.
            shift = special.logit(LUNG_PROBABILITY) - special.logit(threshold)
            lungs = lungs_from_logits(logits + np.float32(shift), image.shape)
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


@attrs.frozen(eq=False)
class Region:
    """A region that a reader marked on an image.

    Parameters
    ----------
    path : pathlib.Path
        The image.
    pixels : ndarray of bool, shape (H, W)
    """

    path: Path
    pixels: BoolImage


def read_regions(data: Path) -> dict[str, list[Region]]:
    """Return the regions of each source: boxes and outlines of opacities on adult images."""
    boxes, second = (
        load_folder(
            data / "cxr", metadata=data / "cxr" / "metadata.csv", boxes=data / "cxr" / table
        )
        for table in ("boxes.csv", "chestxdet_boxes.csv")
    )
    path_of = {path.name: path for path in boxes.images}
    outlines = json.loads((data / "cxr" / "chestxdet_polygons.json").read_text(encoding="utf-8"))
    return {
        "opacity boxes (RSNA, NIH)": list(boxes_of(boxes)),
        "boxes of consolidation (ChestX-Det)": list(boxes_of(second, "Consolidation")),
        "outlines of consolidation (ChestX-Det)": [
            Region(path_of[name], polygon_mask(outline["polygon"], GRID))
            for name, found in outlines.items()
            for outline in found
            if outline["label"] == "Consolidation"
        ],
    }


def boxes_of(dataset: Dataset, label: str | None = None) -> Iterator[Region]:
    """Yield the boxes of a data set, or those with a label."""
    for index, path in enumerate(dataset.images):
        boxes = dataset.boxes(index, GRID)
        for box, name in zip(boxes, dataset.box_labels[index], strict=True):
            if label in (None, name):
                yield Region(path, boxes_mask(box[None], GRID))


def coverage(regions: dict[str, list[Region]]) -> list[tuple[str, str, str]]:
    """Return how much of the regions of each source lies in the lungs, and the worst."""
    segmenter = UNetSegmenter(device="cpu")

    @cache
    def lungs_of(path: Path) -> BoolImage:
        return to_native_grid(segmenter.segment(read_image(path)).pixels, GRID)

    rows = []
    for source, marked in regions.items():
        covered = [float(lungs_of(region.path)[region.pixels].mean()) for region in marked]
        images = len({region.path for region in marked})
        name = f"{len(marked)} {source} on {images} images"
        rows += [(name, "fraction in the lungs", f"mean {np.mean(covered):.3f}")]
        rows += [(name, f"below {MIN_COVERAGE:g}; lowest", worst(covered, marked))]
    return rows


def worst(covered: Sequence[float], regions: Sequence[Region]) -> str:
    """Say how many regions are mostly outside the lungs, and which are the worst."""
    low = sum(value < MIN_COVERAGE for value in covered)
    lowest = [f"{covered[i]:.2f} (`{regions[i].path.stem}`)" for i in np.argsort(covered)[:WORST]]
    return f"{low}; {', '.join(lowest)}"


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
