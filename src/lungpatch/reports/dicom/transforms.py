"""How viewers show the grey levels of an image: its modality transform and its window or table.

Lookup tables are written anew with words of 16 bits. Those of images are often of 12 bits, or say
so and are not, which presentation states must not be. White is what reading takes for white: the
depth that the entries of a table need, at least 8 bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from lungpatch.reports.dicom.elements import Texts, set_element

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LUT_DESCRIPTOR, _LUT_DATA = 0x0028_3002, 0x0028_3006
_SIGN_BIT = 0x8000
_MIN_BITS, _WORD = 8, 16
_WHITE = 2**_WORD - 1


def display_transforms(dataset: Dataset, texts: Texts) -> Dataset:
    """Return the transforms of grey levels that reading applies: the first of each kind.

    Parameters
    ----------
    dataset : pydicom.Dataset
        The header of an image that could be read.
    texts : Texts
        Its values as text.

    Returns
    -------
    pydicom.Dataset
        The elements of the modality LUT and the VOI LUT modules.
    """
    display = Dataset()
    modality, voi = dataset.get("ModalityLUTSequence"), dataset.get("VOILUTSequence")
    table = _read_table(modality[0], dataset) if modality else None
    if voi:
        second = _read_table(voi[0], dataset)
        # Two tables are one: it takes the stored values that the first takes.
        both = second if table is None else table.then(second)
        display.VOILUTSequence = [both.item(_WHITE / both.white)]
        table = None
    if table is not None:
        display.ModalityLUTSequence = [table.item(_WHITE / table.white)]
        display.ModalityLUTSequence[0].ModalityLUTType = "US"
    elif not modality and (texts("RescaleSlope") or texts("RescaleIntercept")):
        set_element(display, "RescaleIntercept", texts("RescaleIntercept") or "0")
        set_element(display, "RescaleSlope", texts("RescaleSlope") or "1")
        set_element(display, "RescaleType", texts("RescaleType") or "US")
    if not voi and texts("WindowCenter") and texts("WindowWidth"):
        center, width, function = (
            value[0] if isinstance(value, list) else value
            for value in map(texts, ("WindowCenter", "WindowWidth", "VOILUTFunction"))
        )
        if table is not None:
            factor = _WHITE / table.white
            center, width = _scaled_window(float(center), float(width), function, factor)
        set_element(display, "WindowCenter", center)
        set_element(display, "WindowWidth", width)
        if function:
            set_element(display, "VOILUTFunction", function)
    return display


def _scaled_window(center: float, width: float, function: str, factor: float) -> tuple[str, str]:
    """Return the window that shows values times ``factor`` as the window showed the values.

    LINEAR, the default, is defined for whole numbers, with an offset [1]_.

    References
    ----------
    .. [1] DICOM PS3.3 C.11.2.1.2 "Window Center and Window Width".
    """
    if function.upper() in ("", "LINEAR"):
        center, width = (center - 0.5) * factor + 0.5, (width - 1) * factor + 1
    else:
        center, width = center * factor, width * factor
    return f"{center:.10g}", f"{width:.10g}"


class _Table:
    """A lookup table: its first input, its entries, and the entry that is white."""

    def __init__(self, first: int, entries: NDArray[np.uint16], white: int | None = None) -> None:
        self.first, self.entries = first, entries
        self.white = white or 2 ** max(_MIN_BITS, int(entries.max()).bit_length()) - 1

    def then(self, other: _Table) -> _Table:
        """Return the table that does what this and then the other does."""
        index = np.clip(self.entries.astype(np.int64) - other.first, 0, len(other.entries) - 1)
        return _Table(self.first, other.entries[index], white=other.white)

    def item(self, factor: float) -> Dataset:
        """Return it as the item of a sequence, its entries times ``factor``."""
        entries = self.entries * factor
        item = Dataset()
        vr = "SS" if self.first < 0 else "US"
        length = len(entries) % 2**_WORD  # 0 stands for 65536
        if vr == "SS" and length & _SIGN_BIT:
            length -= 2**_WORD
        item.add(DataElement(_LUT_DESCRIPTOR, vr, [length, self.first, _WORD]))
        item.add(DataElement(_LUT_DATA, "OW", np.rint(entries).astype("<u2").tobytes()))
        return item


def _read_table(item: Dataset, dataset: Dataset) -> _Table:
    """Read a lookup table from its bytes, as reading does."""
    descriptor, order = _bytes_of(item, _LUT_DESCRIPTOR)
    length, first, _ = np.frombuffer(descriptor, f"{order}u2", 3).tolist()
    length = length or 2**_WORD
    if first & _SIGN_BIT and _may_be_negative(dataset):
        first -= 2**_WORD
    data, order = _bytes_of(item, _LUT_DATA)
    if len(data) >= 2 * length:
        return _Table(first, np.frombuffer(data, f"{order}u2", length).astype(np.uint16))
    entries = np.frombuffer(data, np.uint8)
    if order == ">":  # in pairs, each in the order of a word
        entries = entries[: len(entries) // 2 * 2].reshape(-1, 2)[:, ::-1].reshape(-1)
    return _Table(first, entries[:length].astype(np.uint16))


def _bytes_of(item: Dataset, tag: int) -> tuple[bytes, str]:
    raw: Any = item.get_item(tag)
    return bytes(raw.value), "<" if getattr(raw, "is_little_endian", True) else ">"


def _may_be_negative(dataset: Dataset) -> bool:
    """Whether values that are looked up can be below 0."""
    intercept = float(dataset.get("RescaleIntercept") or 0)
    return bool(dataset.get("PixelRepresentation")) or intercept < 0
