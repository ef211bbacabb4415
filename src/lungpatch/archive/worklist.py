"""The worklist page of a folder of results."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lungpatch._utils.destinations import check_folder
from lungpatch.archive.calibrations import read_calibrations
from lungpatch.archive.records import RECORDS, read_detections
from lungpatch.reports.worklist import Maker, write_worklist

if TYPE_CHECKING:
    import os


def worklist(folder: str | os.PathLike[str]) -> Path:
    """Write the worklist page of a folder of results, and the table of its records.

    `lungpatch.detect_folder` and `lungpatch.decide` call this at their end. The page works from the
    disk in any browser, without a server; see "Read the worklist" in the user guide.

    Parameters
    ----------
    folder : path
        That `lungpatch.detect_folder` or ``lungpatch detect`` wrote.

    Returns
    -------
    pathlib.Path
        ``index.html`` in the folder. It lies beside ``detections.csv``, one row per image, and
        ``worklist/``, which holds what the page loads.

    Raises
    ------
    MissingInputError, InvalidImageError
        If the folder has no records, or they cannot be used.
    DestinationError
        If the folder cannot be written to, or another page is there.

    See Also
    --------
    lungpatch.load_detections : The same results in Python.

    Examples
    --------
    >>> import lungpatch
    >>> lungpatch.worklist("found")                                    # doctest: +SKIP
    PosixPath('found/index.html')
    """
    folder = Path(folder)
    records = read_detections(folder)
    makers = [
        Maker(
            key=key,
            pipeline=stored.pipeline,
            version=stored.lungpatch,
            calibration=stored.calibration,
        )
        for key, stored in read_calibrations(folder).items()
    ]
    check_folder(folder)
    # Not now: the same results give the same page.
    decided = datetime.fromtimestamp((folder / RECORDS).stat().st_mtime, tz=UTC)
    return write_worklist(folder, records, makers, date=f"{decided:%Y-%m-%d %H:%M} UTC")
