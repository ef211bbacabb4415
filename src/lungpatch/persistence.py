"""Saved pipelines: a folder of JSON, safetensors and checksums. No code, no pickle.

``pipeline.json`` holds registry names, never import paths, so that opening a file runs nothing
that was not installed on purpose. All checks are made before anything is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from lungpatch import __version__
from lungpatch.colours import ColourScale
from lungpatch.config import COMPONENT_KINDS, build_pipeline, pipeline_settings
from lungpatch.containers import TrainingHistory
from lungpatch.errors import SavedPipelineError, UnknownComponentError
from lungpatch.files import atomic_folder, write_json
from lungpatch.fitting import Calibration, FitReport, UnusedImage
from lungpatch.plugins.registry import Registry, default_registry
from lungpatch.plugins.settings import inner_components
from lungpatch.protocols import Kind

if TYPE_CHECKING:
    from lungpatch.pipeline import Pipeline

FORMAT_VERSION = 1
SETTINGS_FILE = "pipeline.json"
WEIGHTS_FILE = "weights.safetensors"
HISTORY_FILE = "history.json"
SUMS_FILE = "SHA256SUMS"
FILES = (SETTINGS_FILE, WEIGHTS_FILE, HISTORY_FILE)


def check_destination(path: Path) -> None:
    """Refuse a path where something else than a saved pipeline is; see `Pipeline.save`.

    Raises
    ------
    SavedPipelineError
        If so.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     check_destination(Path(folder, "new.lungpatch"))
    ...     check_destination(Path(folder))
    Traceback (most recent call last):
    ...
    lungpatch.errors.SavedPipelineError: ...: something else is there already; ...
    """
    if path.exists() and not (path / SETTINGS_FILE).is_file():
        raise SavedPipelineError(
            f"{path}: something else is there already; give another path or remove it"
        )


def save_pipeline(pipeline: Pipeline, path: Path, *, registry: Registry | None = None) -> Path:
    """Write a fitted pipeline; see `Pipeline.save`.

    Examples
    --------
    >>> save_pipeline(pipeline, Path("mine.lungpatch"))                # doctest: +SKIP
    PosixPath('mine.lungpatch')
    """
    from safetensors.numpy import save_file

    check_destination(path)
    registry = registry or default_registry()
    tables = pipeline_settings(pipeline, registry=registry)
    calibration, report = pipeline.calibration, pipeline.report_
    assert report is not None  # learnt together with the calibration
    record = attrs.asdict(report)
    history = record.pop("history")
    content = {
        "format_version": FORMAT_VERSION,
        "versions": {
            "lungpatch": __version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "plugins": {
            path: {"plugin": entry.plugin_id, "version": entry.version}
            for path, kind, component in _components(pipeline)
            for entry in [registry.find(kind, registry.name_of(kind, component))]
        },
        "settings": tables,
        "calibration": attrs.asdict(calibration),
        "fit": record,
    }
    with atomic_folder(path, replace=True) as folder:
        write_json(folder / SETTINGS_FILE, content)
        write_json(folder / HISTORY_FILE, history)
        # safetensors writes the memory of a strided array in the wrong order without a word.
        state = {name: np.asarray(a, order="C") for name, a in pipeline.model.state().items()}
        save_file(state, folder / WEIGHTS_FILE)
        sums = [f"{_digest(folder / name)}  {name}\n" for name in FILES]
        (folder / SUMS_FILE).write_text("".join(sums), encoding="ascii")
    return path


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
    folder = shipped_pipelines().get(os.fspath(path)) or Path(path)
    registry = registry or default_registry()
    _check_files(folder)
    content = _read_json(folder / SETTINGS_FILE)
    version = content.get("format_version")
    if not isinstance(version, int) or version < 1:
        raise SavedPipelineError(f"{folder}: {SETTINGS_FILE} names no format version")
    if version > FORMAT_VERSION:
        wrote = content.get("versions", {}).get("lungpatch", "a newer version")
        raise SavedPipelineError(
            f"{folder}: written in format {version} by lungpatch {wrote}; this is lungpatch "
            f"{__version__}, which reads up to format {FORMAT_VERSION}: upgrade it"
        )
    try:
        pipeline = build_pipeline(content["settings"], origin=str(folder), registry=registry)
        _restore(pipeline, content, _read_json(folder / HISTORY_FILE))
        pipeline.model.load_state(_read_weights(folder / WEIGHTS_FILE))
    except SavedPipelineError:
        raise
    except UnknownComponentError as error:
        raise SavedPipelineError(f"{error}{_missing_plugins(content, registry)}") from error
    # RuntimeError: what torch raises where weights do not fit.
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise SavedPipelineError(
            f"{folder}: its content does not fit its settings ({error}); fit and save it again"
        ) from error
    return pipeline


def _components(pipeline: Pipeline) -> Iterator[tuple[str, Kind, Any]]:
    """Yield all components with their paths: ``model``, ``model.extractor``."""
    for table, kind in COMPONENT_KINDS.items():
        component = getattr(pipeline, table)
        yield table, kind, component
        for path, inner_kind, inner in inner_components(component):
            yield f"{table}.{path}", inner_kind, inner


def _restore(pipeline: Pipeline, content: dict[str, Any], history: dict[str, Any]) -> None:
    calibration, record = dict(content["calibration"]), dict(content["fit"])
    for name in ("threshold", "map_threshold"):
        calibration[name] = float(calibration[name])
    calibration["colour_scale"] = ColourScale(**calibration["colour_scale"])
    record["unused"] = tuple(UnusedImage(**item) for item in record["unused"])
    history["epochs"] = tuple(history["epochs"])
    pipeline.report_ = FitReport(history=TrainingHistory(**history), **record)
    pipeline.calibration_ = Calibration(**calibration)


def _check_files(folder: Path) -> None:
    if not (folder / SETTINGS_FILE).is_file():
        raise SavedPipelineError(
            f"{folder}: no saved pipeline is there ({SETTINGS_FILE} is missing); make one with "
            "'lungpatch fit' or Pipeline.save"
        )
    try:
        lines = (folder / SUMS_FILE).read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SavedPipelineError(f"{folder}: {SUMS_FILE} cannot be read: {error}") from error
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name in FILES:
        try:
            intact = _digest(folder / name) == sums.get(name)
        except OSError as error:
            raise SavedPipelineError(f"{folder}: {name} cannot be read: {error}") from error
        if not intact:
            raise SavedPipelineError(
                f"{folder}: {name} was altered or cut short after it was saved (its SHA-256 is "
                f"not the one in {SUMS_FILE}); copy or fit the pipeline again"
            )


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise SavedPipelineError(f"{path}: not readable as JSON: {error}") from error
    if not isinstance(content, dict):
        raise SavedPipelineError(f"{path}: expected a JSON object")
    return content


def _read_weights(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise SavedPipelineError(f"{path}: not readable as safetensors: {error}") from error


def _missing_plugins(content: dict[str, Any], registry: Registry) -> str:
    here = {plugin.plugin_id for plugin in registry.plugins()}
    try:
        wrote = {(entry["plugin"], entry["version"]) for entry in content["plugins"].values()}
    except (AttributeError, LookupError, TypeError):
        return ""  # altered by hand; what is missing has been said already
    names = [f"{name} {version or ''}".strip() for name, version in wrote if name not in here]
    return f". Plugins to install with pip: {', '.join(sorted(names))}" if names else ""
