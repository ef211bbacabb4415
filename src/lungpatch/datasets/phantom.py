"""A seeded synthetic chest image: lungs, ribs, heart, vessels, opacities, and their true masks.

The image is computed as a radiograph is made: each tissue has a thickness along the beam, the sum
of thickness times attenuation is the density, and a characteristic curve turns density into grey
levels. Lungs are missing tissue, ribs and vessels are tubes, and an opacity replaces the air of the
lung. So bones stay visible through opacities, the edges of heart and diaphragm vanish where an
opacity touches them, and nothing is a drawn line. Patients differ in anatomy, position and
exposure. The characteristic curve is that of Hurter and Driffield (logistic in density).

Lengths are in units of the image side. ``x`` points to the right of the image from the patient's
midline, so the patient's right lung has negative ``x``; ``y`` points down.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs
import numpy as np

from lungpatch._utils.files import atomic_write
from lungpatch._utils.marks import png_mark
from lungpatch.containers import BoolImage, ChestImage, FloatImage
from lungpatch.synthesis import OPACITY_KINDS, OpacityKind, opacity_alpha, smooth_noise

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

_VISIBLE_FRACTION = 0.25  # an opacity's mask: where it has this fraction of its greatest density
_ATTENUATION = 4.2  # of soft tissue, per unit of thickness
# Attenuation of bone and vessels in addition to that of soft tissue, as a thickness of soft tissue.
_BONE, _SPINE, _VESSELS = 0.14, 0.1, 6.5
_FLUID = 0.85  # fraction of the air that the densest opacity replaces


@attrs.frozen(kw_only=True)
class _Anatomy:
    """One patient and one exposure: lengths in image sides, angles in radians."""

    # Position and trunk
    scale: float
    centre: tuple[float, float]  # of the body, (row, column) in the image
    lean: float
    scoliosis: float
    body_width: float
    body_depth: float  # along the beam
    neck_width: float
    shoulder_drop: float
    arms: float  # distance from the midline
    breasts: float  # depth
    # Lungs and diaphragm; pairs are (right, left) of the patient
    lung_width: tuple[float, float]
    lung_depth: float
    apex: float  # height
    apex_position: float  # distance from the midline, in lung widths
    apex_shape: float
    widest: float  # height
    diaphragm: tuple[float, float]  # heights of the domes
    dome_height: float
    # Mediastinum
    mediastinum_width: float
    aortic_knob: float
    heart_width: float
    hilum: float  # height
    vessel_density: float
    # Bones
    rib_count: int
    rib_spacing: float
    rib_drop: float  # from spine to breastbone
    rib_height: float
    rib_contrast: float
    clavicle: float  # height
    spine_contrast: float
    stomach_bubble: float  # depth
    # Exposure
    lung_grey: float
    heart_grey: float
    scatter: float  # fraction of the rays
    noise: float
    collimation: tuple[float, float, float, float]  # margins: top, bottom, left, right
    marker: bool


def _draw_anatomy(rng: np.random.Generator) -> _Anatomy:
    """Draw a patient and an exposure."""
    u = rng.uniform

    def margin() -> float:
        return max(u(-0.08, 0.03), 0.0)

    width, turn, expiration = u(0.27, 0.34), u(-0.05, 0.05), u(0, 0.1)
    dome = u(0.74, 0.83) - expiration
    lung_grey, apex = u(0.36, 0.6), u(0.14, 0.19)
    return _Anatomy(
        scale=u(0.98, 1.2),
        centre=(0.5 + u(-0.03, 0.03), 0.5 + u(-0.03, 0.03)),
        lean=u(-0.05, 0.05),
        scoliosis=u(-0.08, 0.08),
        body_width=width + u(0.11, 0.19),
        body_depth=u(0.95, 1.1),
        neck_width=u(0.1, 0.135),
        shoulder_drop=u(0.1, 0.2),
        arms=u(0.5, 0.62),
        breasts=max(u(-0.15, 0.15), 0.0),
        lung_width=(width * (1 + turn), width * (1 - turn) * 0.98),
        lung_depth=u(0.6, 0.72),
        apex=apex,
        apex_position=u(0.36, 0.46),
        apex_shape=u(2.0, 2.6),
        widest=u(0.66, 0.74),
        diaphragm=(dome, dome + u(0.01, 0.04)),
        dome_height=u(0.09, 0.15),
        mediastinum_width=u(0.045, 0.065),
        aortic_knob=u(0.005, 0.03),
        heart_width=width * u(0.52, 0.66) * (1 + expiration),
        hilum=u(0.41, 0.46),
        vessel_density=u(0.7, 1.3),
        rib_count=int(rng.integers(9, 12)),
        rib_spacing=u(0.062, 0.07),
        rib_drop=u(0.3, 0.42),
        rib_height=u(0.009, 0.0125),
        rib_contrast=u(0.5, 1.1),
        clavicle=apex + u(0.0, 0.06),
        spine_contrast=u(0.5, 1.1),
        stomach_bubble=max(u(-0.3, 0.4), 0.0),
        lung_grey=lung_grey,
        heart_grey=min(lung_grey + u(0.22, 0.34), 0.92),
        scatter=u(0.2, 0.5),
        noise=u(0.01, 0.03),
        collimation=(margin(), margin(), margin(), margin()),
        marker=bool(rng.random() < 0.7),
    )


@attrs.frozen(eq=False)
class _Frame:
    """The patient's coordinates at every pixel of the image."""

    anatomy: _Anatomy
    size: int
    x: FloatImage  # (S, S)
    y: FloatImage  # (S, 1)

    @classmethod
    def of(cls, anatomy: _Anatomy, size: int) -> _Frame:
        unit = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
        y = 0.5 + (unit[:, None] - anatomy.centre[0]) / anatomy.scale
        x = (unit - anatomy.centre[1]) / anatomy.scale - _midline(anatomy, y)
        return cls(anatomy, size, x.astype(np.float32), y.astype(np.float32))

    def thickness(self, points: list[_Points]) -> FloatImage:
        """Spread points over the four nearest pixels; their mass per area is thickness."""
        x, y, mass = (np.concatenate(parts) for parts in zip(*points, strict=True))
        a, side = self.anatomy, self.size
        column = ((x + _midline(a, y)) * a.scale + a.centre[1]) * side - 0.5
        row = ((y - 0.5) * a.scale + a.centre[0]) * side - 0.5
        inside = (column >= 0) & (column < side - 1) & (row >= 0) & (row < side - 1)
        column, row, mass = column[inside], row[inside], mass[inside] * (a.scale * side) ** 2
        left, top = column.astype(np.int64), row.astype(np.int64)
        to_right, down = column - left, row - top
        pixel = top * side + left
        low, high = mass * down, mass * (1 - down)
        total = np.bincount(pixel, high * (1 - to_right), side * side)
        total += np.bincount(pixel + 1, high * to_right, side * side)
        total += np.bincount(pixel + side, low * (1 - to_right), side * side)
        total += np.bincount(pixel + side + 1, low * to_right, side * side)
        return total.reshape(side, side).astype(np.float32)


