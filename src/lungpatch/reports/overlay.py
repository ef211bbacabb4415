"""Overlays: a radiograph, and beside it the same radiograph with its anomaly map."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lungpatch._utils.files import atomic_write
from lungpatch._utils.marks import RESULT_MARK, png_mark
from lungpatch._utils.renderings import (
    BACKGROUND,
    TEXT,
    Colour,
    Rendering,
    draw_text,
    fit_text,
    font_of_size,
    outline,
)
from lungpatch.containers.grids import to_native_grid

if TYPE_CHECKING:
    import os

    from lungpatch.containers import ColourScale, FloatImage
    from lungpatch.reports.fields import DetectionFields

# Longer side of the radiograph in a rendering, in pixels: it is reduced or enlarged to this range.
_MIN_SIDE, _MAX_SIDE = 512, 1024

_QUALITY = 90

_FAINT_TEXT: Colour = (168, 174, 184)
_WARNING: Colour = (255, 178, 77)
_LUNGS: Colour = (110, 205, 140)
_CONTOUR: Colour = (0, 229, 255)
_BOXES: Colour = (255, 255, 255)

_UNSCORED = {
    "no_lungs": "no lungs found: not scored",
    "no_patches": "too little lung for a patch: not scored",
}


def write_overlay(
    path: str | os.PathLike[str], detection: DetectionFields, scale: ColourScale
) -> None:
    """Write the `overlay` of a detection as JPEG, or as PNG if the name ends so.

    Parameters
    ----------
    path : path
    detection : Detection
    scale : ColourScale
        The fitted pipeline's ``calibration.colour_scale``.

    Raises
    ------
    OSError
        If the file cannot be written.

    See Also
    --------
    overlay : The rendering that is written.
    write_anomaly_map : The anomaly map as numbers.

    Examples
    --------
    >>> scale = pipeline.calibration_.colour_scale                        # doctest: +SKIP
    >>> write_overlay("a.overlay.jpg", detection, scale)                 # doctest: +SKIP
    """
    rendering = _draw(detection, scale)
    with atomic_write(path) as temporary:
        if temporary.suffix.lower() == ".png":
            rendering.save(temporary, compress_level=3, pnginfo=png_mark())
        else:  # a fifth of the bytes, in a tenth of the time
            rendering.save(temporary, format="JPEG", quality=_QUALITY, comment=RESULT_MARK)


def overlay(detection: DetectionFields, scale: ColourScale) -> Rendering:
    """Draw a radiograph, and beside it the same radiograph with its anomaly map.

    The anomaly scores are painted in the colours of ``scale``, the same for every image. Outlines
    of the lungs and of what lies above the threshold, the boxes with their maxima, the colour bar,
    the score with its p-value, and ``detection.regions`` in words are drawn too. Radiographs of 512
    to 1024 pixels on their longer side keep their size; smaller and larger ones are resized to the
    nearer of the two.

    Parameters
    ----------
    detection : Detection
    scale : ColourScale
        The fitted pipeline's ``calibration.colour_scale``.

    Returns
    -------
    ndarray of uint8, shape (H', W', 3)

    See Also
    --------
    write_overlay : Write it to a file.
    plot_detection : The same as a matplotlib figure.

    Examples
    --------
    >>> rendering = overlay(detection, scale)                               # doctest: +SKIP
    """
    return np.asarray(_draw(detection, scale))


def _draw(detection: DetectionFields, scale: ColourScale) -> Image.Image:
    height, width = shape = _panel_shape(detection.image.shape)
    grey = _resize_grey(detection.image.pixels, shape)
    marked = _mark(detection, scale, grey)

    size = max(16, max(shape) // 34)
    font, gap, line = font_of_size(size), size // 2, size + size // 2
    top = 2 * line + line + gap  # two lines about the image, one above the panels
    bar_height, bar_width = max(height, 8 * line), 9 * size  # its labels included
    legend_top = top + bar_height + gap
    # Slim radiographs must not cut the header and the legend short.
    content = 2 * width + 3 * gap + bar_width
    canvas_width = max(content, 38 * size)
    left = gap + (canvas_width - content) // 2
    small = font_of_size(size * 5 // 6)
    words = _region_lines(detection, small, canvas_width - 2 * gap)
    canvas_height = legend_top + line + len(words) * line + gap
    canvas = Image.new("RGB", (canvas_width, canvas_height), BACKGROUND)
    draw = ImageDraw.Draw(canvas)

    text, colour = _decision_text(detection)
    for number, (header, ink) in enumerate(((detection.image.image_id, TEXT), (text, colour))):
        header = fit_text(header, font, canvas_width - 2 * gap)
        draw_text(draw, (gap, gap + number * line), header, ink, font)
    for number, (panel, title) in enumerate(
        ((Image.fromarray(grey), "radiograph"), (marked, "anomaly map"))
    ):
        start = left + number * (width + gap)
        draw_text(
            draw, (start, top - line + gap // 2), fit_text(title, small, width), _FAINT_TEXT, small
        )
        canvas.paste(panel, (start, top))
    bar = (left + 2 * (width + gap), top, size, bar_height)
    draw_text(draw, (bar[0], top - line + gap // 2), "anomaly score", _FAINT_TEXT, small)
    _draw_bar(draw, canvas, bar, scale, detection.localisation.threshold, small)

    column, middle = gap, legend_top + size // 2
    for colour, text in _legend(detection):
        draw.line((column, middle, column + size, middle), colour, max(2, size // 8))
        column += size + gap
        draw_text(draw, (column, legend_top), text, _FAINT_TEXT, small)
        column += int(small.getlength(text)) + 2 * gap
    for number, text in enumerate(words, start=1):
        draw_text(draw, (gap, legend_top + number * line), text, TEXT, small)
    return canvas


def _panel_shape(shape: tuple[int, int]) -> tuple[int, int]:
    longest = max(shape)
    wanted = min(max(longest, _MIN_SIDE), _MAX_SIDE)
    return max(1, round(shape[0] * wanted / longest)), max(1, round(shape[1] * wanted / longest))


def _resize_grey(pixels: FloatImage, shape: tuple[int, int]) -> Rendering:
    grey = Image.fromarray(np.rint(pixels * np.float32(255)).astype(np.uint8))
    return np.asarray(grey.resize((shape[1], shape[0]), Image.Resampling.BICUBIC))


def _mark(detection: DetectionFields, scale: ColourScale, grey: Rendering) -> Image.Image:
    """Paint scores, outlines and boxes over ``grey``."""
    height, width = shape = grey.shape[0], grey.shape[1]
    thin = max(1, round(max(shape) / 512))
    painted = scale.paint(grey, to_native_grid(detection.anomaly_map.heatmap, shape))
    painted[outline(to_native_grid(detection.lungs.pixels, shape), thin)] = _LUNGS
    mask = to_native_grid(detection.localisation.pred_mask, shape)
    painted[outline(mask, 2 * thin)] = _CONTOUR

    canvas = Image.fromarray(painted)
    draw = ImageDraw.Draw(canvas)
    font = font_of_size(max(14, max(shape) // 42))
    factor = np.tile(np.array(shape) / detection.image.shape, 2)
    # Drawn just outside the boxes, so that they do not hide the contour.
    written: list[tuple[int, int, int, int]] = []
    scores = detection.localisation.box_scores
    for box, score in zip(np.rint(detection.native_boxes * factor), scores, strict=True):
        row0, col0, row1, col1 = (int(edge) for edge in box)
        row0, col0 = max(0, row0 - 2 * thin), max(0, col0 - 2 * thin)
        row1, col1 = min(height, row1 + 2 * thin), min(width, col1 + 2 * thin)
        draw.rectangle((col0, row0, col1 - 1, row1 - 1), outline=_BOXES, width=thin)
        # Highest first, so where labels would cover each other the highest is the one that stays.
        text = f"{score:.3g}"
        text_width, text_height = int(font.getlength(text)) + 6, int(font.size * 1.25)
        for top in (row0 - text_height, row1):
            left = max(0, min(col0, width - text_width))
            label = (left, top, left + text_width, top + text_height)
            inside = top >= 0 and label[3] <= height
            if inside and not any(_overlap(label, other) for other in written):
                draw.rectangle(label, fill=(0, 0, 0))
                draw_text(draw, (left + 3, top), text, _BOXES, font)
                written.append(label)
                break
    return canvas


def _overlap(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _draw_bar(
    draw: ImageDraw.ImageDraw,
    canvas: Image.Image,
    box: tuple[int, int, int, int],
    scale: ColourScale,
    threshold: float,
    font: ImageFont.FreeTypeFont,
) -> None:
    """Draw the colour bar at (left, top, width, height) and its labels to the right of it."""
    left, top, width, height = box
    bar = scale.bar(height)[::-1, None].repeat(width, axis=1)
    canvas.paste(Image.fromarray(bar), (left, top))
    text_left = left + width + width // 2
    line = int(font.size * 1.25)
    draw_text(draw, (text_left, top), f"{scale.high:.3g} or more", _FAINT_TEXT, font)
    draw_text(draw, (text_left, top + height - line), f"{scale.low:.3g} or less", _FAINT_TEXT, font)

    if math.isinf(threshold):  # out of scope: nothing counts as found
        return
    position = (scale.high - threshold) / (scale.high - scale.low)
    beyond = "" if 0.0 <= position <= 1.0 else " (off scale)"
    middle = top + round(min(max(position, 0.0), 1.0) * (height - 1))
    tick = max(2, width // 8)
    draw.line((left - tick, middle, left + width + tick, middle), _CONTOUR, tick)
    # Between the labels of the two ends, whatever the threshold.
    lines = ["region threshold", f"{threshold:.3g}{beyond}"]
    highest, lowest = top + 3 * line // 2, top + height - (2 * len(lines) + 3) * line // 2
    text_top = min(max(middle - line * len(lines) // 2, highest), lowest)
    for number, text in enumerate(lines):
        draw_text(draw, (text_left, text_top + number * line), text, _CONTOUR, font)


def _decision_text(detection: DetectionFields) -> tuple[str, Colour]:
    decision = detection.decision
    if detection.status == "out_of_scope":
        return f"out of scope, not classified: {detection.reason}", _WARNING
    if decision is None:
        return _UNSCORED[detection.status], _WARNING
    # No label: what is above the threshold can be decided again, and this rendering stays.
    text = f"image score {decision.pred_score:.4g}"
    if decision.p_value is not None:
        text += f", p = {decision.p_value:.2g} (fraction of normal images that score as high)"
    return text, TEXT


def _legend(detection: DetectionFields) -> list[tuple[Colour, str]]:
    """Return colour and meaning of what is drawn."""
    if not detection.lungs.pixels.any():
        return []
    if detection.decision is None:
        return [(_LUNGS, "lungs")]
    count = len(detection.localisation.boxes)
    return [
        (_LUNGS, "lungs"),
        (_CONTOUR, "above the region threshold"),
        (_BOXES, f"box, with its maximum ({count} found)"),
    ]


def _region_lines(
    detection: DetectionFields, font: ImageFont.FreeTypeFont, width: int
) -> list[str]:
    """Return where the highest regions are, in lines of at most ``width`` pixels."""
    if detection.decision is None:
        return []
    lines: list[str] = []
    for text in detection.regions.lines:
        if font.getlength(text) <= width:
            lines.append(text)
            continue
        line = ""
        for word in text.split():
            longer = f"{line} {word}" if line else word
            if line and font.getlength(longer) > width:
                lines.append(line)
                longer = f"   {word}"
            line = longer
        lines.append(line)
    return lines
