"""The elements of a DICOM dataset as checked values.

Values are taken from their bytes, not from pydicom's conversions: those warn, round or fail in
Python's own words where a value is not as the standard wants it, and here such a value is an error
that names the tag.
"""

from __future__ import annotations

import math
import re
import struct
from typing import TYPE_CHECKING, Any

from lungpatch.errors import InvalidImageError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_INTEGERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q"}
_REALS = {"FL": "f", "FD": "d"}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_MAX_SHOWN = 60


def name_of(keyword: str) -> str:
    """Return how a tag is called in messages.

    Examples
    --------
    >>> name_of("Rows")
    'Rows (0028,0010)'
    """
    from pydicom.datadict import tag_for_keyword

    tag = tag_for_keyword(keyword)
    assert tag is not None  # keywords are those of this package
    return f"{keyword} ({tag >> 16:04X},{tag & 0xFFFF:04X})"


class Header:
    """The elements of a dataset, by keyword.

    A value that is missing and one that is empty are the same. Values that a tag must not have
    raise an `InvalidImageError` that names it.

    Parameters
    ----------
    dataset : pydicom.Dataset
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def element(self, keyword: str | int) -> tuple[str, bytes, str] | None:
        """Return VR, bytes and byte order (of `struct`) of an element, or None if it is empty."""
        from pydicom.datadict import dictionary_VR, tag_for_keyword

        tag: Any = tag_for_keyword(keyword) if isinstance(keyword, str) else keyword
        raw: Any = self._dataset.get_item(tag) if tag in self._dataset else None
        value = getattr(raw, "value", None)
        if not value or not isinstance(value, bytes | bytearray):
            return None
        vr = dictionary_VR(tag) if raw.VR in (None, "UN") else raw.VR
        return vr, bytes(value), "<" if getattr(raw, "is_little_endian", True) else ">"

    def __contains__(self, keyword: str | int) -> bool:
        return self.element(keyword) is not None

    def items(self, keyword: str) -> list[Header]:
        """Return the items of a sequence."""
        if keyword not in self._dataset:
            return []
        from pydicom.sequence import Sequence

        value = self._dataset[keyword].value
        return [Header(item) for item in value] if isinstance(value, Sequence) else []

    def texts(self, keyword: str) -> tuple[str, ...]:
        """Return the values of a text, stripped; none where there are none."""
        element = self.element(keyword)
        if element is None:
            return ()
        try:
            text = element[1].decode()
        except UnicodeDecodeError:
            text = element[1].decode("latin-1")
        values = tuple(value.strip(" \0\t\r\n") for value in text.split("\\"))
        return values if any(values) else ()

    def text(self, keyword: str) -> str:
        """Return a text as it stands, its values separated by backslashes; "" if missing."""
        return "\\".join(self.texts(keyword))

    def numbers(self, keyword: str) -> tuple[float, ...]:
        """Return the numbers of an element; none where there are none."""
        element = self.element(keyword)
        if element is None:
            return ()
        vr, value, order = element
        vr = vr.partition(" ")[0]  # "US or SS": which of them is for the reader to know
        if vr in _INTEGERS or vr in _REALS:
            code = (_INTEGERS | _REALS)[vr]
            size = struct.calcsize(f"={code}")
            if len(value) % size:
                raise InvalidImageError(
                    f"its {name_of(keyword)} holds {len(value)} bytes, which are no whole number "
                    f"of {vr} values; export it again, or mend the tag"
                )
            numbers = struct.unpack(f"{order}{len(value) // size}{code}", value)
        else:
            texts = self.texts(keyword)
            if not all(_NUMBER.fullmatch(text) for text in texts if text):
                raise InvalidImageError(self._no_number(keyword, texts))
            numbers = tuple(float(text) for text in texts if text)
        if not all(math.isfinite(number) for number in numbers):
            raise InvalidImageError(
                f"its {name_of(keyword)} is not finite; export it again, or mend the tag"
            )
        return tuple(float(number) for number in numbers)

    @staticmethod
    def _no_number(keyword: str, texts: tuple[str, ...]) -> str:
        shown = "\\".join(texts)
        shown = shown if len(shown) <= _MAX_SHOWN else f"{shown[:_MAX_SHOWN]}..."
        if "," in shown:
            return (
                f"its {name_of(keyword)} is {shown!r}, with a comma where DICOM wants a decimal "
                "point; write it with a point (dcmodify or pydicom can), or export it again"
            )
        return (
            f"its {name_of(keyword)} is {shown!r}, which is no number; mend the tag (dcmodify or "
            "pydicom can), or export it again"
        )

    def number(self, keyword: str) -> float | None:
        """Return the only number of an element, or None where there is none.

        Values that all agree count as one.
        """
        numbers = self.numbers(keyword)
        if len(set(numbers)) > 1:
            raise InvalidImageError(
                f"its {name_of(keyword)} holds {len(numbers)} values, "
                f"{', '.join(f'{number:g}' for number in numbers[:4])}, where one belongs; mend "
                "the tag, or export it again"
            )
        return numbers[0] if numbers else None

    def integer(self, keyword: str) -> int | None:
        """Return the only integer of an element, or None where there is none."""
        number = self.number(keyword)
        if number is None:
            return None
        if number != int(number):
            raise InvalidImageError(
                f"its {name_of(keyword)} is {number:g}, where a whole number belongs; mend the "
                "tag, or export it again"
            )
        return int(number)

    def needed_integer(self, keyword: str, low: int, high: int) -> int:
        """Return an integer without which an image cannot be read."""
        value = self.integer(keyword)
        if value is None:
            raise InvalidImageError(missing(keyword))
        if not low <= value <= high:
            raise InvalidImageError(
                f"its {name_of(keyword)} is {value}, outside {low} to {high}; mend the tag, or "
                "export it again"
            )
        return value


def missing(keyword: str) -> str:
    """Return the message for a tag without which an image cannot be read."""
    return (
        f"has no {name_of(keyword)}, without which its pixels cannot be read; add the tag "
        "(dcmodify or pydicom can), or export the image again"
    )
