"""Elements of datasets: read and written as they are, valid or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydicom.dataelem import DataElement

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


class Texts:
    """The values of a dataset as text, whatever they hold.

    They are taken from their bytes: pydicom warns about or refuses values that are not as the
    standard wants them, but results must name the patient exactly as their source does.
    """

    def __init__(self, dataset: Dataset) -> None:
        from pydicom.charset import convert_encodings

        self._dataset = dataset
        self._encodings = convert_encodings(dataset.get("SpecificCharacterSet") or "ISO_IR 6")

    def __call__(self, keyword: str) -> str | list[str]:
        """Return a value, or a list of several; "" where there is none."""
        from pydicom.charset import decode_bytes
        from pydicom.datadict import dictionary_VR, tag_for_keyword
        from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS

        tag: Any = tag_for_keyword(keyword)
        element: Any = self._dataset.get_item(tag) if tag in self._dataset else None
        value = getattr(element, "value", None)
        if not isinstance(value, bytes | bytearray):
            text = "" if value is None else str(value)
        else:
            delimiters = PN_DELIMS if dictionary_VR(tag) == "PN" else TEXT_VR_DELIMS
            text = decode_bytes(bytes(value), self._encodings, delimiters)
        values = [part.strip(" \0\t\r\n") for part in text.split("\\")]
        return values if len(values) > 1 and any(values) else values[0]


def is_valid(keyword: str, value: str | list[str]) -> bool:
    """Return whether the standard allows a value, and it is one."""
    from pydicom.config import RAISE
    from pydicom.datadict import dictionary_VR
    from pydicom.valuerep import validate_value

    try:
        validate_value(dictionary_VR(keyword), value, RAISE)
    except ValueError:
        return False
    return isinstance(value, str)


def set_element(dataset: Dataset, keyword: str, value: Any) -> None:
    """Set an element by its keyword."""
    dataset.add(element(keyword, value))


def element(keyword: str, value: Any) -> DataElement:
    """Return an element that is written as it is, also where the standard wants it otherwise."""
    from pydicom.config import IGNORE
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    tag = tag_for_keyword(keyword)
    assert tag is not None  # keywords are those of this package
    return DataElement(tag, dictionary_VR(tag), value, validation_mode=IGNORE)


def name_of(keyword: str) -> str:
    """Return what an element is called in messages."""
    from pydicom.datadict import tag_for_keyword

    tag = tag_for_keyword(keyword)
    assert tag is not None  # keywords are those of this package
    return f"{keyword} ({tag >> 16:04X},{tag & 0xFFFF:04X})"
