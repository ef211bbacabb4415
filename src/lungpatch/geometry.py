"""Between an image's own pixels and the square working frame of a pipeline.

A pixel is a unit square: of an image with ``n`` own rows in a frame of ``m`` rows, own row ``r``
lies in frame row ``floor((r + 1/2) m / n)``. Maps are brought back by that rule alone, without
interpolation, so a value, a mask and the boxes around it agree to the pixel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def _frame_index(own: int, frame: int) -> NDArray[np.int64]:
    """Frame index of each own index, int64 (own,), never decreasing."""
    # In integers, so that it is exact for any size.
    return (2 * np.arange(own, dtype=np.int64) + 1) * frame // (2 * own)


def to_own_pixels(array: NDArray[Any], own_shape: tuple[int, int]) -> NDArray[Any]:
    """Bring an array of the working frame back to the image's own pixels.

    Parameters
    ----------
    array : ndarray, shape (S, T)
    own_shape : tuple of int
        Shape (H, W) of the image.

    Returns
    -------
    ndarray, shape (H, W), of the dtype of ``array``

    Examples
    --------
    >>> import numpy as np
    >>> to_own_pixels(np.array([[1, 2]]), (2, 4))
    array([[1, 1, 2, 2],
           [1, 1, 2, 2]])
    """
    rows = _frame_index(own_shape[0], array.shape[0])
    columns = _frame_index(own_shape[1], array.shape[1])
    return array[rows[:, None], columns[None, :]]


def boxes_to_own_pixels(
    boxes: NDArray[np.int64], frame_shape: tuple[int, int], own_shape: tuple[int, int]
) -> NDArray[np.int64]:
    """Bring half-open boxes of the working frame back to the image's own pixels.

    A box holds exactly the own pixels that lie in its frame pixels. In an image smaller than the
    frame that can be none; then it is the one own pixel nearest to its centre.

    Parameters
    ----------
    boxes : ndarray of int64, shape (K, 4)
        (row0, col0, row1, col1).
    frame_shape, own_shape : tuple of int

    Returns
    -------
    ndarray of int64, shape (K, 4)

    Examples
    --------
    >>> import numpy as np
    >>> boxes_to_own_pixels(np.array([[0, 1, 1, 2]]), (2, 2), (4, 6))
    array([[0, 3, 2, 6]])
    """
    own = np.empty_like(boxes)
    for axis in (0, 1):
        index = _frame_index(own_shape[axis], frame_shape[axis])
        start = np.searchsorted(index, boxes[:, axis])
        stop = np.searchsorted(index, boxes[:, axis + 2])
        centre = (boxes[:, axis] + boxes[:, axis + 2]) * own_shape[axis] // (2 * frame_shape[axis])
        own[:, axis] = np.where(start < stop, start, centre)
        own[:, axis + 2] = np.where(start < stop, stop, centre + 1)
    return own
