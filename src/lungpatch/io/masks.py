"""Lung masks in files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lungpatch.errors import InvalidImageError, InvalidMaskError
from lungpatch.io.files import decoder_errors, open_file
from lungpatch.io.formats import format_of
from lungpatch.io.raster import read_raster

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

_MAX_LABELS = 32
"""Maximum number of low levels of a mask of labels; a mask of more is one of soft edges."""

_MIN_LABEL_FRACTION = 0.02
"""Minimum fraction of all pixels above 0 that a label has; edges and noise have less."""

_MIN_INTERIOR_FRACTION = 0.25
"""Minimum fraction of a label's pixels whose neighbours have it too; edges are thinner."""

_LOWEST, _HIGHEST = 0.1, 0.55
"""Fractions of the highest level between which labels with soft edges are looked for."""

_TOLERANCE = 1 / 64
"""How far the levels of one label are apart where its edges are soft, as a fraction likewise."""

_MAX_SOFT_LABELS = 4
"""Maximum number of such labels; more would cover a range of spread levels."""

_MIN_SOFT_FRACTION = 0.1
"""Minimum fraction that a label with soft edges has of the pixels above the labels."""

_MIN_JPEG_LEVEL = 32
"""Highest level of a mask in JPEG below which noise and labels cannot be told apart."""


def read_mask(path: str | os.PathLike[str]) -> NDArray[np.bool_]:
    """Read a lung mask file (PNG, TIFF, BMP, GIF, JPEG), whatever its levels are.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    ndarray of bool, shape (H, W)
        The background is 0. Every level that fills a region of its own is a label, such as 1 for
        the right lung and 2 for the left one, and all labels are lung. The mask is true there and
        above half of the highest level. Where edges are smoothed, or levels are not exact as in
        JPEG, it is true above half of the lowest label, which has to fill an even region. A file
        of zeros is an empty mask.

    Raises
    ------
    MissingInputError
        If there is no such file.
    InvalidMaskError
        If it cannot be read or decoded completely, holds several levels none of which is 0, the
        background, or is a JPEG of labels so low that they are lost in its noise.

    See Also
    --------
    read_image : Read a radiograph.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "mask.png")
    ...     Image.fromarray(np.eye(3, dtype=np.uint8)).save(path)
    ...     read_mask(path)
    array([[ True, False, False],
           [False,  True, False],
           [False, False,  True]])
    """
    path = Path(path)
    try:
        with open_file(path) as file, decoder_errors(path):
            form = format_of(file.head())
            if form == "DICOM":
                raise InvalidImageError("masks in DICOM are not read; save the mask as PNG")
            levels = read_raster(file, form).array
            if levels.dtype.kind == "f" and not np.isfinite(levels).all():
                raise InvalidImageError("holds NaN or infinite values; write 0 and 1 instead")
            if levels.min() < 0:
                raise InvalidImageError(
                    f"holds values from {levels.min():.6g}; write 0 and 1 instead"
                )
            _check_levels(levels, is_jpeg=form == "JPEG")
    except InvalidImageError as error:
        raise InvalidMaskError(str(error)) from error.__cause__
    highest = float(levels.max())
    if highest <= 0:
        return np.zeros(levels.shape, dtype=np.bool_)
    mask = np.asarray(levels > highest / 2)
    if form != "JPEG":
        for label in _labels_below(levels, highest / 2):
            mask |= levels == label
    if (lowest := _lowest_soft_label(levels)) is not None:
        mask |= levels > lowest / 2
    return mask


def _check_levels(levels: NDArray[Any], *, is_jpeg: bool) -> None:
    """Refuse levels of which it is not known which are lung."""
    lowest, highest = float(levels.min()), float(levels.max())
    if is_jpeg and 0 < highest < _MIN_JPEG_LEVEL:
        raise InvalidImageError(
            f"is a JPEG whose highest level is {highest:g}, so that labels are lost in its noise; "
            "save the mask as PNG"
        )
    if lowest < highest and lowest > _LOWEST * highest:
        raise InvalidImageError(
            f"holds levels from {lowest:g} to {highest:g}, and none is the background; write 0 "
            "where no lung is"
        )


def _lowest_soft_label(levels: NDArray[Any]) -> float | None:
    """Return the lowest level that fills even regions, though edges are soft; None without any.

    Most of what lies in the range of such levels must be such regions: the levels of smoothed
    edges and of maps of probabilities are spread.
    """
    levels = levels.astype(np.float64)
    highest = float(levels.max())
    between = (levels > _LOWEST * highest) & (levels <= _HIGHEST * highest)
    least = _MIN_SOFT_FRACTION * np.count_nonzero(levels > _HIGHEST * highest)
    width = _TOLERANCE * highest
    counts, edges = np.histogram(levels[between], np.arange(0, _HIGHEST * highest + width, width))
    remaining, labels, covered = counts.astype(np.int64), [], 0
    for _ in range(_MAX_SOFT_LABELS):
        threes = np.convolve(remaining, np.ones(3, np.int64), mode="same")
        peak = int(threes.argmax())
        if threes[peak] < max(least, 1):
            break
        low, high = max(peak - 1, 0), min(peak + 2, len(counts))
        remaining[low:high] = 0
        region = between & (levels >= edges[low]) & (levels < edges[high])
        if _interior(region) >= _MIN_INTERIOR_FRACTION * np.count_nonzero(region):
            labels.append(float(np.median(levels[region])))
            covered += int(counts[low:high].sum())
    return min(labels) if labels and 2 * covered >= np.count_nonzero(between) else None


def _labels_below(levels: NDArray[Any], half: float) -> list[Any]:
    """Return the levels in (0, half] that are labels of their own."""
    low = levels[(levels > 0) & (levels <= half)]
    candidates, counts = np.unique(low, return_counts=True)
    if len(candidates) > _MAX_LABELS:
        return []
    least = _MIN_LABEL_FRACTION * np.count_nonzero(levels)
    return [
        label
        for label, count in zip(candidates, counts, strict=True)
        if count >= least and _interior(levels == label) >= _MIN_INTERIOR_FRACTION * count
    ]


def _interior(region: NDArray[np.bool_]) -> int:
    """Count the pixels of a region whose eight neighbours are in it too."""
    for _ in range(2):
        region = (region[:-2] & region[1:-1] & region[2:]).T
    return int(np.count_nonzero(region))
