"""PNG, JPEG, TIFF, BMP and GIF files, by Pillow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from lungpatch.errors import InvalidImageError
from lungpatch.io.levels import MAX_SIDE, check_size, no_range, unit_float, white_of_16_bit
from lungpatch.io.tiff import read_tiff

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image


FORMATS = "PNG, JPEG, TIFF, BMP, GIF or DICOM"

_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_SOFTWARE = 258, 262, 305
_TIFF_WHITE_IS_ZERO = 0


def read_raster(handle: BinaryIO, form: str | None) -> tuple[NDArray[Any], float]:
    """Decode a picture to its grey levels (H, W) and the level that is white."""
    if form is None:
        raise InvalidImageError(
            f"is not an image of a known format; give {FORMATS} (a text or an archive of another "
            "name is not converted)"
        )
    from PIL import Image, UnidentifiedImageError

    try:
        if form == "PNG":
            # Pillow stops at the last row and so misses damage that the checksums show.
            Image.open(handle, formats=["PNG"]).verify()
            handle.seek(0)
        image = Image.open(handle, formats=[form])
    except Image.DecompressionBombError:
        raise InvalidImageError(
            f"is more than {MAX_SIDE} pixels a side, or close to it; scale it down"
        ) from None
    except UnidentifiedImageError:
        if form != "TIFF":
            raise InvalidImageError(
                f"starts like {form}, but is not a readable {form} file; copy or export it again"
            ) from None
        handle.seek(0)
        return read_tiff(handle)
    with image:
        check_size(image.height, image.width)
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and form != "JPEG":  # the second picture of a JPEG is a preview
            raise InvalidImageError(f"holds {frames} pictures; save the one to read on its own")
        if form == "TIFF":
            bits = image.tag_v2.get(_TIFF_BITS, (1,))  # type: ignore[attr-defined]
            if len(bits) > 1 and max(bits) > 8:
                # Pillow would keep the high byte only.
                handle.seek(0)
                return read_tiff(handle)
        return _grey_levels(image)


def _grey_levels(image: Image.Image) -> tuple[NDArray[Any], float]:
    from PIL import ImageOps

    tiff_tags = getattr(image, "tag_v2", {})
    tiles = getattr(image, "tile", [])
    raw_mode = str(tiles[0][3]) if tiles else ""
    transparent = image.info.get("transparency")
    image.load()
    ImageOps.exif_transpose(image, in_place=True)

    if image.mode == "F":
        return unit_float(np.asarray(image)), 1.0
    if image.mode.startswith("I"):
        levels = np.asarray(image)
        if levels.min() < 0 or levels.max() > 65535:
            raise InvalidImageError(no_range(levels))
        white = white_of_16_bit(levels)
        if tiff_tags.get(_TIFF_PHOTOMETRIC) == _TIFF_WHITE_IS_ZERO:
            levels = np.asarray(white - levels)
        return levels, white

    has_alpha = image.mode in ("LA", "PA", "RGBA", "La", "RGBa")
    if has_alpha or (transparent is not None and image.mode != "1"):
        image = image.convert("RGBA")
        levels = np.asarray(image.convert("RGB").convert("L"))
        alpha = np.asarray(image.getchannel("A"))
        if alpha.min() < 255:
            levels = np.asarray(levels * (alpha / np.float32(255.0)))
    elif image.mode == "1":
        bits = np.asarray(image)
        # tifffile notes "white is zero" for every array of bool, but writes True as 1.
        if tiff_tags.get(_TIFF_PHOTOMETRIC) == _TIFF_WHITE_IS_ZERO and str(
            tiff_tags.get(_TIFF_SOFTWARE, "")
        ).startswith("tifffile"):
            bits = ~bits
        return bits.astype(np.uint8), 1.0
    else:
        levels = np.asarray(image.convert("L"))
    if ";16" in raw_mode and levels.max() < 128:
        raise InvalidImageError(
            "is a 16-bit colour or transparent PNG that uses few of its 16 bits, which cannot be "
            "read without loss; save it as 16-bit grey"
        )
    return levels, 255.0
