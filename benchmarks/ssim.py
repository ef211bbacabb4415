"""SSIM of many small patches: lungpatch against scikit-image and pytorch-msssim.

    python benchmarks/ssim.py

pytorch-msssim is left out if it is not installed: `pip install --no-deps pytorch-msssim`.

All use the settings of Wang et al. 2004: a Gaussian window of sigma 1.5, 11x11 pixels, population
covariance, data range 1, the mean over the pixels whose window fits. What differs: lungpatch
works in float64 and also returns the map of the whole patch, mirrored at the border; scikit-image
takes one patch at a time (in float32 and float64); pytorch-msssim works in float32 and returns the
mean only. Writes the table `ssim.inc`, with the largest difference from scikit-image in float64.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np
import torch
from interleaved import relative, time_interleaved
from skimage.metrics import structural_similarity
from tables import markdown_table, write_table

from lungpatch.containers import PatchBatch, Reconstruction
from lungpatch.scorers import SSIMScorer

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

try:
    from pytorch_msssim import ssim as pytorch_ssim
except ImportError:
    pytorch_ssim = None

PATCH = 32
REFERENCE = "scikit-image in a loop, float64"


def patch_pairs(count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return patches of smooth noise, as in lungs, and slightly changed ones; one pair is flat."""
    rng = np.random.default_rng(0)
    target = np.cumsum(rng.normal(0, 0.02, (count, PATCH, PATCH)), axis=2) + 0.5
    expected = target + rng.normal(0, 0.01, target.shape)
    target[0], expected[0] = 0.5, 0.501
    return (
        np.clip(target, 0, 1).astype(np.float32),
        np.clip(expected, 0, 1).astype(np.float32),
    )


def contenders(
    target: NDArray[np.float32], expected: NDArray[np.float32]
) -> dict[str, Callable[[], NDArray[np.floating]]]:
    """Return what computes 1 - SSIM of each pair of patches, by name."""
    scorer = SSIMScorer(region="patch")
    patches = PatchBatch(
        pixels=target,
        corners=np.zeros((len(target), 2), dtype=np.int64),
        lung=np.ones(target.shape, dtype=np.bool_),
        image_shape=(256, 256),
        image_id="noise",
    )
    reconstruction = Reconstruction(target=target[:, None], expected=expected[:, None])

    def pytorch_msssim() -> NDArray[np.float32]:
        x, y = torch.tensor(target)[:, None], torch.tensor(expected)[:, None]
        return 1 - pytorch_ssim(x, y, data_range=1.0, size_average=False).numpy()

    found: dict[str, Callable[[], NDArray[np.floating]]] = {
        "`SSIMScorer`": lambda: scorer.score(patches, reconstruction).values,
        "scikit-image in a loop, float32": lambda: scikit_image(target, expected, np.float32),
        REFERENCE: lambda: scikit_image(target, expected, np.float64),
    }
    if pytorch_ssim is not None:
        found["pytorch-msssim, float32"] = pytorch_msssim
    return found


def scikit_image(
    target: NDArray[np.float32], expected: NDArray[np.float32], dtype: type[np.floating]
) -> NDArray[np.float64]:
    return np.array(
        [
            1
            - structural_similarity(
                a.astype(dtype),
                b.astype(dtype),
                data_range=1.0,
                gaussian_weights=True,
                use_sample_covariance=False,
            )
            for a, b in zip(target, expected, strict=True)
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="SSIM benchmark.")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument(
        "--publish", action="store_true", help="write the table into the documentation, too"
    )
    arguments = parser.parse_args()
    columns: dict[str, dict[str, str]] = {}
    differences: dict[str, list[float]] = {}
    for count in (169, 1352):
        runs = contenders(*patch_pairs(count))
        columns[f"{count} patches"] = relative(time_interleaved(runs, arguments.repeats))
        reference = runs[REFERENCE]()
        for name, run in runs.items():
            differences.setdefault(name, []).append(float(np.abs(run() - reference).max()))
    rows = [
        (name, *(column[name] for column in columns.values()), f"{max(found):.1g}")
        for name, found in differences.items()
    ]
    table = markdown_table(("", *columns, "largest difference"), rows)
    write_table("ssim", table, None, publish=arguments.publish)
    if pytorch_ssim is None:
        print("pytorch-msssim left out: pip install --no-deps pytorch-msssim")


if __name__ == "__main__":
    main()
