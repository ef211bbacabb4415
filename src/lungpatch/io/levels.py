"""Grey levels to [0, 1], and what an image must be to be used at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lungpatch.errors import InvalidImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_SIDE = 32
"""Minimum number of pixels per side of an image."""

MAX_SIDE = 10_000
"""Maximum number of pixels per side of an image; checked before anything is decoded."""

CONTAINER_BITS = (8, 10, 12, 14, 16)
"""Depths of detectors, one of which is assumed where a file states none but that of its words."""

# Luminance of ITU-R BT.601, as Pillow's mode "L".
_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)


class Levels(NamedTuple):
    """Decoded grey levels of a file or an array.

    ``white`` is the level that becomes 1, where 0 becomes 0; None where the scale is not known.
    ``notes`` say what was assumed or done on the way.
    """

    array: NDArray[Any]
    white: float | None
    notes: tuple[str, ...] = ()


def over_white(levels: NDArray[Any], white: float) -> NDArray[np.float32]:
    """Divide levels by that of white, and clip them to [0, 1]."""
    pixels = np.empty(levels.shape, dtype=np.float32)
    np.divide(levels, white, out=pixels, casting="unsafe")
    return np.clip(pixels, 0.0, 1.0, out=pixels)


def luminance(array: NDArray[Any]) -> NDArray[Any]:
    """Grey of an array (H, W, 1) or (H, W, 3)."""
    if array.shape[-1] == 1:
        return np.asarray(array[..., 0])
    return np.asarray(array.astype(np.float32) @ _LUMINANCE)


def container_bits(highest: int) -> int:
    """Return the smallest depth of detectors that holds a level, 8 to 16 bits."""
    return next(bits for bits in CONTAINER_BITS if highest < 2**bits)


def white_of_16_bit(highest: int) -> tuple[float, str]:
    """Return the level that is white in a 16-bit file or array, and a note that says so."""
    bits = container_bits(highest)
    white = 2**bits - 1
    return float(white), f"white is {white}: {bits} of 16 bits are used"


def in_known_range(levels: Levels) -> tuple[NDArray[Any], float]:
    """Return levels and white, if the scale is known and the levels are on it.

    Raises
    ------
    InvalidImageError
        If they are not.
    """
    if levels.array.dtype.kind == "f" and not np.isfinite(levels.array).all():
        raise InvalidImageError("holds NaN or infinite values; replace them before")
    # The luminance of three equal whites is white but for rounding.
    highest = None if levels.white is None else levels.white * (1 + 1e-6)
    if levels.white is None or levels.array.min() < 0 or levels.array.max() > highest:
        raise InvalidImageError(
            f"holds {levels.array.dtype} values from {levels.array.min():.6g} to "
            f"{levels.array.max():.6g}, a scale that is not known; load it yourself (with "
            "tifffile, say) and call lungpatch.as_chest_image(array, value_range=(black, white))"
        )
    return levels.array, levels.white


def check_size(height: int, width: int) -> None:
    """Raise `InvalidImageError` if there are no pixels, or too many to be decoded."""
    if height < 1 or width < 1:
        raise InvalidImageError(f"has no pixels ({height}x{width})")
    if max(height, width) > MAX_SIDE:
        raise InvalidImageError(
            f"is {height}x{width} pixels, more than {MAX_SIDE} per side; scale it down"
        )


def check_pixels(pixels: NDArray[np.float32]) -> None:
    """Raise `InvalidImageError` if an image is too small, or nothing can be seen in it."""
    height, width = pixels.shape
    check_size(height, width)
    if min(height, width) < MIN_SIDE:
        raise InvalidImageError(
            f"is {height}x{width} pixels, fewer than {MIN_SIDE} per side; use the full-size image"
        )
    low, high = float(pixels.min()), float(pixels.max())
    if low == high:
        raise InvalidImageError(
            f"all its pixels have one value ({low:.4g} of 0..1): nothing can be seen in it; check "
            "how it was exported"
        )
