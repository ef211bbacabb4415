"""What a file holds, by its first bytes."""

from __future__ import annotations

import struct
from typing import NamedTuple

from lungpatch._utils.marks import RESULT_MARK

HEAD_LENGTH = 2048
"""Number of bytes that are enough for every question asked here."""

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"BM", "BMP"),
    (b"GIF8", "GIF"),
)

_PREAMBLE_LENGTH, _PREFIX = 128, b"DICM"
_MEDIA_STORAGE_CLASS = 0x0002_0002
_DICOMDIR_CLASS = b"1.2.840.10008.1.3.10"
_DICOMDIR_GROUP = 0x0004

# Groups that a dataset can begin with: command-like, directory, identifying, patient, ... image.
_FIRST_GROUPS = frozenset({0x0002, 0x0004, 0x0008, 0x0010, 0x0018, 0x0020, 0x0028})
SHORT_VRS = frozenset(
    {
        *("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO"),
        *("LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US"),
    }
)
LONG_VRS = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"])
"""Value representations whose lengths are of two and of four bytes."""

_UNDEFINED_LENGTH = 0xFFFF_FFFF
# What a first element may hold, so that numbers of another kind of file are not taken for lengths.
_MAX_FIRST_LENGTH = 0x1_0000
_MIN_ELEMENTS = 3


class Element(NamedTuple):
    """One DICOM element of a file's head: its tag, as much of its value as is there, its end."""

    tag: int
    value: bytes
    end: int


def format_of(head: bytes) -> str | None:
    """Return the format of a file that begins with ``head``; None where it is not known.

    ``DICM`` at byte 128 decides before everything else: the 128 bytes in front of it may hold
    anything, the header of a TIFF file included (DICOM PS3.10 7.1). Files without it are DICOM
    where they begin with DICOM elements, or with ``DICM`` and DICOM elements.

    Examples
    --------
    >>> format_of(b"II*" + bytes(125) + b"DICM"), format_of(b"II*" + bytes(129))
    ('DICOM', 'TIFF')
    >>> format_of(b"plain text") is None
    True
    """
    if head[_PREAMBLE_LENGTH:].startswith(_PREFIX):
        return "DICOM"
    for magic, form in _MAGIC:
        if head.startswith(magic):
            return form
    return "DICOM" if len(leading_elements(head)) >= _MIN_ELEMENTS else None


def is_dicomdir(head: bytes) -> bool:
    """Whether a DICOM file that begins with ``head`` is a DICOMDIR, an index of other files."""
    return any(
        element.tag >> 16 == _DICOMDIR_GROUP
        or (element.tag == _MEDIA_STORAGE_CLASS and element.value.rstrip(b"\0 ") == _DICOMDIR_CLASS)
        for element in leading_elements(head)
    )


def is_result(head: bytes) -> bool:
    """Whether a file that begins with ``head`` is an image that lungpatch wrote as a result."""
    return RESULT_MARK.encode() in head


def leading_elements(head: bytes) -> list[Element]:
    """Return the elements that a DICOM file begins with; none of any other file."""
    start = dataset_start(head)
    walks = (
        _walk(head, start, order=order, explicit=explicit)
        for order, explicit in (("<", True), ("<", False), (">", True))
    )
    return max(walks, key=len)


def dataset_start(head: bytes) -> int:
    """Return where the first element of a DICOM file is, by its first bytes."""
    for start in (_PREAMBLE_LENGTH, 0):  # some writers leave out the preamble alone
        if head[start:].startswith(_PREFIX):
            return start + len(_PREFIX)
    return 0


def encoding_of(element: bytes) -> tuple[bool, bool]:
    """Return whether the VR is implicit, and the byte order little endian, of an element.

    Parameters
    ----------
    element : bytes
        Its first six bytes.
    """
    little_endian = int.from_bytes(element[:2], "little") <= int.from_bytes(element[:2], "big")
    return element[4:6].decode("latin-1") not in SHORT_VRS | LONG_VRS, little_endian


def _walk(head: bytes, start: int, *, order: str, explicit: bool) -> list[Element]:
    """Follow elements from ``start`` in one encoding, up to the first that is none."""
    elements: list[Element] = []
    position, last = start, -1
    while position + 12 <= len(head):
        group, number = struct.unpack_from(f"{order}HH", head, position)
        tag = group << 16 | number
        if tag <= last or (last < 0 and group not in _FIRST_GROUPS):
            break
        vr = head[position + 4 : position + 6].decode("latin-1")
        if not explicit:
            (length,), begin = struct.unpack_from(f"{order}I", head, position + 4), position + 8
        elif vr in LONG_VRS:
            (length,), begin = struct.unpack_from(f"{order}I", head, position + 8), position + 12
        elif vr in SHORT_VRS:
            (length,), begin = struct.unpack_from(f"{order}H", head, position + 6), position + 8
        else:
            break
        if length > _MAX_FIRST_LENGTH and length != _UNDEFINED_LENGTH:
            break
        elements.append(Element(tag, head[begin : begin + length], begin + length))
        if length == _UNDEFINED_LENGTH:  # a sequence: enough is known without entering it
            break
        position, last = begin + length, tag
    return elements
