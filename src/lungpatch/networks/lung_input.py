"""What the network that finds lungs takes: a standardised radiograph of one size. Without torch."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lungpatch.containers import FloatImage

NETWORK_SIDE = 256
"""Side, in pixels, of the square image that the network takes."""


def network_input(pixels: FloatImage) -> FloatImage:
    """Resize a radiograph to the side the network was trained for, and standardise it.

    Parameters
    ----------
    pixels : ndarray of float32, shape (H, W)
        Grey levels on any scale.

    Returns
    -------
    ndarray of float32, shape (256, 256)
        Stretched to a square where it is none, as the training images were; with mean 0 and
        standard deviation 1, and all 0 for one grey level.

    Examples
    --------
    >>> import numpy as np
    >>> network_input(np.eye(600, 500, dtype=np.float32)).shape
    (256, 256)
    """
    # Bilinear interpolation to half the size is a mean of four pixels, so steps of at most two
    # keep fine texture from turning into coarse patterns.
    while pixels.shape != (NETWORK_SIDE, NETWORK_SIDE):
        height, width = (max(NETWORK_SIDE, side // 2) for side in pixels.shape)
        pixels = interpolate(pixels, (height, width))
    centred: FloatImage = pixels - pixels.mean(dtype=np.float64).astype(np.float32)
    variance = np.square(centred).mean(dtype=np.float64)
    centred *= np.float32(1.0 / np.sqrt(variance + 1e-10))
    return centred


def interpolate(image: FloatImage, shape: tuple[int, int]) -> FloatImage:
    """Interpolate bilinearly to another shape, as torch does; finer images are not averaged.

    Parameters
    ----------
    image : ndarray of float32, shape (H, W)
    shape : tuple of int

    Returns
    -------
    ndarray of float32, of that shape
        The image itself where it has that shape.

    Examples
    --------
    >>> import numpy as np
    >>> interpolate(np.array([[0.0, 4.0]], np.float32), (1, 4))
    array([[0., 1., 3., 4.]], dtype=float32)
    """
    for axis in (1, 0):  # as in torch, for the same last digits
        image = _along(image, axis, shape[axis])
    return image


def _along(image: FloatImage, axis: int, length: int) -> FloatImage:
    if image.shape[axis] == length:
        return image
    below, above, weight = _taps(image.shape[axis], length)
    if axis == 0:
        weight = weight[:, None]
    result, upper = image.take(below, axis), image.take(above, axis)
    result *= np.float32(1.0) - weight
    upper *= weight
    result += upper
    return result


@lru_cache(maxsize=32)
def _taps(before: int, after: int) -> tuple[NDArray[np.intp], NDArray[np.intp], FloatImage]:
    """Return the two pixels that each new one lies between, and the weight of the second."""
    # Rounded to float32 as torch does: at 2000 pixels a side that changes the fifth digit.
    scale = float(np.float32(before) / np.float32(after))
    position = np.maximum(scale * (np.arange(after) + 0.5) - 0.5, 0.0).astype(np.float32)
    below = np.minimum(position.astype(np.intp), before - 1)
    above = np.minimum(below + 1, before - 1)
    return below, above, (position - below).astype(np.float32)
