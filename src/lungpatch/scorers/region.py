"""Helpers of all scorers: which pixels are scored, and the mean over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lungpatch.errors import ConfigurationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lungpatch.containers import BoolImage, PatchBatch, Reconstruction

Region = Literal["lung", "patch"]
REGIONS: tuple[Region, ...] = ("lung", "patch")


def check_same_batch(patches: PatchBatch, reconstruction: Reconstruction) -> None:
    """Refuse a reconstruction of another number of patches.

    Raises
    ------
    ConfigurationError
    """
    if len(reconstruction) != len(patches):
        raise ConfigurationError(
            f"{len(patches)} patches, but a reconstruction of {len(reconstruction)}: pass the "
            "reconstruction of the same batch"
        )


def check_pixelwise(patches: PatchBatch, reconstruction: Reconstruction) -> None:
    """Refuse a reconstruction that has not one value per pixel of these patches.

    Raises
    ------
    ConfigurationError
    """
    check_same_batch(patches, reconstruction)
    height, width = reconstruction.target.shape[2:]
    side = patches.patch_size
    if (height, width) != (side, side):
        raise ConfigurationError(
            f"the reconstruction has {height}x{width} cells per patch, its patches {side}x{side} "
            "pixels: this scorer compares pixel by pixel, so the model must return maps of the "
            "patch's size"
        )


def region_support(patches: PatchBatch, region: Region) -> BoolImage:
    """Return the pixels of each patch that are scored.

    Parameters
    ----------
    patches : PatchBatch
    region : {"lung", "patch"}

    Returns
    -------
    ndarray of bool, shape (N, P, P)

    Raises
    ------
    ConfigurationError
        If a patch has no lung pixel under ``region="lung"``.
    """
    if region == "patch":
        return np.ones(patches.pixels.shape, dtype=np.bool_)
    empty = np.flatnonzero(~patches.lung.any(axis=(1, 2)))
    if len(empty):
        raise ConfigurationError(
            f"{patches.image_id}: {len(empty)} of {len(patches)} patches hold no lung pixel to "
            "score: sample with min_lung_fraction > 0, or score with region='patch'"
        )
    return patches.lung


def sum_over(error: NDArray[Any], support: BoolImage) -> NDArray[np.float64]:
    """Sum each patch's ``error`` over its ``support``; float64, shape (N,)."""
    total: NDArray[np.float64] = np.einsum("nij,nij->n", error, support, dtype=np.float64)
    return total


def mean_over(error: NDArray[Any], support: BoolImage) -> NDArray[np.float64]:
    """Average each patch's ``error`` over its ``support``; float64, shape (N,)."""
    mean: NDArray[np.float64] = sum_over(error, support) / support.sum(axis=(1, 2))
    return mean
