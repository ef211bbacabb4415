"""Write files so that a crash never leaves an incomplete one under its final name."""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import shutil
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from types import TracebackType

# File systems allow 255 bytes per name; the rest is for what is added to a stem.
_MAX_STEM_BYTES = 200


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file under a temporary name and rename it when it is complete.

    Parameters
    ----------
    path : path
        The final name; an existing file is replaced. Missing parent folders are made.

    Yields
    ------
    pathlib.Path
        The path to write to: in the same folder, with the same suffix. The file is removed if the
        body raises.

    Raises
    ------
    OSError
        If the file cannot be written; the message names it.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> with atomic_write(folder / "a.txt") as temporary:
    ...     _ = temporary.write_text("whole")
    >>> [(file.name, file.read_text()) for file in folder.iterdir()]
    [('a.txt', 'whole')]
    """
    target = Path(path).absolute()
    if target.is_symlink():  # what it points to is replaced, not the link
        target = target.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_sibling(target)
    try:
        yield temporary
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str], *, replace: bool) -> Iterator[Path]:
    """Fill a folder under a temporary name and rename it when it is complete.

    Parameters
    ----------
    path : path
        The final name. Missing parent folders are made.
    replace : bool
        Whether an existing folder is replaced, with everything in it. The caller has to check
        what it is.

    Yields
    ------
    pathlib.Path
        The folder to fill, in the same parent folder. If the body raises it is removed, and an
        existing folder at ``path`` stays.

    Raises
    ------
    FileExistsError
        If something is at ``path`` and ``replace`` is false, or if it is not a folder.
    OSError
        If the folder cannot be written; the message names it.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> target = pathlib.Path(tempfile.mkdtemp()) / "saved"
    >>> with atomic_folder(target, replace=False) as folder:
    ...     _ = (folder / "a.txt").write_text("whole")
    >>> [file.name for file in target.iterdir()]
    ['a.txt']
    """
    target = Path(path).resolve()
    if target.exists() and not (replace and target.is_dir()):
        raise FileExistsError(f"{path} exists already; give another path or remove it")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_sibling(target)
    temporary.mkdir()
    try:
        yield temporary
        if target.exists():
            # A folder cannot be renamed over one that holds files, so the old one steps aside.
            old = _temporary_sibling(target)
            target.rename(old)
            try:
                temporary.rename(target)
            except BaseException:
                old.rename(target)
                raise
            shutil.rmtree(old, ignore_errors=True)
        else:
            temporary.rename(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _temporary_sibling(target: Path) -> Path:
    # Not tempfile: its files are readable by their owner only, and would stay so once renamed.
    return target.with_name(f".lungpatch-{secrets.token_hex(8)}{target.suffix}")


def write_json(path: str | os.PathLike[str], data: Any) -> None:
    """Write ``data`` as indented JSON in UTF-8, atomically.

    Parameters
    ----------
    path : path
    data : dict, list, str, number, bool or None
        Nested at will; numpy numbers and arrays, tuples and paths are allowed too. NaN and
        infinities, which JSON lacks, become null.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "a.json"
    >>> write_json(file, {"loss": float("nan"), "shape": (2, 3)})
    >>> json.loads(file.read_text())
    {'loss': None, 'shape': [2, 3]}
    """
    text = _to_json(data, indent=2) + "\n"
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors=_ON_SURROGATE)


class JsonLines:
    """A file of JSON records, one per line, which keeps its records if the work is interrupted.

    The records are written to a temporary file in the same folder as they come. It gets its final
    name when the ``with`` block ends, also if the block raises: then it holds the records so far.
    If the block raises before the first record, an older file of that name is kept.

    Parameters
    ----------
    path : path
        The final name. Missing parent folders are made.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "records.jsonl"
    >>> with JsonLines(file) as records:
    ...     records.append({"image": "a.png", "pred_score": 1.5})
    ...     records.append({"image": "b.png", "pred_score": None})
    >>> print(file.read_text(), end="")
    {"image": "a.png", "pred_score": 1.5}
    {"image": "b.png", "pred_score": null}
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._target = Path(path).resolve()
        self._temporary = _temporary_sibling(self._target)
        self._count = 0

    def __enter__(self) -> Self:
        self._target.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._temporary.open("wb")
        return self

    def append(self, record: Mapping[str, Any]) -> None:
        """Write ``record`` as one line."""
        self._file.write(json_line(record))
        # If the process is killed, the temporary file still holds the records so far.
        self._file.flush()
        self._count += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()
        if self._count or kind is None:
            self._temporary.replace(self._target)
        else:
            self._temporary.unlink(missing_ok=True)


# A file name that is not valid text reaches Python as lone surrogates, which UTF-8 cannot encode.
# JSON prescribes to write them as a backslash and their code.
_ON_SURROGATE = "backslashreplace"


def json_line(record: Mapping[str, Any]) -> bytes:
    r"""Return a record as one line of a file of JSON records; what `write_json` takes may be in it.

    Examples
    --------
    >>> json_line({"image": "a.png"})
    b'{"image": "a.png"}\n'
    """
    return (_to_json(record) + "\n").encode("utf-8", errors=_ON_SURROGATE)


def _to_json(data: Any, indent: int | None = None) -> str:
    return json.dumps(_plain(data), indent=indent, ensure_ascii=False, allow_nan=False)


def _plain(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {str(key): _plain(value) for key, value in data.items()}
    if isinstance(data, (np.ndarray, np.generic)):
        return _plain(data.tolist())
    if isinstance(data, (list, tuple)):
        return [_plain(value) for value in data]
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, os.PathLike):
        return os.fspath(data)
    return data


def unique_stems(
    paths: Iterable[str | os.PathLike[str]], *, taken: Iterable[str] = ()
) -> list[str]:
    """Name each input by its stem, with a number where several inputs have the same stem.

    Stems count as equal if they differ only in upper and lower case or in how accents are
    encoded, since some file systems do not distinguish them. The first input keeps its stem, the
    others get ``-2``, ``-3``, ..., leaving out names that are the stem of another input.

    Parameters
    ----------
    paths : iterable of path
    taken : iterable of str
        Names that are given already.

    Returns
    -------
    list of str
        One name per input, in order; stems are cut to 200 bytes. Equal inputs give equal names.

    Examples
    --------
    >>> unique_stems(["a/x.png", "b/X.dcm", "b/x-2.png", "b/y.png"])
    ['x', 'X-3', 'x-2', 'y']
    """
    stems = [_cut(Path(path).stem) for path in paths]
    seen = {_key(name) for name in taken}
    used = seen | {_key(stem) for stem in stems}
    counts: dict[str, int] = {}
    names = []
    for stem in stems:
        name, key = stem, _key(stem)
        if key in seen:
            number = counts.get(key, 1)
            while _key(name) in used:
                number += 1
                name = f"{stem}-{number}"
            counts[key] = number
            used.add(_key(name))
        seen.add(key)
        names.append(name)
    return names


def _key(stem: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", stem).casefold())


def _cut(stem: str) -> str:
    encoded = os.fsencode(stem)
    if len(encoded) <= _MAX_STEM_BYTES:
        return stem
    return encoded[:_MAX_STEM_BYTES].decode("utf-8", errors="ignore")
