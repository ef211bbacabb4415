"""Distractors: objects and edges on a chest radiograph that are no lesions, painted at random."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from lungpatch.synthesis.opacities import BoolImage, FloatImage, check_lung, smoothstep

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from PIL import ImageDraw

Distractor = Literal["device", "wire", "electrode", "text", "nipple", "fold"]
DISTRACTORS: tuple[Distractor, ...] = get_args(Distractor)
"""Implanted devices with leads, wires and tubes, electrodes, letters, nipples, and edges of skin
folds or scapulae."""

_FREQUENCY = (0.3, 0.23, 0.17, 0.1, 0.08, 0.12)
"""How often each of `DISTRACTORS` is drawn; devices most, since they are largest and densest."""

_MAX_NUMBER = 3
_FINER = 2
"""Oversampling of what is drawn by lines; averaging it makes the edges soft."""


def paint_distractors(
    pixels: FloatImage,
    lung: BoolImage,
    rng: np.random.Generator,
    *,
    kind: Distractor | None = None,
) -> FloatImage:
    """Paint one to three random objects over an image that a detector should not respond to.

    Without them, a detector that is trained on painted lesions takes everything bright for a
    lesion. They are the negatives of that training; nothing else about an image changes. Their
    shapes are specific to this library. `lungpatch.datasets.paint_confounder`, which measures how
    detectors respond to objects, draws others, so that it is no test on what was trained.

    Parameters
    ----------
    pixels : ndarray of float32, shape (H, W), values in [0, 1]
        A radiograph, or a crop around the lungs; sizes are relative to the root of its area.
    lung : ndarray of bool, shape (H, W)
        Most of the objects lie over the lungs, at least in part.
    rng : numpy.random.Generator
    kind : str, optional
        One of `DISTRACTORS`, of which one is painted; by default kinds and number are drawn.

    Returns
    -------
    ndarray of float32, shape (H, W), values in [0, 1]
        A new array.

    Raises
    ------
    InvalidMaskError
        If the mask is not bool of shape (H, W), or is empty.
    ValueError
        If the shapes differ or the kind is unknown.

    See Also
    --------
    LesionSynthesiser : Paints what a detector should respond to.

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch.synthesis import paint_distractors
    >>> image, lung = np.full((64, 64), 0.3, np.float32), np.ones((64, 64), bool)
    >>> painted = paint_distractors(image, lung, np.random.default_rng(0), kind="device")
    >>> bool((painted >= image).all() and painted.max() > 0.6)
    True
    """
    check_lung(lung)
    if pixels.shape != lung.shape:
        raise ValueError(f"pixels {pixels.shape} and lung {lung.shape} must have one shape")
    if kind is not None and kind not in DISTRACTORS:
        raise ValueError(
            f"unknown kind of distractor {kind!r}; use one of {', '.join(DISTRACTORS)}"
        )
    kinds = (
        [kind] if kind else rng.choice(DISTRACTORS, rng.integers(1, _MAX_NUMBER + 1), p=_FREQUENCY)
    )
    painted = pixels
    for each in kinds:
        painted = np.clip(_PAINTERS[each](painted, lung, rng), 0, 1).astype(np.float32)
    return painted


def _paint_device(pixels: FloatImage, lung: BoolImage, rng: np.random.Generator) -> FloatImage:
    """Paint a dense box with round corners or a disc, with up to two leads."""
    side = _side(pixels)
    centre = _in_lung(lung, rng)
    if rng.random() < 0.7:
        centre[1] = rng.uniform(0.02, 0.55) * pixels.shape[0]
    radius, aspect = rng.uniform(0.04, 0.13) * side, rng.uniform(0.6, 1.0)
    along, across = _turned(pixels.shape, centre, rng.uniform(0, np.pi))
    along, across = np.abs(along) / radius, np.abs(across) / (radius * aspect)
    roundness = rng.choice([2.0, 3.0, 4.0, 8.0])
    distance = (along**roundness + across**roundness) ** (1 / roundness)
    cover = rng.uniform(0.6, 1.0) * smoothstep(0.5 * radius * (1 - distance) + 0.5)
    inner = (along < rng.uniform(0.2, 0.9)) & (across < rng.uniform(0.2, 0.9))
    level = rng.uniform(0.7, 1.0) - rng.uniform(0, 0.3) * inner
    painted: FloatImage = pixels + cover * np.maximum(level - pixels, 0)
    for _ in range(rng.integers(0, 3)):
        painted = _wire_from(centre, painted, rng)
    return painted


def _paint_wire(pixels: FloatImage, lung: BoolImage, rng: np.random.Generator) -> FloatImage:
    height, width = pixels.shape
    border = np.array([rng.uniform(0, width), rng.choice([0.0, height])])
    return _wire_from(_in_lung(lung, rng) if rng.random() < 0.5 else border, pixels, rng)


def _wire_from(
    start: NDArray[np.float64], pixels: FloatImage, rng: np.random.Generator
) -> FloatImage:
    """Paint a winding wire, or a tube: two lines with less between them."""
    side = _side(pixels)
    path = _winding(start, side * rng.uniform(0.05, 0.14), rng)
    width = rng.uniform(0.0025, 0.012) * side
    cover = _drawn(pixels.shape, lambda draw: _line(draw, path, width))
    if rng.random() < 0.3:
        cover = np.maximum(
            cover - 0.6 * _drawn(pixels.shape, lambda draw: _line(draw, path, width / 2)), 0
        )
    return _brightened(pixels, cover, rng.uniform(0.12, 0.8))


def _paint_electrode(pixels: FloatImage, lung: BoolImage, rng: np.random.Generator) -> FloatImage:
    """Paint a disc or a ring, perhaps with a snap in the middle and a wire."""
    side = _side(pixels)
    centre = _in_lung(lung, rng) + rng.normal(0, 0.025 * side, 2)
    radius = rng.uniform(0.01, 0.04) * side
    ring, snap = rng.random() < 0.5, rng.random() < 0.5
    rim = rng.uniform(0.003, 0.01) * side

    def draw(canvas: ImageDraw.ImageDraw) -> None:
        _disc(canvas, centre, radius)
        if ring:
            _disc(canvas, centre, max(radius - rim, 0), fill=0)
        if snap:
            _disc(canvas, centre, 0.45 * radius, fill=255 if ring else 0)

    painted = _brightened(pixels, _drawn(pixels.shape, draw), rng.uniform(0.15, 0.9))
    return _wire_from(centre, painted, rng) if rng.random() < 0.6 else painted


def _paint_text(pixels: FloatImage, _lung: BoolImage, rng: np.random.Generator) -> FloatImage:
    from PIL import ImageFont

    side = _side(pixels)
    text = "".join(rng.choice(list("LRABEPSTU0123456789 -"), rng.integers(1, 9)))
    font = ImageFont.load_default(size=max(side * rng.uniform(0.03, 0.12), 4) * _FINER)
    corner = tuple(rng.uniform(-0.05, 0.9, 2) * pixels.shape[::-1] * _FINER)
    cover = _drawn(pixels.shape, lambda draw: draw.text(corner, text, fill=255, font=font))
    return _brightened(pixels, cover, rng.uniform(0.5, 1.0))


def _paint_nipple(pixels: FloatImage, _lung: BoolImage, rng: np.random.Generator) -> FloatImage:
    """Paint a small soft disc low over one lung or over both."""
    height, width = pixels.shape
    row, column = rng.uniform(0.55, 0.85) * height, rng.uniform(0.15, 0.32) * width
    for middle in (column, width - column)[: rng.integers(1, 3)]:
        centre = np.array([middle, row]) + rng.normal(0, 0.02 * _side(pixels), 2)
        distance = np.hypot(*_turned(pixels.shape, centre, 0.0))
        radius = rng.uniform(0.01, 0.024) * _side(pixels)
        cover = smoothstep(1.5 * (1.2 - distance / radius))
        pixels = _brightened(pixels, cover, rng.uniform(0.06, 0.18))
    return pixels


def _paint_fold(pixels: FloatImage, lung: BoolImage, rng: np.random.Generator) -> FloatImage:
    """Paint a long edge, roughly upright, that is bright on one side and fades away from there."""
    side = _side(pixels)
    angle = rng.uniform(-0.5, 0.5) + rng.choice([0.0, np.pi])
    beyond, along = _turned(pixels.shape, _in_lung(lung, rng), angle)
    beyond = beyond + rng.normal(0, 1.0) / side * along**2
    fading = np.exp(-np.maximum(beyond, 0) / (rng.uniform(0.06, 0.24) * side))
    ends = smoothstep(2 - 2 * np.abs(along) / (rng.uniform(0.2, 0.6) * side))
    edge = smoothstep(beyond / (rng.uniform(0.004, 0.016) * side) + 0.5)
    return _brightened(pixels, edge * fading * ends, rng.uniform(0.05, 0.22))


_PAINTERS: dict[Distractor, Callable[[FloatImage, BoolImage, np.random.Generator], FloatImage]] = {
    "device": _paint_device,
    "wire": _paint_wire,
    "electrode": _paint_electrode,
    "text": _paint_text,
    "nipple": _paint_nipple,
    "fold": _paint_fold,
}


def _side(pixels: FloatImage) -> float:
    return float(np.sqrt(pixels.size))


def _brightened(pixels: FloatImage, cover: FloatImage, strength: float) -> FloatImage:
    brighter: FloatImage = pixels + np.float32(strength) * cover * (1 - pixels)
    return brighter


def _in_lung(lung: BoolImage, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a point (x, y) of the lungs."""
    row, column = np.unravel_index(rng.choice(np.flatnonzero(lung)), lung.shape)
    return np.array([column, row], np.float64)


