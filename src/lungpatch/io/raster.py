"""PNG, JPEG, TIFF, BMP and GIF files, by Pillow."""

from __future__ import annotations

import struct
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np

from lungpatch.errors import InvalidImageError
from lungpatch.io.files import load
from lungpatch.io.levels import MAX_SIDE, Levels, check_size, white_of_16_bit
from lungpatch.io.tiff import read_tiff, stated_depth

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image
    from PIL import ImageFile as PillowFile

    from lungpatch.io.files import ImageFile

FORMATS = "PNG, JPEG, TIFF, BMP, GIF or DICOM"

_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_SOFTWARE = 258, 262, 305
_TIFF_WHITE_IS_ZERO = 0
_ORIENTATION = 274
_ORIENTATIONS = {
    2: "mirrored left to right",
    3: "rotated by 180 degrees",
    4: "mirrored top to bottom",
    5: "transposed",
    6: "rotated by 90 degrees clockwise",
    7: "transposed about the other diagonal",
    8: "rotated by 90 degrees counterclockwise",
}
_PLUGINS = ("Bmp", "Gif", "Jpeg", "Png", "Tiff")
_PNG_SIGNIFICANT_BITS = b"sBIT"
# Depths of words, which say nothing of the depth of the image in them.
_WORD_BITS = (8, 16, 32, 64)


def read_raster(file: ImageFile, form: str | None) -> Levels:
    """Decode an image file to its grey levels (H, W)."""
    if form is None:
        raise InvalidImageError(
            f"is not an image of a known format; give {FORMATS} (a text or an archive of another "
            "name is not converted)"
        )
    load("PIL.ImageOps", *(f"PIL.{name}ImagePlugin" for name in _PLUGINS))
    from PIL.Image import DecompressionBombError

    try:
        if form == "PNG":
            # Pillow stops at the last row and so misses damage that the checksums show.
            _open(file, form).verify()
            file.seek(0)
        image = _open(file, form)
        with image:
            check_size(image.height, image.width)
            frames = getattr(image, "n_frames", 1)
            if frames > 1 and form != "JPEG":  # the second image of a JPEG is a preview
                raise InvalidImageError(f"holds {frames} images; save the one to read on its own")
            if not _loses_bits(image):
                return _levels_of(image, file)
    except DecompressionBombError:  # a frame of a GIF may be larger than the image
        raise InvalidImageError(
            f"holds a frame of more than {MAX_SIDE} pixels per side; scale it down"
        ) from None
    except (SyntaxError, IndexError, TypeError, UnicodeError, struct.error) as error:
        if form != "TIFF":
            # One with a cause is of Python, not of Pillow.
            told = type(error) is SyntaxError and error.__cause__ is None
            reason = f" ({error})" if told else ""
            raise InvalidImageError(
                f"starts like {form}, but is not a {form} file that can be read{reason}; copy or "
                "export it again, as 8- or 16-bit PNG, say"
            ) from None
    file.seek(0)
    return read_tiff(file)


def _loses_bits(image: PillowFile.ImageFile) -> bool:
    """Whether an image is a TIFF of which Pillow would keep the high bytes only."""
    bits = getattr(image, "tag_v2", {}).get(_TIFF_BITS, (1,))
    return len(bits) > 1 and max(bits) > 8


def _levels_of(image: PillowFile.ImageFile, file: ImageFile) -> Levels:
    """Decode an opened image."""
    stated_bits = _stated_bits(image, file)
    raw_mode = str(image.tile[0][3]) if image.tile else ""
    mode = image.mode
    _decode(image, file)
    levels = pillow_levels(image)
    if image.format == "TIFF" and stated_bits and levels.array.max() >= 2**stated_bits:
        stated_bits = None  # it is not true
    levels = _white_is_zero(_scaled(levels, stated_bits), image, mode)
    if ";16" in raw_mode and not mode.startswith("I") and levels.array.max() < 128:
        raise InvalidImageError(
            "is a 16-bit colour or transparent PNG that uses few of its 16 bits, which cannot be "
            "read without loss; save it as 16-bit grey"
        )
    return levels


def _stated_bits(image: PillowFile.ImageFile, file: ImageFile) -> int | None:
    """Return the depth that a grey file states, where it is not that of its words."""
    if image.format == "TIFF":
        tags = getattr(image, "tag_v2", {})
        bits = int(tags.get(_TIFF_BITS, (1,))[0])
        return stated_depth(tags.get) if bits in _WORD_BITS else bits
    if image.format == "PNG" and image.mode.startswith("I"):
        return _significant_bits(file)
    return None


def _open(file: ImageFile, form: str) -> PillowFile.ImageFile:
    """Open an image file by Pillow's class of its format.

    Unlike ``Image.open`` this warns nobody of large images, whose size is checked here anyway.
    """
    from PIL.BmpImagePlugin import BmpImageFile
    from PIL.GifImagePlugin import GifImageFile
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile
    from PIL.TiffImagePlugin import TiffImageFile

    classes: dict[str, type[PillowFile.ImageFile]] = {
        "BMP": BmpImageFile,
        "GIF": GifImageFile,
        "JPEG": JpegImageFile,
        "PNG": PngImageFile,
        "TIFF": TiffImageFile,
    }
    return classes[form](file)


