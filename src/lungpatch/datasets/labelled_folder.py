"""Images in a folder of your own, with tables of labels and boxes where there are any."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lungpatch.datasets.dataset import Dataset
from lungpatch.datasets.tables import read_table
from lungpatch.errors import ConfigurationError, MissingInputError
from lungpatch.io.folders import find_images

if TYPE_CHECKING:
    import os

logger = logging.getLogger(__name__)

_NAMED_COLUMNS = {"label": "labels", "patient": "patients", "view": "views", "split": "splits"}


def load_folder(
    path: str | os.PathLike[str],
    *,
    metadata: str | os.PathLike[str] | None = None,
    boxes: str | os.PathLike[str] | None = None,
) -> Dataset:
    r"""Load the images of a folder and its subfolders.

    Parameters
    ----------
    path : path of a folder
    metadata : path of a CSV file, optional
        With a column ``file`` (a name, or a path below the folder) and any of ``label``,
        ``patient``, ``view``, ``split``; further columns become ``Dataset.columns``. The table
        decides which images are loaded: a file that it does not list is left out with a warning,
        and a file that it lists but that is missing fails when it is read.
    boxes : path of a CSV file, optional
        One line per box: ``file``, ``x``, ``y``, ``w``, ``h`` (left, top, width, height) relative
        to the image's width and height, and optionally ``label``.

    Returns
    -------
    Dataset
        The labels come from the table's column ``label``; without it, the label is the name of the
        subfolder below ``path`` in lower case.

    Raises
    ------
    MissingInputError
        If there is no such folder or table, or the folder holds no images.
    ConfigurationError
        If a table lacks a column or a value, or names a file twice or ambiguously.

    See Also
    --------
    read_folder : the same, and the names of missing files.
    load_chest_xray, load_nih, load_rsna, load_pneumoniamnist : public data sets.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("normal/1.png", "pneumonia/2.png"):
    ...     (folder / name).parent.mkdir()
    ...     (folder / name).touch()
    >>> table = folder / "metadata.csv"
    >>> _ = table.write_text("file,patient,view,age\n1.png,7,PA,40\n2.png,8,AP,61\n")
    >>> images = load_folder(folder, metadata=table)
    >>> images.labels, images.columns["age"]
    (array(['normal', 'pneumonia'], dtype='<U9'), array(['40', '61'], dtype='<U2'))
    """
    dataset, absent = read_folder(path, metadata=metadata, boxes=boxes)
    if absent:
        logger.warning("%d images of %s are not in %s", len(absent), metadata, path)
    return dataset


def read_folder(
    path: str | os.PathLike[str],
    *,
    metadata: str | os.PathLike[str] | None = None,
    boxes: str | os.PathLike[str] | None = None,
) -> tuple[Dataset, set[str]]:
    r"""Load as `load_folder` does, but return the names of missing files instead of warning.

    Use it for a table of several folders, which also lists the images of the others.

    Parameters
    ----------
    path, metadata, boxes
        As of `load_folder`.

    Returns
    -------
    tuple of (Dataset, set of str)
        The data set, and the files of the table that are not in the folder.

    Raises
    ------
    MissingInputError, ConfigurationError
        As `load_folder`.

    See Also
    --------
    load_folder : the same, with a warning about missing files.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "1.png").touch()
    >>> table = folder / "metadata.csv"
    >>> _ = table.write_text("file\n1.png\n2.png\n")
    >>> read_folder(folder, metadata=table)[1]
    {'2.png'}
    """
    path = Path(path)
    if not path.is_dir():
        raise MissingInputError(f"{path}: no such folder; check the path")
    files = find_images(path)
    columns: dict[str, list[str]] = {}
    absent: set[str] = set()
    if metadata is not None:
        files, columns, absent = _described(path, files, Path(metadata))
    named: dict[str, Any] = {
        name: columns.pop(column) for column, name in _NAMED_COLUMNS.items() if column in columns
    }
    named.setdefault("labels", [_subfolder(path, file) for file in files])
    relative_boxes, box_labels = _read_boxes(path, files, None if boxes is None else Path(boxes))
    dataset = Dataset(
        name=path.name or str(path.resolve()),
        images=files,
        columns=columns,
        relative_boxes=relative_boxes,
        box_labels=box_labels,
        **named,
    )
    return dataset, absent


class _FilesByName:
    """Finds a table's files among those of a folder, by path below it or by name alone."""

    def __init__(self, folder: Path, files: list[Path]) -> None:
        self._by_path = {file.relative_to(folder).as_posix(): file for file in files}
        self._by_name: dict[str, list[Path]] = {}
        for file in files:
            self._by_name.setdefault(file.name, []).append(file)

    def find(self, name: str) -> Path | None:
        """Return the file, or None if there is none; ValueError if there are several."""
        if name in self._by_path:
            return self._by_path[name]
        found = self._by_name.get(name, [])
        if len(found) > 1:
            raise ValueError(f"{name!r} is ambiguous: {found[0]} and {found[1]}")
        return found[0] if found else None


def _described(
    folder: Path, files: list[Path], table: Path
) -> tuple[list[Path], dict[str, list[str]], set[str]]:
    """Return the files that the table lists, its columns, and which of its files are absent."""
    rows = read_table(table, ["file"])
    index = _FilesByName(folder, files)
    present = set(files)
    listed: dict[Path, None] = {}
    for row in rows:
        name = row.required("file")
        try:
            file = index.find(name) or folder / name
        except ValueError as error:
            raise row.error("file", f"{error}; give the path below the folder") from None
        if file in listed:
            raise row.error("file", f"names {name!r} a second time; remove one of the lines")
        if "patient" in row.values:
            row.required("patient")
        listed[file] = None
    if not present & listed.keys():
        raise ConfigurationError(
            f"{table}: column 'file' names none of the {len(files)} images in {folder}, but for "
            f"example {rows[0].values['file']!r}; give the table that belongs to this folder"
        )
    left_out = len(present - listed.keys())
    if left_out:
        logger.warning("%d images in %s are not in %s and are left out", left_out, folder, table)
    names = [name for name in rows[0].values if name and name != "file"]
    columns = {name: [row.values[name] for row in rows] for name in names}
    absent = {
        row.values["file"] for row, file in zip(rows, listed, strict=True) if file not in present
    }
    return list(listed), columns, absent


def _read_boxes(
    folder: Path, files: list[Path], table: Path | None
) -> tuple[list[list[tuple[float, float, float, float]]], list[list[str]]]:
    boxes: dict[Path, list[tuple[float, float, float, float]]] = {file: [] for file in files}
    labels: dict[Path, list[str]] = {file: [] for file in files}
    if table is not None:
        index = _FilesByName(folder, files)
        for row in read_table(table, ["file", "x", "y", "w", "h"]):
            name = row.required("file")
            try:
                file = index.find(name)
            except ValueError as error:
                raise row.error("file", f"{error}; give the path below the folder") from None
            if file is None:
                raise row.error("file", f"names {name!r}, which is not among the images loaded")
            boxes[file].append(row.relative_box(("x", "y", "w", "h"), side=1.0))
            labels[file].append(row.values.get("label", ""))
    return list(boxes.values()), list(labels.values())


def _subfolder(folder: Path, file: Path) -> str:
    if not file.is_relative_to(folder):
        return ""
    parts = file.relative_to(folder).parts
    return parts[0].lower() if len(parts) > 1 else ""
