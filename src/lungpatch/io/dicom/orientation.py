"""Sides: from the stored rows and columns to how a frontal radiograph is displayed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lungpatch.io.dicom.header import Header

_UPRIGHT = ("L", "F")
_OPPOSITE = {"L": "R", "R": "L", "F": "H", "H": "F"}
_ACROSS = frozenset("AP")
_ASSUMED = "taken as displayed, the patient's right at the left"


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
    values = tuple(value.upper() for value in header.texts("PatientOrientation"))
    stated = "PatientOrientation " + "\\".join(values)
    if not values:
        return pixels, spacing, f"no PatientOrientation: {_ASSUMED}"
    # The first letter is the main direction; further ones say by how much it is oblique.
    main = tuple(value[:1] for value in values)
    if any(set(value) - set("LRAPFH") for value in values) or len(main) != 2 or "" in main:
        return pixels, spacing, f"{stated} is not that of a human patient: {_ASSUMED}"
    if _ACROSS & set(main):
        return pixels, spacing, f"{stated} is not that of a frontal view: taken as stored"
    along_row, along_column = main
    if along_row == along_column or along_row == _OPPOSITE[along_column]:
        return pixels, spacing, f"{stated} contradicts itself: {_ASSUMED}"

    steps = []
    if along_row in "FH":
        pixels = pixels.T
        spacing = None if spacing is None else (spacing[1], spacing[0])
        along_row, along_column = along_column, along_row
        steps.append("rows and columns exchanged")
    if along_row != _UPRIGHT[0]:
        pixels = pixels[:, ::-1]
        steps.append("mirrored left to right")
    if along_column != _UPRIGHT[1]:
        pixels = pixels[::-1]
        steps.append("mirrored top to bottom")
    note = f"{stated}: {', '.join(steps) if steps else 'as displayed'}"
    return np.ascontiguousarray(pixels), spacing, note
