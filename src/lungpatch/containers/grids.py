"""Conversion from the square model grid of a pipeline to the native grid of an image.

A pixel is a unit square. If an image has ``n`` native rows and the model grid ``m`` rows, native
row ``r`` lies in model row ``floor((r + 1/2) m / n)``; the same holds for columns. Maps are
converted by this rule alone, without interpolation, so that a score, a mask and the boxes around it
agree to the pixel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _model_index(native: int, model: int) -> NDArray[np.int64]:
    """Return the model index of each native index, int64 (native,), never decreasing."""
    # Integer arithmetic is exact for any size.
    return (2 * np.arange(native, dtype=np.int64) + 1) * model // (2 * native)


def to_native_grid(array: NDArray[Any], native_shape: tuple[int, int]) -> NDArray[Any]:
    """Convert an array from the model grid to the native grid of the image.

    Parameters
    ----------
    array : ndarray, shape (S, T)
    native_shape : tuple of int
        Shape (H, W) of the image.

    Returns
    -------
    ndarray, shape (H, W), of the dtype of ``array``
        An array of its own.

    Examples
    --------
    >>> import numpy as np
    >>> to_native_grid(np.array([[1, 2]]), (2, 4))
    array([[1, 1, 2, 2],
           [1, 1, 2, 2]])
    """
    # One axis after the other, columns first: whole rows are then copied, which is fast.
    native = array.copy()
    for axis in (1, 0):
        if native_shape[axis] != array.shape[axis]:
            native = native.take(_model_index(native_shape[axis], array.shape[axis]), axis=axis)
    return native


def boxes_to_native_grid(
    boxes: NDArray[np.int64], model_shape: tuple[int, int], native_shape: tuple[int, int]
) -> NDArray[np.int64]:
    """Convert half-open boxes from the model grid to the native grid of the image.

    A box holds exactly the native pixels that lie in its model pixels. In an image smaller than the
    model grid there may be none; then the box holds the native pixel at its centre.

    Parameters
    ----------
    boxes : ndarray of int64, shape (K, 4)
        (row0, col0, row1, col1).
    model_shape, native_shape : tuple of int

    Returns
    -------
    ndarray of int64, shape (K, 4)

    Examples
    --------
    >>> import numpy as np
    >>> boxes_to_native_grid(np.array([[0, 1, 1, 2]]), (2, 2), (4, 6))
    array([[0, 3, 2, 6]])
    """
    native = np.empty_like(boxes)
    for axis in (0, 1):
        index = _model_index(native_shape[axis], model_shape[axis])
        start = np.searchsorted(index, boxes[:, axis])
        stop = np.searchsorted(index, boxes[:, axis + 2])
        centre = (
            (boxes[:, axis] + boxes[:, axis + 2]) * native_shape[axis] // (2 * model_shape[axis])
        )
        native[:, axis] = np.where(start < stop, start, centre)
        native[:, axis + 2] = np.where(start < stop, stop, centre + 1)
    return native
