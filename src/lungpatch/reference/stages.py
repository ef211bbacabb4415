"""Results of stages, kept on disk until a stage's settings or inputs change."""

from __future__ import annotations

import hashlib
import json
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray

from lungpatch._utils.files import atomic_write, write_json
from lungpatch._version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lungpatch._utils.progress import ProgressCallback

FORMAT = 2
"""Raised when what a stage computes or keeps changes, so that older results are not used."""


@attrs.frozen(eq=False, kw_only=True)
class StageResult:
    """The result of a stage.

    Parameters
    ----------
    values : dict
        JSON-ready: what goes into the report.
    arrays : dict of str to ndarray
        What later stages need.
    digest : str
        Digest of the settings and inputs that the result came from; "" before it is kept.

    Examples
    --------
    >>> StageResult(values={"auroc": 0.5})
    StageResult(values={'auroc': 0.5}, arrays={}, digest='')
    """

    values: dict[str, Any]
    arrays: dict[str, NDArray[Any]] = attrs.field(
        factory=dict, repr=lambda arrays: str({k: v.shape for k, v in arrays.items()})
    )
    digest: str = ""


class Stages:
    """Runs stages and keeps their results, as ``NAME.json`` and ``NAME.npz`` in a folder.

    Parameters
    ----------
    folder : path
        Made when the first result is kept.
    progress : callable
        Called for stages whose results were kept before. A stage reports its own progress.

    Attributes
    ----------
    records : dict of str to dict
        For each stage that was run, by name: its ``settings``, ``seconds`` and ``values``.

    Examples
    --------
    >>> import tempfile
    >>> stages = Stages(tempfile.mkdtemp())
    >>> def work():
    ...     print("working")
    ...     return StageResult(values={"sum": 3})
    >>> stages.run("add", {"numbers": [1, 2]}, work).values
    working
    {'sum': 3}
    >>> stages.run("add", {"numbers": [1, 2]}, work).values
    {'sum': 3}
    """

    def __init__(self, folder: str | Path, *, progress: ProgressCallback | None = None) -> None:
        self._folder = Path(folder)
        self._progress = progress
        self.records: dict[str, dict[str, Any]] = {}

    def run(
        self, name: str, settings: Mapping[str, Any], work: Callable[[], StageResult]
    ) -> StageResult:
        """Return the result of a stage, computed only if it was not kept before.

        Parameters
        ----------
        name : str
            Name of the stage; used as a file name.
        settings : mapping
            JSON-ready: everything that the result depends on, digests of earlier stages included.
        work : callable
            Computes the result.

        Returns
        -------
        StageResult
            With ``values`` as JSON gives them back, also the first time.
        """
        digest = hashlib.sha256(
            json.dumps([FORMAT, __version__, name, settings], sort_keys=True).encode()
        ).hexdigest()
        kept = self._kept(name, digest)
        if kept is None:
            start = time.perf_counter()
            result = work()
            self._keep(name, settings, digest, result, time.perf_counter() - start)
            kept = self._kept(name, digest)
            assert kept is not None  # it was written a moment ago
        elif self._progress is not None:
            self._progress(f"{name} (kept)", 1, 1, {})
        record, arrays = kept
        self.records[name] = record
        return StageResult(values=record["values"], arrays=arrays, digest=digest)

    def _keep(
        self,
        name: str,
        settings: Mapping[str, Any],
        digest: str,
        result: StageResult,
        seconds: float,
    ) -> None:
        # The record says that the stage is done. It goes first and comes last, so that arrays of
        # other settings never stand beside it.
        record = self._folder / f"{name}.json"
        record.unlink(missing_ok=True)
        with atomic_write(self._folder / f"{name}.npz") as temporary:
            np.savez_compressed(temporary, **result.arrays)  # type: ignore[arg-type]
        write_json(
            record,
            {
                "digest": digest,
                "settings": settings,
                "seconds": seconds,
                "values": result.values,
            },
        )

    def _kept(
        self, name: str, digest: str
    ) -> tuple[dict[str, Any], dict[str, NDArray[Any]]] | None:
        try:
            record = json.loads((self._folder / f"{name}.json").read_text(encoding="utf-8"))
            if record["digest"] != digest:
                return None
            with np.load(self._folder / f"{name}.npz", allow_pickle=False) as stored:
                return record, dict(stored)
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
            return None  # missing or damaged: the work is done again

    def __repr__(self) -> str:
        return f"Stages({str(self._folder)!r}, {len(self.records)} done)"
