"""Helpers of the samplers: the lung in a patch, and cutting patches out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from lungpatch.containers import BoolImage, ChestImage, LungMask, PatchBatch
from lungpatch.errors import InvalidImageError, InvalidMaskError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def check_fit(image: ChestImage, lungs: LungMask, patch_size: int) -> None:
    """Check that a patch fits in an image, and that the mask has the shape of the image.

    Raises
    ------
    InvalidImageError
        If the patch is larger than the image.
    InvalidMaskError
        If the shape of the mask is another.
    """
    height, width = image.shape
    if patch_size > min(height, width):
        raise InvalidImageError(
            f"{image.image_id}: a patch of {patch_size}x{patch_size} pixels does not fit in an "
            f"image of {height}x{width}; lower patch_size or enlarge the image"
        )
    check_mask(image, lungs)


def check_mask(image: ChestImage, lungs: LungMask) -> None:
    """Check that a mask has the shape of its image.

    Raises
    ------
    InvalidMaskError
        If the shape of the mask is another.
    """
    if lungs.pixels.shape != image.shape:
        raise InvalidMaskError(
            f"{image.image_id}: the lung mask has shape {lungs.pixels.shape}, the image "
            f"{image.shape}; they must agree"
        )


def holds_enough_lung(
    lung: BoolImage,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    patch_size: int,
    min_lung_fraction: float,
) -> BoolImage:
    """Find the patches that hold enough lung, all at once with an integral image.

    Parameters
    ----------
    lung : ndarray of bool, shape (H, W)
    rows, columns : ndarray of int64, shapes that broadcast together
        First row and column of each patch.
    patch_size : int
    min_lung_fraction : float
        Minimum fraction of lung pixels, in [0, 1].

    Returns
    -------
    ndarray of bool, of the common shape of ``rows`` and ``columns``

    Examples
    --------
    >>> import numpy as np
    >>> lung = np.array([[True, True, False], [True, True, False]])
    >>> holds_enough_lung(lung, np.array([0, 0]), np.array([0, 1]), 2, 1.0)
    array([ True, False])
    """
    # 32 bits are enough for the pixels of any radiograph, and twice as fast as 64.
    total = np.zeros((lung.shape[0] + 1, lung.shape[1] + 1), dtype=np.int32)
    np.cumsum(lung, axis=0, dtype=np.int32, out=total[1:, 1:])
    np.cumsum(total[1:, 1:], axis=1, out=total[1:, 1:])
    below, right = rows + patch_size, columns + patch_size
    count = total[below, right] - total[rows, right] - total[below, columns] + total[rows, columns]
    # Counts are integers, so the fraction of a patch full of lung is exactly 1.0.
    enough: BoolImage = count / patch_size**2 >= min_lung_fraction
    return enough


def cut(
    image: ChestImage, lungs: LungMask, corners: NDArray[np.int64], patch_size: int
) -> PatchBatch:
    """Copy the patches at ``corners``.

    Parameters
    ----------
    image : ChestImage
    lungs : LungMask
        Of the shape of the image.
    corners : ndarray of int64, shape (N, 2)
        First row and column of each patch.
    patch_size : int

    Returns
    -------
    PatchBatch
    """
    window = (patch_size, patch_size)
    at = corners[:, 0], corners[:, 1]
    return PatchBatch(
        pixels=sliding_window_view(image.pixels, window)[at],
        corners=corners,
        lung=sliding_window_view(lungs.pixels, window)[at],
        image_shape=image.shape,
        image_id=image.image_id,
    )
