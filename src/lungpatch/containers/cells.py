"""Cells: the coarse grid on which feature maps describe a patch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lungpatch._utils.forks import IMPORTING

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_FRACTION = 0.25
"""A cell is known if it is lung in at least this fraction of the highest count of any cell."""


def mean_over_cells(maps: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Average the last two axes of maps over cells of nearly equal size.

    Row ``r`` of ``n`` lies in row ``i`` of ``m`` rows of cells if ``floor(i n / m) <= r <
    floor((i + 1) n / m)``; the same holds for columns.

    Parameters
    ----------
    maps : ndarray, shape (..., n, k)
        Numbers or booleans.
    shape : tuple of int
        Number of rows and columns of cells; at most n and k.

    Returns
    -------
    ndarray of float64, shape (..., rows, columns)

    Examples
    --------
    >>> import numpy as np
    >>> mean_over_cells(np.arange(16.0).reshape(4, 4), (2, 2))
    array([[ 2.5,  4.5],
           [10.5, 12.5]])
    """
    means = np.asarray(maps, np.float64)
    for axis, count in zip((-2, -1), shape, strict=True):
        edges = np.arange(count + 1) * means.shape[axis] // count
        sizes = np.diff(edges)
        means = np.add.reduceat(means, edges[:-1], axis=axis)
        means = means / (sizes[:, None] if axis == -2 else sizes)
    return means


def known_cells(lung: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Find the cells that are lung in enough patches for their own statistics.

    Parameters
    ----------
    lung : ndarray of bool, shape (N, h, w)
        Which cells of each patch are lung; at least one is.

    Returns
    -------
    ndarray of bool, shape (h, w)
        True where a cell is lung in at least a quarter as many patches as the cell that is lung
        most often.

    Examples
    --------
    >>> import numpy as np
    >>> lung = np.zeros((8, 1, 3), bool)
    >>> lung[:, 0, 0] = lung[:2, 0, 1] = lung[0, 0, 2] = True
    >>> known_cells(lung)
    array([[ True,  True, False]])
    """
    counts = lung.sum(axis=0)
    known: NDArray[np.bool_] = counts >= max(1, MIN_FRACTION * counts.max())
    return known


def nearest_known(known: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return, for every cell, row and column of the nearest cell that is known.

    Parameters
    ----------
    known : ndarray of bool, shape (h, w)
        At least one cell is known.

    Returns
    -------
    rows, columns : ndarray of int64, shape (h, w)
        For a known cell, its own row and column.

    Examples
    --------
    >>> import numpy as np
    >>> rows, columns = nearest_known(np.array([[True, False, False, True]]))
    >>> columns.tolist()
    [[0, 0, 3, 3]]
    """
    with IMPORTING:
        from scipy import ndimage

    rows, columns = ndimage.distance_transform_edt(
        ~known, return_distances=False, return_indices=True
    )
    return rows.astype(np.int64), columns.astype(np.int64)
