"""Opacities: where and how densely a lung is opacified, and the resulting grey levels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import attrs
import numpy as np
from numpy.typing import NDArray

from lungpatch.errors import InvalidMaskError

FloatImage = NDArray[np.float32]
BoolImage = NDArray[np.bool_]

OpacityKind = Literal[
    "lobar", "patchy", "effusion", "nodular", "veil", "ground-glass", "interstitial"
]
OPACITY_KINDS: tuple[OpacityKind, ...] = get_args(OpacityKind)
"""Lobar consolidation, bronchopneumonia, basal effusion, round infiltrates, diffuse veil, hazy
areas and fine lines."""

_PEAK: dict[OpacityKind, tuple[float, float]] = {
    "lobar": (0.65, 0.95),
    "patchy": (0.55, 0.9),
    "effusion": (0.8, 1.0),
    "nodular": (0.6, 0.95),
    "veil": (0.3, 0.55),
    "ground-glass": (0.4, 0.8),
    "interstitial": (0.4, 0.8),
}
_BILATERAL: dict[OpacityKind, float] = {
    "lobar": 0.1,
    "patchy": 0.5,
    "effusion": 0.35,
    "nodular": 0.3,
    "veil": 0.7,
    "ground-glass": 0.5,
    "interstitial": 0.7,
}
_MIN_REGION = 0.1  # fraction of the lungs' area; a smaller region is not a lung


def opacity_alpha(
    lung: BoolImage, rng: np.random.Generator, *, kind: OpacityKind | None = None
) -> FloatImage:
    """Draw a synthetic opacity: the fraction of the air that is replaced, for each pixel.

    Training with lesions painted on normal images is the idea of DRAEM [1]_, of natural synthetic
    anomalies [2]_ and, for chest radiographs and within a lung mask, of AnatPaste [3]_. The shapes
    are specific to this library:

    - ``lobar``: from an oblique fissure to the edge of the lung, with air bronchograms;
    - ``patchy``: many small confluent patches;
    - ``effusion``: dense at the base, fading upwards, higher at the outer wall (meniscus);
    - ``nodular``: one to three rounded infiltrates;
    - ``veil``: thin and diffuse over a lung;
    - ``ground-glass``: one to four large hazy areas with ill-defined borders;
    - ``interstitial``: a net of fine lines over a part of a lung.

    Parameters
    ----------
    lung : ndarray of bool, shape (H, W)
        The lung mask; ``numpy.ones((P, P), bool)`` for a patch within a lung.
    rng : numpy.random.Generator
    kind : str, optional
        One of `OPACITY_KINDS`; by default it is drawn with equal probabilities.

    Returns
    -------
    ndarray of float32, shape (H, W), values in [0, 1]
        0 outside the lung. The maximum is random and at least 0.3.

    Raises
    ------
    InvalidMaskError
        If ``lung`` is not a two-dimensional array of bool, or is empty.
    ValueError
        If ``kind`` is unknown.

    See Also
    --------
    blend_opacity : Brighten an image by an opacity.
    LesionSynthesiser : Paints random lesions by several recipes.

    References
    ----------
    .. [1] V. Zavrtanik, M. Kristan, D. Skocaj, "DRAEM: a discriminatively trained reconstruction
       embedding for surface anomaly detection", ICCV 2021. arXiv:2108.07610
    .. [2] H. M. Schlueter et al., "Natural synthetic anomalies for self-supervised anomaly
       detection and localization", ECCV 2022. arXiv:2109.15222
    .. [3] J. Sato et al., "Anatomy-aware self-supervised learning for anomaly detection in chest
       radiographs", 2022. arXiv:2205.04282

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch.synthesis import opacity_alpha
    >>> patch = np.ones((32, 32), bool)
    >>> alpha = opacity_alpha(patch, np.random.default_rng(0), kind="nodular")
    >>> alpha.shape, bool(alpha.max() > 0.6)
    ((32, 32), True)
    """
    check_lung(lung)
    if kind is None:
        kind = OPACITY_KINDS[rng.integers(len(OPACITY_KINDS))]
    elif kind not in OPACITY_KINDS:
        raise ValueError(f"unknown kind of opacity {kind!r}; use one of {', '.join(OPACITY_KINDS)}")
    centre = float(np.flatnonzero(lung.any(axis=0)).mean())
    alpha = np.zeros(lung.shape, np.float32)
    for rows, columns, region in _choose_regions(lung, rng, _BILATERAL[kind]):
        outwards = 1 if (columns.start + columns.stop - 1) / 2 >= centre else -1
        field = _PAINTERS[kind](_Region(region, outwards), rng)
        np.maximum(alpha[rows, columns], field * region, out=alpha[rows, columns])
    alpha *= np.float32(rng.uniform(*_PEAK[kind])) / alpha.max()
    return np.minimum(alpha, np.float32(1))


def blend_opacity(
    pixels: FloatImage, alpha: FloatImage, rng: np.random.Generator, *, strength: float = 0.5
) -> FloatImage:
    """Brighten grey levels where a lung is opacified.

    The distance of each pixel to white is reduced by the fraction ``strength * alpha * texture``,
    where ``texture`` is 1 plus mottle of 15 %. With the default strength, lung of grey level 0.45
    becomes soft tissue of grey level 0.7, ribs stay visible, and fine detail loses contrast, as in
    real consolidations.

    Parameters
    ----------
    pixels : ndarray of float32, shape (H, W), values in [0, 1]
    alpha : ndarray of float32, shape (H, W), values in [0, 1]
        From `opacity_alpha`; pixels where it is 0 are unchanged.
    rng : numpy.random.Generator
        For the mottle.
    strength : float
        In [0, 1].

    Returns
    -------
    ndarray of float32, shape (H, W), values in [0, 1]
        Nowhere darker than ``pixels``.

    Raises
    ------
    ValueError
        If the shapes differ or ``strength`` is outside [0, 1].

    See Also
    --------
    opacity_alpha : Draw an opacity.

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch.synthesis import blend_opacity, opacity_alpha
    >>> rng = np.random.default_rng(0)
    >>> normal = np.full((32, 32), 0.45, np.float32)
    >>> abnormal = blend_opacity(normal, opacity_alpha(normal > 0, rng, kind="veil"), rng)
    >>> bool((abnormal >= normal).all() and abnormal.mean() > normal.mean())
    True
    """
    if pixels.shape != alpha.shape:
        raise ValueError(f"pixels {pixels.shape} and alpha {alpha.shape} must have one shape")
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must lie in [0, 1], got {strength}")
    texture = np.float32(1) + np.float32(0.15) * smooth_noise(pixels.shape, rng, scale=2.0)
    weight = np.clip(np.float32(strength) * alpha * texture, 0, 1)
    # Rounding must not carry a white pixel beyond 1.
    return np.minimum(pixels + weight * (1 - pixels), np.float32(1))


def smooth_noise(shape: tuple[int, ...], rng: np.random.Generator, *, scale: float) -> FloatImage:
    """Draw a Gaussian random field: mean 0, variance 1, smooth within ``scale`` pixels.

    White noise on a grid of step ``scale`` is spread by Gaussians of that standard deviation. This
    is one matrix product per axis, much faster for large scales than filtering white noise.

    Parameters
    ----------
    shape : tuple of int
        (H, W).
    rng : numpy.random.Generator
    scale : float
        Standard deviation of the Gaussians in pixels, above 0.

    Returns
    -------
    ndarray of float32, shape (H, W)

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch.synthesis import smooth_noise
    >>> field = smooth_noise((64, 48), np.random.default_rng(0), scale=4.0)
    >>> field.shape, field.dtype, bool(abs(np.diff(field)).mean() < 0.3)
    ((64, 48), dtype('float32'), True)
    """
    along_rows, along_columns = (_spread(length, scale) for length in shape)
    grid = rng.standard_normal((along_rows.shape[1], along_columns.shape[1]), dtype=np.float32)
    return np.asarray(along_rows @ grid @ along_columns.T, np.float32)


def smoothstep(values: NDArray[Any]) -> NDArray[Any]:
    """Return ``3 t**2 - 2 t**3`` of values clipped to [0, 1]: a smooth step from 0 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch.synthesis import smoothstep
    >>> smoothstep(np.array([-1.0, 0.5, 2.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    t = np.clip(values, 0, 1)
    risen: NDArray[Any] = t * t * (3 - 2 * t)
    return risen


def _spread(length: int, scale: float) -> FloatImage:
    """Return the weights (length, knots) of the knots at each pixel; their squares sum to 1."""
    knots = np.arange(-2, np.ceil(length / scale) + 3, dtype=np.float32)
    offsets = (np.arange(length, dtype=np.float32) / np.float32(scale))[:, None] - knots
    weights = np.exp(-0.5 * offsets * offsets)
    normalised: FloatImage = weights / np.sqrt((weights * weights).sum(axis=1, keepdims=True))
    return normalised


def check_lung(lung: BoolImage) -> None:
    """Raise `InvalidMaskError` unless this is a lung mask that can be painted into.

    Examples
    --------
    >>> import numpy as np
    >>> check_lung(np.ones((2, 2), bool))
    """
    if lung.ndim != 2 or lung.dtype != np.bool_:
        raise InvalidMaskError(
            f"the lung mask must be bool of shape (H, W), got {lung.dtype} {lung.shape}"
        )
    if not lung.any():
        raise InvalidMaskError(
            "the lung mask is empty: there is no lung to paint into; skip this image"
        )


_Cut = tuple[slice, slice, BoolImage]


def _choose_regions(lung: BoolImage, rng: np.random.Generator, bilateral: float) -> list[_Cut]:
    """Cut out one connected region of the lung, or all with probability ``bilateral``."""
    from scipy import ndimage

    labels, count = ndimage.label(lung)
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    boxes = ndimage.find_objects(labels)
    large = np.flatnonzero(areas >= _MIN_REGION * areas.sum())
    if large.size == 0:
        large = np.array([areas.argmax()])
    if rng.random() >= bilateral:
        large = rng.choice(large, 1, p=areas[large] / areas[large].sum())
    return [(*boxes[index], labels[boxes[index]] == index + 1) for index in large]


@attrs.frozen(eq=False)
class _Region:
    """A connected region of the lungs, cut out.

    Parameters
    ----------
    mask : ndarray of bool, shape (H, W)
    outwards : int
        +1 if the chest wall lies towards the last column, else -1.
    """

    mask: BoolImage
    outwards: int

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (H, W)."""
        return self.mask.shape[0], self.mask.shape[1]

    @property
    def size(self) -> float:
        """Side of the square that has the region's area, in pixels."""
        return float(np.sqrt(np.count_nonzero(self.mask)))


def _limited_noise(shape: tuple[int, ...], rng: np.random.Generator, scale: float) -> FloatImage:
    """Return smooth noise in [-1, 1]: edges that it moves stay within known bounds."""
    return np.tanh(smooth_noise(shape, rng, scale=max(scale, 1.0)))


def _ellipses(
    region: BoolImage,
    rng: np.random.Generator,
    *,
    count: int,
    radii: tuple[float, float],
    noise: float,
    steepness: float,
) -> FloatImage:
    """Paint ``count`` ellipses with noisy, soft edges, centred in lung, ``radii`` in pixels."""
    field = np.zeros(region.shape, np.float32)
    edge = noise * _limited_noise(region.shape, rng, 0.5 * radii[0])
    inside = np.flatnonzero(region)
    for index in rng.choice(inside, count):
        row, column = np.unravel_index(index, region.shape)
        radius = max(rng.uniform(*radii), 1.0)
        ratio, angle = rng.uniform(0.65, 1.0), rng.uniform(0, np.pi)
        # Outside this window the ellipse is 0 for any noise.
        reach = int(np.ceil(radius * (1 + noise))) + 1
        window = (
            slice(max(row - reach, 0), row + reach + 1),
            slice(max(column - reach, 0), column + reach + 1),
        )
        down = np.arange(region.shape[0], dtype=np.float32)[window[0], None] - np.float32(row)
        right = np.arange(region.shape[1], dtype=np.float32)[window[1]] - np.float32(column)
        along = np.float32(np.cos(angle)) * right + np.float32(np.sin(angle)) * down
        across = np.float32(np.cos(angle)) * down - np.float32(np.sin(angle)) * right
        distance = np.hypot(along, across / np.float32(ratio)) / np.float32(radius)
        ellipse = rng.uniform(0.6, 1.0) * smoothstep(steepness * (1 - distance + edge[window]))
        # Overlapping ellipses merge.
        field[window] += ellipse * (1 - field[window])
    return field


def _paint_lobar(region: _Region, rng: np.random.Generator) -> FloatImage:
    height, width = region.shape
    size = region.size
    tilt = rng.uniform(0.1, 0.5) * region.outwards
    lower = rng.random() < 0.6
    along = np.arange(height, dtype=np.float32)[:, None] + np.float32(tilt) * np.arange(
        width, dtype=np.float32
    )
    if not lower:
        along = -along
    fissure = np.quantile(along[region.mask], rng.uniform(0.4, 0.75))
    wobble = 0.45 * _limited_noise(region.shape, rng, 0.15 * size)
    lobe = smoothstep(0.5 + (along - fissure) / np.float32(rng.uniform(0.08, 0.2) * size) + wobble)
    mottle = 0.88 + 0.12 * _limited_noise(region.shape, rng, 0.12 * size)
    # The zero lines of a smooth field wind and fork like air-filled bronchi.
    bronchi = np.exp(-((smooth_noise(region.shape, rng, scale=max(0.07 * size, 1.0)) / 0.13) ** 2))
    where = smoothstep(0.5 + smooth_noise(region.shape, rng, scale=max(0.25 * size, 1.0)))
    painted: FloatImage = lobe * mottle * (1 - 0.3 * bronchi * where)
    return painted


def _paint_patchy(region: _Region, rng: np.random.Generator) -> FloatImage:
    size = region.size
    return _ellipses(
        region.mask,
        rng,
        count=int(rng.integers(6, 15)),
        radii=(0.07 * size, 0.24 * size),
        noise=0.45,
        steepness=1.0,
    )


def _paint_effusion(region: _Region, rng: np.random.Generator) -> FloatImage:
    height, width = region.shape
    size = region.size
    rows = np.arange(height, dtype=np.float32)[:, None]
    outer = np.linspace(0, 1, width, dtype=np.float32)[:: region.outwards]
    level = np.quantile(np.nonzero(region.mask)[0], rng.uniform(0.5, 0.85))
    surface = np.float32(level) - np.float32(rng.uniform(0.15, 0.5) * size) * outer**2
    wobble = 0.2 * _limited_noise(region.shape, rng, 0.3 * size)
    softness = np.float32(rng.uniform(0.2, 0.45) * size)
    painted: FloatImage = smoothstep(0.5 + (rows - surface) / softness + wobble)
    return painted


def _paint_nodular(region: _Region, rng: np.random.Generator) -> FloatImage:
    size = region.size
    return _ellipses(
        region.mask,
        rng,
        count=int(rng.integers(1, 4)),
        radii=(0.12 * size, 0.28 * size),
        noise=0.15,
        steepness=1.6,
    )


def _paint_veil(region: _Region, rng: np.random.Generator) -> FloatImage:
    size = region.size
    clouds = _limited_noise(region.shape, rng, 0.3 * size)
    grain = _limited_noise(region.shape, rng, 0.05 * size)
    painted: FloatImage = 0.65 + 0.25 * clouds + 0.1 * grain
    return painted


def _paint_ground_glass(region: _Region, rng: np.random.Generator) -> FloatImage:
    size = region.size
    return _ellipses(
        region.mask,
        rng,
        count=int(rng.integers(1, 5)),
        radii=(0.2 * size, 0.6 * size),
        noise=0.35,
        steepness=float(rng.uniform(0.8, 1.6)),
    )


def _paint_interstitial(region: _Region, rng: np.random.Generator) -> FloatImage:
    size = region.size
    # The zero lines of two smooth fields cross and fork like thickened septa.
    lines = np.zeros(region.shape, np.float32)
    for scale in (0.012, 0.025):
        field = smooth_noise(region.shape, rng, scale=max(scale * size, 1.0))
        np.maximum(lines, np.exp(-((field / np.float32(0.5)) ** 2)), out=lines)
    where = smoothstep(0.6 + 0.8 * smooth_noise(region.shape, rng, scale=max(0.3 * size, 1.0)))
    # Nowhere 0, so that even a very small lung gets some.
    painted: FloatImage = (0.05 + 0.95 * where) * (0.4 + 0.6 * lines)
    return painted


_Painter = Callable[[_Region, np.random.Generator], FloatImage]
_PAINTERS: dict[OpacityKind, _Painter] = {
    "lobar": _paint_lobar,
    "patchy": _paint_patchy,
    "effusion": _paint_effusion,
    "nodular": _paint_nodular,
    "veil": _paint_veil,
    "ground-glass": _paint_ground_glass,
    "interstitial": _paint_interstitial,
}
