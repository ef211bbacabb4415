"""The records of a folder of results: one per image, over any number of runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from lungpatch._utils.files import JsonLines, json_line
from lungpatch.archive.names import choose_names
from lungpatch.errors import InvalidImageError, MissingInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

RECORDS = "detections.jsonl"
"""The file of records in a folder of detections."""

FILES_PER_FOLDER = 1000
"""Number of images whose files lie in one folder; those of more are spread over several."""

FILE_KEYS = ("overlay", "anomaly_map", "mask")
"""Keys of a record that name files beside it."""

VIEWS_KEY = "views"
"""Key of a record that names the files that the worklist page shows, by their kind."""

DICOM_KEY = "dicom"
"""Key of a record that names the image's DICOM objects, by their kind."""

DICOM_ERROR_KEY = "dicom_error"
"""Key of a record that says why DICOM objects were wanted and are not there."""


class FolderRecords:
    """The records of a folder while images are processed into it.

    Records of earlier runs stay, those of the same images are replaced. An image keeps the name
    that its files have; a new one gets a name that no other image has. Files that an image had
    and has no more are removed, so that nothing old stands beside a new error.

    Each record is in the file as soon as it is added, so that nothing is lost if the process is
    killed. At the end the file is put in order: other images first, then those of this run.

    Parameters
    ----------
    path : pathlib.Path
        The file of records; need not exist.
    images : sequence of pathlib.Path
        The images of this run.

    Attributes
    ----------
    names : list of str
        The stem of the files of each image, in order. In folders of more than
        `FILES_PER_FOLDER` images it begins with a folder.
    earlier : list of dict or None
        The record that each image has already, in order.

    Raises
    ------
    InvalidImageError
        If the file holds something else than records.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "records.jsonl")
    >>> for image in ("a/x.png", "b/x.png"):
    ...     with FolderRecords(path, [Path(image)]) as records:
    ...         records.append({"image": image, "status": "ok", "name": records.names[0]})
    >>> [(record["image"], record["name"]) for record in read_records(path)]
    [('a/x.png', 'x'), ('b/x.png', 'x-2')]
    """

    def __init__(self, path: Path, images: Sequence[Path]) -> None:
        self._path = path
        earlier = read_records(path) if path.exists() else []
        self._order = [_key(image) for image in images]
        known = {_key(record["image"]): record for record in earlier}
        self.earlier = [known.get(key) for key in self._order]
        self._replaced = {key: known[key] for key in self._order if key in known}
        taken = [record["name"] for record in earlier if record.get("name")]
        self.names = self._choose_names(images, taken)

    def _choose_names(self, images: Sequence[Path], taken: Sequence[str]) -> list[str]:
        named = {
            key: record["name"] for key, record in self._replaced.items() if record.get("name")
        }
        new = [image for image in images if _key(image) not in named]
        chosen = choose_names(new, taken=[name.rpartition("/")[2] for name in taken])
        if len(taken) + len(new) > FILES_PER_FOLDER:
            first = len(taken)
            chosen = [
                f"{(first + number) // FILES_PER_FOLDER:04d}/{name}"
                for number, name in enumerate(chosen)
            ]
        named |= dict(zip(map(_key, new), chosen, strict=True))
        return [named[key] for key in self._order]

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        _cut_incomplete_line(self._path)
        self._file = self._path.open("ab")
        return self

    def append(self, record: Mapping[str, Any]) -> None:
        """Add the record of an image; it takes the place of an earlier one of the same image."""
        self._file.write(json_line(record))
        self._file.flush()
        earlier = self._replaced.pop(_key(record["image"]), {})
        for name in _files_of(earlier) - _files_of(record):
            (self._path.parent / name).unlink(missing_ok=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()
        records = {_key(record["image"]): record for record in read_records(self._path)}
        if not records and kind is not None:
            self._path.unlink()
            return
        now = {key: records.pop(key) for key in self._order if key in records}
        with JsonLines(self._path) as lines:
            for record in (*records.values(), *now.values()):
                lines.append(record)


def _cut_incomplete_line(path: Path) -> None:
    """Remove the end of a file of a process that was killed while it wrote a line."""
    if path.exists():
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with path.open("r+b") as file:
                file.truncate(whole)


def read_records(path: Path) -> list[dict[str, Any]]:
    """Read a file of records.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    list of dict
        One per image: the last, where a run was killed before it put the file in order. What was
        only begun to be written then is left out.

    Raises
    ------
    InvalidImageError
        If a line is not a record; the message names file and line.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "records.jsonl")
    >>> _ = path.write_text("[]")
    >>> read_records(path)
    Traceback (most recent call last):
    ...
    lungpatch.errors.InvalidImageError: ...records.jsonl: line 1 is not the record of an image; ...
    """
    # Not splitlines: names of images may hold what Unicode takes for the end of a line.
    *lines, begun = path.read_text(encoding="utf-8").split("\n")
    records = [_record(path, number, line) for number, line in enumerate(lines, start=1) if line]
    if begun and not (lines and _is_begun(begun)):
        records.append(_record(path, len(lines) + 1, begun))
    return list({_key(record["image"]): record for record in records}.values())


def _is_begun(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return True
    return False


def read_detections(folder: Path) -> list[dict[str, Any]]:
    """Read the records of a folder of detections.

    Parameters
    ----------
    folder : pathlib.Path

    Returns
    -------
    list of dict

    Raises
    ------
    MissingInputError
        If there are no records.
    InvalidImageError
        If a line is not a record.

    Examples
    --------
    >>> read_detections(Path("nowhere"))
    Traceback (most recent call last):
    ...
    lungpatch.errors.MissingInputError: nowhere/detections.jsonl: no such file; give a folder ...
    """
    path = folder / RECORDS
    try:
        return read_records(path)
    except (FileNotFoundError, NotADirectoryError):
        raise MissingInputError(
            f"{path}: no such file; give a folder that detect_folder or 'lungpatch detect' wrote"
        ) from None


def of_images(
    records: Iterable[dict[str, Any]], images: Iterable[str | Path]
) -> list[dict[str, Any]]:
    """Return the records of some images.

    Parameters
    ----------
    records : iterable of dict
    images : iterable of path

    Returns
    -------
    list of dict

    Examples
    --------
    >>> of_images([{"image": "a.png"}, {"image": "b.png"}], ["b.png"])
    [{'image': 'b.png'}]
    """
    wanted = {_key(image) for image in images}
    return [record for record in records if _key(record["image"]) in wanted]


def _files_of(record: Mapping[str, Any]) -> set[str]:
    """Return the names of the files of an image."""
    named = [record.get(key) for key in FILE_KEYS]
    for key in (VIEWS_KEY, DICOM_KEY):
        named += record.get(key, {}).values()
    return {name for name in named if name}


def _record(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise InvalidImageError(
            f"{path}: line {number} is not JSON ({error}); give another folder or remove the file"
        ) from error
    if not isinstance(record, dict) or not {"image", "status"} <= record.keys():
        raise InvalidImageError(
            f"{path}: line {number} is not the record of an image; give another folder or remove "
            "the file"
        )
    return record


def _key(image: str | Path) -> Path:
    """Return what tells whether two records are of one image."""
    return Path(image).absolute()