def _decode(image: PillowFile.ImageFile, file: ImageFile) -> None:
    """Decode an image, completely or with an error.

    Other libraries tell Pillow, for the whole process, to accept images whose end is missing.
    """
    from PIL import ImageFile as PillowFile

    file.complete = True
    try:
        # Files that libtiff decodes are whole in any case.
        if PillowFile.LOAD_TRUNCATED_IMAGES and not getattr(image, "use_load_libtiff", False):
            strict = {**vars(PillowFile), "LOAD_TRUNCATED_IMAGES": False}
            FunctionType(PillowFile.ImageFile.load.__code__, strict)(image)
        else:
            image.load()
    finally:
        file.complete = False


def _significant_bits(file: ImageFile) -> int | None:
    """Return the depth that a grey PNG states for the image in its 16-bit words, if any."""
    position = file.tell()
    file.seek(0)
    head = file.head()
    file.seek(position)
    start, body = 8, b""
    while start + 9 <= len(head) and head[start + 4 : start + 8] not in (b"IDAT", b"IEND"):
        (length,) = struct.unpack_from(">I", head, start)
        if head[start + 4 : start + 8] == _PNG_SIGNIFICANT_BITS:
            body = head[start + 8 : start + 8 + length]
        start += length + 12
    return body[0] if body and 8 <= body[0] < 16 else None


def pillow_levels(image: Image.Image) -> Levels:
    """Bring an image of Pillow to grey levels (H, W), as its palette, colours and EXIF say.

    ``white`` is None for integers of more than 8 bits and for floats: their type says nothing of
    the scale.
    """
    transparent = image.info.get("transparency") is not None
    orientation = getattr(image, "tag_v2", {}).get(_ORIENTATION)
    image.load()
    if orientation is None:  # else Pillow has applied it already
        orientation = image.getexif().get(_ORIENTATION, 1)
        image = _transposed(image)
    levels = _grey(image, transparent=transparent)
    if orientation not in _ORIENTATIONS:
        return levels
    note = f"EXIF orientation {orientation}: {_ORIENTATIONS[orientation]}"
    return levels._replace(notes=(*levels.notes, note))


def _scaled(levels: Levels, stated_bits: int | None) -> Levels:
    """Decide which level is white, by the depth that the file states or that its levels need."""
    array, white, notes = levels
    if array.dtype.kind == "f" and white is None:
        return levels._replace(white=1.0)
    if white is not None or array.min() < 0 or array.max() > 65535:
        return levels
    highest = int(array.max())
    if stated_bits is None:
        white, note = white_of_16_bit(highest)
    elif highest < 2**stated_bits:
        white = 2.0**stated_bits - 1
        note = f"white is {white:.0f}: the file states {stated_bits} bits"
    else:  # PNG
        white, note = 65535.0, "white is 65535: the file states levels spread over 16 bits"
    return Levels(array, white, (*notes, note))


def _white_is_zero(levels: Levels, image: PillowFile.ImageFile, mode: str) -> Levels:
    """Invert what Pillow does not: TIFF files whose white is zero, of 16 bits or float."""
    tags = getattr(image, "tag_v2", {})
    if tags.get(_TIFF_PHOTOMETRIC) != _TIFF_WHITE_IS_ZERO or levels.white is None:
        return levels
    array = levels.array
    if mode == "1" and str(tags.get(_TIFF_SOFTWARE, "")).startswith("tifffile"):
        # It notes "white is zero" for every array of bool, but writes True as 1.
        return levels._replace(array=~array)
    if mode == "F" or mode.startswith("I"):
        array = np.asarray(levels.white - array)
    return Levels(array, levels.white, (*levels.notes, "white is zero in the file: inverted"))


def _transposed(image: Image.Image) -> Image.Image:
    load("PIL.ImageOps")
    from PIL import ImageOps

    return ImageOps.exif_transpose(image) or image


def _grey(image: Image.Image, *, transparent: bool) -> Levels:
    """Bring a loaded image to grey levels; the scale of wider words is left open."""
    if image.mode == "1":
        return Levels(np.asarray(image), 1.0)
    if image.mode == "F" or image.mode.startswith("I"):
        return Levels(np.asarray(image), None)
    if image.mode == "LAB":
        raise InvalidImageError("is in CIELAB colours; save it as grey or RGB")
    notes: tuple[str, ...] = ()
    if image.mode not in ("L", "LA", "La"):
        notes = ("colours taken as their luminance",)
    if image.mode not in ("LA", "PA", "RGBA", "La", "RGBa") and not transparent:
        if image.mode == "HSV":
            image = image.convert("RGB")
        return Levels(np.asarray(image.convert("L")), 255.0, notes)
    image = image.convert("RGBA")
    levels: NDArray[Any] = np.asarray(image.convert("RGB").convert("L"))
    alpha = np.asarray(image.getchannel("A"))
    if alpha.min() < 255:
        levels = np.asarray(levels * (alpha / np.float32(255.0)))
        notes += ("transparent pixels laid over black",)
    return Levels(levels, 255.0, notes)
