"""Image files in, `ChestImage` out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lungpatch.errors import InvalidImageError
from lungpatch.io.dicom import read_dicom
from lungpatch.io.files import DICOM_SUFFIXES, decoder_errors, format_of, image_id_of, open_file
from lungpatch.io.levels import checked_image, over_white
from lungpatch.io.raster import read_raster

if TYPE_CHECKING:
    import os

    from lungpatch.containers import ChestImage


def read_image(path: str | os.PathLike[str]) -> ChestImage:
    """Read a radiograph from a PNG, JPEG, TIFF, BMP, GIF or DICOM file.

    The format is decided by the file's content, not by its suffix. The orientation that a camera
    or scanner noted (EXIF) is applied, colour becomes luminance, and transparent pixels are laid
    over black. Of a DICOM file the modality rescale or table and the first VOI window or table
    are applied, ``MONOCHROME1`` is inverted, and the pixel spacing is kept (``PixelSpacing``,
    else ``ImagerPixelSpacing``).

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    ChestImage
        Bones bright, float32 (H, W) in [0, 1]; see the table in `lungpatch.io` for the levels
        that become 0 and 1. ``image_id`` is the file's name without its suffix.

    Raises
    ------
    MissingInputError
        If there is no such file.
    InvalidImageError
        If it cannot be read or decoded completely, holds several pictures, NaN or a single grey
        level, is smaller than 32 or larger than 10,000 pixels a side, or if its grey levels have
        no known range.

    References
    ----------
    DICOM PS3.3 C.7.6.3 (pixels), C.11.1 (modality LUT), C.11.2 (VOI LUT).

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "image.png")
    ...     Image.fromarray(np.tile(np.arange(64, dtype=np.uint8), (48, 1))).save(path)
    ...     read_image(path)
    ChestImage('image', 48x64, range [0, 0.247])
    """
    path = Path(path)
    with open_file(path) as handle, decoder_errors(path):
        form = format_of(handle)
        if form is None and path.suffix.lower() in DICOM_SUFFIXES:
            form = "DICOM"  # older files lack the preamble
        if form == "DICOM":
            pixels, spacing = read_dicom(handle)
        else:
            levels, white = read_raster(handle, form)
            pixels, spacing = over_white(levels, white), None
    try:
        return checked_image(pixels, image_id_of(path), spacing, str(path))
    except InvalidImageError as error:
        raise InvalidImageError(f"{path}: {error}") from None
