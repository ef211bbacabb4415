"""The TIFF files that Pillow cannot read, such as 16-bit colour, packed bits or 64-bit float."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from lungpatch.errors import InvalidImageError
from lungpatch.io.files import load
from lungpatch.io.levels import Levels, check_size, luminance, white_of_16_bit

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ORIENTATION = 274
_UNCOMPRESSED = 1
_DEFLATED = (8, 32946)
_PREMULTIPLIED = 1
_MAX_CHANNELS = 4
_WORD_BITS = (1, 8, 16, 32, 64)


def read_tiff(file: BinaryIO) -> Levels:
    """Decode the TIFF files that Pillow cannot, such as 16-bit colour or 64-bit float."""
    load("tifffile")
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        if len(tiff.pages) != 1:
            raise InvalidImageError(
                f"holds {len(tiff.pages)} images; save the one to read on its own"
            )
        page: Any = tiff.pages[0]
        check_size(page.imagelength, page.imagewidth)
        if page.imagedepth != 1 or page.samplesperpixel > _MAX_CHANNELS:
            raise InvalidImageError("has more than grey or colour channels; save it as grey")
        known = (
            tifffile.PHOTOMETRIC.MINISWHITE,
            tifffile.PHOTOMETRIC.MINISBLACK,
            tifffile.PHOTOMETRIC.RGB,
        )
        if page.photometric not in known:
            raise InvalidImageError("is neither grey nor RGB; save it as grey")
        array = _samples(tiff, page)
        if page.samplesperpixel > 1 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
            array = np.moveaxis(array, 0, -1)
        array = array.reshape(page.imagelength, page.imagewidth, page.samplesperpixel)
        orientation = page.tags.valueof(_ORIENTATION, 1)
        white_is_zero = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
        premultiplied = bool(page.extrasamples) and page.extrasamples[-1] == _PREMULTIPLIED
        stated_bits = None if page.bitspersample in _WORD_BITS else int(page.bitspersample)

    n_grey = 3 if array.shape[-1] > 2 else 1
    white, notes = _white(array[..., :n_grey], stated_bits)
    levels = luminance(array[..., :n_grey])
    if n_grey > 1:
        notes += ("colours taken as their luminance",)
    if white_is_zero and white is not None:
        levels = white - levels
        notes += ("white is zero in the file: inverted",)
    if array.shape[-1] in (2, 4) and white is not None and not premultiplied:
        opaque = 1.0 if array.dtype.kind == "f" else float(np.iinfo(array.dtype).max)
        levels = levels * (array[..., -1] / np.float32(opaque))
        notes += ("transparent pixels laid over black",)
    if orientation != 1:
        notes += (f"EXIF orientation {orientation}: applied",)
    return Levels(_oriented(levels, orientation), white, notes)


def _samples(tiff: Any, page: Any) -> NDArray[Any]:
    """Return the samples of a page, in the order in which they are stored."""
    packed = page.dtype is not None and page.bitspersample not in _WORD_BITS
    if packed and page.dtype.kind == "u" and page.compression in (_UNCOMPRESSED, *_DEFLATED):
        return _unpacked(tiff, page)
    try:
        return np.asarray(page.asarray())
    except (ValueError, NotImplementedError) as error:
        needed = "; pip install imagecodecs" if "imagecodecs" in str(error) else ""
        raise InvalidImageError(
            f"cannot be decompressed ({error}){needed}; or save it as 16-bit grey, or uncompressed"
        ) from error


def _unpacked(tiff: Any, page: Any) -> NDArray[Any]:
    """Unpack samples of 2 to 31 bits, whose rows begin at whole bytes."""
    bits, row_samples = int(page.bitspersample), page.imagewidth * page.samplesperpixel
    if page.is_tiled or page.planarconfig != 1:
        raise InvalidImageError(
            f"holds {bits}-bit samples in tiles or planes; save it as 16-bit grey"
        )
    row_bytes = -(-row_samples * bits // 8)
    needed = page.imagelength * row_bytes
    segments = []
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        tiff.filehandle.seek(offset)
        segment = tiff.filehandle.read(count)
        if page.compression in _DEFLATED:
            segment = zlib.decompressobj().decompress(segment, needed)
        segments.append(segment)
    data = np.frombuffer(b"".join(segments), np.uint8)
    if len(data) < needed:
        raise InvalidImageError("ends before its last row; copy or export it again")
    rows = data[:needed].reshape(page.imagelength, row_bytes)
    unpacked = np.unpackbits(rows, axis=1, count=row_samples * bits)
    unpacked = unpacked.reshape(page.imagelength, row_samples, bits)
    samples = np.zeros(unpacked.shape[:2], np.uint32)
    for bit in range(bits):
        samples = samples << 1 | unpacked[..., bit]
    return samples


def _white(grey: NDArray[Any], stated_bits: int | None) -> tuple[float | None, tuple[str, ...]]:
    """Return the level that is white, None where the scale is not known, and notes."""
    if grey.dtype.kind == "f":
        return 1.0, ()
    if grey.dtype.kind == "b":
        return 1.0, ()
    if stated_bits is not None:
        white = 2**stated_bits - 1
        return float(white), (f"white is {white}: the file states {stated_bits} bits",)
    if grey.dtype.kind == "u" and grey.max() <= 65535:
        white_of_words, note = white_of_16_bit(int(grey.max()))
        return white_of_words, (note,)
    return None, ()


def _oriented(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn the stored rows and columns as the EXIF orientation says."""
    if orientation >= 5:
        array = array.T
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return array
