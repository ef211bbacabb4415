"""The files of one image that the worklist page shows: small, and readable by any browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lungpatch._utils.files import atomic_write
from lungpatch._utils.forks import IMPORTING
from lungpatch._utils.marks import RESULT_MARK, png_mark
from lungpatch.containers.colours import COLOUR_TABLE
from lungpatch.containers.grids import to_native_grid

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from lungpatch.containers import BoolImage, ColourScale
    from lungpatch.reports.fields import DetectionFields

VIEW_FOLDER = "worklist"
"""Folder, beside the page, of all that the page loads."""

THUMBNAIL_SIDE = 128
"""Longer side of a thumbnail, in pixels."""

_QUALITY = 90
"""Of JPEG files; lower ones blur fine vessels."""

_OUTLINE_CELLS = 128
"""Rows and columns of cells, at most, at whose resolution the lungs are outlined: the segmenters
have no finer ones."""

_PASSES = 4
"""Each leaves out at most half of the points of an outline."""

_TOLERANCE = 0.25
"""How far a point may be from the line that replaces it, in pixels of the model grid."""


def write_views(
    folder: str | os.PathLike[str], name: str, detection: DetectionFields, scale: ColourScale
) -> dict[str, str]:
    """Write what the worklist page shows of one image.

    Parameters
    ----------
    folder : path
        Of the results; the files go to ``worklist/`` below it.
    name : str
        Stem of the image's files; may begin with a folder.
    detection : Detection
    scale : ColourScale
        The fitted pipeline's ``calibration.colour_scale``.

    Returns
    -------
    dict of str to str
        Names of the files, relative to ``folder``: ``image`` (JPEG, native size), ``thumbnail``
        (JPEG, the map painted on it), ``map`` (PNG with transparency, one pixel per pixel of the
        model grid) and ``lungs`` (SVG, their outline). Map and lungs fill the same rectangle as the
        image, whatever its shape.

    Raises
    ------
    OSError
        If a file cannot be written.

    See Also
    --------
    write_worklist : Write the page that shows them.

    Examples
    --------
    >>> write_views("found", "a", detection, scale)["map"]             # doctest: +SKIP
    'worklist/a.map.png'
    """
    files = {
        "image": f"{VIEW_FOLDER}/{name}.view.jpg",
        "thumbnail": f"{VIEW_FOLDER}/{name}.thumbnail.jpg",
        "map": f"{VIEW_FOLDER}/{name}.map.png",
        "lungs": f"{VIEW_FOLDER}/{name}.lungs.svg",
    }
    paths = {kind: Path(folder, file) for kind, file in files.items()}
    grey = Image.fromarray(np.rint(detection.image.pixels * np.float32(255)).astype(np.uint8))
    _write_jpeg(paths["image"], grey)

    heatmap = detection.anomaly_map.heatmap
    grey.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    small = to_native_grid(heatmap, (grey.height, grey.width))
    _write_jpeg(paths["thumbnail"], Image.fromarray(scale.paint(np.asarray(grey), small)))

    # A palette with an opacity per colour: a quarter of the bytes of four channels.
    coloured = Image.fromarray(scale.to_index(heatmap))
    coloured.putpalette(COLOUR_TABLE[:, :3].tobytes())
    opacities = COLOUR_TABLE[:, 3].tobytes()
    with atomic_write(paths["map"]) as temporary:
        coloured.save(
            temporary,
            format="PNG",
            compress_level=3,  # half the time of 6, and a fifth more bytes
            transparency=opacities,
            pnginfo=png_mark(),
        )
    with atomic_write(paths["lungs"]) as temporary:
        temporary.write_text(lungs_svg(detection.lungs.pixels), encoding="ascii")
    return files


def _write_jpeg(path: Path, image: Image.Image) -> None:
    with atomic_write(path) as temporary:
        image.save(temporary, format="JPEG", quality=_QUALITY, comment=RESULT_MARK)


def _simplified(outline: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leave out points that lie nearly on a line with their neighbours, (N, 2) to (M, 2)."""
    for _ in range(_PASSES):
        before, points, after = outline[:-2:2], outline[1:-1:2], outline[2::2]
        count = min(len(before), len(after))
        along, away = (after - before)[:count], (points - before)[:count]
        area = np.abs(along[:, 0] * away[:, 1] - along[:, 1] * away[:, 0])
        near = np.flatnonzero(area <= _TOLERANCE * np.hypot(*along.T))
        outline = np.delete(outline, 2 * near + 1, axis=0)
    return outline


def _path(outline: NDArray[np.float64]) -> str:
    """Return a closed path of SVG through points, (N, 2)."""
    points = np.round(outline, 1).tolist()
    return "M" + "L".join(f"{column:g} {row:g}" for row, column in points) + "Z"


def lungs_svg(mask: BoolImage) -> str:
    """Draw the outline of the lungs, of the same width at any size.

    It follows the border of the mask to within two pixels of a grid of 512.

    Parameters
    ----------
    mask : ndarray of bool, shape (S, T)

    Returns
    -------
    str
        An SVG document of S x T units, one per pixel, which may be stretched.

    Examples
    --------
    >>> mask = np.zeros((4, 4), bool)
    >>> mask[1:3, 1:3] = True
    >>> lungs_svg(mask).split(' d="')[1].split('"')[0]
    'M2.5 3L1.5 3L1 2.5L1 1.5L1.5 1L2.5 1L3 1.5L3 2.5L2.5 3Z'
    """
    with IMPORTING:
        from skimage.measure import find_contours

    height, width = mask.shape
    cells = min(height, _OUTLINE_CELLS), min(width, _OUTLINE_CELLS)
    size = np.array([height / cells[0], width / cells[1]])
    lung = Image.fromarray(mask).convert("L").resize(cells[::-1], Image.Resampling.BOX)
    # Padded, so that a lung at the border has a closed outline, too.
    contours = find_contours(np.pad(np.asarray(lung), 1), 127.5)
    # Contours count from the centre of the padding's first cell, SVG from the corner.
    outlines = "".join(_path(_simplified((contour - 0.5) * size)) for contour in contours)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'preserveAspectRatio="none"><path d="{outlines}" fill="none" stroke="#6ecd8c" '
        'stroke-width="1.5" vector-effect="non-scaling-stroke"/></svg>'
    )
