"""Foreign pieces: part of another image, set into an image."""

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
"""Change of grey below which a pixel is not part of the anomaly."""


def paste_foreign(
    pixels: FloatImage,
    lung: BoolImage,
    other: FloatImage,
    rng: np.random.Generator,
    *,
    blend: Blend = "mix",
) -> tuple[FloatImage, FloatImage]:
    """Set a piece of another image into the lung.

    Parameters
    ----------
    pixels : ndarray of float32, shape (H, W), values in [0, 1]
    lung : ndarray of bool, shape (H, W)
    other : ndarray of float32, shape (H, W), values in [0, 1]
        The image that the piece comes from: from up to a quarter of its side away, or from its
        mirror image.
    rng : numpy.random.Generator
    blend : {"mix", "poisson"}
        ``mix``: grey levels of the two images are mixed by a random share within a shape with
        soft, irregular edges, after foreign patch interpolation [1]_. ``poisson``: the piece is a
        rectangle whose gradients are kept and whose border takes on the grey around it, after
        natural synthetic anomalies [2]_.

    Returns
    -------
    pixels : ndarray of float32, shape (H, W), values in [0, 1]
        Changed within the lung only.
    alpha : ndarray of float32, shape (H, W), values in [0, 1]
        How anomalous each pixel is: the smoothed change of grey, reaching 1 at a tenth of the
        scale.

    Raises
    ------
    InvalidMaskError
        If the mask is empty.

    Notes
    -----
    Poisson blending solves Laplace's equation for the difference of piece and surroundings, given
    on the rectangle's border [3]_, exactly, by a discrete sine transform.

    References
    ----------
    .. [1] J. Tan et al. Detecting outliers with foreign patch interpolation. MELBA 2022.
       arXiv:2011.04197
    .. [2] H. M. Schlueter et al. Natural synthetic anomalies for self-supervised anomaly detection
       and localization. ECCV 2022. arXiv:2109.15222
    .. [3] P. Perez, M. Gangnet, A. Blake. Poisson image editing. ACM Trans. Graph. 22, 2003.

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
        raise InvalidMaskError("the lung mask is empty: there is no place for a piece")
    half = (rng.uniform(0.05, 0.2, 2) * lung.shape).astype(int) + 2
    centre = np.array(np.unravel_index(rng.choice(inside), lung.shape))
    start, stop = np.maximum(centre - half, 0), np.minimum(centre + half, lung.shape)
    rows, columns = (slice(*ends) for ends in zip(start, stop, strict=True))
    # The piece comes from about the same height, so that lung is mostly mixed with lung.
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
        share = _soft_shape(piece.shape, rng) * np.float32(rng.uniform(0.3, 1.0))
        changed[rows, columns] += share * (piece - pixels[rows, columns])
    changed = np.where(lung, np.clip(changed, 0.0, 1.0), pixels).astype(np.float32)
    # Smoothed, since a piece is no less foreign where it happens to have the same grey.
    change = ndimage.gaussian_filter(np.abs(changed - pixels), 0.01 * max(lung.shape))
    alpha = np.where(lung & (change >= MIN_CHANGE), np.minimum(10.0 * change, 1.0), 0.0)
    return changed, alpha.astype(np.float32)


def _soft_shape(shape: tuple[int, int], rng: np.random.Generator) -> FloatImage:
    """1 at the centre of an ellipse with wobbling, soft edges, 0 at the rectangle's border."""
    rows = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, shape[1], dtype=np.float32)
    wobble = 0.2 * np.tanh(smooth_noise(shape, rng, scale=max(0.2 * max(shape), 1.0)))
    softened: FloatImage = smoothstep(2.5 * (1 - np.hypot(rows, columns) + wobble * (1 - rows**2)))
    return softened * (np.maximum(np.abs(rows), np.abs(columns)) < 1)


def _poisson_blend(around: FloatImage, piece: FloatImage) -> NDArray[np.float64]:
    """Put ``piece`` into the rectangle so that its border agrees with ``around``."""
    if min(piece.shape) < 3:
        return around.astype(np.float64)  # it is all border
    difference = around.astype(np.float64) - piece
    # Membrane: harmonic inside, the difference on the border. The border goes to the right side.
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