def _midline(anatomy: _Anatomy, y: NDArray[Any]) -> NDArray[Any]:
    """Column of the midline at height ``y``: a tilted patient, a bent spine."""
    off = y - 0.5
    return anatomy.lean * off + anatomy.scoliosis * off * off


def _dome(squared: NDArray[Any]) -> NDArray[Any]:
    """Thickness of a ball of radius 1 at squared distance from its centre."""
    thickness: NDArray[Any] = np.sqrt(np.maximum(1 - squared, 0))
    return thickness


# --- Soft tissue and air -------------------------------------------------------------------------


def _body(frame: _Frame) -> FloatImage:
    """Thickness of trunk, neck, arms and breasts, as if the lungs were solid."""
    a, x, y = frame.anatomy, frame.x, frame.y
    beside = np.abs(x)
    # The shoulders' outline falls steeply from the neck, then runs out level.
    outwards = np.maximum(beside - 0.8 * a.neck_width, 0)
    outline = a.shoulder_drop * outwards / (outwards + 0.12)
    flank = a.body_width + 0.03 * (y - 0.5) + 0.09 * np.maximum(0.36 - y, 0) / 0.36
    round_ = (x / flank) ** 2
    depth = a.body_depth * (0.82 + 0.22 * np.clip((y - 0.55) / 0.4, 0, 1))
    trunk = depth * np.sqrt(np.maximum(1 - round_ * round_ * round_, 0))
    trunk *= np.sqrt(np.clip((y - outline + 0.02) / 0.2, 0, 1))
    neck = 0.62 * _dome((x / a.neck_width) ** 2) * np.clip((0.4 - y) / 0.1, 0, 1)
    arm = 0.5 * _dome(((beside - a.arms - 0.1 * (y - 0.3)) / 0.085) ** 2)
    arm *= np.sqrt(np.clip((y - 0.17) / 0.12, 0, 1))
    body: FloatImage = np.maximum(np.maximum(trunk, neck), arm)
    if a.breasts > 0:
        ball = ((beside - 0.2) / 0.17) ** 2 + ((y - 0.63) / 0.16) ** 2
        body += a.breasts * _dome(ball) * np.clip((y - 0.5) / 0.2, 0, 1)
    return body


