"""Plausibility: whether a mask can be the lungs of a frontal chest image.

A segmenter finds lungs in nearly any image: a lateral radiograph, a hand, a photograph. There its
mask does not look like a pair of lungs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from scipy import ndimage

from lungpatch.containers import BoolImage, ChestImage, FloatImage
from lungpatch.containers.grids import to_native_grid
from lungpatch.containers.lung_coordinates import split_lungs
from lungpatch.errors import InvalidMaskError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SIDE = 64
"""Side of the square copy that is measured; images are nearly square, and lungs are large."""


@attrs.frozen
class Range:
    """How doubtful a pair of lungs is, by the value of one measure.

    Parameters
    ----------
    usual : float
        Up to this value there is no doubt; about 95 of 100 chest images are within it.
    limit : float
        From this value on the measure alone makes the lungs implausible. It is below ``usual`` if
        small values are doubtful.

    Examples
    --------
    >>> from lungpatch.segmenters.plausibility import Range
    >>> Range(1.0, 3.0).doubt(2.5), Range(0.5, 0.1).doubt(0.9)
    (0.75, 0.0)
    """

    usual: float
    limit: float

    def doubt(self, value: float) -> float:
        """Return the doubt: 0 up to the usual value, 1 at the limit, linear between and beyond."""
        return max(0.0, (value - self.usual) / (self.limit - self.usual))


MIN_COVER = 0.06
"""Minimum area of two lungs, as a fraction of the image."""

MAX_COVER = 0.7
"""Maximum area of two lungs, as a fraction of the image."""

MAX_LOOSE = 0.1
"""Maximum fraction of the mask outside its two largest components."""

MIN_LUNG_RATIO = 0.1
"""Minimum area of the smaller lung, as a fraction of the larger; a smaller one is no lung."""

MAX_DOUBT = 2.0
"""Sum of the doubts, each below 1, from which on the lungs are implausible."""

SIZES = Range(1.4, 2.6)
"""Area of the larger lung, relative to the smaller."""

HEIGHTS = Range(1.25, 1.8)
"""Height of the higher lung, relative to the other."""

WIDTHS = Range(1.3, 1.9)
"""Width of the wider lung, relative to the other."""

SHAPE = Range(1.35, 0.92)
"""Height of a lung, relative to its width, in an image stretched to a square."""

TILT = Range(0.25, 0.55)
"""Rows between the centres of the lungs, relative to the columns between them."""

NARROW_SPACE = Range(0.2, 0.12)
"""Area between the lungs, where heart and spine are, as a fraction of the area of the lungs."""

WIDE_SPACE = Range(0.5, 0.95)
"""The same, for areas that are too large."""

CONTRAST = Range(0.45, 0.03)
"""Mean grey level between the lungs less that of the lungs, in standard deviations of the image."""

BRIGHT_TOP = Range(0.0, 0.3)
"""Mean grey level of the upper half less that of the lower half, in standard deviations of the
image: of the lungs or of the area between them, whichever is less. Bases are brighter, since the
body is thicker there."""

ENDS = Range(0.1, 0.55)
"""Fraction of the upper or lower border of the image that is lung."""

FLANKS = Range(0.5, 0.7)
"""Fraction of the left or right border of the image that is lung; children fill their images."""

TAPER = Range(0.78, 0.95)
"""Area of the upper quarter of the height of a lung, relative to the third quarter; of the lung
where this is less, since a heart that is not in the mask narrows the other lung from below."""

OUTLINE = Range(1.1, 1.6)
"""Length of the outline of a lung, relative to that of its bounding box; 1 for a convex lung."""

UNDECIDED = Range(0.12, 0.28)
"""Fraction of the lungs where the probability is below `SURE`."""

SURE = 0.9
"""Probability of lung from which on the segmenter is sure."""


def implausibility(
    image: ChestImage, lungs: BoolImage, *, probability: FloatImage | None = None
) -> str | None:
    """Return why a mask is hardly the lungs of a frontal chest image.

    This is a doubt, not a decision: a segmenter can miss a lung that disease has made white, and
    the rest is "one lung only", too.

    Parameters
    ----------
    image : ChestImage
    lungs : ndarray of bool, shape (H, W)
        The lung mask, of the shape of the image.
    probability : ndarray of float32, shape (h, w), values in [0, 1], optional
        Probability of lung of the segmenter, at any resolution.

    Returns
    -------
    str or None
        A short reason, or None if the lungs are plausible. Also None for an empty mask, which has a
        status of its own.

    Raises
    ------
    InvalidMaskError
        If ``lungs`` is not bool or has another shape than the image.

    See Also
    --------
    lungpatch.UNetSegmenter, lungpatch.ThresholdSegmenter, lungpatch.IMLABSegmenter

    Notes
    -----
    The lungs are implausible if their area is out of range, if they are not two, if one measure
    reaches its limit, or if the doubts of all measures add up to `MAX_DOUBT`. The limits are
    constants of this module. They were set on masks of the segmenter ``unet``, for 608 chest images
    of adults and children with and without pneumonia, for the same images inverted, rotated and
    cropped, and for noise, photographs, and drawn hands and feet. The limit on the probability is
    for that segmenter.

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch.segmenters.plausibility import implausibility
    >>> from lungpatch.datasets.phantom import phantom_chest
    >>> case = phantom_chest(0, size=128)
    >>> implausibility(case.image, case.lungs) is None
    True
    >>> left_out = case.lungs.copy()
    >>> left_out[:, :64] = False
    >>> implausibility(case.image, left_out)
    'one lung only'
    """
    if lungs.dtype != np.bool_ or lungs.shape != image.shape:
        raise InvalidMaskError(
            f"{image.image_id}: the lung mask must be bool of the image's shape {image.shape}, "
            f"got {lungs.dtype} of shape {lungs.shape}"
        )
    cover = np.count_nonzero(lungs) / max(lungs.size, 1)
    if cover == 0:
        return None
    if not MIN_COVER <= cover <= MAX_COVER:
        return f"lungs cover {_percent(cover)} of the image"
    mask = _square(lungs)
    pieces, _ = ndimage.label(mask)
    sizes = np.sort(np.bincount(pieces.ravel())[1:])
    loose = sizes[:-2].sum() / max(sizes.sum(), 1)
    if loose > MAX_LOOSE:
        return f"lungs in {len(sizes)} pieces"
    sides = split_lungs(mask)
    areas = sorted(np.count_nonzero(side) for side in (sides.right, sides.left))
    if areas[0] <= MIN_LUNG_RATIO * areas[1]:
        return "one lung only"
    right = _Lung.measure("right", sides.right)
    left = _Lung.measure("left", sides.left)
    doubts = [*_between(_square(image.pixels), right, left), *_pair(right, left), *_border(mask)]
    if probability is not None:
        doubts.extend(_probability(_square(probability)[mask]))
    for doubt, reason in doubts:
        if doubt >= 1:
            return reason
    if sum(doubt for doubt, _ in doubts) >= MAX_DOUBT:
        doubts.sort(key=lambda doubt: -doubt[0])
        return "unusual in several ways: " + "; ".join(reason for _, reason in doubts[:3])
    return None


_Doubts = Iterator[tuple[float, str]]
"""Doubts, the most informative first, each with the reason that it is if it reaches 1."""


@attrs.frozen(eq=False, kw_only=True)
class _Lung:
    """One lung on the square copy; lengths are in its pixels."""

    name: str
    mask: BoolImage
    area: int
    height: int
    width: int
    centre: tuple[float, float]
    outline: int
    taper: float

    @classmethod
    def measure(cls, name: str, mask: BoolImage) -> _Lung:
        in_row, in_column = mask.sum(1), mask.sum(0)
        rows, columns = np.flatnonzero(in_row), np.flatnonzero(in_column)
        area = int(in_row.sum())
        height = int(rows[-1] - rows[0] + 1)
        quarter = height // 4
        upper, _, third = (
            in_row[rows[0] + part * quarter : rows[0] + (part + 1) * quarter].sum()
            for part in range(3)
        )
        padded = np.pad(mask, 1)
        return cls(
            name=name,
            mask=mask,
            area=area,
            height=height,
            width=int(columns[-1] - columns[0] + 1),
            centre=(
                float(in_row @ np.arange(len(in_row)) / area),
                float(in_column @ np.arange(len(in_column)) / area),
            ),
            outline=sum(int(np.count_nonzero(np.diff(padded, axis=axis))) for axis in (0, 1)),
            taper=float(upper / max(third, 1)),
        )


def _between(pixels: FloatImage, right: _Lung, left: _Lung) -> _Doubts:
    """Yield doubts about the area between the lungs."""
    columns = np.arange(_SIDE)
    right_end = _SIDE - 1 - right.mask[:, ::-1].argmax(1)
    left_start = left.mask.argmax(1)
    between: BoolImage = (columns > right_end[:, None]) & (columns < left_start[:, None])
    between &= right.mask.any(1, keepdims=True) & left.mask.any(1, keepdims=True)
    lungs: BoolImage = right.mask | left.mask
    space = int(np.count_nonzero(between)) / (right.area + left.area)
    if space > 0:
        deviation = max(float(pixels.std()), 1e-6)
        contrast = float(pixels[between].mean() - pixels[lungs].mean())
        yield (
            CONTRAST.doubt(contrast / deviation),
            "lungs hardly darker than what lies between them: is the image inverted?",
        )
        bright_top = min(_upper_less_lower(pixels, area) for area in (lungs, between))
        yield (
            BRIGHT_TOP.doubt(bright_top / deviation),
            "lungs brighter at the top than at the base: is the image upside down?",
        )
    rows, width = (abs(a - b) for a, b in zip(right.centre, left.centre, strict=True))
    yield TILT.doubt(rows / max(width, 1e-6)), "one lung lies above the other"
    yield NARROW_SPACE.doubt(space), "hardly any space between the lungs"
    yield WIDE_SPACE.doubt(space), "lungs far apart"


def _upper_less_lower(pixels: FloatImage, area: BoolImage) -> float:
    """Return the mean grey level of the upper half of an area less the lower; 0 for one row."""
    rows = np.flatnonzero(area.any(1))
    middle = (rows[0] + rows[-1] + 1) // 2
    if middle == rows[0]:
        return 0.0
    upper, lower = pixels[:middle][area[:middle]], pixels[middle:][area[middle:]]
    return float(upper.mean() - lower.mean())


def _pair(right: _Lung, left: _Lung) -> _Doubts:
    """Yield doubts about the shape of the lungs."""
    for limits, a, b, what in (
        (SIZES, right.area, left.area, "large"),
        (HEIGHTS, right.height, left.height, "high"),
        (WIDTHS, right.width, left.width, "wide"),
    ):
        names = (right.name, left.name) if a > b else (left.name, right.name)
        ratio = max(a, b) / min(a, b)
        yield limits.doubt(ratio), f"{names[0]} lung {ratio:.1f} times as {what} as the {names[1]}"
    for lung in (right, left):
        ratio = lung.height / lung.width
        yield SHAPE.doubt(ratio), f"{lung.name} lung only {ratio:.1f} times as high as wide"
        ratio = lung.outline / (2 * (lung.height + lung.width))
        yield OUTLINE.doubt(ratio), f"{lung.name} lung with a ragged outline"
    yield (
        TAPER.doubt(min(right.taper, left.taper)),
        "lungs hardly narrower at the top than below",
    )


def _border(mask: BoolImage) -> _Doubts:
    """Yield doubts about lungs along the border of the image."""
    for limits, name, line in (
        (ENDS, "upper", mask[0]),
        (ENDS, "lower", mask[-1]),
        (FLANKS, "left", mask[:, 0]),
        (FLANKS, "right", mask[:, -1]),
    ):
        fraction = float(line.mean())
        yield (
            limits.doubt(fraction),
            f"lungs along {_percent(fraction)} of the image's {name} border",
        )


def _probability(inside: FloatImage) -> _Doubts:
    """Yield doubts of the segmenter itself, from the probability of the pixels of the lungs."""
    fraction = float((inside < SURE).mean())
    yield UNDECIDED.doubt(fraction), f"segmenter undecided over {_percent(fraction)} of the lungs"


def _square(array: NDArray[Any]) -> NDArray[Any]:
    """Resize an image or a mask to the square copy, by nearest neighbours."""
    return to_native_grid(array, (_SIDE, _SIDE))


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.0f} %" if fraction >= 0.01 else f"{100 * fraction:.1g} %"
