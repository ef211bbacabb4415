"""Sides: from the stored rows and columns to how a frontal radiograph is displayed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lungpatch._utils.orientation import turn_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lungpatch.io.dicom.header import Header


def as_displayed(
    pixels: NDArray[np.float32], spacing: tuple[float, float] | None, header: Header
) -> tuple[NDArray[np.float32], tuple[float, float] | None, str]:
    """Turn and mirror an image until the patient's right is at the left and the head at the top.

    Parameters
    ----------
    pixels : ndarray of float32, shape (H, W)
        As they are stored.
    spacing : tuple of float or None
        (row, column).
    header : Header

    Returns
    -------
    pixels : ndarray of float32, shape (H, W) or (W, H)
    spacing : tuple of float or None
    note : str
        What was done, or why nothing was.
    """
    turn, note = turn_of(header.texts("PatientOrientation"))
    if turn.exchanged and spacing is not None:
        spacing = (spacing[1], spacing[0])
    return turn.apply(pixels), spacing, note
