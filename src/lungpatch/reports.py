"""What is kept of a detection: a record, a picture to look at, an anomaly map to compute with."""

from __future__ import annotations

import math
import os
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from lungpatch.colours import ColourScale
from lungpatch.containers import BoolImage, Detection, Failure, FloatImage
from lungpatch.files import atomic_write
from lungpatch.geometry import to_own_pixels

Colour = tuple[int, int, int]
Picture = NDArray[np.uint8]

# The radiograph's longer side in a picture, in pixels: large ones are reduced, small ones enlarged.
_SHORTEST_SIDE, _LONGEST_SIDE = 512, 1024

_BACKGROUND: Colour = (18, 20, 24)
_TEXT: Colour = (235, 237, 240)
_FAINT_TEXT: Colour = (168, 174, 184)
_WARNING: Colour = (255, 178, 77)
_LUNGS: Colour = (110, 205, 140)
_CONTOUR: Colour = (0, 229, 255)
_BOXES: Colour = (255, 255, 255)

_UNSCORED = {
    "no_lungs": "no lungs found: not scored",
    "implausible_lungs": "implausible lungs: not scored",
    "no_patches": "too little lung for a patch: not scored",
}
_DOUBT = "implausible lungs: "


# ------------------------------------------------------------------------------------ records


def detection_record(detection: Detection, *, source: str) -> dict[str, Any]:
    """Return what is to be known of one image as JSON-ready values.

    Parameters
    ----------
    detection : Detection
    source : str
        The image's path or name.

    Returns
    -------
    dict
        ``image``: ``source``. ``status``: ``"ok"``, ``"no_lungs"``, ``"implausible_lungs"`` or
        ``"no_patches"``. ``reason``: why the lungs are implausible, else null.
        ``pred_score``, ``threshold``, ``pred_label`` (true above the threshold): null where
        nothing was scored. ``boxes``: a list of half-open ``[row0, col0, row1, col1]`` in the
        image's own pixels, hottest first. ``box_scores``: the highest heat in each.
        ``map_threshold``: what the heat in a box lies above. ``regions``: what is in each box, in
        words and numbers (`lungpatch.lung_places.HotRegion`). ``hottest``: the hottest place
        (`lungpatch.lung_places.Place`), also below the threshold; null where nothing was scored.
        ``shares_above``: share of the ``right`` and the ``left`` lung above the threshold; null
        where there is no such lung. ``lung_fraction``: share of the image that is lung, 0 to 1.
        ``n_patches``: patches scored. ``seconds``: time spent.

    Examples
    --------
    >>> detection_record(detection, source="a.png")["pred_label"]      # doctest: +SKIP
    True
    """
    decision, places = detection.decision, detection.places
    return {
        "image": source,
        "status": detection.status,
        "reason": detection.lungs.implausible,
        "pred_score": None if decision is None else float(decision.pred_score),
        "threshold": None if decision is None else float(decision.threshold),
        "pred_label": None if decision is None else bool(decision.pred_label),
        "boxes": detection.own_boxes.tolist(),
        "box_scores": detection.localisation.box_scores.tolist(),
        "map_threshold": float(detection.localisation.threshold),
        "regions": [region.to_dict() for region in places.regions],
        "hottest": None if places.hottest is None else places.hottest.to_dict(),
        "shares_above": dict(places.shares_above),
        "lung_fraction": detection.lungs.fraction,
        "n_patches": len(detection.patches),
        "seconds": float(detection.seconds),
    }


def failure_record(failure: Failure) -> dict[str, Any]:
    """Return the record of an image that could not be processed.

    Parameters
    ----------
    failure : Failure

    Returns
    -------
    dict
        ``image``, ``status`` (``"error"``) and ``error``, the message.

    Examples
    --------
    >>> from lungpatch.containers import Failure
    >>> from lungpatch.errors import InvalidImageError
    >>> failure_record(Failure(source="a.png", error=InvalidImageError("a.png: cut short")))
    {'image': 'a.png', 'status': 'error', 'error': 'a.png: cut short'}
    """
    return {"image": failure.source, "status": "error", "error": str(failure.error)}


# ------------------------------------------------------------------------------- anomaly maps