@attrs.frozen(eq=False)
class _Lungs:
    mask: BoolImage
    margin: BoolImage  # air around the mask, where heart and diaphragm are still thin
    air: FloatImage  # thickness
    between: FloatImage  # heart and great vessels, as `_mediastinum` gives them


def _side(frame: _Frame, pair: tuple[float, float]) -> NDArray[Any]:
    """Value of the patient's right side where x < 0, else of the left."""
    right, left = np.float32(pair[0]), np.float32(pair[1])
    return np.where(frame.x < 0, right, left)


def _wall(anatomy: _Anatomy, y: NDArray[Any]) -> NDArray[Any]:
    """Distance of the lung's outer edge from the midline, in lung widths, at height ``y``."""
    a = anatomy
    rise = np.clip((a.widest - y) / (a.widest - a.apex), 0, 1)
    upper = a.apex_position + (1 - a.apex_position) * np.sqrt(1 - rise**a.apex_shape)
    return upper - 0.35 * np.maximum(y - a.widest, 0)


def _lungs(frame: _Frame) -> _Lungs:
    a, y = frame.anatomy, frame.y
    u = np.abs(frame.x) / _side(frame, a.lung_width)
    wall = _wall(a, y)
    rise = np.clip((a.widest - y) / (a.widest - a.apex), 0, 1)
    inner = a.apex_position * (1 - np.sqrt(1 - rise**7))
    in_cage = (u < wall) & (u > inner) & (y > a.apex)
    round_ = (u / wall) ** 2
    cage = a.lung_depth * np.sqrt(np.maximum(1 - round_ * np.sqrt(round_), 0))
    cage *= np.sqrt(1 - rise**5) * np.clip((u - inner) / 0.08, 0, 1) * in_cage

    below = y - _diaphragm(frame, u, wall)
    # Behind the dome a recess of lung reaches down, ever thinner.
    air = cage * np.clip(1 - 1.1 * np.sqrt(np.maximum(below, 0) / 0.03), 0.0, 1)
    middle = _mediastinum(frame)
    air *= np.clip(1 - 1.5 * np.sqrt(middle * np.sqrt(middle)), 0.05, 1)
    mask = in_cage & (below < 0) & (middle <= 0)
    return _Lungs(mask, air > 0.1 * a.lung_depth, air, middle)


def _diaphragm(frame: _Frame, u: FloatImage, wall: FloatImage) -> FloatImage:
    """Height of the domes; at the wall they fall into the costophrenic angle."""
    a = frame.anatomy
    top = 0.46
    outer = np.clip((u - top) / (wall - top), 0, 0.995)
    inner = np.maximum(top - u, 0) / top
    fall = a.dome_height * (1 - np.sqrt(1 - outer * outer)) + 0.04 * inner * inner
    height: FloatImage = _side(frame, a.diaphragm) + fall
    return height


def _mediastinum(frame: _Frame) -> FloatImage:
    """Squared relative thickness of great vessels and heart, 0 outside: one silhouette."""
    a = frame.anatomy
    width, base, knob = a.mediastinum_width, a.diaphragm[1], a.hilum - 0.085
    # Down each border: neck, great vessels, hilum, heart, below the diaphragm.
    right = [
        (0.0, 1.1 * width),
        (a.apex + 0.04, 1.1 * width),
        (a.hilum, 0.95 * width),
        (base - 0.12, 0.35 * a.heart_width + 0.012),
        (base - 0.02, 0.3 * a.heart_width),
        (1.2, width),
    ]
    left = [
        (0.0, 1.1 * width),
        (a.apex + 0.04, 1.05 * width),
        (knob - 0.04, width),
        (knob, width + a.aortic_knob),
        (knob + 0.045, 0.95 * width + 0.2 * a.aortic_knob),
        (a.hilum + 0.01, 1.1 * width + 0.01),
        (0.5 * (a.hilum + base) - 0.01, 0.72 * a.heart_width),
        (base - 0.075, 0.98 * a.heart_width),
        (base - 0.035, a.heart_width),
        (base + 0.03, 0.8 * a.heart_width),
        (1.2, width),
    ]
    edge = np.where(frame.x < 0, _border(frame.y, right), _border(frame.y, left))
    return np.maximum(1 - (frame.x / edge) ** 2, 0)


