"""Foreign pieces: parts of another image, inserted into an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import fft, ndimage

from lungpatch.errors import InvalidMaskError
from lungpatch.synthesis.opacities import BoolImage, FloatImage, smooth_noise, smoothstep

if TYPE_CHECKING:
    from numpy.typing import NDArray

Blend = Literal["mix", "poisson"]

MIN_CHANGE = 0.02
"""Pixels with a smaller change of grey level are not part of the anomaly."""


def paste_foreign(
    pixels: FloatImage,
    lung: BoolImage,
    other: FloatImage,
    rng: np.random.Generator,
    *,
    blend: Blend = "mix",
) -> tuple[FloatImage, FloatImage]:
    """Insert a piece of another image into the lung.

    Parameters
    ----------
    pixels : ndarray of float32, shape (H, W), values in [0, 1]
    lung : ndarray of bool, shape (H, W)
    other : ndarray of float32, shape (H, W), values in [0, 1]
        The image that the piece is taken from: at most a quarter of the side away from where it is
        inserted, in the image or in its mirror image.
    rng : numpy.random.Generator
    blend : {"mix", "poisson"}
        ``mix`` mixes the grey levels of the two images with a random weight, within a shape with
        soft, irregular edges, after foreign patch interpolation [1]_. ``poisson`` inserts a
        rectangle that keeps its gradients and takes on the surrounding grey level at its border,
        after natural synthetic anomalies [2]_.

    Returns
    -------
    pixels : ndarray of float32, shape (H, W), values in [0, 1]
        The image, changed within the lung only.
    alpha : ndarray of float32, shape (H, W), values in [0, 1]
        How anomalous each pixel is: the smoothed change of grey level, 1 from a change of 0.1 on.

    Raises
    ------
    InvalidMaskError
        If the mask is empty.

    Notes
    -----
    Poisson blending [3]_ solves Laplace's equation for the difference between the image and the
    piece, with its values on the border of the rectangle; here exactly, by a discrete sine
    transform.

    See Also
    --------
    LesionSynthesiser : Paints random lesions by several recipes.

    References
    ----------
    .. [1] J. Tan et al., "Detecting outliers with foreign patch interpolation", MELBA 2022.
       arXiv:2011.04197
    .. [2] H. M. Schlueter et al., "Natural synthetic anomalies for self-supervised anomaly
       detection and localization", ECCV 2022. arXiv:2109.15222
    .. [3] P. Perez, M. Gangnet, A. Blake, "Poisson image editing", ACM Transactions on Graphics 22,
       2003.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> image, other = rng.random((2, 64, 64), dtype=np.float32)
    >>> lung = np.zeros((64, 64), bool)
    >>> lung[8:56, 8:30] = True
    >>> pasted, alpha = paste_foreign(image, lung, other, rng)
    >>> bool((pasted[~lung] == image[~lung]).all()), bool(alpha[lung].max() > 0)
    (True, True)
    """
    inside = np.flatnonzero(lung)
    if inside.size == 0:
        raise InvalidMaskError("the lung mask is empty: there is no lung to insert a piece into")
    half = (rng.uniform(0.05, 0.2, 2) * lung.shape).astype(int) + 2
    centre = np.array(np.unravel_index(rng.choice(inside), lung.shape))
    start, stop = np.maximum(centre - half, 0), np.minimum(centre + half, lung.shape)
    rows, columns = (slice(*ends) for ends in zip(start, stop, strict=True))
    # The piece is from about the same height, so that lung is mostly mixed with lung.
    reach = np.array(lung.shape) // 4
    shift = np.clip(rng.integers(-reach, reach + 1), -start, lung.shape - stop)
    from_rows, from_columns = (
        slice(*ends) for ends in zip(start + shift, stop + shift, strict=True)
    )
    piece = (other[:, ::-1] if rng.random() < 0.5 else other)[from_rows, from_columns]
    changed = pixels.copy()
    if blend == "poisson":
        changed[rows, columns] = _poisson_blend(pixels[rows, columns], piece)
    else:
        weight = _soft_shape(piece.shape, rng) * np.float32(rng.uniform(0.3, 1.0))
        changed[rows, columns] += weight * (piece - pixels[rows, columns])
    changed = np.where(lung, np.clip(changed, 0.0, 1.0), pixels).astype(np.float32)
    # Smoothed, since a piece is also foreign where its grey level happens to be the same.
    change = ndimage.gaussian_filter(np.abs(changed - pixels), 0.01 * max(lung.shape))
    alpha = np.where(lung & (change >= MIN_CHANGE), np.minimum(10.0 * change, 1.0), 0.0)
    return changed, alpha.astype(np.float32)


def _soft_shape(shape: tuple[int, int], rng: np.random.Generator) -> FloatImage:
    """Draw an ellipse with irregular, soft edges: 1 at its centre, 0 at the rectangle's border."""
    rows = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, shape[1], dtype=np.float32)
    wobble = 0.2 * np.tanh(smooth_noise(shape, rng, scale=max(0.2 * max(shape), 1.0)))
    softened: FloatImage = smoothstep(2.5 * (1 - np.hypot(rows, columns) + wobble * (1 - rows**2)))
    return softened * (np.maximum(np.abs(rows), np.abs(columns)) < 1)


def _poisson_blend(around: FloatImage, piece: FloatImage) -> NDArray[np.float64]:
    """Insert ``piece`` into the rectangle so that its border agrees with ``around``."""
    if min(piece.shape) < 3:
        return around.astype(np.float64)  # the piece has no interior
    difference = around.astype(np.float64) - piece
    # The solution is harmonic inside and the difference on the border, which is brought to the
    # right-hand side of the equation.
    right = np.zeros((difference.shape[0] - 2, difference.shape[1] - 2))
    right[0] -= difference[0, 1:-1]
    right[-1] -= difference[-1, 1:-1]
    right[:, 0] -= difference[1:-1, 0]
    right[:, -1] -= difference[1:-1, -1]
    eigenvalues = [2 * np.cos(np.pi * np.arange(1, n + 1) / (n + 1)) - 2 for n in right.shape]
    spectrum = fft.dstn(right, type=1) / np.add.outer(*eigenvalues)
    difference[1:-1, 1:-1] = fft.idstn(spectrum, type=1)
    blended: NDArray[np.float64] = piece + difference
    return blended
