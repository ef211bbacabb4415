"""From stored values to grey levels in [0, 1]: modality transform, VOI transform, inversion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lungpatch.errors import InvalidImageError
from lungpatch.io.dicom.header import name_of
from lungpatch.io.dicom.luts import read_lut
from lungpatch.io.levels import CONTAINER_BITS, container_bits, over_white

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lungpatch.io.dicom.header import Header
    from lungpatch.io.dicom.pixel_format import PixelFormat

    Floats = NDArray[np.float64]

_WORD = 16
_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


class Scale(NamedTuple):
    """Values on a scale from ``black`` to ``white``, for each possible stored value."""

    values: Floats
    black: float
    white: float
    notes: tuple[str, ...] = ()
    is_table: bool = False

    def noted(self, note: str) -> Scale:
        """Return the same with one more note."""
        return self._replace(notes=(*self.notes, note))


def grey_levels(
    patterns: NDArray[Any], form: PixelFormat, header: Header
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Bring stored values (H, W) to [0, 1], bones bright.

    The transforms are computed once for each possible stored value and looked up.

    Parameters
    ----------
    patterns : ndarray of uint8 or uint16, shape (H, W)
        Bit patterns of ``form.bits_stored`` bits.
    form : PixelFormat
    header : Header

    Returns
    -------
    ndarray of float32, shape (H, W)
    notes : tuple of str
        What was used.
    """
    stored = np.arange(2**form.bits_stored, dtype=np.float64)
    if form.signed:
        stored[len(stored) // 2 :] -= len(stored)
    padding = _padding(stored, header)
    modality = _modality(stored, header)
    scale = _voi(modality, header) or _full_range(modality, stored, patterns, padding, form)
    table = over_white(scale.values - scale.black, scale.white - scale.black)
    notes = (*_lone_window(header), *scale.notes)
    if form.photometric == "MONOCHROME1":
        table = np.float32(1) - table
        notes += ("MONOCHROME1: inverted",)
    _check_shape(form, header)
    if padding.any():
        table[padding] = 0
        fraction = float(padding[patterns].mean())
        if fraction:
            notes += (f"PixelPaddingValue: {fraction:.1%} of the pixels are padding, set to black",)
    pixels: NDArray[np.float32] = table[patterns]
    return pixels, notes


def _padding(stored: Floats, header: Header) -> NDArray[np.bool_]:
    """Return which stored values stand for no image, but for what was added around it."""
    value, limit = header.integer("PixelPaddingValue"), header.integer("PixelPaddingRangeLimit")
    if value is None:
        return np.zeros(len(stored), np.bool_)
    ends = [_wrapped(end, stored) for end in (value, value if limit is None else limit)]
    return (stored >= min(ends)) & (stored <= max(ends))


def _wrapped(value: int, stored: Floats) -> int:
    """Return a value that may have been written as unsigned where it is signed, or vice versa."""
    if value > float(stored.max()) and value >= 0x8000:
        return value - 0x1_0000
    if value < float(stored.min()):
        return value + 0x1_0000
    return value


def _modality(stored: Floats, header: Header) -> Scale:
    """Apply the modality lookup table, or else the rescale slope and intercept."""
    items = header.items("ModalityLUTSequence")
    if items:
        lut = read_lut(items[0], float(stored.min()))
        return Scale(lut(stored), 0.0, lut.white, (f"modality LUT: {lut.note}",), is_table=True)
    slope, intercept = header.number("RescaleSlope"), header.number("RescaleIntercept")
    if slope is None and intercept is None:
        return Scale(stored, float(stored.min()), float(stored.max()))
    notes = []
    if slope is None or intercept is None:
        absent = "RescaleSlope" if slope is None else "RescaleIntercept"
        slope, intercept = 1.0 if slope is None else slope, intercept or 0.0
        notes.append(f"no {absent}: {1 if absent == 'RescaleSlope' else 0} assumed")
    assert intercept is not None
    if slope == 0:
        raise InvalidImageError(
            f"its {name_of('RescaleSlope')} is 0, which brings all its values to one level; "
            "export it again"
        )
    values = stored * slope + intercept
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise InvalidImageError(
            f"its {name_of('RescaleSlope')} {slope:g} and {name_of('RescaleIntercept')} "
            f"{intercept:g} bring its values beyond any level, or to one; export it again"
        )
    if (slope, intercept) != (1.0, 0.0):
        notes.insert(0, f"rescaled: slope {slope:g}, intercept {intercept:g}")
    return Scale(values, low, high, tuple(notes))


def _voi(modality: Scale, header: Header) -> Scale | None:
    """Apply the first VOI lookup table, or else the first window; None where there is neither."""
    items = header.items("VOILUTSequence")
    if items:
        lut = read_lut(items[0], float(modality.values.min()))
        note = f"VOI LUT: {lut.note}{_first_of(len(items))}"
        return Scale(lut(modality.values), 0.0, lut.white, (*modality.notes, note))
    centers, widths = header.numbers("WindowCenter"), header.numbers("WindowWidth")
    if not centers or not widths:
        return None
    function = (header.text("VOILUTFunction") or "LINEAR").upper()
    if function not in _FUNCTIONS:
        raise InvalidImageError(
            f"its {name_of('VOILUTFunction')} is {function!r}, none of {', '.join(_FUNCTIONS)}; "
            "mend the tag, or export it again"
        )
    center, width = centers[0], widths[0]
    if width <= 0 or (width < 1 and function == "LINEAR"):
        least = "of at least 1" if function == "LINEAR" else "above 0"
        raise InvalidImageError(
            f"its {name_of('WindowWidth')} is {width:g}, where {function} wants one {least}; mend "
            "the tag, or export it again"
        )
    count = _first_of(max(len(centers), len(widths)))
    note = f"window: center {center:g}, width {width:g}, {function}{count}"
    values = _windowed(modality.values, center, width, function)
    return Scale(values, 0.0, 1.0, (*modality.notes, note))


def _lone_window(header: Header) -> tuple[str, ...]:
    """Return a note where only one half of a window is given."""
    center, width = "WindowCenter" in header, "WindowWidth" in header
    if center == width:
        return ()
    names = ("WindowCenter", "WindowWidth") if center else ("WindowWidth", "WindowCenter")
    return ("{} without {}: not used".format(*names),)


def _first_of(count: int) -> str:
    return f", the first of {count}" if count > 1 else ""


def _windowed(values: Floats, center: float, width: float, function: str) -> Floats:
    """Apply a window by the formulas of DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3."""
    if function == "SIGMOID":
        # Beyond 700 a float overflows; there the function is 0 or 1 anyway.
        return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    if width == 0:
        return (values > center).astype(np.float64)
    return np.clip((values - center) / width + 0.5, 0, 1)


def _full_range(
    modality: Scale,
    stored: Floats,
    patterns: NDArray[Any],
    padding: NDArray[np.bool_],
    form: PixelFormat,
) -> Scale:
    """Scale values where the file holds no window and no VOI table.

    The depth that the file states decides; where that is only the depth of its words, the
    smallest depth of detectors that holds the pixels.
    """
    if form.bits_stored < _WORD or modality.is_table:
        source = (
            "as the modality LUT says"
            if modality.is_table
            else f"as BitsStored {form.bits_stored} says"
        )
        return modality.noted(
            f"no window or VOI LUT: black is {modality.black:g}, white {modality.white:g}, {source}"
        )
    present = np.zeros(len(stored), np.bool_)
    present[patterns] = True
    used = stored[present & ~padding]
    low, high = (int(used.min()), int(used.max())) if len(used) else (0, 0)
    if low < 0:
        bits = next(b for b in CONTAINER_BITS if -(2 ** (b - 1)) <= low and high < 2 ** (b - 1))
        ends = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    else:
        bits = container_bits(high)
        ends = (0, 2**bits - 1)
    if form.signed and ends[1] >= 2 ** (_WORD - 1):
        ends = (ends[0], 2 ** (_WORD - 1) - 1)
    black, white = sorted(float(modality.values[end % len(stored)]) for end in ends)
    return modality._replace(black=black, white=white).noted(
        f"no window or VOI LUT: black is {black:g}, white {white:g}, as {bits} of the "
        f"{form.bits_stored} bits stored are used"
    )


def _check_shape(form: PixelFormat, header: Header) -> None:
    """Refuse an image that is said to be inverted and not to be."""
    shape = header.text("PresentationLUTShape").upper()
    if (shape, form.photometric) in (("INVERSE", "MONOCHROME2"), ("IDENTITY", "MONOCHROME1")):
        raise InvalidImageError(
            f"its {name_of('PresentationLUTShape')} {shape} contradicts its "
            f"{name_of('PhotometricInterpretation')} {form.photometric}, and viewers differ in "
            "which of them they follow; mend one of the tags, or export it again"
        )
