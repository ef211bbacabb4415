"""The TIFF files that Pillow cannot read, such as 16-bit colour or 64-bit float."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from lungpatch.errors import InvalidImageError
from lungpatch.io.levels import check_size, luminance, no_range, unit_float, white_of_16_bit

if TYPE_CHECKING:
    from numpy.typing import NDArray

ORIENTATION_TAG = 274


def read_tiff(handle: BinaryIO) -> tuple[NDArray[Any], float]:
    """Decode the TIFF files that Pillow cannot, such as 16-bit colour or 64-bit float."""
    import tifffile

    with tifffile.TiffFile(handle) as tiff:
        if len(tiff.pages) != 1:
            raise InvalidImageError(
                f"holds {len(tiff.pages)} pictures; save the one to read on its own"
            )
        page: Any = tiff.pages[0]
        check_size(page.imagelength, page.imagewidth)
        if page.imagedepth != 1 or page.samplesperpixel > 4:
            raise InvalidImageError("has more than grey or colour channels; save it as grey")
        try:
            array = np.asarray(page.asarray())
        except ValueError as error:
            raise InvalidImageError(
                f"cannot be decompressed ({error}); save it as 16-bit grey, or uncompressed"
            ) from error
        if page.samplesperpixel > 1 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
            array = np.moveaxis(array, 0, -1)
        array = array.reshape(page.imagelength, page.imagewidth, page.samplesperpixel)
        orientation = page.tags.valueof(ORIENTATION_TAG, 1)
        white_is_zero = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
        known = (
            tifffile.PHOTOMETRIC.MINISWHITE,
            tifffile.PHOTOMETRIC.MINISBLACK,
            tifffile.PHOTOMETRIC.RGB,
        )
        if page.photometric not in known:
            raise InvalidImageError("is neither grey nor RGB; save it as grey")
        premultiplied = bool(page.extrasamples) and page.extrasamples[-1] == 1
    if array.dtype.kind == "f":
        white = 1.0
        array = unit_float(array)
    elif array.dtype.kind == "u" and array.max() <= 65535:
        n_grey = 3 if array.shape[-1] > 2 else 1
        white = white_of_16_bit(array[..., :n_grey])
    else:
        raise InvalidImageError(no_range(array))
    alpha_white = 1.0 if array.dtype.kind == "f" else float(np.iinfo(array.dtype).max)
    alpha = array[..., -1] / np.float32(alpha_white) if array.shape[-1] in (2, 4) else None
    levels = luminance(array[..., : 3 if array.shape[-1] > 2 else 1])
    if white_is_zero:
        levels = white - levels
    if alpha is not None and not premultiplied:
        levels = levels * alpha
    return _oriented(levels, orientation), white


def _oriented(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn the stored rows and columns as the EXIF orientation says."""
    if orientation >= 5:
        array = array.T
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return array
