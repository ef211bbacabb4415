"""Fitted pipelines: those that come with lungpatch, and saved ones."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from lungpatch.errors import SavedPipelineError, UnknownComponentError
from lungpatch.pipeline.configuration import build_pipeline
from lungpatch.pipeline.storage import (
    load_states,
    missing_plugins,
    read_saved,
    restored_calibration,
    restored_report,
)
from lungpatch.plugins.registry import Registry, default_registry

if TYPE_CHECKING:
    from lungpatch.pipeline.pipeline import Pipeline


def shipped_pipelines() -> dict[str, Path]:
    """Return the fitted pipelines that come with lungpatch: folder by name.

    `load_pipeline` takes their names. Their model cards lie in ``lungpatch/weights``.

    Examples
    --------
    >>> sorted(shipped_pipelines())
    ['default', 'paper']
    """
    # Not a zip: torch, which everything here needs, cannot be imported from one either.
    folder = Path(str(resources.files("lungpatch").joinpath("weights")))
    return {path.stem: path for path in sorted(folder.glob("*.lungpatch"))}


def folder_of(path: str | os.PathLike[str]) -> Path:
    """Return the folder of a pipeline: one that comes with lungpatch, or the path itself.

    Examples
    --------
    >>> folder_of("default").name
    'default.lungpatch'
    """
    return shipped_pipelines().get(os.fspath(path)) or Path(path)


def load_pipeline(path: str | os.PathLike[str], *, registry: Registry | None = None) -> Pipeline:
    """Read a fitted pipeline: one that comes with lungpatch, or one that `Pipeline.save` wrote.

    Parameters
    ----------
    path : str or path
        ``"default"``: the shipped detector; ``"paper"``: the paper's, fitted; or a folder. A
        folder of such a name is ``"./default"``.
    registry : Registry, optional
        Where component names are looked up; by default all installed plugins.

    Returns
    -------
    Pipeline
        Fitted; its results equal those of the saved one bit by bit on the same machine.

    Raises
    ------
    SavedPipelineError
        If the folder is missing, incomplete or altered, was written by a newer format, or names
        a plugin that is not installed.

    Examples
    --------
    >>> load_pipeline("nowhere.lungpatch")
    Traceback (most recent call last):
    ...
    lungpatch.errors.SavedPipelineError: nowhere.lungpatch: no saved pipeline is there...
    """
    folder = folder_of(path)
    registry = registry or default_registry()
    saved = read_saved(folder)
    try:
        pipeline = build_pipeline(saved.content["settings"], origin=str(folder), registry=registry)
        load_states(saved, pipeline)
        pipeline._restore(restored_calibration(saved, pipeline), restored_report(saved))
    except SavedPipelineError:
        raise
    except UnknownComponentError as error:
        raise SavedPipelineError(f"{error}{missing_plugins(saved, registry)}") from error
    # RuntimeError: what torch raises where weights do not fit.
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise SavedPipelineError(
            f"{folder}: its content does not fit its settings ({error}); fit and save it again"
        ) from error
    return pipeline
