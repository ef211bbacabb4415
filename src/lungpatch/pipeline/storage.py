"""The folder of a saved pipeline: JSON, safetensors and checksums. No code, no pickle.

``pipeline.json`` holds registry names, never import paths, so that opening a file runs nothing
that was not installed on purpose. All checks are made before anything is used.
"""

from __future__ import annotations

import hashlib
import json
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import attrs
import numpy as np

from lungpatch._utils.destinations import check_folder
from lungpatch._utils.files import atomic_folder, write_json
from lungpatch._version import __version__
from lungpatch.containers import TrainingHistory
from lungpatch.errors import SavedPipelineError
from lungpatch.pipeline.calibration import Calibration, fit_thresholds
from lungpatch.pipeline.cohort import UnusedImage
from lungpatch.pipeline.fitting import FitReport
from lungpatch.pipeline.tables import COMPONENT_KINDS, pipeline_settings
from lungpatch.plugins.registry import Registry, default_registry
from lungpatch.plugins.settings import inner_components

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from lungpatch.pipeline.steps import Steps
    from lungpatch.protocols import Kind

FORMAT_VERSION = 3
SETTINGS_FILE = "pipeline.json"
WEIGHTS_FILE = "weights.safetensors"
SEGMENTER_FILE = "segmenter.safetensors"
"""The state of a segmenter that has one; others have no such file."""

HISTORY_FILE = "history.json"
SUMS_FILE = "SHA256SUMS"
FILES = (SETTINGS_FILE, WEIGHTS_FILE, HISTORY_FILE)


@attrs.frozen(eq=False, kw_only=True)
class SavedPipeline:
    """What the folder of a saved pipeline holds, checked for damage but not yet put together.

    Parameters
    ----------
    folder : pathlib.Path
    content : dict
        ``pipeline.json``.
    history : dict
        ``history.json``.
    weights : dict of str to ndarray
    segmenter : dict of str to ndarray
        Empty if the segmenter has no state.

    Examples
    --------
    >>> from lungpatch.pipeline.loading import shipped_pipelines
    >>> read_saved(shipped_pipelines()["paper"]).content["settings"]["scorer"]["name"]
    'lungpatch/sad'
    """

    folder: Path
    content: dict[str, Any]
    history: dict[str, Any]
    weights: dict[str, Any]
    segmenter: dict[str, Any]


