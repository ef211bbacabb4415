"""The TIFF files that Pillow cannot read, such as 16-bit colour, packed bits or 64-bit float."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from lungpatch.errors import InvalidImageError
from lungpatch.io.files import load
from lungpatch.io.levels import CONTAINER_BITS, Levels, check_size, luminance, white_of_16_bit

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_ORIENTATION = 274
_MAX_SAMPLE_VALUE = (281, 341)
_UNCOMPRESSED = 1
_DEFLATED = (8, 32946)
_PREMULTIPLIED = 1
_MAX_CHANNELS = 4
_WORD_BITS = (1, 8, 16, 32, 64)
_WHITES = {2**bits - 1: bits for bits in CONTAINER_BITS if 8 < bits < 16}
_LOWEST_BIT_FIRST = 2
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""Each byte with its bits in the opposite order."""


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
        stated_bits = stated_bits or stated_depth(page.tags.valueof)

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


def stated_depth(value_of: Callable[[int], Any]) -> int | None:
    """Return the depth that a TIFF of wider words states by the largest value of its samples.

    Parameters
    ----------
    value_of : callable
        Returns the value of a tag, or None.

    Returns
    -------
    int or None
        None where the value is not that of white of a depth: many programs write the largest
        value of the image at hand.

    Examples
    --------
    >>> stated_depth({281: 4095}.get), stated_depth({281: 3987}.get)
    (12, None)
    """
    for tag in _MAX_SAMPLE_VALUE:
        value = value_of(tag)
        highest = value[0] if isinstance(value, tuple) and value else value
        if highest in _WHITES:
            return _WHITES[highest]
    return None


def _samples(tiff: Any, page: Any) -> NDArray[Any]:
    """Return the samples of a page, in the order in which they are stored."""
    if page.dtype is None:
        raise InvalidImageError(
            f"holds samples of {page.bitspersample} bits that are neither whole numbers from 0 up "
            "nor floats that are read; save it as 16-bit grey"
        )
    packed = page.bitspersample not in _WORD_BITS
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
    if page.is_tiled or page.planarconfig != 1 or page.predictor != 1:
        raise InvalidImageError(
            f"holds {bits}-bit samples in tiles or planes, or as differences; save it as 16-bit "
            "grey"
        )
    row_bytes = -(-row_samples * bits // 8)
    needed = page.imagelength * row_bytes
    segments = []
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        tiff.filehandle.seek(offset)
        segment = tiff.filehandle.read(count)
        if page.fillorder == _LOWEST_BIT_FIRST:
            segment = segment.translate(_REVERSED)
        if page.compression in _DEFLATED:
            try:
                segment = zlib.decompressobj().decompress(segment, needed)
            except zlib.error as error:
                raise InvalidImageError(
                    f"its compressed pixels are damaged ({error}); copy or export it again"
                ) from error
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
    if stated_bits is not None and grey.max() < 2**stated_bits:
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
