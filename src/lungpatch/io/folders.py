"""Images in folders."""

from __future__ import annotations

import os
import re
from pathlib import Path

from lungpatch.errors import MissingInputError
from lungpatch.io.files import IMAGE_SUFFIXES, head_of
from lungpatch.io.formats import format_of, is_dicomdir, is_result

OUTPUT_SUFFIXES = (".overlay.jpg", ".anomaly.tiff", ".mask.png")
"""Ends of the names of files that lungpatch itself writes; never taken for input in a folder."""

_OUTPUT_NAME = re.compile(r"segmentations-\d{3,}\.png")


def find_images(path: str | os.PathLike[str]) -> list[Path]:
    """List the images at a path: the file itself, or those of a folder and its subfolders.

    In a folder, PNG, JPEG, TIFF, BMP and GIF files are known by their suffix and DICOM files,
    whatever they are called, by their content. Left out are hidden files, the index files of
    DICOM media (DICOMDIR), and files that lungpatch wrote as results: overlays, masks, maps and
    sheets, which are known by a mark inside and by their names (``*.overlay.jpg``,
    ``*.anomaly.tiff``, ``*.mask.png``, ``segmentations-001.png``). A path to a file is returned
    as it is: `lungpatch.read_image` decides what it holds.

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

    See Also
    --------
    read_image : Read one of them.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("b.png", "a.dcm", "notes.txt", "b.overlay.jpg"):
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
            f"{path}: no images in this folder or below it; looked for {suffixes}, for DICOM "
            "files of any name, and left out what lungpatch wrote itself"
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
    name = file.name.lower()
    if name.endswith(OUTPUT_SUFFIXES) or _OUTPUT_NAME.fullmatch(name):
        return False
    named_as_image = file.suffix.lower() in IMAGE_SUFFIXES
    if not file.is_file():  # a pipe must not be opened; reading a dead link says what it is
        return named_as_image
    head = head_of(file)
    if is_result(head) or is_dicomdir(head):
        return False
    return named_as_image or format_of(head) == "DICOM"
