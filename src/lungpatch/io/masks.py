"""Lung masks in files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lungpatch.errors import InvalidImageError, InvalidMaskError
from lungpatch.io.files import decoder_errors, format_of, open_file
from lungpatch.io.raster import read_raster

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray


def read_mask(path: str | os.PathLike[str]) -> NDArray[np.bool_]:
    """Read a mask file (PNG, TIFF, BMP, GIF, JPEG), whatever its two levels are.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    ndarray of bool, shape (H, W)
        True above half of the file's highest level; a file of zeros is an empty mask.

    Raises
    ------
    MissingInputError
        If there is no such file.
    InvalidMaskError
        If it cannot be read or decoded completely.

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
        with open_file(path) as handle, decoder_errors(path):
            form = format_of(handle)
            if form == "DICOM":
                raise InvalidImageError("masks in DICOM are not read; save the mask as PNG")
            levels, _ = read_raster(handle, form)
            if not np.isfinite(levels).all():
                raise InvalidImageError("holds NaN or infinite values; write 0 and 1 instead")
    except InvalidImageError as error:
        raise InvalidMaskError(str(error)) from error.__cause__
    highest = float(levels.max())
    if highest <= 0:
        return np.zeros(levels.shape, dtype=np.bool_)
    return np.asarray(levels > highest / 2)
