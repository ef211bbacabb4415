"""Finding and loading plugins: a broken plugin does not affect the others.

The loader of pluggy drops one of two plugins with the same entry-point name and stops at the first
plugin that cannot be imported. Therefore the loop is ours, and each plugin gets a plugin manager of
its own: a plugin cannot change others, and every component is attributed to its plugin.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import re
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import attrs
import pluggy

from lungpatch._version import __version__
from lungpatch.errors import PluginError
from lungpatch.plugins import builtins, hookspecs
from lungpatch.plugins.hookspecs import PROJECT, Entry, Register

BUILTIN_ID = PROJECT
GROUP = PROJECT
RESTRICT = "LUNGPATCH_PLUGINS"
"""Environment variable: ids or distributions to load, separated by commas; empty for none."""

_HOOK = "lungpatch_register(register)"


@attrs.frozen(kw_only=True)
class PluginInfo:
    """A plugin that was loaded.

    Parameters
    ----------
    plugin_id : str
        ``distribution:entry-point``; ``lungpatch`` for the built-in one.
    version : str or None
        Version of its distribution.

    Examples
    --------
    >>> PluginInfo(plugin_id="lungpatch-gms:gms", version="1.0").plugin_id
    'lungpatch-gms:gms'
    """

    plugin_id: str
    version: str | None


@attrs.frozen(kw_only=True)
class PluginFailure:
    """A plugin that could not be loaded.

    Parameters
    ----------
    plugin_id : str
    version : str or None
    error : str
        What went wrong, and in which line of the plugin.

    Examples
    --------
    >>> PluginFailure(plugin_id="mine:mine", version="1.0", error="ImportError: no torch").error
    'ImportError: no torch'
    """

    plugin_id: str
    version: str | None
    error: str


@attrs.frozen(kw_only=True)
class Catalogue:
    """The plugins that were loaded, the components that they offer, and the plugins that failed.

    Parameters
    ----------
    plugins : tuple of PluginInfo
    entries : tuple of lungpatch.plugins.hookspecs.Entry
    failures : tuple of PluginFailure

    Examples
    --------
    >>> catalogue = load_catalogue([])
    >>> [plugin.plugin_id for plugin in catalogue.plugins], catalogue.failures
    (['lungpatch'], ())
    """

    plugins: tuple[PluginInfo, ...]
    entries: tuple[Entry, ...]
    failures: tuple[PluginFailure, ...]


@attrs.frozen
class _Source:
    """A plugin that is not loaded yet; ``load`` returns its module."""

    plugin_id: str
    version: str | None
    load: Callable[[], object]


def load_catalogue(plugins: Sequence[object] | None) -> Catalogue:
    """Load the built-in components and plugins.

    Parameters
    ----------
    plugins : sequence of modules or objects, or None
        What to load. None means all installed plugins, or those that the environment variable
        ``LUNGPATCH_PLUGINS`` lists.

    Returns
    -------
    Catalogue
        A plugin that fails is in ``failures``, and none of its components is in ``entries``.

    Examples
    --------
    >>> catalogue = load_catalogue([])
    >>> [plugin.plugin_id for plugin in catalogue.plugins], catalogue.failures
    (['lungpatch'], ())
    """
    if plugins is None:
        sources = _restricted(_installed())
    else:
        sources = [
            _Source(_private_id(plugin), None, partial(_as_is, plugin)) for plugin in plugins
        ]
    failures: list[PluginFailure] = []
    loaded: dict[str, object] = {}
    infos: list[PluginInfo] = []
    entries: list[Entry] = []
    for source in [_Source(BUILTIN_ID, __version__, lambda: builtins), *sources]:
        try:
            plugin = source.load()
            _refuse_twice(plugin, source.plugin_id, loaded)
            entries += _registered(plugin, source)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin may even call sys.exit
            failures.append(
                PluginFailure(
                    plugin_id=source.plugin_id, version=source.version, error=describe_error(error)
                )
            )
        else:
            loaded[source.plugin_id] = plugin
            infos.append(PluginInfo(plugin_id=source.plugin_id, version=source.version))
    return Catalogue(plugins=tuple(infos), entries=tuple(entries), failures=tuple(failures))


def describe_error(error: BaseException) -> str:
    """Return one line: what went wrong, and in which line of a plugin's code.

    Examples
    --------
    >>> describe_error(PluginError("summary must be one line of text"))
    'summary must be one line of text'
    >>> describe_error(ZeroDivisionError("division by zero"))
    'ZeroDivisionError: division by zero'
    """
    text = " ".join(str(error).split())
    if not isinstance(error, PluginError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    ours = str(Path(__file__).parent)
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        # Left out: this package, pluggy, and the import machinery of Python.
        if not frame.filename.startswith((ours, str(Path(pluggy.__file__).parent), "<frozen"))
        and Path(frame.filename).parent != Path(importlib.__file__).parent
    ]
    return f"{text} ({frames[-1].filename}, line {frames[-1].lineno})" if frames else text


def _registered(plugin: object, source: _Source) -> tuple[Entry, ...]:
    """Return the components that a plugin registers.

    Raises
    ------
    PluginError
        If it has no hook, another hook, or registers nothing.
    """
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(plugin, name=source.plugin_id)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(f"{error}; the only hook is {_HOOK}") from error
    if not manager.get_hookcallers(plugin):
        raise PluginError(f"has no hook: write {_HOOK} and decorate it with @lungpatch.hookimpl")
    register = Register(source.plugin_id, source.version)
    manager.hook.lungpatch_register(register=register)
    if not register.entries:
        raise PluginError(f"its {_HOOK} registers nothing")
    return register.entries


def _refuse_twice(plugin: object, plugin_id: str, loaded: dict[str, object]) -> None:
    if plugin_id in loaded:
        raise PluginError(f"there are two plugins {plugin_id!r}; the first is used")
    for other_id, other in loaded.items():
        if other is plugin:
            name = getattr(plugin, "__name__", repr(plugin))
            raise PluginError(f"its module {name} is already loaded as {other_id!r}")


def _installed() -> list[_Source]:
    """Return all entry points of the group, sorted by distribution and name."""
    sources: dict[str, list[_Source]] = {}
    for distribution in importlib.metadata.distributions():
        name, version = "unknown distribution", None
        try:
            text = distribution.read_text("entry_points.txt")
            # Searched as text first: parsing the metadata of all distributions is slow.
            if text is None or f"[{GROUP}]" not in text:
                continue
            name = normalised(distribution.metadata["Name"])
            version = distribution.version
            points = sorted(distribution.entry_points.select(group=GROUP), key=lambda p: p.name)
            found = [
                _Source(f"{name}:{point.name}", version, partial(_module, point.value))
                for point in points
            ]
        except Exception as error:
            folder = distribution.locate_file("")
            problem = f"its metadata in {folder} cannot be read: {type(error).__name__}: {error}"
            found = [_failing(name, version, problem)]
        # Where it is found twice (installed, and in a source tree), Python imports the first.
        sources.setdefault(name, found)
    return [source for name in sorted(sources) for source in sources[name]]


def _restricted(sources: list[_Source]) -> list[_Source]:
    setting = os.environ.get(RESTRICT)
    if setting is None:
        return sources
    wanted = {normalised(item.strip()) for item in setting.split(",") if item.strip()}
    kept = [source for source in sources if wanted & _names_of(source)]
    unknown = wanted.difference([BUILTIN_ID], *map(_names_of, sources))
    message = f"{RESTRICT} names it, but no such plugin is installed"
    return kept + [_failing(name, None, message) for name in sorted(unknown)]


def _names_of(source: _Source) -> set[str]:
    return {normalised(source.plugin_id), source.plugin_id.partition(":")[0]}


def _failing(plugin_id: str, version: str | None, message: str) -> _Source:
    def load() -> object:
        raise PluginError(message)

    return _Source(plugin_id, version, load)


def _as_is(plugin: object) -> object:
    return plugin


def _module(value: str) -> object:
    if not all(part.isidentifier() for part in value.split(".")):
        raise PluginError(f"the entry point's value must be a module, got {value!r}")
    return importlib.import_module(value)


def _private_id(plugin: object) -> str:
    name = getattr(plugin, "__name__", None)
    return name if isinstance(name, str) else f"{type(plugin).__module__}:{type(plugin).__name__}"


def normalised(name: str) -> str:
    """Return the name of a distribution as pip spells it.

    Examples
    --------
    >>> normalised("My_Plugin.gms")
    'my-plugin-gms'
    """
    return re.sub(r"[-_.]+", "-", name).lower()