def _turned(
    shape: tuple[int, ...], centre: NDArray[np.float64], angle: float
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return coordinates of all pixels in pixels from a centre, along turned axes."""
    rows, columns = np.indices(shape, np.float32)
    right, down = columns - np.float32(centre[0]), rows - np.float32(centre[1])
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return cos * right + sin * down, cos * down - sin * right


def _winding(
    start: NDArray[np.float64], step: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return points (x, y) of a smooth random path, (n, 2)."""
    from scipy.interpolate import make_interp_spline

    count, wildness = int(rng.integers(6, 18)), rng.uniform(0.2, 0.7)
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.5 * wildness, count))
    lengths = step * rng.uniform(0.6, 1.2, count)
    steps = lengths[:, None] * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    knots = np.concatenate([start[None], start + np.cumsum(steps, axis=0)])
    path: NDArray[np.float64] = make_interp_spline(np.arange(len(knots)), knots, k=3)(
        np.linspace(0, count, 12 * count)
    )
    return path


def _drawn(shape: tuple[int, ...], draw: Callable[[ImageDraw.ImageDraw], None]) -> FloatImage:
    """Return what is drawn on a finer canvas of 0 to 255, float32 (H, W) in [0, 1]."""
    from PIL import Image, ImageDraw

    canvas = Image.new("L", (shape[1] * _FINER, shape[0] * _FINER))
    draw(ImageDraw.Draw(canvas))
    return np.asarray(canvas.reduce(_FINER), np.float32) / np.float32(255)


def _line(canvas: ImageDraw.ImageDraw, path: NDArray[np.float64], width: float) -> None:
    points = [tuple(point) for point in (path * _FINER).tolist()]
    canvas.line(points, fill=255, width=max(1, round(width * _FINER)), joint="curve")


def _disc(
    canvas: ImageDraw.ImageDraw, centre: NDArray[np.float64], radius: float, fill: int = 255
) -> None:
    x, y = (centre * _FINER).tolist()
    reach = radius * _FINER
    canvas.ellipse((x - reach, y - reach, x + reach, y + reach), fill=fill)
