"""Pipelines from TOML files and presets, and back to plain settings."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lungpatch._utils.component import error_text
from lungpatch._utils.suggestions import did_you_mean
from lungpatch.errors import ConfigurationError, LungpatchError, MissingInputError
from lungpatch.pipeline.pipeline import Pipeline
from lungpatch.pipeline.tables import COMPONENT_KINDS, OPTIONAL_TABLES, PIPELINE_SETTINGS
from lungpatch.plugins.registry import Registry, default_registry

if TYPE_CHECKING:
    import os


def preset_names() -> list[str]:
    """Return the names that `load_preset` takes.

    Examples
    --------
    >>> preset_names()
    ['default', 'paper']
    """
    folder = resources.files("lungpatch").joinpath("presets")
    return sorted(
        entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name[-5:] == ".toml"
    )


def load_preset(
    name: str, *, changes: Mapping[str, Any] | None = None, registry: Registry | None = None
) -> Pipeline:
    """Build the pipeline of a preset, not yet fitted.

    Parameters
    ----------
    name : str
        ``"paper"``: the paper's U-Net on 32x32 patches.
    changes : mapping, optional
        Settings that replace those of the preset, by their dotted keys: ``{"model.epochs": 10}``.
        Members of an ensemble are numbered from 0: ``"model.members.0.weight"``.
    registry : Registry, optional
        Where component names are looked up; by default all installed plugins.

    Returns
    -------
    Pipeline

    Raises
    ------
    ConfigurationError
        If there is no such preset, or a changed setting is not known or not allowed.

    Examples
    --------
    >>> load_preset("paper").model.patch_size
    32
    >>> changed = load_preset("default", changes={"model.members.0.weight": 2.0})
    >>> changed.model.members[0].weight
    2.0
    """
    tables = _preset_tables(name)
    return _build_changed(tables, changes, origin=f"preset {name!r}", registry=registry)


def load_config(
    path: str | os.PathLike[str],
    *,
    changes: Mapping[str, Any] | None = None,
    registry: Registry | None = None,
) -> Pipeline:
    r"""Build the pipeline that a TOML file describes, not yet fitted.

    The file has a table a component (``[segmenter]``, ``[fit_sampler]``, ``[sampler]``,
    ``[model]``, ``[scorer]``, ``[thresholder]`` and, if regions are to have another than images,
    ``[region_thresholder]``), each with a ``name`` and that component's settings, and a table
    ``[pipeline]``. With ``preset = "paper"`` at the top only what differs
    from the preset needs to be there; a component of another name replaces the preset's whole.
    Where a setting is a component itself it is a table in that table: ``[model.extractor]``, or
    ``[[model.members]]`` for each of several.

    Parameters
    ----------
    path : path
    changes : mapping, optional
        Settings that replace those in the file, by their dotted keys: ``{"model.epochs": 10}``.
        Members of an ensemble are numbered from 0: ``"model.members.0.weight"``.
    registry : Registry, optional

    Returns
    -------
    Pipeline

    Raises
    ------
    MissingInputError
        If there is no such file.
    ConfigurationError
        If it is not TOML, or a table, a setting or a value is not known or not allowed.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "mine.toml")
    ...     _ = path.write_text('preset = "paper"\n[model]\nloss = "l1"\n')
    ...     load_config(path).model.loss
    'l1'
    """
    path = Path(path)
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingInputError(f"{path}: no such configuration file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path}: not a readable TOML file: {error}") from error
    base = tables.pop("preset", None)
    if base is not None:
        try:
            tables = _merged(_preset_tables(base), tables)
        except ConfigurationError as error:
            raise ConfigurationError(f"{path}: {error}") from error
    return _build_changed(tables, changes, origin=str(path), registry=registry)


def _build_changed(
    tables: dict[str, Any],
    changes: Mapping[str, Any] | None,
    *,
    origin: str,
    registry: Registry | None,
) -> Pipeline:
    try:
        tables = _merged(tables, _nested(changes or {}))
    except ConfigurationError as error:
        raise ConfigurationError(f"{origin}: {error}") from error
    return build_pipeline(tables, origin=origin, registry=registry)


def build_pipeline(
    tables: Mapping[str, Any], *, origin: str, registry: Registry | None = None
) -> Pipeline:
    """Build a pipeline from nested settings, as `pipeline_settings` returns them.

    Parameters
    ----------
    tables : mapping
        One table a component, with its ``name`` and settings, and a table ``pipeline``.
    origin : str
        Where they come from, for messages.
    registry : Registry, optional

    Returns
    -------
    Pipeline

    Raises
    ------
    ConfigurationError
        If a table is missing, or a table, a setting or a value is not known or not allowed.

    Examples
    --------
    >>> from lungpatch.pipeline import pipeline_settings
    >>> settings = pipeline_settings(load_preset("paper"))
    >>> settings["scorer"] = {"name": "ssim"}
    >>> build_pipeline(settings, origin="example").scorer.sigma
    1.5
    """
    registry = registry or default_registry()
    _check_known(tables, (*COMPONENT_KINDS, "pipeline"), "table", origin)
    given = {table: kind for table, kind in COMPONENT_KINDS.items() if table in tables}
    missing = [t for t in COMPONENT_KINDS if t not in given and t not in OPTIONAL_TABLES]
    if missing:
        raise ConfigurationError(
            f"{origin}: no table [{missing[0]}]; give it, or start from a preset with "
            'preset = "paper" in the first line'
        )
    components = {}
    for table, kind in given.items():
        try:
            components[table] = registry.create_from_table(kind, tables[table], path=table)
        except LungpatchError as error:
            raise type(error)(f"{origin}: {error}") from error
    own = _table(tables, "pipeline", origin)
    _check_known(own, PIPELINE_SETTINGS, "setting", f"{origin}: [pipeline]")
    try:
        return Pipeline(**components, **own)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{origin}: [pipeline]: {error_text(error)}") from error


def parse_settings(assignments: Sequence[str]) -> dict[str, Any]:
    """Read settings given as ``key=value``, the value as in TOML.

    Parameters
    ----------
    assignments : sequence of str
        A value that is not TOML is taken as text.

    Returns
    -------
    dict

    Raises
    ------
    ConfigurationError
        If one has no ``=``.

    Examples
    --------
    >>> parse_settings(["q=0.9", "device=cpu", "flip_average=true"])
    {'q': 0.9, 'device': 'cpu', 'flip_average': True}
    """
    settings: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key.strip():
            raise ConfigurationError(f"{assignment!r}: a setting is given as KEY=VALUE")
        try:
            settings[key.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            settings[key.strip()] = value
    return settings


def _preset_tables(name: Any) -> dict[str, Any]:
    names = preset_names()
    if name not in names:
        raise ConfigurationError(f"no preset {name!r}; there is: {', '.join(names)}")
    file = resources.files("lungpatch").joinpath("presets", f"{name}.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def _nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Put settings with dotted keys into nested tables."""
    tables: dict[str, Any] = {}
    for dotted, value in settings.items():
        *path, key = dotted.split(".")
        table = tables
        for name in path:
            table = table.setdefault(name, {})
            if not isinstance(table, dict):
                raise ConfigurationError(f"{dotted}: {name!r} is given as a value, too")
        if key in table:
            raise ConfigurationError(f"{dotted}: {key!r} is given twice")
        table[key] = value
    return tables


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Put changes into nested tables; a component of another name replaces the whole table."""
    merged = dict(base)
    for key, value in changes.items():
        old = base.get(key)
        if isinstance(value, dict) and isinstance(old, list):
            merged[key] = _merged_items(key, old, value)
        elif isinstance(value, dict) and isinstance(old, dict):
            replaces = value.get("name") not in (None, old.get("name"))
            merged[key] = value if replaces else _merged(old, value)
        else:
            merged[key] = value
    return merged


def _merged_items(name: str, items: list[Any], changes: dict[str, Any]) -> list[Any]:
    """Put changes into a list of tables, by the numbers of its items."""
    numbers = [str(number) for number in range(len(items))]
    for number in changes:
        if number not in numbers:
            raise ConfigurationError(
                f"{name!r} has no item {number!r}; its items: {', '.join(numbers)}"
            )
    merged = _merged(dict(zip(numbers, items, strict=True)), changes)
    return [merged[number] for number in numbers]


def _table(tables: Mapping[str, Any], name: str, origin: str) -> dict[str, Any]:
    table = tables.get(name, {})
    if not isinstance(table, Mapping):
        raise ConfigurationError(f"{origin}: [{name}] must be a table, got {table!r}")
    return dict(table)


def _check_known(given: Mapping[str, Any], known: tuple[str, ...], what: str, origin: str) -> None:
    for name in given:
        if name not in known:
            raise ConfigurationError(
                f"{origin}: unknown {what} {name!r}{did_you_mean(name, known)} "
                f"Known: {', '.join(known)}"
            )
