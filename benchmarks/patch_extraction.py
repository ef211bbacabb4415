"""Cut patches out of a radiograph: lungpatch against scikit-image and scikit-learn.

    python benchmarks/patch_extraction.py

Needs scikit-learn beside lungpatch (`pip install scikit-learn`).

All cut 32x32 patches out of one 256x256 float32 image, and copy them. What differs:

- lungpatch also cuts the lung mask's patches, checks their shares of lung, keeps the corners, and
  adds the row and column flush with the border;
- scikit-image's `view_as_windows` has regular steps only, so it leaves the border out where the
  steps do not end there, and knows no mask. Stride 16 ends at the border: the same patches;
- scikit-learn's `extract_patches_2d` has no stride: every place (stride 1), or random places.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np
from interleaved import print_table, time_interleaved
from skimage.util import view_as_windows
from sklearn.feature_extraction.image import extract_patches_2d

from lungpatch.containers import ChestImage, LungMask
from lungpatch.samplers.grid import GridSampler
from lungpatch.samplers.random_patches import RandomSampler

if TYPE_CHECKING:
    from collections.abc import Callable

SIDE = 256
PATCH = 32
RANDOM_PATCHES = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description="Patch extraction benchmark.")
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats

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
    groups: dict[str, dict[str, Callable[[], object]]] = {
        "stride 20 (ours 169 patches, flush with the border; theirs 144)": {
            "lungpatch GridSampler": ours(20),
            "view_as_windows + copy, no mask": windows(20),
            "view_as_windows + copy, lung share": windows_and_mask(20),
        },
        "stride 16 (225 patches, the same for all)": {
            "lungpatch GridSampler": ours(16),
            "view_as_windows + copy, no mask": windows(16),
            "view_as_windows + copy, lung share": windows_and_mask(16),
        },
        "stride 1 (50,625 patches, the same for all)": {
            "lungpatch GridSampler": ours(1),
            "view_as_windows + copy, no mask": windows(1),
            "view_as_windows + copy, lung share": windows_and_mask(1),
            "extract_patches_2d, no mask": lambda: extract_patches_2d(pixels, (PATCH, PATCH)),
        },
        f"{RANDOM_PATCHES} random places": {
            "lungpatch RandomSampler": lambda: (
                random_sampler.sample(image, lungs, rng=np.random.default_rng(0)).pixels
            ),
            "extract_patches_2d, no mask": lambda: extract_patches_2d(
                pixels, (PATCH, PATCH), max_patches=RANDOM_PATCHES, random_state=0
            ),
        },
    }
    for title, contenders in groups.items():
        print_table(title, time_interleaved(contenders, repeats))


if __name__ == "__main__":
    main()
