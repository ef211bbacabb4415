"""Stored pixel values: from the bytes of a file to bit patterns of ``BitsStored`` bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lungpatch.errors import InvalidImageError
from lungpatch.io.dicom.header import Header, missing, name_of
from lungpatch.io.files import load
from lungpatch.io.levels import check_size, luminance, white_of_16_bit

if TYPE_CHECKING:
    from numpy.typing import NDArray

GREY = ("MONOCHROME1", "MONOCHROME2")
_MIN_BITS, _MAX_BITS = 8, 16
_WORD = 16
_BYTE = 8
_OVERLAY_GROUPS = range(0x6000, 0x6020, 2)

_PILLOW_PLUGINS = ("Bmp", "Gif", "Jpeg", "Jpeg2K", "Png", "Ppm")

_JPEG_BASELINE, _JPEG_EXTENDED = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"
_RLE = "1.2.840.10008.1.2.5"
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


class PixelFormat(NamedTuple):
    """How the pixels of a dataset are stored."""

    rows: int
    columns: int
    photometric: str
    samples: int
    planar: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    syntax: str
    notes: tuple[str, ...]


def read_format(header: Header, syntax: str) -> PixelFormat:
    """Read and check everything that says how the pixels are stored."""
    rows = header.needed_integer("Rows", 0, 2**16 - 1)
    columns = header.needed_integer("Columns", 0, 2**16 - 1)
    check_size(rows, columns)
    photometric = header.text("PhotometricInterpretation").upper()
    if not photometric:
        raise InvalidImageError(missing("PhotometricInterpretation"))
    is_grey = photometric in GREY
    if not is_grey and photometric != "RGB" and not photometric.startswith("YBR"):
        raise InvalidImageError(
            f"its {name_of('PhotometricInterpretation')} is {photometric}, which has no grey "
            "meaning; export it as MONOCHROME2"
        )
    notes = []
    samples = header.integer("SamplesPerPixel")
    if samples is None:
        samples = 1 if is_grey else 3
        notes.append(f"no SamplesPerPixel: {samples} assumed, as {photometric} says")
    if samples != (1 if is_grey else 3):
        raise InvalidImageError(
            f"its {name_of('SamplesPerPixel')} is {samples}, which contradicts its "
            f"{name_of('PhotometricInterpretation')} {photometric}; export it again"
        )
    allocated = header.needed_integer("BitsAllocated", 1, 64)
    if allocated not in (_BYTE, _WORD):
        raise InvalidImageError(
            f"its {name_of('BitsAllocated')} is {allocated}; 8 and 16 are read; export it again"
        )
    stored = header.needed_integer("BitsStored", _MIN_BITS, _MAX_BITS)
    if stored > allocated:
        raise InvalidImageError(
            f"its {name_of('BitsStored')} is {stored}, more than its "
            f"{name_of('BitsAllocated')} {allocated}; export it again"
        )
    high_bit = header.integer("HighBit")
    if high_bit is None:
        high_bit = stored - 1
        notes.append(f"no HighBit: {high_bit} assumed, as BitsStored says")
    if not stored - 1 <= high_bit < allocated:
        raise InvalidImageError(
            f"its {name_of('HighBit')} is {high_bit}, which does not fit its "
            f"{name_of('BitsStored')} {stored} and {name_of('BitsAllocated')} {allocated}; export "
            "it again"
        )
    signed = header.needed_integer("PixelRepresentation", 0, 1) == 1
    planar = 0
    if samples > 1:
        stated = header.integer("PlanarConfiguration")
        planar = stated or 0
        if stated is None:
            notes.append("no PlanarConfiguration: 0 assumed")
    return PixelFormat(
        rows,
        columns,
        photometric,
        samples,
        planar,
        allocated,
        stored,
        high_bit,
        signed,
        syntax,
        tuple(notes),
    )


def check_size_of_pixels(n_bytes: int, form: PixelFormat) -> None:
    """Check that uncompressed pixels are as many as rows and columns say.

    One byte, or zeros for less than a row and a column, may follow as padding.
    """
    bytes_per_sample = form.bits_allocated // _BYTE
    per_pixel = 2 if form.photometric == "YBR_FULL_422" else form.samples
    needed = form.rows * form.columns * per_pixel * bytes_per_sample
    expected = (
        f"the {needed} that Rows {form.rows}, Columns {form.columns} and BitsAllocated "
        f"{form.bits_allocated} ask for"
    )
    if n_bytes < needed:
        raise InvalidImageError(
            f"its {name_of('PixelData')} holds {n_bytes} bytes, fewer than {expected}: the file "
            "is cut short, or one of these tags is wrong; copy or export it again"
        )
    if n_bytes - needed > max(1, bytes_per_sample * min(form.rows, form.columns) - 1):
        raise InvalidImageError(
            f"its {name_of('PixelData')} holds {n_bytes} bytes, more than {expected}: one of "
            "these tags or NumberOfFrames is wrong; export it again"
        )


def native_samples(
    element: tuple[str, bytes, str], form: PixelFormat
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Return uncompressed samples as unsigned words, shape (H, W) or (H, W, 3 or 2)."""
    vr, data, order = element
    check_size_of_pixels(len(data), form)
    if form.bits_allocated == _WORD:
        words = np.frombuffer(data, f"{order}u2", len(data) // 2)
        words = words.astype(np.uint16, copy=False)
    else:
        words = np.frombuffer(data, np.uint8)
        if order == ">" and vr == "OW":  # bytes in pairs, each pair in the order of a word
            words = words[: len(words) // 2 * 2].reshape(-1, 2)[:, ::-1].reshape(-1)
    per_pixel = 2 if form.photometric == "YBR_FULL_422" else form.samples
    words = words[: form.rows * form.columns * per_pixel]
    if form.samples == 1:
        return words.reshape(form.rows, form.columns)
    if form.planar == 1:
        return np.moveaxis(words.reshape(per_pixel, form.rows, form.columns), 0, -1)
    return words.reshape(form.rows, form.columns, per_pixel)


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
    n_frames = max(len(offsets) // 4, len(fragments) if form.syntax == _RLE else starts)
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
    if form.syntax == _RLE:
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
    if form.syntax in (_JPEG_BASELINE, _JPEG_EXTENDED) and precision > _BYTE:
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


def grey_patterns(
    words: NDArray[Any], form: PixelFormat, header: Header, *, aligned: bool
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Return stored values as bit patterns of ``BitsStored`` bits, and notes.

    Parameters
    ----------
    words : ndarray of integers, shape (H, W)
    form : PixelFormat
    header : Header
    aligned : bool
        Whether the samples are in the low bits, as decoders of JPEG put them, whatever HighBit
        says.

    Returns
    -------
    ndarray of uint8 or uint16, shape (H, W)
        Negative values are in two's complement.
    notes : tuple of str
    """
    words = words.view(f"u{words.dtype.itemsize}")
    bits = form.bits_stored
    mask = 2**bits - 1
    if aligned and not form.signed and int(words.max()) > mask:
        raise InvalidImageError(
            f"its decoded pixels reach {int(words.max())}, more than its {name_of('BitsStored')} "
            f"{bits} holds; export it again"
        )
    if aligned:
        return words & words.dtype.type(mask), ()
    shift = form.high_bit + 1 - bits
    if not shift and bits == form.bits_allocated:
        return words, ()
    notes = []
    used = int(np.bitwise_or.reduce(words, axis=None))
    overlays = _overlay_bits(header)
    patterns = (words >> shift) & words.dtype.type(mask)
    if used >> (form.high_bit + 1) and not _sign_extended(words, form):
        if not form.signed and _roughness(words >> shift) < _roughness(patterns):
            raise InvalidImageError(
                f"its pixels run on above its {name_of('HighBit')} {form.high_bit}: "
                f"{name_of('BitsStored')} {bits} is too few; export it again"
            )
        kind = "an overlay" if overlays & set(range(form.high_bit + 1, _WORD)) else "other data"
        notes.append(f"bits above HighBit {form.high_bit} hold {kind}: masked")
    if shift:
        if used & (2**shift - 1) and not overlays & set(range(shift)):
            raise InvalidImageError(
                f"its {name_of('HighBit')} is {form.high_bit}, but there is data below the "
                f"{bits} bits that end there; export it again"
            )
        notes.append(f"HighBit {form.high_bit}: the {bits} bits that end there are read")
    return patterns, tuple(notes)


def _sign_extended(words: NDArray[Any], form: PixelFormat) -> bool:
    """Whether the bits above ``HighBit`` only repeat the sign."""
    if not form.signed:
        return False
    rest = words.view(f"i{words.dtype.itemsize}") >> form.high_bit
    return bool(np.isin(rest, (0, -1)).all())


def _roughness(values: NDArray[Any]) -> int:
    """Sum of the differences between neighbours in a row: large where values wrap around."""
    return int(np.abs(np.diff(values.astype(np.int32), axis=1)).sum(dtype=np.int64))


def _overlay_bits(header: Header) -> set[int]:
    """Return the bits of the pixels in which overlays are stored."""
    bits = set()
    for group in _OVERLAY_GROUPS:
        if group << 16 | 0x3000 not in header and (group << 16 | 0x0010) in header:
            element = header.element(group << 16 | 0x0102)
            if element is not None and len(element[1]) == 2:
                bits.add(int.from_bytes(element[1], "little" if element[2] == "<" else "big"))
    return bits


def luminance_levels(
    samples: NDArray[Any], photometric: str, form: PixelFormat
) -> tuple[NDArray[Any], float, tuple[str, ...]]:
    """Return the luminance of a colour image (H, W), its white, and notes."""
    if photometric == "RGB":
        levels = luminance(samples)
    elif photometric in ("YBR_FULL", "YBR_FULL_422"):
        levels = _y_of_422(samples) if samples.shape[-1] == 2 else samples[..., 0]
    else:
        raise InvalidImageError(
            f"its {name_of('PhotometricInterpretation')} is {photometric}, which is not read; "
            "export it as MONOCHROME2 or RGB"
        )
    highest = int(samples.max())
    notes = ("colours taken as their luminance",)
    if form.bits_stored == _WORD:
        white, note = white_of_16_bit(highest)
        return levels, white, (*notes, note)
    white = 2.0**form.bits_stored - 1
    if highest > white:
        raise InvalidImageError(
            f"its colours reach {highest}, more than its {name_of('BitsStored')} "
            f"{form.bits_stored} holds; export it again"
        )
    return levels, white, notes


def _y_of_422(samples: NDArray[Any]) -> NDArray[Any]:
    """Return the Y of samples stored as Y1 Y2 B R for each two pixels."""
    fours = samples.reshape(-1, 4)
    return np.ascontiguousarray(fours[:, :2]).reshape(samples.shape[:2])
