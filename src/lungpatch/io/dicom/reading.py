"""A DICOM file, read step by step."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from lungpatch.errors import InvalidImageError
from lungpatch.io.dicom.compressed import (
    ITEM,
    RLE,
    check_decoder,
    decoded_samples,
    name_of_syntax,
)
from lungpatch.io.dicom.grey import grey_levels
from lungpatch.io.dicom.header import Header, name_of
from lungpatch.io.dicom.orientation import as_displayed
from lungpatch.io.dicom.pixel_format import GREY, PixelFormat, check_size_of_pixels, read_format
from lungpatch.io.dicom.stored import grey_patterns, luminance_levels, native_samples
from lungpatch.io.files import load
from lungpatch.io.formats import LONG_VRS, dataset_start, encoding_of, leading_elements
from lungpatch.io.levels import over_white

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lungpatch.io.files import ImageFile

TAGS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "PatientID",
    "PatientSpeciesDescription",
    "AnatomicalOrientationType",
    "Modality",
    "BodyPartExamined",
    "ViewPosition",
    "PatientOrientation",
    "ImageLaterality",
    "ImageType",
    "PresentationIntentType",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "AcquisitionDeviceProcessingDescription",
)
"""Tags that are kept with an image, as text, where the file holds them."""

CODED_TAGS = {
    "ViewCodeMeaning": "ViewCodeSequence",
    "AnatomicRegionMeaning": "AnatomicRegionSequence",
}
"""Sequences of which the meaning of the first code is kept, by the name it gets."""

_PIXEL_DATA = 0x7FE0_0010
_FLOAT_PIXEL_DATA = (0x7FE0_0008, 0x7FE0_0009)
_UNDEFINED_LENGTH = 0xFFFF_FFFF

_IMPLICIT, _EXPLICIT, _BIG_ENDIAN = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
)
_DEFLATED = "1.2.840.10008.1.2.1.99"
_NATIVE = (_IMPLICIT, _EXPLICIT, _BIG_ENDIAN, _DEFLATED)

_META_GROUP = 0x0002
_TRANSFER_SYNTAX = 0x0002_0010
_MAX_HEADER_LENGTH = 4 * 2**20
"""Maximum number of bytes of a deflated dataset before its pixels."""

# Bytes of an element before its value.
_SHORT_HEADER, _LONG_HEADER = 8, 12


class DicomImage(NamedTuple):
    """What was read of a DICOM file."""

    pixels: NDArray[np.float32]
    pixel_spacing_mm: tuple[float, float] | None
    notes: tuple[str, ...]
    tags: dict[str, str]


class _Dataset(NamedTuple):
    """A dataset up to its pixels, and what is known of these: the tag, VR and length."""

    header: Header
    syntax: str
    little_endian: bool
    pixel_tag: int | None
    vr: str
    length: int


def read_dicom(file: ImageFile) -> DicomImage:
    """Read a DICOM file as a viewer displays it, bones bright.

    Whatever the header says is checked before any pixel is read.
    """
    load("pydicom.pixels.decoders")  # and with it all of pydicom that is needed
    syntax, start = _syntax_and_start(file.head())
    source: BinaryIO = file
    source.seek(start)
    if syntax == _DEFLATED:
        source = _inflated(source)
    dataset = _read_header(source, syntax)
    header = dataset.header
    form = _checked_format(dataset)
    spacing, spacing_notes = _spacing(header)
    element = _read_pixels(source, dataset)
    if form.syntax in _NATIVE:
        samples, photometric = native_samples(element, form), form.photometric
    else:
        samples, photometric = decoded_samples(element[1], form)
    if form.photometric in GREY:
        aligned = form.syntax not in _NATIVE and form.syntax != RLE
        patterns, bit_notes = grey_patterns(samples, form, header, aligned=aligned)
        pixels, grey_notes = grey_levels(patterns, form, header)
        notes = (*form.notes, *bit_notes, *grey_notes)
    else:
        levels, white, colour_notes = luminance_levels(samples, photometric, form)
        pixels, notes = over_white(levels, white), (*form.notes, *colour_notes)
    pixels, spacing, sides = as_displayed(pixels, spacing, header)
    return DicomImage(pixels, spacing, (*notes, *spacing_notes, sides), _tags(header))


def _syntax_and_start(head: bytes) -> tuple[str, int]:
    """Return the transfer syntax of a file, "" if it states none, and where its dataset starts."""
    meta = [element for element in leading_elements(head) if element.tag >> 16 == _META_GROUP]
    syntax = next((element.value for element in meta if element.tag == _TRANSFER_SYNTAX), b"")
    start = meta[-1].end if meta else dataset_start(head)
    return syntax.strip(b"\0 ").decode("latin-1"), start


def _inflated(source: BinaryIO) -> BinaryIO:
    """Inflate a deflated dataset; no more of it than its pixels need."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(source.read(), _MAX_HEADER_LENGTH)
        if not inflater.eof and not inflater.unconsumed_tail:
            raise InvalidImageError(
                "is deflated, and ends before its data do; copy or export it again"
            )
        if not inflater.eof:
            beginning = io.BytesIO(inflated)
            dataset = _read_header(beginning, _DEFLATED)
            if dataset.pixel_tag is None:
                raise InvalidImageError(
                    "is deflated, and holds no pixels within the first "
                    f"{_MAX_HEADER_LENGTH // 2**20} MB that it inflates to; export it again"
                )
            _checked_format(dataset)
            needed = beginning.tell() + _LONG_HEADER + dataset.length - len(inflated)
            inflated += inflater.decompress(inflater.unconsumed_tail, max(1, needed))
    except zlib.error as error:
        raise InvalidImageError(
            f"is deflated, and its data are damaged ({error}); copy or export it again"
        ) from error
    return io.BytesIO(inflated)


