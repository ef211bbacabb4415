"""The drawings of the demo's page: maps, boxes and outlines on small radiographs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lungpatch._utils.renderings import Colour, Rendering, outline

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lungpatch.containers import BoolImage, ColourScale, FloatImage

FOUND: Colour = (255, 255, 255)
"""Of the boxes of the detector."""

TRUTH: Colour = (80, 230, 110)
"""Of the boxes of readers, and of true opacities."""

_WIDTH = 256
"""Width of a radiograph, in pixels, for which a line of one pixel is thick enough."""


def draw_map(pixels: FloatImage, heatmap: FloatImage, scale: ColourScale) -> Rendering:
    """Paint an anomaly map over its radiograph.

    Parameters
    ----------
    pixels : ndarray of float32, shape (H, W), values in [0, 1]
    heatmap : ndarray of float32, shape (H, W)
    scale : ColourScale

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
    """
    return scale.paint(_as_bytes(pixels), heatmap)


def draw_grey(pixels: FloatImage) -> Rendering:
    """Draw a radiograph as it is; uint8 (H, W, 3)."""
    return np.repeat(_as_bytes(pixels)[..., None], 3, axis=2)


def add_boxes(rendering: Rendering, boxes: NDArray[np.int64], colour: Colour) -> None:
    """Draw boxes into a rendering.

    Parameters
    ----------
    rendering : ndarray of uint8, shape (H, W, 3)
    boxes : ndarray of int64, shape (K, 4)
        Half-open (row0, col0, row1, col1).
    colour : tuple of int
    """
    for row0, col0, row1, col1 in boxes:
        inside = np.zeros(rendering.shape[:2], dtype=np.bool_)
        inside[row0:row1, col0:col1] = True
        add_outline(rendering, inside, colour)


def add_outline(rendering: Rendering, region: BoolImage, colour: Colour) -> None:
    """Draw the outline of a region, bool (H, W), into a rendering."""
    width = max(1, rendering.shape[1] // _WIDTH)
    rendering[outline(region, width)] = colour


def _as_bytes(pixels: FloatImage) -> NDArray[np.uint8]:
    grey: NDArray[np.uint8] = np.rint(pixels * np.float32(255)).astype(np.uint8)
    return grey
