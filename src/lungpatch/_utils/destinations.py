"""Destinations of results, checked before work begins."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lungpatch.errors import DestinationError

if TYPE_CHECKING:
    import os

MIN_FREE_MEGABYTES = 50
"""Free space that a destination needs, unless the caller asks for more."""

_PROBE = bytes(2**16)


def check_folder(
    path: str | os.PathLike[str], *, min_free_megabytes: float = MIN_FREE_MEGABYTES
) -> None:
    """Check that results can be written to a folder, which need not exist yet.

    A nameless temporary file is written to the folder, or to the nearest parent that exists, since
    permissions alone do not say whether a file system can be written to. Nothing is left behind.

    Parameters
    ----------
    path : path
        A folder, or where one is to be made.
    min_free_megabytes : float
        Free space that is needed, in units of 10^6 bytes.

    Raises
    ------
    DestinationError
        If something else than a folder is there, or on the way there, if nothing can be written,
        or if there is too little space.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     check_folder(folder)
    ...     check_folder(Path(folder, "new", "results"))
    ...     _ = Path(folder, "a.txt").write_text("taken")
    ...     check_folder(Path(folder, "a.txt"))
    Traceback (most recent call last):
    ...
    lungpatch.errors.DestinationError: ...a.txt: cannot be a folder, since ...a.txt is not one; ...
    """
    try:
        existing = _nearest_existing(Path(path))
        if not existing.is_dir():
            raise DestinationError(
                f"{path}: cannot be a folder, since {existing} is not one; give another path"
            )
        with tempfile.TemporaryFile(dir=existing) as probe:
            probe.write(_PROBE)
        free = shutil.disk_usage(existing).free / 1e6
    except DestinationError:
        raise
    except OSError as error:
        raise DestinationError(
            f"{path}: cannot be written to ({error.strerror or error}); give another path"
        ) from error
    if free < min_free_megabytes:
        raise DestinationError(
            f"{path}: {free:.0f} MB are free there, and {min_free_megabytes:.0f} MB are needed; "
            "make room or give another path"
        )


def _nearest_existing(path: Path) -> Path:
    """Return the path itself, or the nearest of its parents that exists."""
    for candidate in (path.absolute(), *path.absolute().parents):
        # A symbolic link to nothing is there, and nothing can be made in its place.
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            candidate.lstat()
            return candidate
    return path
