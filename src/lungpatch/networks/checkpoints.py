"""Checkpoints of trainings, so that a fit that was killed can go on where it was.

`lungpatch.Pipeline.fit` opens a folder of checkpoints around the fit; every training inside takes
the next file of it. A fit is deterministic, so the n-th training of a second run is the n-th of the
first. No pickle: a checkpoint is one safetensors file, whose metadata hold the numbers as JSON.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import attrs

from lungpatch._utils.files import atomic_write, write_json
from lungpatch.errors import SavedPipelineError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS_BETWEEN = 20.0
"""Least time from one checkpoint of a training to the next; the last is always written."""

_KEY = "lungpatch"
_FIT_FILE = "fit.json"


@attrs.frozen(kw_only=True)
class Checkpoint:
    """The state of a training after an epoch.

    Parameters
    ----------
    tensors : mapping of str to Tensor
    values : mapping
        JSON-ready.

    Examples
    --------
    >>> import torch
    >>> Checkpoint(tensors={"weight": torch.zeros(2)}, values={"epoch": 3}).values["epoch"]
    3
    """

    tensors: Mapping[str, Any]
    values: Mapping[str, Any]


class CheckpointFile:
    """The checkpoint of one training.

    Parameters
    ----------
    path : pathlib.Path or None
        None: nothing is written, and nothing is there.

    Examples
    --------
    >>> import pathlib, tempfile, torch
    >>> file = CheckpointFile(pathlib.Path(tempfile.mkdtemp(), "training-0.safetensors"))
    >>> file.write(Checkpoint(tensors={"weight": torch.ones(2)}, values={"epoch": 3}))
    >>> file.read().values
    {'epoch': 3}
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._written = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether it is time to write the next one."""
        return self._path is not None and time.monotonic() - self._written >= SECONDS_BETWEEN

    def write(self, checkpoint: Checkpoint) -> None:
        """Replace what is there.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        if self._path is None:
            return
        from safetensors.torch import save_file

        tensors = {
            name: tensor.detach().cpu().contiguous().clone()
            for name, tensor in checkpoint.tensors.items()
        }
        with atomic_write(self._path) as temporary:
            save_file(tensors, temporary, metadata={_KEY: json.dumps(dict(checkpoint.values))})
        self._written = time.monotonic()

    def read(self) -> Checkpoint | None:
        """Return what is there, or None.

        Raises
        ------
        SavedPipelineError
            If it cannot be read.
        """
        if self._path is None or not self._path.exists():
            return None
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self._path, framework="pt") as file:
                values = json.loads(file.metadata()[_KEY])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, LookupError, TypeError, ValueError) as error:
            raise SavedPipelineError(
                f"{self._path}: not a readable checkpoint ({error}); remove it to train anew"
            ) from error
        return Checkpoint(tensors=tensors, values=values)


class _Folder:
    """Hands out the files of the trainings of one fit, in order."""

    def __init__(self, path: Path) -> None:
        self._path, self._count = path, 0

    def next_file(self) -> CheckpointFile:
        path = self._path / f"training-{self._count}.safetensors"
        self._count += 1
        return CheckpointFile(path)


_current: ContextVar[_Folder | None] = ContextVar("lungpatch_checkpoints", default=None)


@contextlib.contextmanager
def checkpoints_in(folder: Path, fit: Mapping[str, Any]) -> Iterator[bool]:
    """Let trainings within the block write checkpoints to a folder, and go on from those there.

    Parameters
    ----------
    folder : pathlib.Path
        Made if it is missing; removed when the block ends without an error. Checkpoints of another
        fit that are there are removed.
    fit : mapping
        What the fit is: settings and data, JSON-ready. Checkpoints belong to it.

    Yields
    ------
    bool
        Whether checkpoints of this fit were there.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp(), "mine.checkpoint")
    >>> with checkpoints_in(folder, {"seed": 0}) as goes_on:
    ...     goes_on, folder.is_dir()
    (False, True)
    >>> folder.exists()
    False
    """
    record = json.loads(json.dumps(fit))
    goes_on = _read_fit(folder) == record
    if not goes_on:
        shutil.rmtree(folder, ignore_errors=True)
        write_json(folder / _FIT_FILE, record)
    token = _current.set(_Folder(folder))
    try:
        yield goes_on
    finally:
        _current.reset(token)
    shutil.rmtree(folder, ignore_errors=True)


def next_checkpoint_file() -> CheckpointFile:
    """Return the file for the training that begins now; outside of a fit, one without a path.

    Examples
    --------
    >>> next_checkpoint_file().read()
    """
    folder = _current.get()
    return CheckpointFile(None) if folder is None else folder.next_file()


def _read_fit(folder: Path) -> Any:
    try:
        return json.loads((folder / _FIT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
