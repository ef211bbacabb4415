"""Lung masks in files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lungpatch.errors import InvalidImageError, InvalidMaskError
from lungpatch.io.files import decoder_errors, open_file
from lungpatch.io.formats import format_of
from lungpatch.io.raster import read_raster

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

_MAX_LABELS = 32
"""Maximum number of low levels of a mask of labels; a mask of more is one of soft edges."""

_MIN_LABEL_FRACTION = 0.02
"""Minimum fraction of all pixels above 0 that a label has; edges and noise have less."""

_MIN_INTERIOR_FRACTION = 0.25
"""Minimum fraction of a label's pixels whose neighbours have it too; edges are thinner."""


def read_mask(path: str | os.PathLike[str]) -> NDArray[np.bool_]:
    """Read a lung mask file (PNG, TIFF, BMP, GIF, JPEG), whatever its levels are.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    ndarray of bool, shape (H, W)
        The background is 0. Every level that fills a region of its own is a label, such as 1 for
        the right lung and 2 for the left one, and all labels are lung. Where there is only one,
        as in masks with smoothed edges, and in JPEG, whose levels are not exact, the mask is true
        above half of the highest level. A file of zeros is an empty mask.

    Raises
    ------
    MissingInputError
        If there is no such file.
    InvalidMaskError
        If it cannot be read or decoded completely.

    See Also
    --------
    read_image : Read a radiograph.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "mask.png")
    ...     Image.fromarray(np.eye(3, dtype=np.uint8)).save(path)
    ...     read_mask(path)
    array([[ True, False, False],
           [False,  True, False],
           [False, False,  True]])
    """
    path = Path(path)
    try:
        with open_file(path) as file, decoder_errors(path):
            form = format_of(file.head())
            if form == "DICOM":
                raise InvalidImageError("masks in DICOM are not read; save the mask as PNG")
            levels = read_raster(file, form).array
            if levels.dtype.kind == "f" and not np.isfinite(levels).all():
                raise InvalidImageError("holds NaN or infinite values; write 0 and 1 instead")
            if levels.min() < 0:
                raise InvalidImageError(
                    f"holds values from {levels.min():.6g}; write 0 and 1 instead"
                )
    except InvalidImageError as error:
        raise InvalidMaskError(str(error)) from error.__cause__
    highest = float(levels.max())
    if highest <= 0:
        return np.zeros(levels.shape, dtype=np.bool_)
    mask = np.asarray(levels > highest / 2)
    if form != "JPEG":
        for label in _labels_below(levels, highest / 2):
            mask |= levels == label
    return mask


def _labels_below(levels: NDArray[Any], half: float) -> list[Any]:
    """Return the levels in (0, half] that are labels of their own."""
    low = levels[(levels > 0) & (levels <= half)]
    candidates, counts = np.unique(low, return_counts=True)
    if len(candidates) > _MAX_LABELS:
        return []
    least = _MIN_LABEL_FRACTION * np.count_nonzero(levels)
    return [
        label
        for label, count in zip(candidates, counts, strict=True)
        if count >= least and _interior(levels == label) >= _MIN_INTERIOR_FRACTION * count
    ]


def _interior(region: NDArray[np.bool_]) -> int:
    """Count the pixels of a region whose eight neighbours are in it too."""
    for _ in range(2):
        region = (region[:-2] & region[1:-1] & region[2:]).T
    return int(np.count_nonzero(region))