def write_anomaly_map(path: str | os.PathLike[str], detection: Detection) -> None:
    """Write the anomaly map as a TIFF of the image's own size.

    One float32 value a pixel, NaN where nothing was scored, deflate-compressed without loss.

    Parameters
    ----------
    path : path
    detection : Detection

    Raises
    ------
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> write_anomaly_map("a.anomaly.tiff", detection)                  # doctest: +SKIP
    >>> heat = tifffile.imread("a.anomaly.tiff")                        # doctest: +SKIP
    """
    with atomic_write(path) as temporary:
        tifffile.imwrite(
            temporary,
            detection.own_heatmap,
            photometric="minisblack",
            compression="zlib",
            description="lungpatch anomaly map; NaN: not scored",
            metadata=None,
        )


# ----------------------------------------------------------------------------------- pictures


def write_overlay(path: str | os.PathLike[str], detection: Detection, scale: ColourScale) -> None:
    """Write the `overlay` of a detection as PNG.

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

    Examples
    --------
    >>> scale = pipeline.calibration.colour_scale                        # doctest: +SKIP
    >>> write_overlay("a.overlay.png", detection, scale)                 # doctest: +SKIP
    """
    picture = Image.fromarray(overlay(detection, scale))
    with atomic_write(path) as temporary:
        picture.save(temporary, format="PNG", compress_level=3)


