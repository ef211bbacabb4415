"""Compressed pixels: checked before they are decoded, and decoded by what pydicom knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lungpatch.errors import InvalidImageError
from lungpatch.io.dicom.header import name_of
from lungpatch.io.dicom.pixel_format import BYTE
from lungpatch.io.files import load

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lungpatch.io.dicom.pixel_format import PixelFormat

RLE = "1.2.840.10008.1.2.5"
_JPEG_BASELINE, _JPEG_EXTENDED = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"
_DECODERS = {
    "1.2.840.10008.1.2.4.5": "pylibjpeg pylibjpeg-libjpeg",  # JPEG
    "1.2.840.10008.1.2.4.7": "pylibjpeg pylibjpeg-libjpeg",  # JPEG lossless
    "1.2.840.10008.1.2.4.8": "pylibjpeg pylibjpeg-libjpeg",  # JPEG-LS
    "1.2.840.10008.1.2.4.9": "pylibjpeg pylibjpeg-openjpeg",  # JPEG 2000
    "1.2.840.10008.1.2.4.20": "pylibjpeg pylibjpeg-openjpeg",  # high-throughput JPEG 2000
}
"""What to install, by the beginning of the transfer syntax."""

ITEM = b"\xfe\xff\x00\xe0"
"""Begins each item of compressed pixels."""

# Bytes after which the size of a frame is found in its JPEG or JPEG 2000 stream.
_JPEG_START, _JPEG_2000_START = b"\xff\xd8", b"\xff\x4f\xff\x51"

_PILLOW_PLUGINS = ("Bmp", "Gif", "Jpeg", "Jpeg2K", "Png", "Ppm")


def decoded_samples(data: bytes, form: PixelFormat) -> tuple[NDArray[Any], str]:
    """Decode compressed pixels, by the decoders that pydicom knows.

    Returns
    -------
    ndarray of integers, shape (H, W) or (H, W, 3)
    photometric : str
        Of the decoded array: decoders bring some colour spaces to others.
    """
    from pydicom.pixels.decoders.base import get_decoder

    # What Pillow, one of the decoders, would import later.
    load(*(f"PIL.{name}ImagePlugin" for name in _PILLOW_PLUGINS))

    name = name_of_syntax(form.syntax)
    offsets, *fragments = _items(data)
    starts = sum(part.startswith((_JPEG_START, _JPEG_2000_START)) for part in fragments)
    n_frames = max(len(offsets) // 4, len(fragments) if form.syntax == RLE else starts)
    if n_frames > 1:
        raise InvalidImageError(f"holds {n_frames} frames; export the one to read on its own")
    _check_stream(b"".join(fragments), form)
    options: dict[str, Any] = {
        "rows": form.rows,
        "columns": form.columns,
        "samples_per_pixel": form.samples,
        "planar_configuration": form.planar,
        "photometric_interpretation": form.photometric,
        "bits_allocated": form.bits_allocated,
        "bits_stored": form.bits_stored,
        "pixel_representation": int(form.signed),
        "number_of_frames": 1,
        "pixel_keyword": "PixelData",
    }
    if form.syntax == RLE:
        options["correct_unused_bits"] = False
    try:
        array, properties = get_decoder(form.syntax).as_array(data, raw=True, index=0, **options)
    except (RuntimeError, ValueError, NotImplementedError) as error:
        raise InvalidImageError(
            f"its pixels, compressed as {name}, could not be decompressed ({_plain(error)}); copy "
            f"or export it again, or try another decoder: pip install {_packages(form.syntax)}"
        ) from error
    return array, str(properties.get("photometric_interpretation", form.photometric))


def _plain(error: Exception) -> str:
    """Return what decoders say, without pydicom's sentence that introduces it."""
    return " ".join(str(error).partition("plugins:")[2].split() or str(error).split())[:300]


def _items(data: bytes) -> list[bytes]:
    """Return the items of compressed pixels: a table of offsets, and the parts of the frames."""
    items, position = [], 0
    while data[position : position + 4] == ITEM:
        start = position + 8
        position = start + int.from_bytes(data[position + 4 : start], "little")
        items.append(data[start:position])
    if position > len(data) or not items:
        raise InvalidImageError(f"ends within its {name_of('PixelData')}; copy or export it again")
    if len(items) == 1:
        raise InvalidImageError(f"its {name_of('PixelData')} is empty; export it again")
    return items


def check_decoder(syntax: str) -> None:
    """Check that there is a decoder for a transfer syntax, before any pixels are read."""
    from pydicom.pixels.decoders.base import get_decoder

    name = name_of_syntax(syntax)
    try:
        if get_decoder(syntax).is_available:
            return
    except NotImplementedError:
        raise InvalidImageError(
            f"has transfer syntax {name} ({syntax}), which pydicom does not decode; export it "
            "uncompressed"
        ) from None
    raise _no_decoder(name, syntax)


def name_of_syntax(syntax: str) -> str:
    """Return the name of a transfer syntax; the UID itself where it has none."""
    from pydicom.uid import UID

    return UID(syntax).name


def _no_decoder(kind: str, syntax: str) -> InvalidImageError:
    return InvalidImageError(
        f"is compressed as {kind} (transfer syntax {syntax}), for which no decoder is installed; "
        f"run: pip install {_packages(syntax)}"
    )


def _packages(syntax: str) -> str:
    beginning = max((key for key in _DECODERS if syntax.startswith(key)), key=len, default="")
    return _DECODERS.get(beginning, "pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg")


def _check_stream(frame: bytes, form: PixelFormat) -> None:
    """Check the size and the depth that a JPEG or JPEG 2000 stream states, before decoding it."""
    from pydicom.pixels.decoders.base import get_decoder

    stated = _jpeg_2000_size(frame) or _jpeg_size(frame)
    if stated is None:
        return
    rows, columns, precision = stated
    if (rows, columns) != (form.rows, form.columns):
        raise InvalidImageError(
            f"its compressed pixels are {rows}x{columns}, but {name_of('Rows')} is {form.rows} "
            f"and {name_of('Columns')} {form.columns}; export it again"
        )
    # Pillow decodes JPEG of 8 bits only.
    if form.syntax in (_JPEG_BASELINE, _JPEG_EXTENDED) and precision > BYTE:
        decoders = set(get_decoder(form.syntax).available_plugins) - {"pillow"}
        if not decoders:
            raise _no_decoder(f"{precision}-bit {name_of_syntax(form.syntax)}", form.syntax)


def _jpeg_size(frame: bytes) -> tuple[int, int, int] | None:
    """Return rows, columns and bits of a JPEG or JPEG-LS stream, or None."""
    position = len(_JPEG_START)
    if not frame.startswith(_JPEG_START):
        return None
    while position + 9 < len(frame) and frame[position] == 0xFF:
        marker = frame[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            precision = frame[position + 4]
            rows, columns = np.frombuffer(frame, ">u2", 2, position + 5).tolist()
            return rows, columns, precision
        position += 2 + int.from_bytes(frame[position + 2 : position + 4], "big")
    return None


def _jpeg_2000_size(frame: bytes) -> tuple[int, int, int] | None:
    """Return rows, columns and bits of a JPEG 2000 stream, or None."""
    start = frame.find(_JPEG_2000_START, 0, 4096)  # a JP2 header may go before
    if start < 0 or len(frame) < start + 43:
        return None
    width, height, left, top = np.frombuffer(frame, ">u4", 4, start + 8).tolist()
    return height - top, width - left, (frame[start + 42] & 0x7F) + 1
