import math

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from lungpatch._utils.renderings import (
    BACKGROUND,
    contact_sheet,
    draw_text,
    font_of_size,
    outline,
)


def test_a_contact_sheet_holds_every_rendering_in_order():
    rng = np.random.default_rng(0)
    renderings = [
        rng.integers(0, 256, shape, dtype=np.uint8)
        for shape in [(20, 30), (10, 30, 3), (20, 8), (20, 30, 3), (1, 1)]
    ]
    labels = ["one", "two", "three", "four", "a label that is far too long"]
    for used in (None, labels):
        sheet = contact_sheet(renderings, columns=2, labels=used)
        assert sheet.shape[2] == 3
        corners = []
        for rendering in renderings[:4]:
            colour = rendering if rendering.ndim == 3 else rendering[..., None].repeat(3, axis=2)
            windows = np.lib.stride_tricks.sliding_window_view(sheet, colour.shape)
            hits = np.argwhere((windows == colour).all(axis=(3, 4, 5)))
            assert len(hits) == 1
            corners.append(hits[0])
        assert corners[0][0] < corners[2][0]
        assert corners[0][1] < corners[1][1]
        assert math.isclose(corners[1][1], corners[3][1])


def test_a_contact_sheet_of_nothing_is_refused():
    with pytest.raises(ValueError, match="needs a rendering"):
        contact_sheet([], columns=2)
    rendering = np.zeros((4, 4), np.uint8)
    with pytest.raises(ValueError, match="columns=0"):
        contact_sheet([rendering], columns=0)
    with pytest.raises(ValueError, match="2 labels do not fit 1 renderings"):
        contact_sheet([rendering], columns=1, labels=["a", "b"])


@pytest.mark.parametrize("shape", [(1, 5), (4, 4), (40, 60)])
@pytest.mark.parametrize("width", [1, 2, 3])
def test_an_outline_is_what_an_erosion_takes_away(shape, width):
    mask = np.random.default_rng(0).random(shape) < 0.9
    eroded = ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=width)
    np.testing.assert_array_equal(outline(mask, width), mask & ~eroded)


@pytest.mark.parametrize("text", ["", "image score 2, p = 0.04 (jQ)"])
def test_text_is_drawn_as_pillow_draws_it(text):
    font, colour = font_of_size(17), (110, 205, 140)
    ours, pillows = (Image.new("RGB", (300, 40), BACKGROUND) for _ in range(2))
    for _ in range(2):  # the second time from memory
        draw_text(ImageDraw.Draw(ours), (5, 3), text, colour, font)
        ImageDraw.Draw(pillows).text((5, 3), text, colour, font)
        np.testing.assert_array_equal(ours, pillows)
