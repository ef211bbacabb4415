"""Lookup tables: their entries, and the range that these entries use."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lungpatch.errors import InvalidImageError
from lungpatch.io.dicom.header import Header, missing, name_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_MIN_BITS = 8
_DESCRIPTOR_LENGTH = 3
_SIGN_BIT = 0x8000


class LookupTable(NamedTuple):
    """A modality or VOI lookup table.

    ``first`` is the input that gets the first entry; smaller inputs get it too, and inputs after
    the last entry get the last one. Entries are from 0 to ``white``.
    """

    first: int
    entries: NDArray[np.uint16]
    white: float
    note: str

    def __call__(self, values: Floats) -> Floats:
        """Look values up, each rounded to the nearest input."""
        index = np.rint(values).astype(np.int64) - self.first
        return self.entries[np.clip(index, 0, len(self.entries) - 1)].astype(np.float64)


def read_lut(item: Header, lowest_input: float) -> LookupTable:
    """Read the item of a lookup table sequence.

    The depth in the descriptor is that of the table as it was planned. What counts is the depth
    that its entries need, at least 8 bits: tables of 12 bits are often described as of 16, and
    viewers scale them by their entries.

    Parameters
    ----------
    item : Header
    lowest_input : float
        The least value that can be looked up; where it is negative, so may be the first input.
    """
    descriptor = [int(value) for value in item.numbers("LUTDescriptor")]
    if not descriptor:
        raise InvalidImageError(missing("LUTDescriptor"))
    if len(descriptor) != _DESCRIPTOR_LENGTH:
        raise InvalidImageError(
            f"its {name_of('LUTDescriptor')} holds {len(descriptor)} values, where three belong "
            "(number of entries, first input, bits); mend the tag, or export it again"
        )
    n_entries = descriptor[0] % 2**16 or 2**16  # 0 stands for 65536
    first = descriptor[1] % 2**16
    if first & _SIGN_BIT and lowest_input < 0:
        first -= 2**16
    entries = _entries(item, n_entries)
    stated, needed = descriptor[2], max(_MIN_BITS, int(entries.max()).bit_length())
    note = f"{n_entries} entries, white is {2**needed - 1}"
    if stated != needed:
        note += f" (its descriptor says {stated} bits, its entries need {needed})"
    return LookupTable(first, entries, 2.0**needed - 1, note)


def _entries(item: Header, n_entries: int) -> NDArray[np.uint16]:
    """Return the entries, which are words, or bytes where there are half as many bytes."""
    element = item.element("LUTData")
    if element is None:
        raise InvalidImageError(missing("LUTData"))
    vr, data, order = element
    if len(data) >= 2 * n_entries:
        return np.frombuffer(data, f"{order}u2", n_entries).astype(np.uint16)
    if len(data) in (n_entries, n_entries + 1):
        entries = np.frombuffer(data, np.uint8)
        if order == ">" and vr != "OB":  # in pairs, each in the order of a word
            entries = entries[: len(entries) // 2 * 2].reshape(-1, 2)[:, ::-1].reshape(-1)
        return entries[:n_entries].astype(np.uint16)
    raise InvalidImageError(
        f"its {name_of('LUTData')} holds {len(data)} bytes, too few for the {n_entries} entries "
        f"of its {name_of('LUTDescriptor')}; mend the table, or export it again"
    )
