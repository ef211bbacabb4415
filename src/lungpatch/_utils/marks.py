"""The mark in image files that lungpatch writes, so that they are never taken for radiographs."""

from __future__ import annotations

from typing import Any

RESULT_MARK = "lungpatch result, not a radiograph"
"""Stands in a text chunk of PNG files and in the description of TIFF files."""


def png_mark() -> Any:
    """Return the text chunk that marks a PNG file as a result, for Pillow's ``pnginfo``.

    Examples
    --------
    >>> import io
    >>> from PIL import Image
    >>> file = io.BytesIO()
    >>> Image.new("L", (40, 40)).save(file, format="PNG", pnginfo=png_mark())
    >>> RESULT_MARK.encode() in file.getvalue()
    True
    """
    from PIL.PngImagePlugin import PngInfo

    mark = PngInfo()
    mark.add_text("Comment", RESULT_MARK)
    return mark
