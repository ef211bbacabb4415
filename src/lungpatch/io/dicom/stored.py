"""Stored pixel values: from the bytes of a file to bit patterns of ``BitsStored`` bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lungpatch.errors import InvalidImageError
from lungpatch.io.dicom.header import Header, name_of
from lungpatch.io.dicom.pixel_format import WORD, check_size_of_pixels
from lungpatch.io.levels import luminance, white_of_16_bit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lungpatch.io.dicom.pixel_format import PixelFormat

_OVERLAY_GROUPS = range(0x6000, 0x6020, 2)


def native_samples(
    element: tuple[str, bytes, str], form: PixelFormat
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Return uncompressed samples as unsigned words, shape (H, W) or (H, W, 3 or 2)."""
    vr, data, order = element
    check_size_of_pixels(len(data), form)
    if form.bits_allocated == WORD:
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
        kind = "an overlay" if overlays & set(range(form.high_bit + 1, WORD)) else "other data"
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
    if form.bits_stored == WORD:
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
