"""How the pixels of a dataset are stored, by its header."""

from __future__ import annotations

from typing import NamedTuple

from lungpatch.errors import InvalidImageError
from lungpatch.io.dicom.header import Header, missing, name_of
from lungpatch.io.levels import check_size

GREY = ("MONOCHROME1", "MONOCHROME2")
BYTE, WORD = 8, 16
_MIN_BITS = 8
_MAX_PADDING = 3


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
    rows = header.needed_integer("Rows", 1, 2**16 - 1)
    columns = header.needed_integer("Columns", 1, 2**16 - 1)
    check_size(rows, columns)
    photometric, samples, planar, colour_notes = _read_colour(header)
    allocated, stored, high_bit, bit_notes = _read_bits(header)
    return PixelFormat(
        rows=rows,
        columns=columns,
        photometric=photometric,
        samples=samples,
        planar=planar,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high_bit,
        signed=header.needed_integer("PixelRepresentation", 0, 1) == 1,
        syntax=syntax,
        notes=(*colour_notes, *bit_notes),
    )


def _read_colour(header: Header) -> tuple[str, int, int, list[str]]:
    """Return photometric interpretation, samples per pixel, planar configuration, and notes."""
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
    expected = 1 if is_grey else 3
    samples = header.integer("SamplesPerPixel")
    if samples is None:
        samples = expected
        notes.append(f"no SamplesPerPixel: {samples} assumed, as {photometric} says")
    if samples != expected:
        raise InvalidImageError(
            f"its {name_of('SamplesPerPixel')} is {samples}, which contradicts its "
            f"{name_of('PhotometricInterpretation')} {photometric}; export it again"
        )
    planar = 0 if is_grey else header.integer("PlanarConfiguration")
    if planar is None:
        planar = 0
        notes.append("no PlanarConfiguration: 0 assumed")
    if planar not in (0, 1):
        raise InvalidImageError(
            f"its {name_of('PlanarConfiguration')} is {planar}, neither 0 nor 1; export it again"
        )
    return photometric, samples, planar, notes


def _read_bits(header: Header) -> tuple[int, int, int, list[str]]:
    """Return bits allocated, bits stored, the highest of them, and notes."""
    allocated = header.needed_integer("BitsAllocated", 1, 64)
    if allocated not in (BYTE, WORD):
        raise InvalidImageError(
            f"its {name_of('BitsAllocated')} is {allocated}; 8 and 16 are read; export it again"
        )
    stored = header.needed_integer("BitsStored", _MIN_BITS, WORD)
    if stored > allocated:
        raise InvalidImageError(
            f"its {name_of('BitsStored')} is {stored}, more than its "
            f"{name_of('BitsAllocated')} {allocated}; export it again"
        )
    high_bit = header.integer("HighBit")
    if high_bit is None:
        high_bit = stored - 1
        return allocated, stored, high_bit, [f"no HighBit: {high_bit} assumed, as BitsStored says"]
    if not stored - 1 <= high_bit < allocated:
        raise InvalidImageError(
            f"its {name_of('HighBit')} is {high_bit}, which does not fit its "
            f"{name_of('BitsStored')} {stored} and {name_of('BitsAllocated')} {allocated}; export "
            "it again"
        )
    return allocated, stored, high_bit, []


def check_size_of_pixels(n_bytes: int, form: PixelFormat) -> None:
    """Check that uncompressed pixels are as many as rows and columns say.

    Padding to whole words of 16 or 32 bits may follow.
    """
    bytes_per_sample = form.bits_allocated // BYTE
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
    if n_bytes - needed > _MAX_PADDING:
        raise InvalidImageError(
            f"its {name_of('PixelData')} holds {n_bytes} bytes, more than {expected}: one of "
            "these tags or NumberOfFrames is wrong; export it again"
        )
