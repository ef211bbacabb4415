"""The files of one image that the worklist page shows: small, and readable by any browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lungpatch._utils.files import atomic_write
from lungpatch._utils.marks import RESULT_MARK, png_mark
from lungpatch.containers.colours import COLOUR_TABLE
from lungpatch.containers.grids import to_native_grid

if TYPE_CHECKING:
    import os

    from lungpatch.containers import BoolImage, ColourScale
    from lungpatch.reports.fields import DetectionFields

VIEW_FOLDER = "worklist"
"""Folder, beside the page, of all that the page loads."""

THUMBNAIL_SIDE = 128
"""Longer side of a thumbnail, in pixels."""

_QUALITY = 90
"""Of JPEG files; lower ones blur fine vessels."""

_TOLERANCE = 0.75
"""How far the drawn outline of the lungs may be from the mask's, in pixels of the model grid."""


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
        coloured.save(temporary, format="PNG", transparency=opacities, pnginfo=png_mark())
    with atomic_write(paths["lungs"]) as temporary:
        temporary.write_text(lungs_svg(detection.lungs.pixels), encoding="ascii")
    return files


def _write_jpeg(path: Path, image: Image.Image) -> None:
    with atomic_write(path) as temporary:
        image.save(temporary, format="JPEG", quality=_QUALITY, comment=RESULT_MARK)


def lungs_svg(mask: BoolImage) -> str:
    """Draw the outline of the lungs, of the same width at any size.

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
    'M2.5 3L1 2.5L1.5 1L3 1.5L2.5 3Z'
    """
    from skimage.measure import approximate_polygon, find_contours

    height, width = mask.shape
    # Padded, so that a lung at the border has a closed outline, too.
    contours = find_contours(np.pad(mask, 1).astype(np.float32), 0.5)
    outlines = "".join(
        "M"
        + "L".join(
            # Contours count from the centre of the padding's first pixel, SVG from the corner.
            f"{column - 0.5:g} {row - 0.5:g}"
            for row, column in approximate_polygon(contour, _TOLERANCE)
        )
        + "Z"
        for contour in contours
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'preserveAspectRatio="none"><path d="{outlines}" fill="none" stroke="#6ecd8c" '
        'stroke-width="1.5" vector-effect="non-scaling-stroke"/></svg>'
    )
