"""The records of a folder of results: one per image, over any number of runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from lungpatch._utils.files import atomic_write, json_line
from lungpatch.archive.names import choose_names
from lungpatch.errors import InvalidImageError, MissingInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
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


RESUME_KEYS = (
    "status", "name", "calibration", "threshold", "region_threshold",
    *FILE_KEYS, VIEWS_KEY, DICOM_KEY, DICOM_ERROR_KEY,
)  # fmt: skip
"""Keys that say whether an image has to be processed again, and where its files are."""


class FolderRecords:
    """The records of a folder while images are processed into it.

    Records of earlier runs stay, those of the same images are replaced. An image keeps the name
    that its files have; a new one gets a name that no other image has. Files that an image had
    and has no more are removed, so that nothing old stands beside a new error.

    Each record is in the file as soon as it is added, so that nothing is lost if the process is
    killed. At the end the file is put in order: other images first, then those of this run. Never
    are all records in memory.

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
        `FILES_PER_FOLDER` images it begins with a folder. The same images get the same names in a
        run that goes on where another was killed.
    earlier : list of dict or None
        Of each image, in order, what its record says already; only the keys of `RESUME_KEYS`.

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
        self._order = [_key(image) for image in images]
        known = {}
        if path.exists():
            for record in iterate_records(path):
                slim = {key: record[key] for key in RESUME_KEYS if key in record}
                known[_key(record["image"])] = slim
        self.earlier = [known.get(key) for key in self._order]
        self._replaced = {key: known.pop(key) for key in self._order if key in known}
        self.names = self._choose_names(images, others=_names_of(known.values()))

    def _choose_names(self, images: Sequence[Path], *, others: Sequence[str]) -> list[str]:
        # Of all images, whether they have a name already or not: so they are the same ones when a
        # run goes on where another was killed.
        planned = choose_names(images, taken=map(_stem, others))
        mine = _names_of(self._replaced.values())
        given = {_stem(name) for name in mine}
        named = {key: each["name"] for key, each in self._replaced.items() if each.get("name")}
        free = [n for n, key in enumerate(self._order) if key not in named]
        if clashing := [n for n in free if planned[n] in given]:
            taken = [*map(_stem, (*others, *mine)), *(planned[n] for n in free)]
            again = choose_names([images[n] for n in clashing], taken=taken)
            for n, name in zip(clashing, again, strict=True):
                planned[n] = name
        if len(others) + len(images) > FILES_PER_FOLDER:
            planned = [
                f"{(len(others) + number) // FILES_PER_FOLDER:04d}/{name}"
                for number, name in enumerate(planned)
            ]
        return [named.get(key, name) for key, name in zip(self._order, planned, strict=True)]

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._path.exists():
            _mend_last_line(self._path)
        self._file = self._path.open("ab")
        return self

    def append(self, record: Mapping[str, Any]) -> None:
        """Add the record of an image; it takes the place of an earlier one of the same image."""
        self._file.write(json_line(record))
        self._file.flush()
        earlier = self._replaced.pop(_key(record["image"]), {})
        for name in set(files_of(earlier)) - set(files_of(record)):
            (self._path.parent / name).unlink(missing_ok=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()
        lines: dict[Path, tuple[int, int]] = {}
        start = 0
        with self._path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    image = _record(self._path, number, line)["image"]
                    lines[_key(image)] = (start, len(line))
                start += len(line)
        if not lines and kind is not None:
            self._path.unlink()
            return
        now = [lines.pop(key) for key in self._order if key in lines]
        with (
            atomic_write(self._path) as temporary,
            self._path.open("rb") as file,
            temporary.open("wb") as ordered,
        ):
            for start, length in (*lines.values(), *now):
                file.seek(start)
                ordered.write(file.read(length))


def _names_of(records: Iterable[Mapping[str, Any]]) -> list[str]:
    return [record["name"] for record in records if record.get("name")]


def _stem(name: str) -> str:
    return name.rpartition("/")[2]


def _mend_last_line(path: Path) -> None:
    """End a file with a whole line, if the process that wrote it was killed meanwhile."""
    with path.open("r+b") as file:
        line, size = b"\n", 0
        for line in file:
            size += len(line)
        if line.endswith(b"\n"):
            return
        if _is_begun(line):
            file.truncate(size - len(line))
        else:
            file.seek(size)
            file.write(b"\n")


def iterate_records(path: Path) -> Iterator[dict[str, Any]]:
    r"""Read a file of records one by one, as they were written.

    Where a run was killed before it put the file in order, an image may come twice; the last record
    counts. A record that was only begun to be written then is left out.

    Parameters
    ----------
    path : pathlib.Path

    Yields
    ------
    dict

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
    >>> _ = path.write_text('{"image": "a.png", "status": "ok"}\n{"image": "b.p')
    >>> list(iterate_records(path))
    [{'image': 'a.png', 'status': 'ok'}]
    """
    # Bytes end their lines at \n only; names of images may hold other ends of lines of Unicode.
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            is_whole = line.endswith(b"\n")
            if line.strip() and (is_whole or not _is_begun(line)):
                yield _record(path, number, line)


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
    return list({_key(record["image"]): record for record in iterate_records(path)}.values())


_BEGIN = b'{"image": '


def _is_begun(line: bytes) -> bool:
    """Whether a line without an end is a record that was not written to its end."""
    try:
        json.loads(line)
    except ValueError:
        return line.startswith(_BEGIN) or _BEGIN.startswith(line)
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
) -> Iterator[dict[str, Any]]:
    """Pick the records of some images.

    Parameters
    ----------
    records : iterable of dict
    images : iterable of path

    Yields
    ------
    dict

    Examples
    --------
    >>> list(of_images([{"image": "a.png"}, {"image": "b.png"}], ["b.png"]))
    [{'image': 'b.png'}]
    """
    wanted = {_key(image) for image in images}
    return (record for record in records if _key(record["image"]) in wanted)


def files_of(record: Mapping[str, Any]) -> list[str]:
    """Return the names of the files of an image, relative to the folder of its record.

    Examples
    --------
    >>> files_of({"image": "a.png", "mask": "a.mask.png", "views": {"map": "worklist/a.png"}})
    ['a.mask.png', 'worklist/a.png']
    """
    named = [record.get(key) for key in FILE_KEYS]
    for key in (VIEWS_KEY, DICOM_KEY):
        named += record.get(key, {}).values()
    return [name for name in named if name]


def _record(path: Path, number: int, line: bytes) -> dict[str, Any]:
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
