"""Cut patches out of a radiograph: lungpatch against scikit-image and scikit-learn.

    python benchmarks/patch_extraction.py

Needs scikit-learn beside lungpatch (`pip install scikit-learn`).

All cut 32x32 patches out of one 256x256 float32 image, and copy them. What differs:

- lungpatch also cuts the patches of the lung mask, checks their fraction of lung, keeps the
  corners, and adds the row and column flush with the border;
- scikit-image's `view_as_windows` has regular steps only, so it leaves out the border where the
  steps do not end there, and takes no mask. Stride 16 ends at the border: the same patches;
- scikit-learn's `extract_patches_2d` has no stride: every position (stride 1), or random ones.

Writes the table `patch_extraction.inc`.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np
from interleaved import relative, time_interleaved
from skimage.util import view_as_windows
from sklearn.feature_extraction.image import extract_patches_2d
from tables import markdown_table, write_table

from lungpatch.containers import ChestImage, LungMask
from lungpatch.samplers import GridSampler, RandomSampler

if TYPE_CHECKING:
    from collections.abc import Callable

SIDE = 256
PATCH = 32
RANDOM_PATCHES = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description="Patch extraction benchmark.")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument(
        "--publish", action="store_true", help="write the table into the documentation, too"
    )
    arguments = parser.parse_args()

    pixels = np.random.default_rng(0).random((SIDE, SIDE), dtype=np.float32)
    image = ChestImage(pixels=pixels, image_id="noise")
    lungs = LungMask(pixels=np.ones((SIDE, SIDE), dtype=np.bool_))

    def ours(stride: int) -> Callable[[], object]:
        sampler = GridSampler(patch_size=PATCH, stride=stride)
        return lambda: sampler.sample(image, lungs).pixels

    def windows(stride: int) -> Callable[[], object]:
        return lambda: view_as_windows(pixels, (PATCH, PATCH), stride).reshape(-1, PATCH, PATCH)

    def windows_and_mask(stride: int) -> Callable[[], object]:
        def run() -> object:
            mask = view_as_windows(lungs.pixels, (PATCH, PATCH), stride)
            kept = mask.mean(axis=(2, 3)) >= 1.0
            return view_as_windows(pixels, (PATCH, PATCH), stride)[kept], mask[kept]

        return run

    random_sampler = RandomSampler(patch_size=PATCH, n_patches=RANDOM_PATCHES)
    lungpatch, plain, masked, sklearn = (
        "lungpatch's sampler",
        "scikit-image `view_as_windows` and copy, no mask",
        "the same with the lung fraction of each patch",
        "scikit-learn `extract_patches_2d`, no mask",
    )
    groups: dict[str, dict[str, Callable[[], object]]] = {
        f"stride {stride}": {
            lungpatch: ours(stride),
            plain: windows(stride),
            masked: windows_and_mask(stride),
        }
        for stride in (20, 16, 1)
    }
    groups["stride 1"][sklearn] = lambda: extract_patches_2d(pixels, (PATCH, PATCH))
    groups[f"{RANDOM_PATCHES} random positions"] = {
        lungpatch: lambda: random_sampler.sample(image, lungs, rng=np.random.default_rng(0)).pixels,
        sklearn: lambda: extract_patches_2d(
            pixels, (PATCH, PATCH), max_patches=RANDOM_PATCHES, random_state=0
        ),
    }
    columns = [
        relative(time_interleaved(contenders, arguments.repeats)) for contenders in groups.values()
    ]
    rows = [
        (name, *(column.get(name, "") for column in columns))
        for name in (lungpatch, plain, masked, sklearn)
    ]
    table = markdown_table(("", *groups), rows)
    write_table("patch_extraction", table, None, publish=arguments.publish)


if __name__ == "__main__":
    main()