def _border(y: FloatImage, points: list[tuple[float, float]]) -> FloatImage:
    """Width of a silhouette at height ``y``, smooth and without overshoot between points."""
    from scipy.interpolate import PchipInterpolator

    heights, widths = zip(*points, strict=True)
    border: FloatImage = PchipInterpolator(heights, widths)(np.clip(y, 0, 1.2)).astype(np.float32)
    return border


def _airways(frame: _Frame) -> FloatImage:
    """Thickness of air in the trachea and the main bronchi."""
    a, y = frame.anatomy, frame.y
    carina = a.hilum - 0.035
    trachea = _dome(((frame.x + 0.006) / 0.021) ** 2) * np.clip((carina - y) / 0.02, 0, 1)
    below = y - carina
    course = np.where(frame.x < 0, -0.006 - 0.8 * below, 1.1 * below - 0.006)
    bronchi = _dome(((frame.x - course) / 0.014) ** 2)
    bronchi *= np.clip(below / 0.02, 0, 1) * np.clip((0.085 - below) / 0.04, 0, 1)
    thickness: FloatImage = 0.11 * np.maximum(trachea, bronchi)
    return thickness


def _stomach_bubble(frame: _Frame) -> FloatImage:
    a = frame.anatomy
    ball = ((frame.x - 0.15) / 0.07) ** 2 + ((frame.y - a.diaphragm[1] - 0.065) / 0.035) ** 2
    thickness: FloatImage = a.stomach_bubble * np.sqrt(_dome(ball))
    return thickness


# --- Bone ----------------------------------------------------------------------------------------


class _Points(NamedTuple):
    """Points of a tissue with the mass that each stands for; arrays of one length."""

    x: NDArray[Any]
    y: NDArray[Any]
    mass: NDArray[Any]


_GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))


