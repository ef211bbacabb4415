"""The settings of a pipeline as nested tables, as TOML and JSON hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from lungpatch.pipeline.steps import Steps
from lungpatch.plugins.registry import Registry, default_registry

if TYPE_CHECKING:
    from lungpatch.protocols import Kind

COMPONENT_KINDS: dict[str, Kind] = {
    "segmenter": "segmenter",
    "fit_sampler": "sampler",
    "sampler": "sampler",
    "model": "model",
    "scorer": "scorer",
    "thresholder": "thresholder",
    "region_thresholder": "thresholder",
}
"""The component tables of a configuration, and which kind of component each holds."""

OPTIONAL_TABLES = ("region_thresholder",)
"""Tables that a configuration may leave out; the pipeline then chooses."""

PIPELINE_SETTINGS = tuple(
    field.name for field in attrs.fields(Steps) if field.init and field.name not in COMPONENT_KINDS
)


def pipeline_settings(pipeline: Steps, *, registry: Registry | None = None) -> dict[str, Any]:
    """Return all settings of a pipeline as nested JSON-ready tables; the inverse of building it.

    Parameters
    ----------
    pipeline : Steps
    registry : Registry, optional

    Returns
    -------
    dict

    Raises
    ------
    ConfigurationError
        If a component's class is registered by no plugin.

    Examples
    --------
    >>> import lungpatch
    >>> pipeline_settings(lungpatch.load_preset("paper"))["scorer"]
    {'name': 'lungpatch/sad', 'reduction': 'mean', 'region': 'lung'}
    """
    registry = registry or default_registry()
    tables: dict[str, Any] = {
        "pipeline": {name: getattr(pipeline, name) for name in PIPELINE_SETTINGS}
    }
    for table, kind in COMPONENT_KINDS.items():
        component = getattr(pipeline, table)
        tables[table] = {"name": registry.name_of(kind, component)} | registry.settings(component)
    return tables
