"""The two lungs of a mask, and the position of each pixel in its lung.

Lung coordinates are built from lines and ratios that affine maps preserve. So a position in a lung
has the same coordinates if the image is shifted, scaled, rotated or sheared.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Literal, get_args

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from lungpatch._utils.forks import IMPORTING
from lungpatch.errors import ConfigurationError, InvalidMaskError

BoolImage = NDArray[np.bool_]
Floats = NDArray[np.float64]
Side = Literal["right", "left"]
Zone = Literal["upper", "middle", "lower"]

SIDES: tuple[Side, ...] = get_args(Side)
"""The patient's sides, the right one first."""

ZONES: tuple[Zone, ...] = get_args(Zone)
"""The thirds of a lung, from apex to base."""

ZONE_BORDERS = (1 / 3, 2 / 3)
"""Lung coordinates ``u`` at which the middle and the lower zone begin."""

RIGHT: Literal[1] = 1
"""The right lung in `LungFrame.side`."""

LEFT: Literal[2] = 2
"""The left lung in `LungFrame.side`."""

MIN_LUNG_FRACTION = 0.1
"""Minimum area of a component that can be a lung, as a fraction of the largest component."""

MAX_NECK_RATIO = 0.6
"""A component is two lungs if its width at the neck is below this fraction of the lungs' width."""

APICAL_FRACTION = 0.1
"""Fraction of each lung that lies above the line that gives the direction of the levels."""

MAX_SLOPE = 1.0
"""Slope of the steepest level line, in rows per column: 45 degrees."""

MAX_POINTS = 2000
"""Maximum number of pixels, picked evenly, that directions in a lung are computed from."""


@attrs.frozen(eq=False, kw_only=True, repr=False)
class LungSides:
    """The pixels of each lung, named by the patient's side.

    Parameters
    ----------
    right : ndarray of bool, shape (H, W)
        The patient's right lung: at the left of the displayed image.
    left : ndarray of bool, shape (H, W)
        The patient's left lung. No pixel is in both.

    Examples
    --------
    >>> import numpy as np
    >>> LungSides(right=np.array([[True, False]]), left=np.array([[False, True]]))
    LungSides(1x2, right 50.0%, left 50.0%)
    """

    right: BoolImage
    left: BoolImage

    def __repr__(self) -> str:
        size = "x".join(map(str, self.right.shape))
        return f"LungSides({size}, right {self.right.mean():.1%}, left {self.left.mean():.1%})"


def split_lungs(mask: ArrayLike) -> LungSides:
    """Split a lung mask into the right and the left lung.

    The sides are the patient's. In the usual display of a frontal image, PA or AP, patient and
    viewer face each other: the patient's right lung is at the left of the image, at the smaller
    column indices. A mask does not show whether the image was mirrored by mistake, or whether the
    heart is on the right.

    Parameters
    ----------
    mask : array of bool, shape (H, W)
        True within the lungs.

    Returns
    -------
    LungSides
        Every pixel of the mask is on exactly one side. Both sides of an empty mask are empty.

    Raises
    ------
    InvalidMaskError
        If the mask is not a two-dimensional array of bool.

    Notes
    -----
    The connected components (4-connected) are sorted into two groups by the columns of their
    centres. If the lungs touch, so that one component holds both, it is cut along the straight line
    where it is narrowest between its two halves. If there is only one lung, its side is decided by
    its centre: it is the right lung if the centre lies in the left half of the image.

    Examples
    --------
    >>> import numpy as np
    >>> split_lungs(np.array([[1, 1, 0, 1], [1, 1, 0, 1]], bool))
    LungSides(2x4, right 50.0%, left 25.0%)
    """
    with IMPORTING:
        from scipy import ndimage

    pixels = _checked(mask)
    left = np.zeros(pixels.shape, bool)
    inside = np.flatnonzero(pixels)
    if len(inside):
        rows, columns = np.divmod(inside, pixels.shape[1])
        box = pixels[rows[0] : rows[-1] + 1, columns.min() : columns.max() + 1]
        component = ndimage.label(box)[0][box]  # in the order of ``inside``
        left.ravel()[inside] = _in_left_lung(rows, columns, component, pixels.shape[1])
    right = pixels & ~left
    right.flags.writeable = left.flags.writeable = False
    return LungSides(right=right, left=left)