def _section(steps: int, count: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Points of a disc of radius 1, denser to its rim, for each step along a tube.

    Each (steps, count). Successive angles differ by the golden angle, so no two points of a tube
    line up: rows of points would show as stripes.
    """
    angle = _GOLDEN_ANGLE * np.arange(steps * count).reshape(steps, count)
    radius = ((np.arange(count) + 0.5) / count) ** 0.25
    return radius * np.cos(angle), radius * np.sin(angle)


def _tube(
    x: NDArray[Any],
    y: NDArray[Any],
    radius: NDArray[Any] | float,
    *,
    weight: NDArray[Any] | float = 1.0,
) -> _Points:
    """Points of a round bone around the path (x, y): a hard shell about a softer core."""
    across, _ = _section(x.size, 14)
    across = across * np.broadcast_to(radius, x.shape)[:, None]
    dx, dy = np.gradient(x), np.gradient(y)
    step = np.hypot(dx, dy)
    mass = np.broadcast_to((weight * step * radius)[:, None] / across.shape[1], across.shape)
    points_x = x[:, None] - (dy / step)[:, None] * across
    points_y = y[:, None] + (dx / step)[:, None] * across
    return _Points(points_x.ravel(), points_y.ravel(), mass.ravel())


def _ribs(frame: _Frame, rng: np.random.Generator) -> list[_Points]:
    """Ribs as bands on the chest's wall, from the spine around to the front."""
    a = frame.anatomy
    angle = np.linspace(
        0.12, 2.3, int(0.6 * frame.size) + 40
    )  # 0 at the spine, pi at the breastbone
    sin, cos = np.sin(angle), np.cos(angle)
    upright, inwards = _section(angle.size, 14)
    # A rib ends in cartilage, which casts no shadow.
    fade = np.clip((2.3 - angle) / 0.25, 0, 1) * (1 - 0.45 * np.clip((angle - 1.2) / 0.7, 0, 1))
    points = []
    for number in range(a.rib_count):
        start = a.apex - 0.015 + a.rib_spacing * number
        drop = a.rib_drop * min(0.5 + 0.14 * number, 1.0)
        for side, lung_width in zip((-1, 1), a.lung_width, strict=True):
            fall = drop * rng.uniform(0.93, 1.07)
            y = start + rng.normal(0, 0.002) + fall * (1 - cos) / 2
            wall = lung_width * (_wall(a, y) + 0.01)
            depth = 0.7 * wall
            # The band stands upright on the wall: across the course, along the wall's surface.
            course = np.stack([wall * cos, fall / 2 * sin, depth * sin])
            speed = np.linalg.norm(course, axis=0)
            normal = np.stack([sin / wall, np.zeros_like(sin), -cos / depth])
            band = np.cross(course, normal, axis=0)
            band /= np.linalg.norm(band, axis=0)
            height = a.rib_height * (1 + 0.25 * np.clip(angle - 1.6, 0, 0.5))
            # A rib is a flat tube: a third as thick as it is high.
            thickness = 0.004 / np.hypot(normal[0], normal[2])
            x = wall * sin + (thickness * normal[0] * inwards.T)
            x, y = x + height * band[0] * upright.T, y + height * band[1] * upright.T
            mass = a.rib_contrast * fade * speed * (angle[1] - angle[0]) * 1.5 * height
            mass = np.broadcast_to(mass / len(x), x.shape)
            points.append(_Points(side * x.ravel(), y.ravel(), mass.ravel()))
    return points


def _shoulders(frame: _Frame) -> list[_Points]:
    """Clavicles, scapulae and upper arm bones of both sides."""
    a = frame.anatomy
    t = np.linspace(0, 1, int(0.4 * frame.size) + 40)
    points = []
    for side in (-1, 1):
        x = side * (0.035 + 0.29 * t)
        y = a.clavicle + 0.06 - 0.12 * t + 0.02 * np.sin(2 * np.pi * t)
        points.append(_tube(x, y, 0.0145 - 0.005 * np.sin(np.pi * t), weight=1.7 - 0.9 * t**3))
        joint = a.clavicle - 0.01
        points.append(
            _tube(side * (0.31 + 0.06 * t), joint + 0.03 * t, 0.011, weight=0.6)
        )  # acromion
        # Blade of the scapula: a thick outer border, and a thin inner one.
        points.append(_tube(side * (0.37 - 0.05 * t), joint + 0.07 + 0.22 * t, 0.01, weight=0.6))
        points.append(
            _tube(side * (0.27 + 0.05 * t**2), joint + 0.02 + 0.27 * t, 0.006, weight=0.5)
        )
        # The upper arm's bone, from the joint to the middle of the arm, and its head.
        shaft = side * (0.395 + (a.arms - 0.375) * t)
        points.append(_tube(shaft, joint + 0.09 + 0.5 * t, 0.02, weight=0.8))
        head = 0.034 * np.sqrt(np.maximum(1 - (2 * t - 1) ** 2, 0))
        centre = np.full(t.size, side * 0.395)
        points.append(_tube(centre, joint + 0.03 + 0.068 * t, head, weight=0.8))
    return points


def _spine(frame: _Frame) -> FloatImage:
    """Vertebrae: blocks with hard end plates, pedicles and spinous processes."""
    a, x, y = frame.anatomy, frame.x, frame.y
    half = 0.03 + 0.012 * y
    along = (y - a.apex) / (a.rib_spacing * 0.95)
    off = along - np.floor(along) - 0.5  # from the middle of the disc between two vertebrae

    def bump(distance: NDArray[Any], width: float) -> NDArray[Any]:
        return np.asarray(np.exp(-((distance / width) ** 2)))

    thickness: FloatImage = np.sqrt(_dome((x / half) ** 2))
    thickness *= 1 - 0.4 * bump(off, 0.11) + 0.2 * bump(np.abs(off) - 0.17, 0.05)
    thickness += 0.3 * bump(np.abs(x) - 0.55 * half, 0.008) * bump(np.abs(off) - 0.4, 0.12)
    thickness += 0.35 * bump(x, 0.007) * bump(off + 0.15, 0.16)
    return thickness


# --- Vessels -------------------------------------------------------------------------------------


def _vessels(frame: _Frame, rng: np.random.Generator) -> list[_Points]:
    """Pulmonary vessels: trees that fork and taper from the hila outwards."""
    a = frame.anatomy
    points = []
    for side in (-1, 1):
        trunks = 12
        # From the hilum, upwards to steeply downwards.
        heading = np.linspace(-1.4, 1.45, trunks) + rng.normal(0, 0.15, trunks)
        x = a.mediastinum_width * rng.uniform(0.6, 1.2, trunks)
        y = a.hilum + 0.035 * np.sin(heading) + 0.01 * side
        radius = rng.uniform(0.004, 0.0075, trunks) * (1 + 0.25 * np.sin(heading))
        for generation in range(6):
            length = rng.uniform(0.6, 1.4, x.size) * (0.075 * 0.88**generation)
            steps = int(0.07 * (frame.size + 200) * 0.87**generation)
            bend = rng.normal(0, 0.45, x.size)
            t = (np.arange(steps) + 0.5) / steps
            direction = heading[:, None] + bend[:, None] * t
            width = radius[:, None] * (1 - 0.2 * t)
            stride = (length / steps)[:, None]
            path_x = x[:, None] + np.cumsum(stride * np.cos(direction), axis=1)
            path_y = y[:, None] + np.cumsum(stride * np.sin(direction), axis=1)
            count = 4 if generation < 2 else 2  # the finer ones are thinner than a pixel
            across, _ = _section(direction.size, count)
            across = across.reshape(*direction.shape, count) * width[..., None]
            points_x = path_x[..., None] - across * np.sin(direction)[..., None]
            points_y = path_y[..., None] + across * np.cos(direction)[..., None]
            mass = np.broadcast_to((4 / count * stride * width**2)[..., None], across.shape)
            points.append(_Points(side * points_x.ravel(), points_y.ravel(), mass.ravel()))
            fork = rng.uniform(0.2, 0.55, x.size)
            split = rng.uniform(0.35, 0.65, x.size)
            x, y = np.tile(path_x[:, -1], 2), np.tile(path_y[:, -1], 2)
            end, thick = direction[:, -1], radius * 0.8
            heading = np.concatenate([end - fork * split, end + fork * (1 - split)])
            radius = np.concatenate([thick * split**0.33, thick * (1 - split) ** 0.33])
    return points


# --- The image ------------------------------------------------------------------------------------


def _density(frame: _Frame, lungs: _Lungs, rng: np.random.Generator) -> FloatImage:
    """Attenuation along the beam of the normal chest."""
    from scipy import ndimage

    a, shape = frame.anatomy, lungs.air.shape
    body = _body(frame)
    bones = frame.thickness(_shoulders(frame) + _ribs(frame, rng))
    bones *= np.minimum(5 * body, 1)  # none in the air beside a thin arm
    vessels = frame.thickness(_vessels(frame, rng))
    # Vessels are seen only against air.
    tubes = _BONE * bones + _VESSELS * a.vessel_density / a.lung_depth * vessels * lungs.air
    parenchyma = 1 + 0.03 * smooth_noise(shape, rng, scale=frame.size / 160)
    tissue = body - parenchyma * lungs.air - _stomach_bubble(frame)
    tissue -= _airways(frame) * np.sqrt(lungs.between)
    tissue += _SPINE * a.spine_contrast * _spine(frame)
    # The focal spot blurs edges, and evens out what is left of single points.
    blur = max(0.8 * frame.size / 512, 0.6)
    tissue += ndimage.gaussian_filter(tubes, blur, truncate=3)
    density: FloatImage = np.maximum(np.float32(_ATTENUATION) * tissue, 0)
    return density


def _anchors(frame: _Frame, lungs: _Lungs, density: FloatImage) -> tuple[float, float]:
    """Density of lung and mediastinum of the normal chest, which the exposure is set by."""
    middle = (np.abs(frame.x) < 0.03) & (frame.y > 0.4) & (frame.y < 0.8)
    return float(np.median(density[lungs.mask])), float(np.median(density[middle]))


def _scattered(density: FloatImage, fraction: float) -> FloatImage:
    """Add scattered rays: a fraction of the intensity, widely spread, which reduces contrast."""
    size = density.shape[0]
    step = max(size // 64, 1)
    intensity = np.exp(-density)
    knots = np.arange(0, size, step, dtype=np.float32) / np.float32(size)
    positions = np.arange(size, dtype=np.float32)[:, None] / np.float32(size)
    spread = np.exp(-0.5 * ((positions - knots) / np.float32(0.09)) ** 2)
    spread /= spread.sum(axis=1, keepdims=True)
    scattered = spread @ intensity[::step, ::step] @ spread.T
    total: FloatImage = -np.log((1 - fraction) * intensity + fraction * scattered)
    return total


def _expose(
    anatomy: _Anatomy, density: FloatImage, anchors: tuple[float, float], rng: np.random.Generator
) -> FloatImage:
    """Characteristic curve through the anchors, which get their grey levels; noise."""
    a = anatomy
    lung, heart = (np.log(grey / (1 - grey)) for grey in (a.lung_grey, a.heart_grey))
    span = anchors[1] - anchors[0]
    white = rng.standard_normal(density.shape, dtype=np.float32)
    # Fewer quanta pass where the body is dense.
    above_lung = (density - np.float32(anchors[0])) / np.float32(span)
    above_lung += np.float32(a.noise) * np.exp(0.7 * above_lung) * white
    # The display's toe: what is far thinner than lung is nearly black.
    above_lung += 2.5 * np.minimum(above_lung + np.float32(0.6 * anchors[0] / span), 0)
    grey: FloatImage = 1 / (1 + np.exp(-(np.float32(lung) + np.float32(heart - lung) * above_lung)))
    return grey


def _finish(frame: _Frame, grey: FloatImage) -> FloatImage:
    """Side marker and collimator."""
    a, side = frame.anatomy, frame.size
    if a.marker:
        unit = side / 512
        top, left = int(26 * unit), int(452 * unit)
        bar, long, wide = (max(int(n * unit), 1) for n in (5, 26, 16))
        grey[top : top + long, left : left + bar] = 0.96
        grey[top + long - bar : top + long, left : left + wide] = 0.96
    top, bottom, left, right = (int(margin * side) for margin in a.collimation)
    grey[:top], grey[side - bottom :] = 0.02, 0.02
    grey[:, :left], grey[:, side - right :] = 0.02, 0.02
    return grey


@attrs.frozen(eq=False, kw_only=True, repr=False)
class PhantomCase:
    """A synthetic chest image with its true masks.

    Parameters
    ----------
    image : ChestImage
    lungs : ndarray of bool, shape (H, W)
        The lungs, opacified parts included; not behind heart and diaphragm.
    opacity : ndarray of bool, shape (H, W)
        Within ``lungs``; empty in a normal chest.
    kind : str
        ``"normal"`` or one of `lungpatch.synthesis.OPACITY_KINDS`.
    patient : str
        Unique within a cohort.

    Examples
    --------
    >>> phantom_chest(3, size=64, opacity="nodular")
    PhantomCase('phantom', nodular, 64x64, ...% lung, ...% opacity)
    """

    image: ChestImage
    lungs: BoolImage
    opacity: BoolImage
    kind: str
    patient: str

    def __repr__(self) -> str:
        return (
            f"PhantomCase({self.patient!r}, {self.kind}, {'x'.join(map(str, self.lungs.shape))}, "
            f"{self.lungs.mean():.1%} lung, {self.opacity.mean():.1%} opacity)"
        )


def phantom_chest(
    seed: int | np.random.SeedSequence | np.random.Generator,
    *,
    size: int = 512,
    opacity: OpacityKind | None = None,
    patient: str = "phantom",
) -> PhantomCase:
    """Make one synthetic frontal chest image with its true masks.

    For the same seed, images with and without an opacity show the same patient with the same
    exposure. Away from the opacity they differ by scattered rays only.

    Parameters
    ----------
    seed : int, numpy.random.SeedSequence or numpy.random.Generator
        A generator is spawned from, so that each call gives another patient.
    size : int
        Side of the image in pixels, at least 64.
    opacity : {"lobar", "patchy", "effusion", "nodular", "veil"}, optional
        Normal by default.
    patient : str
        Also the image's id.

    Returns
    -------
    PhantomCase

    Raises
    ------
    ValueError
        If ``size`` is too small or ``opacity`` unknown.

    See Also
    --------
    phantom_cohort : many patients.
    lungpatch.synthesis.opacity_alpha : draws the opacity.

    Examples
    --------
    >>> case = phantom_chest(0, size=128, opacity="lobar")
    >>> case
    PhantomCase('phantom', lobar, 128x128, ...% lung, ...% opacity)
    >>> bool(case.image.pixels[case.opacity].mean() >
    ...      phantom_chest(0, size=128).image.pixels[case.opacity].mean())
    True
    """
    if size < 64:
        raise ValueError(f"size must be at least 64 pixels, got {size}")
    body_rng, opacity_rng, image_rng = np.random.default_rng(seed).spawn(3)
    frame = _Frame.of(_draw_anatomy(body_rng), size)
    lungs = _lungs(frame)
    density = _density(frame, lungs, body_rng)
    seen = _scattered(density, frame.anatomy.scatter)
    anchors = _anchors(frame, lungs, seen)
    visible = np.zeros(lungs.mask.shape, np.bool_)
    if opacity is not None:
        alpha = opacity_alpha(lungs.mask | lungs.margin, opacity_rng, kind=opacity)
        density += _ATTENUATION * _FLUID * alpha * lungs.air
        seen = _scattered(density, frame.anatomy.scatter)
        visible = lungs.mask & (alpha > _VISIBLE_FRACTION * alpha.max())
    grey = _finish(frame, _expose(frame.anatomy, seen, anchors, image_rng))
    return PhantomCase(
        image=ChestImage(pixels=grey, image_id=patient, source="phantom"),
        lungs=lungs.mask,
        opacity=visible,
        kind=opacity or "normal",
        patient=patient,
    )


def phantom_cohort(
    n_normal: int, n_opaque: int, *, seed: int, size: int = 512
) -> Iterator[PhantomCase]:
    """Make a cohort: ``n_normal`` normal chests, then ``n_opaque`` with an opacity.

    Every case has its own seed, so that a larger cohort begins with the cases of a smaller one. The
    kinds of opacity take turns.

    Parameters
    ----------
    n_normal, n_opaque : int
    seed : int
    size : int
        Side of the images in pixels.

    Yields
    ------
    PhantomCase
        One at a time, so memory does not grow with the cohort.

    See Also
    --------
    save_cohort : writes images and masks to a folder.

    Examples
    --------
    >>> [case.kind for case in phantom_cohort(1, 2, seed=0, size=64)]
    ['normal', 'lobar', 'patchy']
    """
    normal, opaque = np.random.SeedSequence(seed).spawn(2)
    for number, child in enumerate(normal.spawn(n_normal)):
        yield phantom_chest(child, size=size, patient=f"normal-{number:03d}")
    for number, child in enumerate(opaque.spawn(n_opaque)):
        kind = OPACITY_KINDS[number % len(OPACITY_KINDS)]
        yield phantom_chest(child, size=size, opacity=kind, patient=f"opacity-{number:03d}")


def save_cohort(cases: Iterable[PhantomCase], folder: str | Path) -> None:
    """Write images and masks as 8-bit PNG files.

    An image goes to ``normal/<patient>.png`` or ``opacity/<patient>.png``, its masks (0 and 255) to
    ``masks/lungs/<patient>.png`` and ``masks/opacity/<patient>.png``. Each file appears complete
    or not at all; a file of that name is replaced.

    Parameters
    ----------
    cases : iterable of PhantomCase
    folder : str or Path
        Made if missing.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_cohort(phantom_cohort(1, 1, seed=0, size=64), folder)
    ...     sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*.png"))
    ['masks/lungs/normal-000.png', 'masks/lungs/opacity-000.png',
     'masks/opacity/normal-000.png', 'masks/opacity/opacity-000.png',
     'normal/normal-000.png', 'opacity/opacity-000.png']
    """
    folder = Path(folder)
    for case in cases:
        group = "normal" if case.kind == "normal" else "opacity"
        files = {
            group: case.image.pixels,
            "masks/lungs": case.lungs,
            "masks/opacity": case.opacity,
        }
        for subfolder, pixels in files.items():
            path = folder / subfolder / f"{case.patient}.png"
            _write_png(path, pixels, is_mask=subfolder != group)


def _write_png(path: Path, pixels: NDArray[Any], *, is_mask: bool) -> None:
    from PIL import Image

    grey = np.rint(pixels.astype(np.float32) * 255).astype(np.uint8)
    # A mask is no radiograph, also where the whole folder is searched for images.
    mark = png_mark() if is_mask else None
    with atomic_write(path) as temporary:
        Image.fromarray(grey).save(temporary, format="PNG", pnginfo=mark)
