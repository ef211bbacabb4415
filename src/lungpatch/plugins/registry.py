"""From names to components."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from lungpatch import protocols
from lungpatch._utils.suggestions import did_you_mean
from lungpatch.errors import (
    AmbiguousComponentError,
    ConfigurationError,
    PluginError,
    UnknownComponentError,
)
from lungpatch.plugins.hookspecs import KINDS, Entry
from lungpatch.plugins.manager import (
    BUILTIN_ID,
    Catalogue,
    PluginFailure,
    PluginInfo,
    describe_error,
    load_catalogue,
)
from lungpatch.plugins.settings import (
    component_settings,
    create_component,
    placed,
    setting_names,
)

if TYPE_CHECKING:
    from lungpatch.protocols import Kind


class Registry:
    """The names of the built-in components and of those of plugins.

    The full name of a component, ``plugin-id/name``, always means that component. Its bare name
    does so where the component is built in, or where only one plugin offers the name.

    Plugins are loaded at first use. The class of a component is imported by `load` and `create`.

    Parameters
    ----------
    plugins : sequence of modules or objects, optional
        Plugins to load beside the built-in components, each with a ``lungpatch_register`` hook; by
        default all that are installed. The environment variable ``LUNGPATCH_PLUGINS`` restricts
        these to the plugin ids or distributions that it lists, separated by commas.

    Examples
    --------
    >>> registry = Registry(plugins=[])
    >>> registry.names("scorer")
    ['feature', 'l2', 'sad', 'ssim']
    >>> registry.create("scorer", "sad", {"reduction": "sum"})
    SADScorer(reduction='sum', region='lung')
    """

    def __init__(self, plugins: Sequence[object] | None = None) -> None:
        self._given = None if plugins is None else tuple(plugins)

    def __repr__(self) -> str:
        given = self._given
        return f"Registry({'installed' if given is None else len(given)} plugins)"

    @functools.cached_property
    def _catalogue(self) -> Catalogue:
        return load_catalogue(self._given)

    def names(self, kind: str) -> list[str]:
        """Return the shortest name of each component of a kind, sorted.

        Examples
        --------
        >>> Registry(plugins=[]).names("sampler")
        ['grid', 'lung-crop', 'random']
        """
        return sorted(self.shortest_name(entry) for entry in self.entries(kind))

    def entries(self, kind: str | None = None) -> list[Entry]:
        """Return all components, or those of one kind: built-in ones first, then by name.

        Raises
        ------
        ConfigurationError
            If there is no such kind.

        Examples
        --------
        >>> [entry.full_name for entry in Registry(plugins=[]).entries("sampler")]
        ['lungpatch/grid', 'lungpatch/lung-crop', 'lungpatch/random']
        """
        kinds = KINDS if kind is None else (_check_kind(kind),)

        def order(entry: Entry) -> tuple[Any, ...]:
            builtin = entry.plugin_id == BUILTIN_ID
            return KINDS.index(entry.kind), not builtin, entry.name, entry.plugin_id

        return sorted((e for e in self._catalogue.entries if e.kind in kinds), key=order)

    def plugins(self) -> list[PluginInfo]:
        """Return the plugins that were loaded; the built-in one is the first.

        Examples
        --------
        >>> [plugin.plugin_id for plugin in Registry(plugins=[]).plugins()]
        ['lungpatch']
        """
        return list(self._catalogue.plugins)

    def failures(self) -> list[PluginFailure]:
        """Return the plugins that could not be loaded.

        Examples
        --------
        >>> import json
        >>> Registry(plugins=[json]).failures()[0].error
        'has no hook: write lungpatch_register(register) and decorate it with @lungpatch.hookimpl'
        """
        return list(self._catalogue.failures)

    def find(self, kind: str, name: str) -> Entry:
        """Return the entry of a component.

        Parameters
        ----------
        kind : {"segmenter", "sampler", "extractor", "model", "scorer", "thresholder"}
        name : str
            Bare or full name.

        Returns
        -------
        Entry

        Raises
        ------
        UnknownComponentError
            If no loaded plugin offers a component of this name.
        AmbiguousComponentError
            If several plugins offer one, and none is built in.
        ConfigurationError
            If there is no such kind.

        Examples
        --------
        >>> Registry(plugins=[]).find("scorer", "sda")
        Traceback (most recent call last):
        ...
        lungpatch.errors.UnknownComponentError: there is no scorer 'sda'; did you mean 'sad'? There
        is: feature, l2, sad, ssim
        """
        entries = self.entries(kind)
        found = [entry for entry in entries if entry.full_name == name]
        found = found or [entry for entry in entries if entry.name == name]
        if not found:
            raise UnknownComponentError(self._unknown(kind, name))
        # Built-in ones come first, and keep their bare names.
        if len(found) > 1 and found[0].plugin_id != BUILTIN_ID:
            offers = " and ".join(repr(entry.full_name) for entry in found)
            raise AmbiguousComponentError(
                f"the {kind} {name!r} is offered by several plugins: write {offers} in full"
            )
        return found[0]

    def shortest_name(self, entry: Entry) -> str:
        """Return the bare name of a component if it is unambiguous, else the full name.

        Examples
        --------
        >>> registry = Registry(plugins=[])
        >>> registry.shortest_name(registry.find("scorer", "lungpatch/sad"))
        'sad'
        """
        try:
            return entry.name if self.find(entry.kind, entry.name) == entry else entry.full_name
        except AmbiguousComponentError:
            return entry.full_name

    def load(self, kind: str, name: str) -> type:
        """Import the class of a component.

        Parameters
        ----------
        kind, name : str
            As for `find`.

        Returns
        -------
        type

        Raises
        ------
        PluginError
            If it cannot be imported, is no attrs class, or lacks a member that its kind needs.
        UnknownComponentError, AmbiguousComponentError, ConfigurationError
            As for `find`.

        Examples
        --------
        >>> Registry(plugins=[]).load("scorer", "sad")
        <class 'lungpatch.scorers.sad.SADScorer'>
        """
        return _load(self.find(kind, name))

    def create(self, kind: str, name: str, settings: Mapping[str, Any], *, path: str = "") -> Any:
        """Create a component from its settings.

        Parameters
        ----------
        kind, name : str
            As for `find`.
        settings : mapping
            Values by name, as TOML or JSON give them: lists become tuples, and integers become
            floats where a setting is a float. A setting that is a component itself is a table
            with its ``name`` and settings.
        path : str
            Table of a configuration that it comes from, such as ``"model"``; messages begin
            with it.

        Returns
        -------
        object
            The component.

        Raises
        ------
        ConfigurationError
            If a setting is unknown or missing, or a value has the wrong type or is out of range.
        PluginError, UnknownComponentError, AmbiguousComponentError
            As for `load`.

        Examples
        --------
        >>> Registry(plugins=[]).create("thresholder", "quantile", {"q": 2})
        Traceback (most recent call last):
        ...
        lungpatch.errors.ConfigurationError: thresholder 'quantile': 'q' must be <= 1: 2.0; given:
        q = 2
        """
        with placed(path):
            component = self.load(kind, name)

        def create_inner(kind: Kind, table: Mapping[str, Any], path: str) -> Any:
            return self.create_from_table(kind, table, path=path)

        return create_component(
            component, settings, label=f"{kind} {name!r}", path=path, create=create_inner
        )

    def create_from_table(self, kind: str, table: Mapping[str, Any], *, path: str) -> Any:
        """Create a component from a table of a configuration, which also holds its ``name``.

        Parameters
        ----------
        kind : str
        table : mapping
            The ``name`` and the settings.
        path : str
            As for `create`.

        Returns
        -------
        object
            The component.

        Raises
        ------
        ConfigurationError
            As for `create`, and if ``table`` is no table or has no name.
        PluginError, UnknownComponentError, AmbiguousComponentError
            As for `load`.

        Examples
        --------
        >>> registry = Registry(plugins=[])
        >>> registry.create_from_table("scorer", {"name": "sad", "region": "patch"}, path="scorer")
        SADScorer(reduction='mean', region='patch')
        """
        if not isinstance(table, Mapping):
            raise ConfigurationError(f"[{path}] must be a table, got {table!r}")
        settings = dict(table)
        name = settings.pop("name", None)
        if not isinstance(name, str):
            known = ", ".join(self.names(kind))
            raise ConfigurationError(f"[{path}] needs a name, one of: {known}")
        return self.create(kind, name, settings, path=path)

    def settings(self, component: object) -> dict[str, Any]:
        """Return the settings of a component as JSON can hold them; `create` takes them back.

        Raises
        ------
        ConfigurationError
            If a setting is not a number, string, boolean, None, component, or a tuple of these.

        Examples
        --------
        >>> registry = Registry(plugins=[])
        >>> registry.settings(registry.create("thresholder", "quantile", {"q": 1}))
        {'q': 1.0}
        """
        return component_settings(component, name_of=self.name_of)

    def name_of(self, kind: str, component: object) -> str:
        """Return the full name of the class of a component.

        Raises
        ------
        ConfigurationError
            If its class is not registered.

        Examples
        --------
        >>> registry = Registry(plugins=[])
        >>> registry.name_of("scorer", registry.create("scorer", "sad", {}))
        'lungpatch/sad'
        """
        component_class = type(component)

        def has_other_name(entry: Entry) -> bool:
            return entry.target.rpartition(":")[2] != component_class.__qualname__

        # Those of the same name first: a lazy package imports a module for each that is looked up.
        for entry in sorted(self.entries(kind), key=has_other_name):
            if _imported(entry) is component_class:
                return entry.full_name
        raise ConfigurationError(
            f"{component_class.__module__}.{component_class.__qualname__} is not registered as a "
            f"{kind}, so nothing can refer to it by name: register it in a plugin, with "
            f'register.{kind}("its-name", {component_class.__qualname__}, summary="...") in a '
            "function lungpatch_register(register) decorated with @lungpatch.hookimpl"
        )

    def _unknown(self, kind: str, name: object) -> str:
        names = self.names(kind)
        everything = {*names, *(entry.full_name for entry in self.entries(kind))}
        hint = did_you_mean(name, everything)
        text = f"there is no {kind} {name!r}{hint} There is: {', '.join(names)}"
        failed = [f"{failure.plugin_id} ({failure.error})" for failure in self.failures()]
        return f"{text}. Plugins that failed to load: {'; '.join(failed)}" if failed else text


@functools.cache
def default_registry() -> Registry:
    """Return the registry of the built-in components and all installed plugins.

    Examples
    --------
    >>> default_registry() is default_registry()
    True
    """
    return Registry()


def plugin_report(
    registry: Registry, kind: str | None = None, *, check: bool = False
) -> list[dict[str, Any]]:
    """Return one row for each component and for each plugin that failed to load.

    Parameters
    ----------
    registry : Registry
    kind : str, optional
        Only components of this kind.
    check : bool
        Whether to import every component. This is slow, and finds those that cannot work.

    Returns
    -------
    list of dict
        Can be written as JSON. Keys: ``kind``, ``name``, ``full_name``, ``plugin``, ``version``,
        ``summary``, ``status`` (``"ok"`` or ``"error"``) and ``error``. Values that do not apply
        are None: a plugin that failed to load has no kind and no name.

    Raises
    ------
    ConfigurationError
        If there is no such kind.

    Examples
    --------
    >>> for row in plugin_report(Registry(plugins=[]), kind="sampler"):
    ...     print(row["name"], row["status"], row["summary"])
    grid ok Cuts overlapping patches on a regular grid, border included.
    lung-crop ok One patch per image: both lungs, brought to one size and position.
    random ok Cuts patches at random positions in the lung; for training.
    """
    rows: list[dict[str, Any]] = []
    for entry in registry.entries(kind):
        error = None
        if check:
            try:
                _load(entry)
            except PluginError as failure:
                error = str(failure)
        rows.append(
            {
                "kind": entry.kind,
                "name": registry.shortest_name(entry),
                "full_name": entry.full_name,
                "plugin": entry.plugin_id,
                "version": entry.version,
                "summary": entry.summary,
                "status": "error" if error else "ok",
                "error": error,
            }
        )
    rows += [
        {
            "kind": None,
            "name": None,
            "full_name": None,
            "plugin": plugin.plugin_id,
            "version": plugin.version,
            "summary": None,
            "status": "error",
            "error": plugin.error,
        }
        for plugin in registry.failures()
    ]
    return rows


def _check_kind(kind: str) -> Kind:
    for known in KINDS:
        if kind == known:
            return known
    raise ConfigurationError(
        f"there is no kind of component {kind!r}{did_you_mean(kind, KINDS)} "
        f"Kinds: {', '.join(KINDS)}"
    )


def _load(entry: Entry) -> type:
    what = f"the {entry.kind} {entry.name!r} of the plugin {entry.plugin_id!r} ({entry.target})"
    try:
        component = entry.target_class or _import(entry.target)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin may even call sys.exit
        raise PluginError(f"{what} cannot be imported: {describe_error(error)}") from error
    if not isinstance(component, type) or not attrs.has(component):
        raise PluginError(f"{what} is no attrs class: write @attrs.define(kw_only=True, eq=False)")
    if "name" in setting_names(component):
        raise PluginError(
            f"{what}: no setting may be called 'name': tables hold the component's own"
        )
    fields = attrs.fields_dict(component)
    missing = [
        member
        for member in protocols.members(entry.kind)
        if member not in fields and not hasattr(component, member)
    ]
    if missing:
        raise PluginError(f"{what} is no {entry.kind}: it lacks {', '.join(missing)}")
    return component


def _import(target: str) -> Any:
    module_name, _, path = target.partition(":")
    return functools.reduce(getattr, path.split("."), importlib.import_module(module_name))


def _imported(entry: Entry) -> object:
    """Return the class of an entry if its module is imported, as it is where an instance exists."""
    if entry.target_class is not None:
        return entry.target_class
    module_name, _, path = entry.target.partition(":")
    try:
        return functools.reduce(getattr, path.split("."), sys.modules[module_name])
    except Exception:  # not imported, or a lazy attribute of a plugin that fails
        return None
