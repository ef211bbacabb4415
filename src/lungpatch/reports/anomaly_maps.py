"""Anomaly maps as float32 files, for further computation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tifffile

from lungpatch._utils.files import atomic_write
from lungpatch._utils.marks import RESULT_MARK

if TYPE_CHECKING:
    import os

    from lungpatch.reports.fields import DetectionFields


def write_anomaly_map(path: str | os.PathLike[str], detection: DetectionFields) -> None:
    """Write the anomaly map as a TIFF of the image's native size.

    One float32 value per pixel, NaN where nothing was scored, deflate-compressed without loss.

    Parameters
    ----------
    path : path
    detection : Detection

    Raises
    ------
    OSError
        If the file cannot be written.

    See Also
    --------
    write_overlay : The anomaly map as an image to look at.
    lungpatch.load_detections : Read the maps of a whole folder back.

    Examples
    --------
    >>> write_anomaly_map("a.anomaly.tiff", detection)                  # doctest: +SKIP
    >>> heatmap = tifffile.imread("a.anomaly.tiff")                     # doctest: +SKIP
    """
    with atomic_write(path) as temporary:
        tifffile.imwrite(
            temporary,
            detection.native_heatmap,
            photometric="minisblack",
            compression="zlib",
            compressionargs={"level": 3},  # two thirds of the time of 6, and 5 % more bytes
            description=f"{RESULT_MARK}: anomaly scores, NaN where nothing was scored",
            metadata=None,
        )
