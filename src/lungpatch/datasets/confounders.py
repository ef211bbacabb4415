"""Objects on a chest radiograph that are not disease: labels, devices, collimator edges, arms.

A detector of lung disease should not respond to them. Painted on an image whose anomaly map is
known, they show whether it does: every change of the map is caused by the object. Sizes are
relative to the height of the lungs, so that they suit an image of any size and framing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import attrs
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lungpatch.containers import BoolImage, ChestImage, FloatImage, LungMask
from lungpatch.containers.lung_coordinates import SIDES, Side
from lungpatch.errors import ConfigurationError, InvalidMaskError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

ConfounderKind = Literal["marker", "text", "pacemaker", "ecg-wires", "collimation", "arms"]
CONFOUNDER_KINDS: tuple[ConfounderKind, ...] = get_args(ConfounderKind)
"""A side marker (L or R), a burnt-in text box, a pacemaker with its lead, electrodes with their
wires, the black border of a collimator, and arms at the sides of the image."""

OVER_LUNGS: frozenset[ConfounderKind] = frozenset({"pacemaker", "ecg-wires"})
"""The kinds that lie partly over the lungs; the others never do."""

_FINER = 2
"""Oversampling of the canvas that objects are drawn on; averaging it makes their edges soft."""

_TEXTS = ("PORTABLE\nSUPINE", "ERECT  PA", "AP SEMI-ERECT\n07:45", "BED 12\n110 kV  2 mAs")


@attrs.frozen(eq=False, kw_only=True, repr=False)
class PaintedConfounder:
    """An image with an object painted on it that is not disease.

    Parameters
    ----------
    image : ChestImage
        With the object; outside ``mask`` it equals the image that was painted on.
    mask : ndarray of bool, shape (H, W)
        Pixels of the object.
    kind : str
        One of `CONFOUNDER_KINDS`.

    Examples
    --------
    >>> import numpy as np
    >>> image = ChestImage(pixels=np.zeros((2, 2), np.float32), image_id="image")
    >>> PaintedConfounder(image=image, mask=np.eye(2, dtype=bool), kind="marker")
    PaintedConfounder('image', marker, 50.0% of the image)
    """

    image: ChestImage
    mask: BoolImage
    kind: ConfounderKind

    def __repr__(self) -> str:
        size = f"{self.mask.mean():.1%} of the image"
        return f"PaintedConfounder({self.image.image_id!r}, {self.kind}, {size})"


def paint_confounder(
    image: ChestImage, lungs: LungMask, kind: ConfounderKind, rng: np.random.Generator
) -> PaintedConfounder:
    """Paint an object that is not disease on an image.

    Parameters
    ----------
    image : ChestImage
    lungs : LungMask
        Of the image's shape. ``marker``, ``text``, ``collimation`` and ``arms`` lie outside them;
        ``pacemaker`` and ``ecg-wires`` partly over them (`OVER_LUNGS`).
    kind : str
        One of `CONFOUNDER_KINDS`.
    rng : numpy.random.Generator
        Draws position, size and shape; the same generator state paints the same object.

    Returns
    -------
    PaintedConfounder

    Raises
    ------
    ConfigurationError
        If the kind is unknown.
    InvalidMaskError
        If the mask is empty, of another shape than the image, or leaves no room for the object.

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch.datasets import phantom_chest
    >>> chest = phantom_chest(0, size=128)
    >>> lungs = LungMask(pixels=chest.lungs)
    >>> painted = paint_confounder(chest.image, lungs, "marker", np.random.default_rng(0))
    >>> painted, bool((painted.mask & chest.lungs).any())
    (PaintedConfounder('phantom', marker, ...% of the image), False)
    """
    if kind not in _PAINTERS:
        raise ConfigurationError(
            f"unknown kind of confounder {kind!r}; use one of {', '.join(CONFOUNDER_KINDS)}"
        )
    if lungs.pixels.shape != image.shape:
        raise InvalidMaskError(
            f"{image.image_id}: the lung mask {lungs.pixels.shape} is not of the image's shape "
            f"{image.shape}"
        )
    if lungs.bounding_box is None:
        raise InvalidMaskError(f"{image.image_id}: the lung mask is empty; skip this image")
    cover, grey = _PAINTERS[kind](lungs, rng)
    mask = cover > 0
    if not mask.any():
        raise InvalidMaskError(
            f"{image.image_id}: the lungs leave no room for a confounder of kind {kind!r}; skip it"
        )
    pixels = np.clip(image.pixels + cover * (grey - image.pixels), 0, 1)
    return PaintedConfounder(image=attrs.evolve(image, pixels=pixels), mask=mask, kind=kind)


# ----------------------------------------------------------------------------------- painters

_Painting = tuple[FloatImage, FloatImage | np.float32]
"""Opacity of the object at each pixel, in [0, 1], and its grey level."""


def _paint_marker(lungs: LungMask, rng: np.random.Generator) -> _Painting:
    side: Side = SIDES[rng.integers(2)]
    letter = _letters(side[0].upper(), _height(lungs) * rng.uniform(0.07, 0.11))
    row, column = rng.uniform(0.02, 0.2), rng.uniform(0.03, 0.12)
    cover = _set_down(letter, lungs, (row, column if side == "right" else 1 - column))
    return cover * np.float32(rng.uniform(0.8, 1.0)), np.float32(1.0)


def _paint_text(lungs: LungMask, rng: np.random.Generator) -> _Painting:
    text = _letters(_TEXTS[rng.integers(len(_TEXTS))], _height(lungs) * rng.uniform(0.035, 0.05))
    position = (float(rng.choice([0.05, 0.95])), float(rng.choice([0.05, 0.95])))
    letters = _set_down(text, lungs, position)
    plate = _set_down(np.ones_like(text), lungs, position)
    return plate, np.float32(0.03) + np.float32(0.94) * letters


def _paint_pacemaker(lungs: LungMask, rng: np.random.Generator) -> _Painting:
    unit = _height(lungs)
    side = _a_side(lungs, rng, left_fraction=0.9)
    row, column = lungs.frame.locate(side, rng.uniform(0.1, 0.3), rng.uniform(0.55, 0.9))
    centre = np.array([float(row), float(column)])
    angle, turn = rng.uniform(0, np.pi), np.linspace(0, 2 * np.pi, 80)
    # A superellipse: a rectangle with round corners.
    across = 0.1 * unit * np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** 0.6
    along = 0.08 * unit * np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** 0.6
    can = centre + np.stack(
        [
            np.cos(angle) * across - np.sin(angle) * along,
            np.sin(angle) * across + np.cos(angle) * along,
        ],
        axis=1,
    )
    row0, col0, _, col1 = _box(lungs)
    middle = (col0 + col1) / 2
    heart = np.array([row0 + rng.uniform(0.7, 0.85) * unit, middle + rng.uniform(0, 0.15) * unit])
    above = np.array([row0 + rng.uniform(-0.05, 0.1) * unit, middle])
    lead = _curve(centre, above, above + np.array([0.4, -0.05]) * unit, heart)

    def draw(canvas: ImageDraw.ImageDraw) -> None:
        _line(canvas, lead, 0.012 * unit, 200)
        canvas.polygon(_xy(can), fill=245)

    return _drawn(lungs, draw), np.float32(0.98)


def _paint_ecg_wires(lungs: LungMask, rng: np.random.Generator) -> _Painting:
    unit = _height(lungs)
    height, width = lungs.pixels.shape
    wires = []
    for _ in range(int(rng.integers(2, 5))):
        side = _a_side(lungs, rng, left_fraction=0.5)
        row, column = lungs.frame.locate(side, rng.uniform(0.1, 0.9), rng.uniform(0.2, 0.9))
        start = np.array([float(row), float(column)])
        end = np.array([1.02 * height, rng.uniform(0.1, 0.9) * width])
        bends = rng.uniform(-0.25, 0.25, (2, 2)) * unit
        third = (end - start) / 3
        wires.append(_curve(start, start + third + bends[0], end - third + bends[1], end))

    def draw(canvas: ImageDraw.ImageDraw) -> None:
        for wire in wires:
            _line(canvas, wire, 0.01 * unit, 150)
            (x, y), radius = _xy(wire[:1])[0], 0.025 * unit * _FINER
            for scale, cover in ((1.0, 90), (0.45, 220)):  # a pad and its metal snap
                reach = max(scale * radius, 1.0)
                canvas.ellipse((x - reach, y - reach, x + reach, y + reach), fill=cover)

    return _drawn(lungs, draw), np.float32(0.95)


def _paint_collimation(lungs: LungMask, rng: np.random.Generator) -> _Painting:
    angle = np.radians(rng.uniform(-3, 3))
    cover = np.zeros(lungs.pixels.shape, np.float32)
    for direction in (0.0, 0.5, 1.0, 1.5):
        distance = _along(lungs, angle + direction * np.pi)
        lung, border = distance[lungs.pixels].max(), distance.max()
        edge = max(lung + rng.uniform(0.25, 0.8) * (border - lung), lung + 0.5)
        np.maximum(cover, np.clip(distance - edge + 0.5, 0, 1), out=cover)
    return cover, np.float32(0.02)


def _paint_arms(lungs: LungMask, rng: np.random.Generator) -> _Painting:
    cover = np.zeros(lungs.pixels.shape, np.float32)
    for direction in (0.5, 1.5):
        distance = _along(lungs, direction * np.pi + rng.uniform(-0.15, 0.15))
        lung = distance[lungs.pixels].max()
        # The arm's axis runs along the image's border, at half of its height.
        axis = distance[distance.shape[0] // 2].max()
        half_width = rng.uniform(0.4, 0.95) * (axis - lung)
        if half_width < 1:
            continue
        off = ((distance - axis) / half_width) ** 2
        flesh = 0.5 * np.sqrt(np.maximum(1 - off, 0))
        bone = 0.25 * np.sqrt(np.maximum(1 - off / 0.3**2, 0))
        np.maximum(cover, flesh + bone, out=cover)
    return cover, np.float32(1.0)


_PAINTERS: dict[ConfounderKind, Callable[[LungMask, np.random.Generator], _Painting]] = {
    "marker": _paint_marker,
    "text": _paint_text,
    "pacemaker": _paint_pacemaker,
    "ecg-wires": _paint_ecg_wires,
    "collimation": _paint_collimation,
    "arms": _paint_arms,
}


# -------------------------------------------------------------------------------------- parts


def _box(lungs: LungMask) -> tuple[int, int, int, int]:
    box = lungs.bounding_box
    assert box is not None  # an empty mask was refused
    return box


def _height(lungs: LungMask) -> int:
    row0, _, row1, _ = _box(lungs)
    return row1 - row0


def _a_side(lungs: LungMask, rng: np.random.Generator, *, left_fraction: float) -> Side:
    """Draw a side that has a lung."""
    side: Side = "left" if rng.random() < left_fraction else "right"
    if side == "left" and lungs.frame.left is None:
        return "right"
    return "left" if side == "right" and lungs.frame.right is None else side


def _along(lungs: LungMask, angle: float) -> FloatImage:
    """Coordinate of every pixel along a direction; 0 is down, a quarter turn is to the right."""
    rows, columns = np.indices(lungs.pixels.shape, dtype=np.float32)
    return np.asarray(np.cos(angle) * rows + np.sin(angle) * columns, np.float32)


def _letters(text: str, size: float) -> FloatImage:
    """Letters of ``size`` pixels, 1 on 0, with a border around them; float32 (H, W)."""
    font = ImageFont.load_default(max(8, round(size)))
    left, top, right, bottom = ImageDraw.Draw(Image.new("L", (1, 1))).multiline_textbbox(
        (0, 0), text, font
    )
    border = max(2, round(0.2 * size))
    shape = (int(right - left) + 2 * border, int(bottom - top) + 2 * border)
    canvas = Image.new("L", shape)
    ImageDraw.Draw(canvas).multiline_text((border - left, border - top), text, 255, font)
    return np.asarray(canvas, np.float32) / np.float32(255)


def _set_down(stamp: FloatImage, lungs: LungMask, position: tuple[float, float]) -> FloatImage:
    """Lay a stamp outside the lungs, as near as possible to a position in fractions of the image.

    Returns
    -------
    ndarray of float32, shape (H, W)
        0 beside the stamp, and everywhere if there is no room for it.
    """
    cover = np.zeros(lungs.pixels.shape, np.float32)
    room = np.subtract(cover.shape, stamp.shape)
    if (room < 0).any():
        return cover
    # Lung pixels under the stamp, for each position of its corner.
    sums = np.pad(lungs.pixels.astype(np.int64), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    height, width = stamp.shape
    under = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width]
    under += sums[:-height, :-width]
    corners = np.argwhere(under == 0)
    if not len(corners):
        return cover
    row, column = corners[np.argmin(((corners - room * position) ** 2).sum(axis=1))]
    cover[row : row + height, column : column + width] = stamp
    return cover


def _drawn(lungs: LungMask, draw: Callable[[ImageDraw.ImageDraw], None]) -> FloatImage:
    """Run ``draw`` on a finer canvas of 0 to 255; float32 (H, W) in [0, 1]."""
    height, width = lungs.pixels.shape
    canvas = Image.new("L", (width * _FINER, height * _FINER))
    draw(ImageDraw.Draw(canvas))
    return np.asarray(canvas.reduce(_FINER), np.float32) / np.float32(255)


def _xy(points: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Points (row, column) of the image as (x, y) of the finer canvas."""
    return [((column + 0.5) * _FINER, (row + 0.5) * _FINER) for row, column in points.tolist()]


def _line(
    canvas: ImageDraw.ImageDraw, points: NDArray[np.float64], width: float, cover: int
) -> None:
    canvas.line(_xy(points), fill=cover, width=max(_FINER, round(width * _FINER)), joint="curve")


def _curve(*ends_and_bends: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points of a cubic Bezier curve, (60, 2)."""
    t = np.linspace(0, 1, 60)[:, None]
    start, leave, arrive, end = ends_and_bends
    return (
        (1 - t) ** 3 * start
        + 3 * (1 - t) ** 2 * t * leave
        + 3 * (1 - t) * t**2 * arrive
        + t**3 * end
    )