def lung_zone(u: float) -> Zone:
    """Return the name of the third of a lung that a coordinate lies in.

    Parameters
    ----------
    u : float, 0 to 1
        Lung coordinate from apex to base.

    Returns
    -------
    {"upper", "middle", "lower"}

    Examples
    --------
    >>> lung_zone(0.2), lung_zone(0.5), lung_zone(0.9)
    ('upper', 'middle', 'lower')
    """
    return ZONES[bisect_right(ZONE_BORDERS, u)]


@attrs.frozen(eq=False, kw_only=True, repr=False)
class LungBorders:
    """The borders of one lung at each level from apex to base.

    A level is a line of equal ``row - slope * column``; that value is its height.

    Parameters
    ----------
    apex, base : float
        Heights of the ends of the lung.
    medial, lateral : ndarray of float64, shape (K,)
        Columns of the outermost border points at K heights: the middles of K equal steps from apex
        to base.

    Examples
    --------
    >>> import numpy as np
    >>> borders = LungBorders(
    ...     apex=0.0, base=4.0, medial=np.array([2.0, 4.0]), lateral=np.array([6.0, 8.0]))
    >>> medial, lateral = borders.at(np.array([0.5]))
    >>> medial.tolist(), lateral.tolist()
    ([3.0], [7.0])
    """

    apex: float
    base: float
    medial: Floats
    lateral: Floats

    def at(self, u: Floats) -> tuple[Floats, Floats]:
        """Return the columns of the medial and lateral border at ``u``, linearly interpolated."""
        # np.interp does not know that the levels are evenly spaced and is six times slower.
        last = len(self.medial) - 1
        level = np.fmin(np.fmax(u * len(self.medial) - 0.5, 0.0), last)
        above = np.minimum(level.astype(np.int64), last - 1)
        part = level - above
        return (
            self.medial[above] + part * np.diff(self.medial)[above],
            self.lateral[above] + part * np.diff(self.lateral)[above],
        )


