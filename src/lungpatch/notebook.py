"""How the containers show themselves in a notebook: a picture and, below it, their repr.

Jupyter asks an object for ``_repr_html_`` or ``_repr_png_``; neither needs matplotlib.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lungpatch.colours import ColourScale

Picture = NDArray[np.uint8]

_LONGEST_SIDE = 768
_MOST_PATCHES = 48
_PATCH_COLUMNS = 12
_SMALLEST_PATCH = 64
# The grey that `ColourScale.bar` paints over.
_GROUND = 120


class ShownAsPicture:
    """Gives a container with a ``_picture`` the methods that notebooks look for.

    Where ``_picture`` returns None there is nothing to see, and a notebook prints the repr.

    Examples
    --------
    >>> class Dot(ShownAsPicture):
    ...     def _picture(self):
    ...         return np.zeros((1, 1), np.uint8)
    >>> Dot()._repr_png_()[1:4]
    b'PNG'
    """

    __slots__ = ()

    def _picture(self) -> Picture | None:
        raise NotImplementedError

    def _repr_png_(self) -> bytes | None:
        from lungpatch.html_page import png

        picture = self._picture()
        return None if picture is None else png(picture)

    def _repr_html_(self) -> str | None:
        from lungpatch.html_page import figure

        picture = self._picture()
        return None if picture is None else figure(picture, caption=repr(self), alt=repr(self))


def grey_picture(pixels: NDArray[np.floating] | NDArray[np.bool_]) -> Picture | None:
    """Turn values in [0, 1] into a grey picture of at most 768 pixels a side.

    Parameters
    ----------
    pixels : ndarray of float or bool, shape (H, W)

    Returns
    -------
    ndarray of uint8, shape (H', W'), or None
        None where there are no pixels.

    Examples
    --------
    >>> grey_picture(np.array([[False, True]]))
    array([[  0, 255]], dtype=uint8)
    """
    from PIL import Image

    if not pixels.size:
        return None
    grey = Image.fromarray(np.rint(pixels * np.float32(255)).astype(np.uint8))
    grey.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    return np.asarray(grey)


def patch_sheet(pixels: NDArray[np.float32], lung: NDArray[np.bool_]) -> Picture | None:
    """Lay patches out in rows, at most 48, evenly picked; what is not lung is darker.

    Parameters
    ----------
    pixels : ndarray of float32, shape (N, P, P), values in [0, 1]
    lung : ndarray of bool, shape (N, P, P)

    Returns
    -------
    ndarray of uint8, shape (H, W, 3), or None
        None where there is no patch.

    Examples
    --------
    >>> patch_sheet(np.zeros((2, 8, 8), np.float32), np.ones((2, 8, 8), bool)).shape
    (72, 140, 3)
    """
    from lungpatch.reports import contact_sheet

    if not len(pixels):
        return None
    shown = np.unique(np.linspace(0, len(pixels) - 1, _MOST_PATCHES).astype(np.int64))
    grey = np.where(lung[shown], pixels[shown], 0.5 * pixels[shown])
    enlarge = max(1, _SMALLEST_PATCH // pixels.shape[1])
    pictures = np.rint(grey * 255).astype(np.uint8).repeat(enlarge, axis=1).repeat(enlarge, axis=2)
    return contact_sheet(list(pictures), columns=_PATCH_COLUMNS)


def heat_picture(heat: NDArray[np.float32], scale: ColourScale) -> Picture:
    """Colour an anomaly map, without a radiograph below it: black where nothing was scored.

    Parameters
    ----------
    heat : ndarray of float32, shape (H, W)
        NaN where nothing was scored.
    scale : ColourScale

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)

    Examples
    --------
    >>> heat_picture(np.array([[np.nan, 1.0]], np.float32), ColourScale(low=1, high=2))
    array([[[  0,   0,   0],
            [120, 120, 120]]], dtype=uint8)
    """
    return scale.paint(np.where(np.isnan(heat), 0, _GROUND).astype(np.uint8), heat)