def check_destination(path: Path) -> None:
    """Check that a pipeline can be saved to a path; see `Pipeline.save`.

    Raises
    ------
    SavedPipelineError
        If something else than a saved pipeline is there.
    DestinationError
        If nothing can be written there.

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
    check_folder(path.resolve().parent)  # it is written beside the path, then renamed


def save_pipeline(
    steps: Steps,
    calibration: Calibration,
    report: FitReport,
    path: Path,
    *,
    registry: Registry | None = None,
) -> Path:
    """Write a fitted pipeline; see `lungpatch.Pipeline.save`.

    Examples
    --------
    >>> save_pipeline(pipeline, pipeline.calibration_, pipeline.report_,
    ...               Path("mine.lungpatch"))                          # doctest: +SKIP
    PosixPath('mine.lungpatch')
    """
    check_destination(path)
    registry = registry or default_registry()
    record = attrs.asdict(report)
    history = record.pop("history")
    content = {
        "format_version": FORMAT_VERSION,
        "versions": {
            "lungpatch": __version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "plugins": _plugins_of(steps, registry),
        "settings": pipeline_settings(steps, registry=registry),
        "calibration": attrs.asdict(calibration),
        "fit": record,
    }
    with atomic_folder(path, replace=True) as folder:
        write_json(folder / SETTINGS_FILE, content)
        write_json(folder / HISTORY_FILE, history)
        _write_weights(folder / WEIGHTS_FILE, steps.model.state())
        files: tuple[str, ...] = FILES
        if isinstance(steps.segmenter, _HasState):
            _write_weights(folder / SEGMENTER_FILE, steps.segmenter.state())
            files = (*FILES, SEGMENTER_FILE)
        sums = [f"{_digest(folder / name)}  {name}\n" for name in files]
        (folder / SUMS_FILE).write_text("".join(sums), encoding="ascii")
    return path


def read_saved(folder: Path) -> SavedPipeline:
    """Read the folder of a saved pipeline and check that it is whole.

    Raises
    ------
    SavedPipelineError
        If it is missing, incomplete or altered, or was written in another format.

    Examples
    --------
    >>> read_saved(Path("nowhere.lungpatch"))
    Traceback (most recent call last):
    ...
    lungpatch.errors.SavedPipelineError: nowhere.lungpatch: no saved pipeline is there...
    """
    content = _read_settings(folder)
    return SavedPipeline(
        folder=folder,
        content=content,
        history=_read_json(folder / HISTORY_FILE),
        weights=_read_weights(folder / WEIGHTS_FILE),
        segmenter=(
            _read_weights(folder / SEGMENTER_FILE) if (folder / SEGMENTER_FILE).exists() else {}
        ),
    )


def read_calibration(folder: Path) -> tuple[Calibration, str]:
    """Read what a saved pipeline was calibrated with, without its parts: they need torch.

    Returns
    -------
    calibration : Calibration
    training_digest : str
        Of the images that it was fitted to.

    Raises
    ------
    SavedPipelineError
        If it is missing, incomplete or altered, or was written in another format.

    Examples
    --------
    >>> from lungpatch.pipeline.loading import shipped_pipelines
    >>> calibration, _ = read_calibration(shipped_pipelines()["paper"])
    >>> calibration.rule
    'QuantileThresholder'
    """
    content = _read_settings(folder)
    try:
        calibration = Calibration.from_record(content["calibration"])
        return calibration, str(content["fit"]["training_digest"])
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise SavedPipelineError(
            f"{folder}: its calibration cannot be read ({error}); fit and save it again"
        ) from error


def load_states(saved: SavedPipeline, steps: Steps) -> None:
    """Give the model of a saved pipeline, and its segmenter if it has one, their states.

    Raises
    ------
    SavedPipelineError
        If there is a state of the segmenter, which takes none.
    ConfigurationError
        If a state does not fit.

    Examples
    --------
    >>> load_states(saved, pipeline)                           # doctest: +SKIP
    """
    steps.model.load_state(saved.weights)
    if isinstance(steps.segmenter, _HasState):
        steps.segmenter.load_state(saved.segmenter)
    elif saved.segmenter:
        raise SavedPipelineError(
            f"{saved.folder}: it holds the state of a segmenter, and {steps.segmenter} takes none"
        )


def restored_calibration(saved: SavedPipeline, steps: Steps) -> Calibration:
    """Return the calibration of a saved pipeline; its thresholders are fitted on its scores.

    Raises
    ------
    SavedPipelineError
        If the stored scores do not give the stored thresholds.

    Examples
    --------
    >>> restored_calibration(saved, pipeline).threshold        # doctest: +SKIP
    1.5
    """
    calibration = Calibration.from_record(saved.content["calibration"])
    found = fit_thresholds(steps, calibration.image_scores, calibration.region_scores)
    stored = (calibration.threshold, calibration.region_threshold)
    if not np.allclose(found, stored, rtol=1e-9, atol=0.0):
        raise SavedPipelineError(
            f"{saved.folder}: its calibration scores give the thresholds {found}, but it holds "
            f"{stored}; fit and save it again"
        )
    return calibration


def restored_report(saved: SavedPipeline) -> FitReport:
    """Return what ``fit`` reported of a saved pipeline.

    Examples
    --------
    >>> from lungpatch.pipeline.loading import shipped_pipelines
    >>> restored_report(read_saved(shipped_pipelines()["default"])).history.stopped
    'finished'
    """
    record, history = dict(saved.content["fit"]), dict(saved.history)
    record["unused"] = tuple(UnusedImage(**item) for item in record["unused"])
    history["epochs"] = tuple(history["epochs"])
    return FitReport(history=TrainingHistory(**history), **record)


def missing_plugins(saved: SavedPipeline, registry: Registry) -> str:
    """Return the end of a message that names the plugins a saved pipeline needs; may be empty.

    Examples
    --------
    >>> from lungpatch.pipeline.loading import shipped_pipelines
    >>> missing_plugins(read_saved(shipped_pipelines()["paper"]), default_registry())
    ''
    """
    here = {plugin.plugin_id for plugin in registry.plugins()}
    plugins = saved.content.get("plugins", {})
    try:
        wrote = {(entry["plugin"], entry["version"]) for entry in plugins.values()}
    except (AttributeError, LookupError, TypeError):
        return ""  # altered by hand; what is missing has been said already
    names = [f"{name} {version or ''}".strip() for name, version in wrote if name not in here]
    return f". Plugins to install with pip: {', '.join(sorted(names))}" if names else ""


@runtime_checkable
class _HasState(Protocol):
    """A segmenter that was fitted, or brings its network."""

    def state(self) -> dict[str, NDArray[Any]]: ...

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None: ...


def _plugins_of(steps: Steps, registry: Registry) -> dict[str, dict[str, Any]]:
    entries = {
        path: registry.find(kind, registry.name_of(kind, component))
        for path, kind, component in _components(steps)
    }
    return {
        path: {"plugin": entry.plugin_id, "version": entry.version}
        for path, entry in entries.items()
    }


def _components(steps: Steps) -> Iterator[tuple[str, Kind, Any]]:
    """Yield all components with their paths: ``model``, ``model.extractor``."""
    for table, kind in COMPONENT_KINDS.items():
        component = getattr(steps, table)
        yield table, kind, component
        for path, inner_kind, inner in inner_components(component):
            yield f"{table}.{path}", inner_kind, inner


def _read_settings(folder: Path) -> dict[str, Any]:
    """Read the settings of a saved pipeline, and check that its folder is whole."""
    _check_files(folder)
    content = _read_json(folder / SETTINGS_FILE)
    _check_format(folder, content)
    return content


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
    has_segmenter = SEGMENTER_FILE in sums or (folder / SEGMENTER_FILE).exists()
    for name in (*FILES, SEGMENTER_FILE) if has_segmenter else FILES:
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


def _write_weights(path: Path, state: Mapping[str, NDArray[Any]]) -> None:
    from safetensors.numpy import save

    # safetensors writes the memory of a strided array in the wrong order without a word. A file
    # that it makes itself can be read by its owner only.
    path.write_bytes(save({name: np.asarray(array, order="C") for name, array in state.items()}))


def _read_weights(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise SavedPipelineError(f"{path}: not readable as safetensors: {error}") from error


def _check_format(folder: Path, content: dict[str, Any]) -> None:
    version = content.get("format_version")
    if not isinstance(version, int) or version < 1:
        raise SavedPipelineError(f"{folder}: {SETTINGS_FILE} names no format version")
    if version < FORMAT_VERSION:
        raise SavedPipelineError(
            f"{folder}: written in format {version}, whose calibration gives no p-values; this "
            f"lungpatch reads format {FORMAT_VERSION}: fit and save the pipeline again"
        )
    if version > FORMAT_VERSION:
        wrote = content.get("versions", {}).get("lungpatch", "a newer version")
        raise SavedPipelineError(
            f"{folder}: written in format {version} by lungpatch {wrote}; this is lungpatch "
            f"{__version__}, which reads format {FORMAT_VERSION}: upgrade it"
        )
