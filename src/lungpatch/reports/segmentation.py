"""Results of a segmentation: records, mask files, and sheets of outlined images."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from PIL import Image

from lungpatch._utils.files import atomic_write
from lungpatch._utils.marks import png_mark
from lungpatch._utils.renderings import Colour, Rendering, contact_sheet, outline
from lungpatch.containers.grids import to_native_grid

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from types import TracebackType

    from lungpatch.containers import BoolImage, ChestImage, LungMask

THUMBNAIL_SIDE = 256
COLUMNS = 8
ROWS = 6

_RIGHT: Colour = (255, 170, 60)
_LEFT: Colour = (70, 190, 255)


def segmentation_record(
    lungs: LungMask, *, source: str, seconds: float, reading: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the segmentation of one image as JSON-ready values.

    Parameters
    ----------
    lungs : LungMask
    source : str
        Path or name of the image.
    seconds : float
        Time spent on the image, reading included.
    reading : sequence of str
        What was assumed or done when the image was read, in words.

    Returns
    -------
    dict
        With these keys:

        ``image``
            ``source``.
        ``status``
            ``"ok"``, ``"no_lungs"`` or ``"implausible_lungs"``.
        ``reason``
            Why the lungs are implausible, else null.
        ``reading``
            ``reading``.
        ``fraction``, ``right_fraction``, ``left_fraction``
            Fractions of the image that are lung, the patient's right lung and the patient's left
            lung; 0 to 1.
        ``seconds``
            Time spent on the image.

    See Also
    --------
    lungpatch.segment_folder : Segment many images and write their records.

    Examples
    --------
    >>> from lungpatch.containers import LungMask
    >>> from lungpatch.datasets.phantom import phantom_chest
    >>> case = phantom_chest(0, size=128)
    >>> lungs = LungMask(pixels=case.lungs)
    >>> record = segmentation_record(lungs, source="a.png", seconds=0.1)
    >>> record["status"], record["right_fraction"] + record["left_fraction"] == record["fraction"]
    ('ok', True)
    """
    status = "ok"
    if not lungs.pixels.any():
        status = "no_lungs"
    elif lungs.implausible:
        status = "implausible_lungs"
    return {
        "image": source,
        "status": status,
        "reason": lungs.implausible,
        "reading": list(reading),
        "fraction": lungs.fraction,
        "right_fraction": float(lungs.right.mean()),
        "left_fraction": float(lungs.left.mean()),
        "seconds": seconds,
    }


def write_mask(path: str | os.PathLike[str], mask: BoolImage) -> None:
    """Write a lung mask as 8-bit PNG: 255 in the lungs, 0 elsewhere.

    Parameters
    ----------
    path : path
    mask : ndarray of bool, shape (H, W)

    Raises
    ------
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from lungpatch.io import read_mask
    >>> path = pathlib.Path(tempfile.mkdtemp(), "a.mask.png")
    >>> write_mask(path, np.eye(40, dtype=bool))
    >>> int(read_mask(path).sum())
    40
    """
    with atomic_write(path) as temporary:
        grey = Image.fromarray(mask.astype(np.uint8) * 255)
        # Rows of a mask are runs: less time and fewer bytes than a search for other repetitions.
        grey.save(temporary, format="PNG", compress_type=zlib.Z_RLE, pnginfo=png_mark())


def draw_lungs(image: ChestImage, lungs: LungMask) -> Rendering:
    """Draw a small rendering of an image with its lungs outlined.

    The patient's right lung is outlined in orange, the left one in blue.

    Parameters
    ----------
    image : ChestImage
    lungs : LungMask
        Of the image's shape.

    Returns
    -------
    ndarray of uint8, shape (H', W', 3)
        Its longer side has 256 pixels.

    Examples
    --------
    >>> from lungpatch.containers import LungMask
    >>> from lungpatch.datasets.phantom import phantom_chest
    >>> case = phantom_chest(0, size=512)
    >>> draw_lungs(case.image, LungMask(pixels=case.lungs)).shape
    (256, 256, 3)
    """
    shrink = THUMBNAIL_SIDE / max(image.shape)
    height, width = (max(1, round(side * shrink)) for side in image.shape)
    small = Image.fromarray(image.pixels).resize((width, height), Image.Resampling.BILINEAR)
    grey = np.rint(np.clip(np.asarray(small), 0, 1) * 255).astype(np.uint8)
    rendering = np.repeat(grey[..., None], 3, axis=2)
    for mask, colour in ((lungs.right, _RIGHT), (lungs.left, _LEFT)):
        rendering[outline(to_native_grid(mask, (height, width)), 1)] = colour
    return rendering


class SegmentationSheets:
    """Write sheets of lung outlines, 48 images each, as they fill up.

    It is a context manager; the last sheet is written when it ends.

    Parameters
    ----------
    folder : path
        Where ``segmentations-001.png`` and so on are written.

    See Also
    --------
    lungpatch.segment_folder : Segments many images and writes such sheets.

    Examples
    --------
    >>> import tempfile
    >>> from lungpatch.containers import LungMask
    >>> from lungpatch.datasets.phantom import phantom_chest
    >>> case = phantom_chest(0, size=128)
    >>> with SegmentationSheets(tempfile.mkdtemp()) as sheets:
    ...     sheets.add(draw_lungs(case.image, LungMask(pixels=case.lungs)), "phantom: ok")
    >>> [path.name for path in sheets.paths]
    ['segmentations-001.png']
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        self._renderings: list[Rendering] = []
        self._labels: list[str] = []
        self.paths: list[Path] = []

    def __repr__(self) -> str:
        return f"SegmentationSheets({str(self._folder)!r}, {len(self.paths)} written)"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._write(self._renderings, self._labels)

    def add(self, rendering: Rendering, label: str) -> None:
        """Add a rendering to the current sheet, with a label above it."""
        self._renderings.append(rendering)
        self._labels.append(label)
        if len(self._renderings) == COLUMNS * ROWS:
            self._write(self._renderings, self._labels)
            self._renderings, self._labels = [], []

    def _write(self, renderings: Sequence[Rendering], labels: Sequence[str]) -> None:
        if not renderings:
            return
        path = self._folder / f"segmentations-{len(self.paths) + 1:03d}.png"
        sheet = contact_sheet(renderings, columns=COLUMNS, labels=labels)
        with atomic_write(path) as temporary:
            Image.fromarray(sheet).save(temporary, format="PNG", pnginfo=png_mark())
        self.paths.append(path)