@attrs.frozen(eq=False, kw_only=True, repr=False)
class LungFrame:
    """Lung coordinates ``(side, u, v)``, comparable between patients.

    ``u`` runs from 0 at the apex to 1 at the base, ``v`` from 0 at the medial border (towards the
    heart) to 1 at the lateral border (towards the ribs), separately in each lung.

    Use `LungFrame.from_mask` or `LungMask.frame` to make one.

    Parameters
    ----------
    side : ndarray of int8, shape (H, W)
        0 outside the lungs, ``RIGHT`` (1) in the patient's right lung, ``LEFT`` (2) in the left.
    slope : float
        Rows by which a level line (equal ``u``) falls from one column to the next.
    right, left : LungBorders or None
        None if the mask has no such lung.

    See Also
    --------
    LungMask.frame : The lung coordinates of a mask.
    split_lungs : The two lungs without coordinates.

    Notes
    -----
    The levels are parallel to the line that has a tenth of each lung above it. Disease changes the
    apices least, and a tenth of a lung is more than a spur of the mask. Along a level, ``v`` is the
    relative distance between the outermost borders of the lung. Below the dome of the diaphragm
    these are the borders of the recess beside it, which are closer together and both lateral.

    Affine maps preserve this construction. If an image is shifted, scaled (each axis by its own
    factor), rotated or sheared, corresponding pixels keep their coordinates to within what the
    width of a pixel allows, as long as the level lines stay within 45 degrees of the rows of the
    image and the lungs keep their order from left to right. In an image that is mirrored left to
    right, the lungs swap sides and keep their coordinates. In an image that is upside down they
    change, since the apex is taken to be up. If there is only one lung, its tilt is unknown; the
    levels are then the rows of the image, which shifts, scalings and shears along the rows keep.

    Examples
    --------
    >>> import numpy as np
    >>> mask = np.zeros((30, 50), bool)
    >>> mask[5:25, 5:15] = mask[5:25, 30:45] = True
    >>> frame = LungFrame.from_mask(mask)
    >>> u, v = frame.coordinates()[:, 16, 5]
    >>> int(frame.side[16, 5]) == RIGHT, round(float(u), 3), round(float(v), 3)
    (True, 0.575, 0.95)

    The mirror position in the left lung:

    >>> row, column = frame.locate("left", u, v)
    >>> round(float(row), 2), round(float(column), 2)
    (16.0, 43.75)
    """

    side: NDArray[np.int8]
    slope: float
    right: LungBorders | None
    left: LungBorders | None

    @classmethod
    def from_mask(cls, mask: ArrayLike) -> LungFrame:
        """Build the lung coordinates of a lung mask.

        Parameters
        ----------
        mask : array of bool, shape (H, W)
            True within the lungs. An empty mask gives a frame without lungs.

        Returns
        -------
        LungFrame

        Raises
        ------
        InvalidMaskError
            If the mask is not a two-dimensional array of bool.
        """
        sides = split_lungs(mask)
        slope = _level_slope(sides)
        right = _borders(sides.right, slope)
        left = _borders(sides.left, slope)
        side = sides.right * np.int8(RIGHT) + sides.left * np.int8(LEFT)
        side.flags.writeable = False
        return cls(
            side=side,
            slope=slope,
            # The median plane is at larger columns than the right lung.
            right=right and attrs.evolve(right, medial=right.lateral, lateral=right.medial),
            left=left,
        )

    def coordinates(self) -> NDArray[np.float32]:
        """Return the lung coordinates of every pixel.

        Returns
        -------
        ndarray of float32, shape (2, H, W)
            ``u`` and ``v``, in [0, 1]; NaN outside the lungs.
        """
        coordinates = np.full((2, self.side.size), np.nan, np.float32)
        inside = np.flatnonzero(self.side)
        coordinates[:, inside] = self.coordinates_at(inside)
        return coordinates.reshape(2, *self.side.shape)

    def coordinates_at(self, pixels: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the lung coordinates of some pixels: the same as `coordinates`, but fewer.

        Parameters
        ----------
        pixels : ndarray of int64, shape (N,)
            Indices into the flattened image: ``row * W + column``.

        Returns
        -------
        ndarray of float32, shape (2, N)
            ``u`` and ``v``, in [0, 1]; NaN outside the lungs.
        """
        coordinates = np.full((2, len(pixels)), np.nan, np.float32)
        side = self.side.ravel()[pixels]
        for lung, borders in ((RIGHT, self.right), (LEFT, self.left)):
            if borders is None:
                continue
            inside = np.flatnonzero(side == lung)
            rows, columns = np.divmod(pixels[inside], self.side.shape[1])
            u = (rows - self.slope * columns - borders.apex) / (borders.base - borders.apex)
            medial, lateral = borders.at(u)
            coordinates[0, inside] = u
            coordinates[1, inside] = (columns - medial) / (lateral - medial)
        return coordinates

    def locate(self, side: Side, u: ArrayLike, v: ArrayLike) -> tuple[Floats, Floats]:
        """Return the position in the image of lung coordinates: the inverse of `coordinates`.

        Parameters
        ----------
        side : {"right", "left"}
            The patient's side.
        u, v : array of float, values in [0, 1]
            Arrays whose shapes broadcast together.

        Returns
        -------
        row, column : ndarray of float64
            Pixel centres are at whole numbers. The position may lie outside the mask where its
            outline is concave, such as beside the dome of the diaphragm.

        Raises
        ------
        ConfigurationError
            If ``side`` is anything else.
        InvalidMaskError
            If the mask has no lung on that side.
        """
        if side not in ("right", "left"):
            raise ConfigurationError(f"side must be 'right' or 'left', got {side!r}")
        borders = self.right if side == "right" else self.left
        if borders is None:
            raise InvalidMaskError(f"the mask has no {side} lung: the frame's {side} is None")
        u, v = np.asarray(u, np.float64), np.asarray(v, np.float64)
        medial, lateral = borders.at(u)
        column = medial + v * (lateral - medial)
        return borders.apex + u * (borders.base - borders.apex) + self.slope * column, column

    def __repr__(self) -> str:
        lungs = [name for name, lung in (("right", self.right), ("left", self.left)) if lung]
        size = "x".join(map(str, self.side.shape))
        tilt = np.degrees(np.arctan(self.slope))
        return f"LungFrame({size}, {' and '.join(lungs) or 'no'} lung, tilted {tilt:.1f} degrees)"


def _checked(mask: ArrayLike) -> BoolImage:
    pixels = np.asarray(mask)
    if pixels.ndim != 2 or pixels.dtype != np.bool_:
        raise InvalidMaskError(
            f"a lung mask is an array of bool with shape (H, W), got {pixels.dtype} with shape "
            f"{pixels.shape}"
        )
    return pixels


# --------------------------------------------------------------------------- right and left


def _in_left_lung(
    rows: NDArray[np.int64], columns: NDArray[np.int64], component: NDArray[np.int32], width: int
) -> BoolImage:
    """Return which lung pixels belong to the left lung, bool (N,)."""
    count = int(component.max()) + 1
    in_column = np.bincount(component * width + columns, minlength=count * width)
    in_column = in_column.reshape(count, width)
    sizes = in_column.sum(axis=1)
    centres = in_column @ np.arange(width) / np.maximum(sizes, 1)
    lungs = np.flatnonzero(sizes > MIN_LUNG_FRACTION * sizes.max())
    if len(lungs) > 1:
        left_components: BoolImage = centres > _between_groups(centres[lungs], sizes[lungs])
        return left_components[component]
    inside = component == lungs[0]
    cut = _narrowest_cut(rows[inside], columns[inside])
    if cut is None:
        return np.full(len(rows), centres[lungs[0]] > (width - 1) / 2)
    normal, offset = cut
    beyond: BoolImage = normal[0] * rows + normal[1] * columns > offset
    return beyond


def _between_groups(centres: Floats, sizes: NDArray[np.int64]) -> float:
    """Return the column that splits components into two groups of minimum variance."""
    order = np.argsort(centres)
    centres, sizes = centres[order], sizes[order]
    below, moment = np.cumsum(sizes)[:-1], np.cumsum(sizes * centres)
    above = sizes.sum() - below
    between = below * above * (moment[:-1] / below - (moment[-1] - moment[:-1]) / above) ** 2
    split = int(np.argmax(between))
    return float(centres[split] + centres[split + 1]) / 2


def _narrowest_cut(
    rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> tuple[Floats, float] | None:
    """Find the line ``normal @ (row, column) == offset`` between lungs that touch; None for one.

    Fisher's linear discriminant of the two halves gives the direction of the line; affine maps
    preserve it.
    """
    step = 1 + len(rows) // MAX_POINTS
    points = np.stack([rows[::step], columns[::step]]).astype(np.float64)
    beyond = points[1] > (points[1].min() + points[1].max()) / 2
    depth = np.inf
    normal, offset = np.zeros(2), 0.0
    for _ in range(4):
        if beyond.all() or not beyond.any():
            return None
        halves = points[:, ~beyond], points[:, beyond]
        centres = [half.mean(axis=1) for half in halves]
        spread = np.eye(2) / 12  # the covariance of one pixel; keeps thin masks invertible
        for half, centre in zip(halves, centres, strict=True):
            away = half - centre[:, None]
            spread += away @ away.T / points.shape[1]
        normal = np.linalg.solve(spread, centres[1] - centres[0])
        along = normal @ points
        # At least two pixels wide, since narrower bins can be empty.
        bins = int(np.clip(np.ptp(along) / np.linalg.norm(normal) / 2, 1, 40))
        counts, edges = np.histogram(along, bins)
        ends = [normal @ centre for centre in centres]
        first, last = np.searchsorted(edges, ends, side="right") - 1
        neck = first + int(np.argmin(counts[first : last + 1]))
        offset = float(edges[neck] + edges[neck + 1]) / 2
        depth = counts[neck] / min(counts[: neck + 1].max(), counts[neck:].max())
        beyond = along > offset
    return (normal, offset) if depth < MAX_NECK_RATIO else None


# ----------------------------------------------------------------------------------- frame


def _level_slope(sides: LungSides) -> float:
    """Return the slope, in rows per column, of the line with a tenth of each lung above it."""
    with IMPORTING:
        from scipy.optimize import brentq

    lungs = []
    for pixels in (sides.right, sides.left):
        inside = np.flatnonzero(pixels)
        if len(inside) == 0:
            return 0.0
        inside = inside[:: 1 + len(inside) // MAX_POINTS]
        lungs.append(np.divmod(inside, pixels.shape[1]))

    def excess(slope: float) -> float:
        """Return how far the line of the left lung lies above that of the right: 0 if it fits."""
        right, left = (_apical_height(rows - slope * columns) for rows, columns in lungs)
        return right - left

    # Its derivative is the distance between the lungs, so there is at most one root.
    if excess(-MAX_SLOPE) >= 0.0:
        return -MAX_SLOPE
    if excess(MAX_SLOPE) <= 0.0:
        return MAX_SLOPE
    return float(brentq(excess, -MAX_SLOPE, MAX_SLOPE, xtol=1e-4))


def _apical_height(heights: Floats) -> float:
    """Return the height with a tenth of the pixels above it; a pixel fills one unit of height."""
    start = np.floor(heights.min())
    heights = heights - start
    step = np.floor(heights)
    part = heights - step
    nth = step.astype(np.int64)
    length = int(nth.max()) + 2
    filled = np.bincount(nth, 1.0 - part, length) + np.bincount(nth + 1, part, length)
    above = np.concatenate([[0.0], np.cumsum(filled)])
    edges = np.arange(length + 1) - 0.5
    return float(start + np.interp(APICAL_FRACTION * len(heights), above, edges))


def _borders(lung: BoolImage, slope: float) -> LungBorders | None:
    """Find the first (as medial) and last (as lateral) columns of a lung at equidistant levels.

    The levels are at most half a pixel apart, so that the interpolated borders enclose the centre
    of every pixel: the outline passes at least half a pixel above and below each centre.
    """
    if not lung.any():
        return None
    rows, columns = _outline(lung)
    heights = rows - slope * columns
    apex, base = float(heights.min()), float(heights.max())
    levels = int(np.ceil(2 * (base - apex)))
    # In these units level k has height k.
    ends = (heights - apex) * (levels / (base - apex)) - 0.5
    upper, lower = ends.min(axis=1), ends.max(axis=1)
    # A piece of the outline is at most one pixel high, so it crosses at most 4 levels.
    crossed = np.ceil(upper).astype(np.int64)[:, None] + np.arange(4)
    piece, nth = np.nonzero((crossed <= lower[:, None]) & (upper < lower)[:, None])
    level = crossed[piece, nth]
    inside = (level >= 0) & (level < levels)
    piece, level = piece[inside], level[inside]
    part = (level - ends[piece, 0]) / (ends[piece, 1] - ends[piece, 0])
    column = columns[piece, 0] + part * (columns[piece, 1] - columns[piece, 0])
    first, last = np.full(levels, np.inf), np.full(levels, -np.inf)
    np.minimum.at(first, level, column)
    np.maximum.at(last, level, column)
    known = np.flatnonzero(np.isfinite(first))
    if len(known) < levels:  # gaps between the components of a lung
        first = np.interp(np.arange(levels), known, first[known])
        last = np.interp(np.arange(levels), known, last[known])
    return LungBorders(apex=apex, base=base, medial=first, lateral=last)


def _outline(lung: BoolImage) -> tuple[Floats, Floats]:
    """Return rows and columns, each (N, 2), of the ends of N straight pieces around a mask.

    Marching squares at one half: the pieces connect midpoints between pixels inside and outside.
    """
    occupied_rows = np.flatnonzero(lung.any(axis=1))
    occupied_columns = np.flatnonzero(lung.any(axis=0))
    top, left = occupied_rows[0], occupied_columns[0]
    padded = np.pad(lung[top : occupied_rows[-1] + 1, left : occupied_columns[-1] + 1], 1)
    beside = padded[:, 1:] != padded[:, :-1]
    below = padded[1:] != padded[:-1]
    # The sides of a square between four pixel centres: top, left, bottom, right.
    sides = beside[:-1], below[:, :-1], beside[1:], below[:, 1:]
    square = np.nonzero(sides[0] | sides[1] | sides[2] | sides[3])
    # Each square has two or four sides that change; they come in pairs here.
    index, edge = np.nonzero(np.stack([side[square] for side in sides], axis=1))
    rows = square[0][index] + np.array([0.0, 0.5, 1.0, 0.5])[edge] + (top - 1)
    columns = square[1][index] + np.array([0.5, 0.0, 0.5, 1.0])[edge] + (left - 1)
    return rows.reshape(-1, 2), columns.reshape(-1, 2)
