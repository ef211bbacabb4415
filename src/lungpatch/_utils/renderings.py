"""Small renderings: uint8 arrays for display, drawn without matplotlib."""

from __future__ import annotations

import math
import unicodedata
from bisect import bisect_right
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image, ImageDraw, ImageFont

Rendering = NDArray[np.uint8]
"""Grey levels (H, W), or red, green and blue (H, W, 3)."""

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

BACKGROUND: Colour = (18, 20, 24)
TEXT: Colour = (235, 237, 240)

_MAX_SIDE = 768
_MAX_PATCHES = 48
_PATCH_COLUMNS = 12
_MIN_PATCH_SIDE = 64


def render_grey(pixels: NDArray[np.floating] | NDArray[np.bool_]) -> Rendering | None:
    """Convert values in [0, 1] to a grey rendering of at most 768 pixels per side.

    Parameters
    ----------
    pixels : ndarray of float or bool, shape (H, W)

    Returns
    -------
    ndarray of uint8, shape (H', W'), or None
        None if there are no pixels.

    Examples
    --------
    >>> import numpy as np
    >>> render_grey(np.array([[False, True]]))
    array([[  0, 255]], dtype=uint8)
    """
    if not pixels.size:
        return None
    from PIL import Image

    grey = Image.fromarray(np.rint(pixels * np.float32(255)).astype(np.uint8))
    grey.thumbnail((_MAX_SIDE, _MAX_SIDE))
    return np.asarray(grey)


def patch_sheet(pixels: NDArray[np.float32], lung: NDArray[np.bool_]) -> Rendering | None:
    """Lay out at most 48 patches in rows, picked evenly; pixels outside the lung are darker.

    Parameters
    ----------
    pixels : ndarray of float32, shape (N, P, P), values in [0, 1]
    lung : ndarray of bool, shape (N, P, P)

    Returns
    -------
    ndarray of uint8, shape (H, W, 3), or None
        None if there is no patch.

    Examples
    --------
    >>> import numpy as np
    >>> patch_sheet(np.zeros((2, 8, 8), np.float32), np.ones((2, 8, 8), bool)).shape
    (72, 140, 3)
    """
    if not len(pixels):
        return None
    shown = np.unique(np.linspace(0, len(pixels) - 1, _MAX_PATCHES).astype(np.int64))
    grey = np.where(lung[shown], pixels[shown], 0.5 * pixels[shown])
    enlarge = max(1, _MIN_PATCH_SIDE // pixels.shape[1])
    patches = np.rint(grey * 255).astype(np.uint8).repeat(enlarge, axis=1).repeat(enlarge, axis=2)
    return contact_sheet(list(patches), columns=_PATCH_COLUMNS)


def contact_sheet(
    renderings: Sequence[Rendering], *, columns: int, labels: Sequence[str] | None = None
) -> Rendering:
    """Lay renderings out in a grid.

    Parameters
    ----------
    renderings : sequence of ndarray of uint8, shape (H, W) or (H, W, 3)
        Grey or colour, of any sizes; each is centred in a cell as large as the largest.
    columns : int
        Renderings per row, at least 1.
    labels : sequence of str, optional
        One per rendering, written above it.

    Returns
    -------
    ndarray of uint8, shape (H', W', 3)

    Raises
    ------
    ValueError
        If there is no rendering, ``columns`` is below 1, or the labels are not one per rendering.

    Examples
    --------
    >>> import numpy as np
    >>> contact_sheet([np.zeros((10, 20), np.uint8)] * 3, columns=2).shape
    (32, 52, 3)
    """
    from PIL import Image, ImageDraw

    if not renderings or columns < 1:
        raise ValueError(
            f"a contact sheet needs a rendering and a column, got {len(renderings)} renderings and "
            f"columns={columns}"
        )
    if labels is not None and len(labels) != len(renderings):
        raise ValueError(f"{len(labels)} labels do not fit {len(renderings)} renderings")
    cell_height = max(rendering.shape[0] for rendering in renderings)
    cell_width = max(rendering.shape[1] for rendering in renderings)
    columns = min(columns, len(renderings))
    rows = -(-len(renderings) // columns)
    gap = max(4, cell_width // 50)
    font = font_of_size(max(12, min(cell_width, cell_height) // 24))
    head = 0 if labels is None else int(font.size * 1.5)
    step_row, step_column = cell_height + head + gap, cell_width + gap
    canvas = Image.new("RGB", (columns * step_column + gap, rows * step_row + gap), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    for index, rendering in enumerate(renderings):
        top = gap + index // columns * step_row
        left = gap + index % columns * step_column
        if labels is not None:
            text = fit_text(labels[index], font, cell_width)
            draw_text(draw, (left, top), text, TEXT, font)
        position = (
            left + (cell_width - rendering.shape[1]) // 2,
            top + head + (cell_height - rendering.shape[0]) // 2,
        )
        canvas.paste(Image.fromarray(rendering).convert("RGB"), position)
    return np.asarray(canvas)


def outline(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Return the outermost ``width`` pixels of the regions of a mask.

    Parameters
    ----------
    mask : ndarray of bool, shape (H, W)
    width : int

    Returns
    -------
    ndarray of bool, shape (H, W)

    Examples
    --------
    >>> import numpy as np
    >>> int(outline(np.ones((4, 4), bool), 1).sum())
    12
    """
    inner = mask
    for _ in range(width):
        # Beyond the border nothing is. Along one axis after the other, this takes a twentieth of
        # the time of SciPy's erosion.
        padded = np.pad(inner, 1)
        rows = padded[:-2] & padded[1:-1] & padded[2:]
        inner = rows[:, :-2] & rows[:, 1:-1] & rows[:, 2:]
    return mask & ~inner


@cache
def font_of_size(size: int) -> ImageFont.FreeTypeFont:
    """Return Pillow's default font in a size, in pixels."""
    from PIL import ImageFont

    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # always so if a size is given
    return font


def draw_text(
    draw: ImageDraw.ImageDraw,
    position: tuple[int, int],
    text: str,
    colour: Colour,
    font: ImageFont.FreeTypeFont,
) -> None:
    """Draw a line of text whose upper left corner is at ``position`` (column, row).

    Most lines are the same in every image, and letters take longer to shape than to copy.
    """
    draw.bitmap(position, _letters(text, font), colour)


@lru_cache(maxsize=64)
def _letters(text: str, font: ImageFont.FreeTypeFont) -> Image.Image:
    """Return the opacity of a line of text, as Pillow draws it from a corner of an image."""
    from PIL import Image, ImageDraw

    _, _, right, bottom = font.getbbox(text)
    letters = Image.new("L", (max(1, math.ceil(right)), max(1, math.ceil(bottom))))
    ImageDraw.Draw(letters).text((0, 0), text, 255, font)
    return letters


@lru_cache(maxsize=64)
def fit_text(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Return ``text`` as ASCII of at most ``width`` pixels, its middle left out if necessary."""
    # Pillow's default font has ASCII letters only.
    text = "".join(
        letter if letter.isascii() and letter.isprintable() else "?"
        for letter in unicodedata.normalize("NFKD", text)
        if not unicodedata.combining(letter)
    )
    if font.getlength(text) <= width:
        return text

    def shortened(kept: int) -> str:
        return f"{text[: (kept + 1) // 2]}...{text[len(text) - kept // 2 :]}"

    lengths = range(len(text))
    fitting = bisect_right(lengths, width, key=lambda k: math.ceil(font.getlength(shortened(k))))
    return shortened(max(0, fitting - 1))
