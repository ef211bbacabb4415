"""Grey levels to [0, 1], and what an image must be to be used at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lungpatch.containers import ChestImage
from lungpatch.errors import InvalidImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_SIDE = 32
"""Minimum number of pixels per side of an image."""

MAX_SIDE = 10_000
"""Maximum number of pixels per side of an image; checked before anything is decoded."""

# Luminance of ITU-R BT.601, as Pillow's mode "L".
_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def over_white(levels: NDArray[Any], white: float) -> NDArray[np.float32]:
    pixels = np.empty(levels.shape, dtype=np.float32)
    np.divide(levels, white, out=pixels, casting="unsafe")
    return np.clip(pixels, 0.0, 1.0, out=pixels)


def luminance(array: NDArray[Any]) -> NDArray[Any]:
    """Grey of an array (H, W, 1) or (H, W, 3)."""
    if array.shape[-1] == 1:
        return np.asarray(array[..., 0])
    return np.asarray(array.astype(np.float32) @ _LUMINANCE)


def white_of_16_bit(levels: NDArray[Any]) -> float:
    highest = int(levels.max())
    return next(2.0**bits - 1 for bits in (8, 10, 12, 14, 16) if highest < 2**bits)


def unit_float(array: NDArray[Any]) -> NDArray[Any]:
    if not np.isfinite(array).all():
        raise InvalidImageError("holds NaN or infinite values; replace them before")
    if array.min() < 0 or array.max() > 1:
        raise InvalidImageError(no_range(array))
    return array


def no_range(array: NDArray[Any]) -> str:
    return (
        f"holds {array.dtype} values from {array.min():.6g} to {array.max():.6g}, a scale that "
        "is not known; load it yourself (with tifffile, say) and call "
        "lungpatch.as_chest_image(array, value_range=(black, white))"
    )


def check_size(height: int, width: int) -> None:
    if height < 1 or width < 1:
        raise InvalidImageError(f"has no pixels ({height}x{width})")
    if max(height, width) > MAX_SIDE:
        raise InvalidImageError(
            f"is {height}x{width} pixels, more than {MAX_SIDE} a side; scale it down"
        )


def checked_image(
    pixels: NDArray[np.float32],
    image_id: str,
    spacing: tuple[float, float] | None,
    source: str,
) -> ChestImage:
    """Build the image where its pixels can be used at all."""
    height, width = pixels.shape
    check_size(height, width)
    if min(height, width) < MIN_SIDE:
        raise InvalidImageError(
            f"is {height}x{width} pixels, fewer than {MIN_SIDE} a side; use the full-size picture"
        )
    low, high = float(pixels.min()), float(pixels.max())
    if low == high:
        raise InvalidImageError(
            f"all its pixels have one value ({low:.4g} of 0..1): nothing can be seen in it; check "
            "how it was exported"
        )
    return ChestImage(pixels=pixels, image_id=image_id, pixel_spacing_mm=spacing, source=source)