def overlay(detection: Detection, scale: ColourScale) -> Picture:
    """Draw a detection: the radiograph, and beside it the same with what was found.

    Heat is painted on ``scale``, the same for every image. The outline of the lungs, the outline
    of the heat above the threshold, the boxes with their highest heat, the scale, the decision in
    words and the ``detection.places`` are drawn too. Radiographs of 512 to 1024 pixels on their
    longer side keep their size, others are brought to the nearer of the two.

    Parameters
    ----------
    detection : Detection
    scale : ColourScale
        The fitted pipeline's ``calibration.colour_scale``.

    Returns
    -------
    ndarray of uint8, shape (H', W', 3)

    Examples
    --------
    >>> picture = overlay(detection, pipeline.calibration.colour_scale)            # doctest: +SKIP
    """
    height, width = shape = _panel_shape(detection.image.shape)
    grey = _resize_grey(detection.image.pixels, shape)
    marked = _mark(detection, scale, grey)

    size = max(16, max(shape) // 34)
    font, gap, line = _font(size), size // 2, size + size // 2
    top = 2 * line + line + gap  # two lines about the image, one above the panels
    bar_height, bar_width = max(height, 8 * line), 9 * size  # its labels included
    legend_top = top + bar_height + gap
    # Slim radiographs must not cut the header and the legend short.
    content = 2 * width + 3 * gap + bar_width
    canvas_width = max(content, 38 * size)
    left = gap + (canvas_width - content) // 2
    small = _font(size * 5 // 6)
    words = _places(detection, small, canvas_width - 2 * gap)
    canvas_height = legend_top + line + len(words) * line + gap
    canvas = Image.new("RGB", (canvas_width, canvas_height), _BACKGROUND)
    draw = ImageDraw.Draw(canvas)

    name = _fit_text(detection.image.image_id, font, canvas_width - 2 * gap)
    draw.text((gap, gap), name, _TEXT, font)
    draw.text((gap, gap + line), *_verdict(detection), font)
    for number, (panel, title) in enumerate(
        ((Image.fromarray(grey), "radiograph"), (Image.fromarray(marked), "anomaly map"))
    ):
        start = left + number * (width + gap)
        draw.text(
            (start, top - line + gap // 2), _fit_text(title, small, width), _FAINT_TEXT, small
        )
        canvas.paste(panel, (start, top))
    bar = (left + 2 * (width + gap), top, size, bar_height)
    _draw_bar(draw, canvas, bar, scale, detection.localisation.threshold, small)

    column, middle = gap, legend_top + size // 2
    for colour, text in _legend(detection):
        draw.line((column, middle, column + size, middle), colour, max(2, size // 8))
        column += size + gap
        draw.text((column, legend_top), text, _FAINT_TEXT, small)
        column += int(small.getlength(text)) + 2 * gap
    for number, text in enumerate(words, start=1):
        draw.text((gap, legend_top + number * line), text, _TEXT, small)
    return np.asarray(canvas)


def contact_sheet(
    pictures: Sequence[Picture], *, columns: int, labels: Sequence[str] | None = None
) -> Picture:
    """Lay pictures out in a grid.

    Parameters
    ----------
    pictures : sequence of ndarray of uint8, shape (H, W) or (H, W, 3)
        Grey or colour, of any sizes; each is centred in a cell as large as the largest.
    columns : int
        Pictures a row, at least 1.
    labels : sequence of str, optional
        One a picture, written above it.

    Returns
    -------
    ndarray of uint8, shape (H', W', 3)

    Raises
    ------
    ValueError
        If there is no picture, ``columns`` is below 1, or the labels are not one a picture.

    Examples
    --------
    >>> import numpy as np
    >>> contact_sheet([np.zeros((10, 20), np.uint8)] * 3, columns=2).shape
    (32, 52, 3)
    """
    if not pictures or columns < 1:
        raise ValueError(
            f"a contact sheet needs a picture and a column, got {len(pictures)} pictures and "
            f"columns={columns}"
        )
    if labels is not None and len(labels) != len(pictures):
        raise ValueError(f"{len(labels)} labels do not fit {len(pictures)} pictures")
    cell_height = max(picture.shape[0] for picture in pictures)
    cell_width = max(picture.shape[1] for picture in pictures)
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    gap = max(4, cell_width // 50)
    font = _font(max(12, min(cell_width, cell_height) // 24))
    head = 0 if labels is None else int(font.size * 1.5)
    step_row, step_column = cell_height + head + gap, cell_width + gap
    canvas = Image.new("RGB", (columns * step_column + gap, rows * step_row + gap), _BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    for index, picture in enumerate(pictures):
        top = gap + index // columns * step_row
        left = gap + index % columns * step_column
        if labels is not None:
            text = _fit_text(labels[index], font, cell_width)
            draw.text((left, top), text, _TEXT, font)
        place = (
            left + (cell_width - picture.shape[1]) // 2,
            top + head + (cell_height - picture.shape[0]) // 2,
        )
        canvas.paste(Image.fromarray(picture).convert("RGB"), place)
    return np.asarray(canvas)


def outline(mask: BoolImage, width: int) -> BoolImage:
    """Return the outermost ``width`` pixels of a mask's regions.

    Parameters
    ----------
    mask : ndarray of bool, shape (H, W)
    width : int

    Returns
    -------
    ndarray of bool, shape (H, W)

    Examples
    --------
    >>> int(outline(np.ones((4, 4), bool), 1).sum())
    12
    """
    inner: BoolImage = ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=width)
    return mask & ~inner


# -------------------------------------------------------------------------------------- parts


def _panel_shape(shape: tuple[int, int]) -> tuple[int, int]:
    longest = max(shape)
    wanted = min(max(longest, _SHORTEST_SIDE), _LONGEST_SIDE)
    return max(1, round(shape[0] * wanted / longest)), max(1, round(shape[1] * wanted / longest))


def _resize_grey(pixels: FloatImage, shape: tuple[int, int]) -> Picture:
    grey = Image.fromarray(np.rint(pixels * np.float32(255)).astype(np.uint8))
    return np.asarray(grey.resize((shape[1], shape[0]), Image.Resampling.BICUBIC))


def _mark(detection: Detection, scale: ColourScale, grey: Picture) -> Picture:
    """Paint heat, outlines and boxes over ``grey``; uint8 (H, W, 3)."""
    height, width = shape = grey.shape[0], grey.shape[1]
    thin = max(1, round(max(shape) / 512))
    painted = scale.paint(grey, to_own_pixels(detection.anomaly_map.heatmap, shape))
    painted[outline(to_own_pixels(detection.lungs.pixels, shape), thin)] = _LUNGS
    mask = to_own_pixels(detection.localisation.pred_mask, shape)
    painted[outline(mask, 2 * thin)] = _CONTOUR

    canvas = Image.fromarray(painted)
    draw = ImageDraw.Draw(canvas)
    font = _font(max(14, max(shape) // 42))
    factor = np.tile(np.array(shape) / detection.image.shape, 2)
    # Frames are drawn just outside their boxes, so that they don't hide the contour.
    written: list[tuple[int, int, int, int]] = []
    scores = detection.localisation.box_scores
    for box, score in zip(np.rint(detection.own_boxes * factor), scores, strict=True):
        row0, col0, row1, col1 = (int(edge) for edge in box)
        row0, col0 = max(0, row0 - 2 * thin), max(0, col0 - 2 * thin)
        row1, col1 = min(height, row1 + 2 * thin), min(width, col1 + 2 * thin)
        draw.rectangle((col0, row0, col1 - 1, row1 - 1), outline=_BOXES, width=thin)
        # Hottest first, so where labels would cover each other the hottest is the one that stays.
        text = f"{score:.3g}"
        text_width, text_height = int(font.getlength(text)) + 6, int(font.size * 1.25)
        for top in (row0 - text_height, row1):
            left = max(0, min(col0, width - text_width))
            place = (left, top, left + text_width, top + text_height)
            inside = top >= 0 and place[3] <= height
            if inside and not any(_overlap(place, other) for other in written):
                draw.rectangle(place, fill=(0, 0, 0))
                draw.text((left + 3, top), text, _BOXES, font)
                written.append(place)
                break
    return np.asarray(canvas)


def _overlap(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _draw_bar(
    draw: ImageDraw.ImageDraw,
    canvas: Image.Image,
    place: tuple[int, int, int, int],
    scale: ColourScale,
    threshold: float,
    font: ImageFont.FreeTypeFont,
) -> None:
    """Draw the colour bar at (left, top, width, height) and its labels to the right of it."""
    left, top, width, height = place
    bar = scale.bar(height)[::-1, None].repeat(width, axis=1)
    canvas.paste(Image.fromarray(bar), (left, top))
    text_left = left + width + width // 2
    line = int(font.size * 1.25)
    draw.text((text_left, top), f"{scale.high:.3g} or more", _FAINT_TEXT, font)
    draw.text((text_left, top + height - line), f"{scale.low:.3g} or less", _FAINT_TEXT, font)

    position = (scale.high - threshold) / (scale.high - scale.low)
    beyond = "" if 0.0 <= position <= 1.0 else " (off scale)"
    middle = top + round(min(max(position, 0.0), 1.0) * (height - 1))
    tick = max(2, width // 8)
    draw.line((left - tick, middle, left + width + tick, middle), _CONTOUR, tick)
    # Between the labels of the two ends, whatever the threshold.
    lines = ["heat", "threshold", f"{threshold:.3g}{beyond}"]
    highest, lowest = top + 3 * line // 2, top + height - (2 * len(lines) + 3) * line // 2
    text_top = min(max(middle - line * len(lines) // 2, highest), lowest)
    for number, text in enumerate(lines):
        draw.text((text_left, text_top + number * line), text, _CONTOUR, font)


def _verdict(detection: Detection) -> tuple[str, Colour]:
    decision = detection.decision
    if decision is None:
        return _UNSCORED[detection.status], _WARNING
    doubt = f"{_DOUBT}{detection.lungs.implausible}; " if detection.lungs.implausible else ""
    numbers = f"{doubt}score {decision.pred_score:.4g}, threshold {decision.threshold:.4g}: "
    if decision.pred_label:
        return numbers + "above threshold", _WARNING
    return numbers + "not above threshold", _WARNING if doubt else _TEXT


def _legend(detection: Detection) -> list[tuple[Colour, str]]:
    """Return colour and meaning of what is drawn."""
    if detection.decision is None:
        return []
    count = len(detection.localisation.boxes)
    return [
        (_LUNGS, "lungs"),
        (_CONTOUR, "heat above its threshold"),
        (_BOXES, f"box, with its highest heat ({count} found)"),
    ]


def _places(detection: Detection, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Return where the hottest regions are, in lines of at most ``width`` pixels."""
    if detection.decision is None:
        return []
    lines: list[str] = []
    for text in detection.places.lines:
        line = ""
        for word in text.split():
            longer = f"{line} {word}" if line else word
            if line and font.getlength(longer) > width:
                lines.append(line)
                longer = f"   {word}"
            line = longer
        lines.append(line)
    return lines


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # so it is wherever a size can be given
    return font


def _fit_text(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Return ``text`` on one line, its middle left out where it is too long."""
    # Pillow's own font knows no more than ASCII, and a name may hold anything.
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
