"""Images in folders."""

from __future__ import annotations

import os
from pathlib import Path

from lungpatch.errors import MissingInputError
from lungpatch.io.files import IMAGE_SUFFIXES, holds_dicom

OUTPUT_SUFFIXES = (".overlay.png", ".anomaly.tiff", ".mask.png")
"""Ends of the files that lungpatch itself writes; never taken for input found in a folder."""


def find_images(path: str | os.PathLike[str]) -> list[Path]:
    """List the images at a path: the file itself, or those of a folder and its subfolders.

    In a folder an image is known by its suffix, or, without one, by the DICOM magic. Hidden files
    and files that lungpatch wrote (``*.overlay.png``, ``*.anomaly.tiff``, ``*.mask.png``) are
    left out. A path to a file is returned as it is: `lungpatch.read_image` decides what it holds.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    list of pathlib.Path
        Sorted, so that the order does not depend on the file system.

    Raises
    ------
    MissingInputError
        If there is no such path, or the folder holds no images or cannot be listed.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("b.png", "a.dcm", "notes.txt", "b.overlay.png"):
    ...         pathlib.Path(folder, name).touch()
    ...     [image.name for image in find_images(folder)]
    ['a.dcm', 'b.png']
    """
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise MissingInputError(f"{path}: no such file or folder; check the path")
    images = sorted(file for file in _files(path) if _is_image(file))
    if not images:
        suffixes = " ".join(sorted(IMAGE_SUFFIXES))
        raise MissingInputError(
            f"{path}: no images in this folder or below it; looked for {suffixes} and DICOM files "
            "without a suffix"
        )
    return images


def _files(folder: Path) -> list[Path]:
    """Return every visible file below ``folder``, links followed, each folder entered once."""

    def give_up(error: OSError) -> None:
        raise MissingInputError(
            f"{error.filename}: the folder cannot be listed ({error.strerror}); change its mode"
        ) from error

    files = []
    entered: set[str] = set()
    for here, folders, names in os.walk(folder, followlinks=True, onerror=give_up):
        real = os.path.realpath(here)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        # In place, as os.walk asks; sorted so that of two links to one folder always one wins.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files += [Path(here, name) for name in names if not name.startswith(".")]
    return files


def _is_image(file: Path) -> bool:
    if file.name.lower().endswith(OUTPUT_SUFFIXES):
        return False
    suffix = file.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return True
    # A DICOM file named by its UID ends in a number.
    return (not suffix or suffix[1:].isdigit()) and file.is_file() and holds_dicom(file)
