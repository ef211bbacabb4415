"""Orientation: from stored rows and columns to how a frontal radiograph is displayed, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_UPRIGHT = ("L", "F")
_OPPOSITE = {"L": "R", "R": "L", "F": "H", "H": "F"}
_ACROSS = frozenset("AP")
_ASSUMED = "taken as displayed, the patient's right at the left"


class Turn(NamedTuple):
    """How stored pixels are turned and mirrored for display, in this order.

    Parameters
    ----------
    exchanged : bool
        Rows and columns are exchanged.
    left_to_right, top_to_bottom : bool
        The image is mirrored.

    Examples
    --------
    >>> turn = Turn(exchanged=True, left_to_right=True, top_to_bottom=False)
    >>> stored = np.array([[1, 2, 3], [4, 5, 6]])
    >>> turn.apply(stored)
    array([[4, 1],
           [5, 2],
           [6, 3]])
    >>> turn.undo(turn.apply(stored))
    array([[1, 2, 3],
           [4, 5, 6]])
    """

    exchanged: bool = False
    left_to_right: bool = False
    top_to_bottom: bool = False

    def apply(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Bring an array, shape (H, W) or (H, W, C), from the stored grid to that of display."""
        array = np.swapaxes(stored, 0, 1) if self.exchanged else stored
        return np.ascontiguousarray(self._mirrored(array))

    def undo(self, displayed: NDArray[Any]) -> NDArray[Any]:
        """Bring an array, shape (H, W) or (H, W, C), from the grid of display to the stored one."""
        array = self._mirrored(displayed)
        return np.ascontiguousarray(np.swapaxes(array, 0, 1) if self.exchanged else array)

    def undo_boxes(self, boxes: NDArray[np.int64], shape: tuple[int, int]) -> NDArray[np.int64]:
        """Bring half-open boxes (K, 4) from the grid of display to the stored one.

        Parameters
        ----------
        boxes : ndarray of int64, shape (K, 4)
            (row0, col0, row1, col1).
        shape : tuple of int
            Shape (H, W) of the image as it is displayed.

        Returns
        -------
        ndarray of int64, shape (K, 4)

        Examples
        --------
        >>> Turn(left_to_right=True).undo_boxes(np.array([[0, 1, 2, 4]]), (10, 20))
        array([[ 0, 16,  2, 19]])
        """
        row0, col0, row1, col1 = boxes.T
        if self.left_to_right:
            col0, col1 = shape[1] - col1, shape[1] - col0
        if self.top_to_bottom:
            row0, row1 = shape[0] - row1, shape[0] - row0
        if self.exchanged:
            row0, col0, row1, col1 = col0, row0, col1, row1
        return np.stack([row0, col0, row1, col1], axis=1)

    def _mirrored(self, array: NDArray[Any]) -> NDArray[Any]:
        if self.left_to_right:
            array = array[:, ::-1]
        return array[::-1] if self.top_to_bottom else array


def turn_of(orientation: Sequence[str]) -> tuple[Turn, str]:
    """Return how an image is turned until the patient's right is at the left and the head on top.

    Parameters
    ----------
    orientation : sequence of str
        The values of ``PatientOrientation``: where the rows run and where the columns run, such
        as ``("L", "F")``. Empty where the tag is missing.

    Returns
    -------
    turn : Turn
    note : str
        What is done, or why nothing is.

    Examples
    --------
    >>> turn, note = turn_of(("R", "F"))
    >>> turn.left_to_right, note.partition(": ")[2]
    (True, 'mirrored left to right')
    """
    values = tuple(value.upper() for value in orientation)
    stated = "PatientOrientation " + "\\".join(values)
    if not values:
        return Turn(), f"no PatientOrientation: {_ASSUMED}"
    # The first letter is the main direction; further ones say by how much it is oblique.
    main = tuple(value[:1] for value in values)
    if any(set(value) - set("LRAPFH") for value in values) or len(main) != 2 or "" in main:
        return Turn(), f"{stated} is not that of a human patient: {_ASSUMED}"
    if _ACROSS & set(main):
        return Turn(), f"{stated} is not that of a frontal view: taken as stored"
    along_row, along_column = main
    if along_row == along_column or along_row == _OPPOSITE[along_column]:
        return Turn(), f"{stated} contradicts itself: {_ASSUMED}"

    exchanged = along_row in "FH"
    if exchanged:
        along_row, along_column = along_column, along_row
    turn = Turn(
        exchanged=exchanged,
        left_to_right=along_row != _UPRIGHT[0],
        top_to_bottom=along_column != _UPRIGHT[1],
    )
    words = ("rows and columns exchanged", "mirrored left to right", "mirrored top to bottom")
    steps = [step for step, taken in zip(words, turn, strict=True) if taken]
    return turn, f"{stated}: {', '.join(steps) if steps else 'as displayed'}"