def _read_header(source: BinaryIO, syntax: str) -> _Dataset:
    """Read a dataset up to its pixels, and stay there."""
    from pydicom.filereader import read_dataset

    found: list[tuple[int, str, int]] = []

    def at_pixels(tag: int, vr: str | None, length: int) -> bool:
        if tag != _PIXEL_DATA and tag not in _FLOAT_PIXEL_DATA:
            return False
        found.append((int(tag), vr or "", length))
        return True

    start = source.tell()
    # What the elements look like, not what the file says: files without a preamble say nothing.
    implicit, little_endian = encoding_of(source.read(6))
    source.seek(start)
    try:
        dataset = read_dataset(source, implicit, little_endian, stop_when=at_pixels)
    except (EOFError, struct.error, KeyError) as error:
        raise InvalidImageError(
            "is no DICOM that can be followed to its pixels: it ends too early, or is damaged; "
            "copy or export it again"
        ) from error
    if not syntax:
        syntax = _IMPLICIT if implicit else _EXPLICIT if little_endian else _BIG_ENDIAN
    tag, vr, length = found[0] if found else (None, "", 0)
    return _Dataset(Header(dataset), syntax, little_endian, tag, vr, length)


def _checked_format(dataset: _Dataset) -> PixelFormat:
    """Check all that the header says, and how many pixels there are."""
    header, pixel_data = dataset.header, name_of("PixelData")
    if dataset.pixel_tag is None:
        kind = header.text("SOPClassUID")
        kind = f" ({name_of_syntax(kind)})" if kind else ""
        raise InvalidImageError(
            f"is DICOM without pixel data{kind}: a report, say, or no DICOM at all; leave it out"
        )
    if dataset.pixel_tag != _PIXEL_DATA:
        raise InvalidImageError(
            f"holds its pixels as floating-point numbers, not as {pixel_data}; export it as "
            "MONOCHROME2 of 8 to 16 bits"
        )
    if not dataset.length:
        raise InvalidImageError(f"its {pixel_data} is empty; export it again, with its pixels")
    frames = header.integer("NumberOfFrames") or 1
    if frames != 1:
        raise InvalidImageError(f"holds {frames} frames; export the one to read on its own")
    if dataset.syntax not in _NATIVE:
        check_decoder(dataset.syntax)
    form = read_format(header, dataset.syntax)
    if dataset.syntax in _NATIVE:
        if dataset.length == _UNDEFINED_LENGTH:
            raise InvalidImageError(
                f"its {pixel_data} is divided into items, as compressed pixels are, but its "
                f"transfer syntax is {name_of_syntax(dataset.syntax)}; export it again"
            )
        check_size_of_pixels(dataset.length, form)
    return form


def _read_pixels(source: BinaryIO, dataset: _Dataset) -> tuple[str, bytes, str]:
    """Read the pixels at which a source stays: their VR, bytes and byte order (of `struct`)."""
    source.seek(_LONG_HEADER if dataset.vr in LONG_VRS else _SHORT_HEADER, io.SEEK_CUR)
    data = source.read(-1 if dataset.length == _UNDEFINED_LENGTH else dataset.length)
    if dataset.syntax not in _NATIVE and not data.startswith(ITEM):
        raise InvalidImageError(
            f"its {name_of('PixelData')} is not divided into items, as those of its transfer "
            f"syntax, {name_of_syntax(dataset.syntax)}, are; export it again"
        )
    return dataset.vr, data, "<" if dataset.little_endian else ">"


def _spacing(header: Header) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    """Return the distance between pixel centres (row, column), and a note if it is unusable."""
    notes: list[str] = []
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        values = header.numbers(keyword)
        if len(values) == 2 and min(values) > 0:
            return (values[0], values[1]), tuple(notes)
        if values:
            notes.append(
                f"{keyword} {header.text(keyword)}: ignored, as two positive numbers belong there"
            )
    return None, tuple(notes)


def _tags(header: Header) -> dict[str, str]:
    """Return what a file says of the kind and the identity of its image."""
    tags = {keyword: header.text(keyword) for keyword in TAGS}
    for keyword in ("Rows", "Columns"):
        tags[keyword] = str(header.integer(keyword))
    for name, sequence in CODED_TAGS.items():
        codes = header.items(sequence)
        tags[name] = codes[0].text("CodeMeaning") if codes else ""
    return {keyword: value for keyword, value in tags.items() if value}
