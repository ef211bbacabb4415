"""What is kept of a segmentation: a record, a mask file, a sheet to look through."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from PIL import Image

from lungpatch._utils.files import atomic_write
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
    image: ChestImage, lungs: LungMask, *, source: str, seconds: float
) -> dict[str, Any]:
    """Return what is to be known of one segmentation as JSON-ready values.

    Parameters
    ----------
    image : ChestImage
    lungs : LungMask
        Of its shape.
    source : str
        The image's path or name.
    seconds : float
        Time spent, reading included.

    Returns
    -------
    dict
        ``image``: ``source``. ``status``: ``"ok"``, ``"no_lungs"`` or ``"implausible_lungs"``.
        ``reason``: why they are implausible, else null. ``fraction``, ``right_fraction``,
        ``left_fraction``: shares of the image, 0 to 1, by the patient's side. ``seconds``.

    Examples
    --------
    >>> from lungpatch.datasets.phantom import phantom_chest
    >>> case = phantom_chest(0, size=128)
    >>> lungs = LungMask(pixels=case.lungs)
    >>> record = segmentation_record(case.image, lungs, source="a.png", seconds=0.1)
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
        Image.fromarray(mask.astype(np.uint8) * 255).save(temporary, format="PNG")


def draw_lungs(image: ChestImage, lungs: LungMask) -> Rendering:
    """Draw a small picture of an image with its lungs outlined.

    The patient's right lung is orange, the left one blue.

    Parameters
    ----------
    image : ChestImage
    lungs : LungMask
        Of its shape.

    Returns
    -------
    ndarray of uint8, shape (H', W', 3)
        At most 256 pixels on the longer side.

    Examples
    --------
    >>> from lungpatch.datasets.phantom import phantom_chest
    >>> case = phantom_chest(0, size=512)
    >>> draw_lungs(case.image, LungMask(pixels=case.lungs)).shape
    (256, 256, 3)
    """
    shrink = THUMBNAIL_SIDE / max(image.shape)
    height, width = (max(1, round(side * shrink)) for side in image.shape)
    small = Image.fromarray(image.pixels).resize((width, height), Image.Resampling.BILINEAR)
    grey = np.rint(np.clip(np.asarray(small), 0, 1) * 255).astype(np.uint8)
    picture = np.repeat(grey[..., None], 3, axis=2)
    for mask, colour in ((lungs.right, _RIGHT), (lungs.left, _LEFT)):
        picture[outline(to_native_grid(mask, (height, width)), 1)] = colour
    return picture


class SegmentationSheets:
    """Sheets of lung outlines, 48 images each, written as they fill up.

    A context manager; the last sheet is written at its end.

    Parameters
    ----------
    folder : path
        Gets ``segmentations-001.png`` and so on.

    Examples
    --------
    >>> import tempfile
    >>> from lungpatch.datasets.phantom import phantom_chest
    >>> case = phantom_chest(0, size=128)
    >>> with SegmentationSheets(tempfile.mkdtemp()) as sheets:
    ...     sheets.add(draw_lungs(case.image, LungMask(pixels=case.lungs)), "phantom: ok")
    >>> [path.name for path in sheets.paths]
    ['segmentations-001.png']
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        self._pictures: list[Rendering] = []
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
        self._write(self._pictures, self._labels)

    def add(self, picture: Rendering, label: str) -> None:
        """Add an image to the sheet at hand."""
        self._pictures.append(picture)
        self._labels.append(label)
        if len(self._pictures) == COLUMNS * ROWS:
            self._write(self._pictures, self._labels)
            self._pictures, self._labels = [], []

    def _write(self, pictures: Sequence[Rendering], labels: Sequence[str]) -> None:
        if not pictures:
            return
        path = self._folder / f"segmentations-{len(self.paths) + 1:03d}.png"
        sheet = contact_sheet(pictures, columns=COLUMNS, labels=labels)
        with atomic_write(path) as temporary:
            Image.fromarray(sheet).save(temporary, format="PNG")
        self.paths.append(path)
