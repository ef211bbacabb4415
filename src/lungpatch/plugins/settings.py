"""Settings of components: from plain values to a component and back."""

from __future__ import annotations

import re
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs

from lungpatch._utils.component import error_text
from lungpatch._utils.suggestions import did_you_mean
from lungpatch.errors import ConfigurationError, LungpatchError, PluginError

if TYPE_CHECKING:
    from lungpatch.protocols import Kind

_PLAIN = (bool, int, float, str, type(None))


def setting_names(component: type) -> list[str]:
    """Return the names of the settings of a component class, in order.

    Examples
    --------
    >>> from lungpatch.scorers.sad import SADScorer
    >>> setting_names(SADScorer)
    ['reduction', 'region']
    """
    return [field.alias or field.name for field in _fields(component)]


def create_component(
    component: type,
    settings: Mapping[str, Any],
    *,
    label: str,
    path: str = "",
    create: Callable[[Kind, Mapping[str, Any], str], Any] | None = None,
) -> Any:
    """Create a component from settings as TOML or JSON give them.

    Lists become tuples, and integers become floats where a setting is a float. A setting whose
    field has ``metadata={"component": kind}`` is a component itself, given as a table with its
    ``name`` and its settings. A setting with ``metadata={"tables": Table}`` is a list of tables,
    each with the settings of the attrs class ``Table``.

    Parameters
    ----------
    component : type
        An attrs class.
    settings : mapping
        Values by name.
    label : str
        Name of the component in messages, such as ``"scorer 'sad'"``.
    path : str
        Table of a configuration that it comes from, such as ``"model.members[0].scorer"``;
        messages begin with it. Empty for a component by itself.
    create : callable, optional
        Called as ``create(kind, table, path)`` to create components that are settings.

    Returns
    -------
    object
        An instance of ``component``.

    Raises
    ------
    ConfigurationError
        If a setting is unknown or missing, or a value has the wrong type or is out of range.
    PluginError
        If the class fails for another reason.

    Examples
    --------
    >>> from lungpatch.scorers.sad import SADScorer
    >>> create_component(SADScorer, {"reduktion": "sum"}, label="scorer 'sad'")
    Traceback (most recent call last):
    ...
    lungpatch.errors.ConfigurationError: scorer 'sad' has no setting 'reduktion'; did you mean
    'reduction'? Its settings: reduction, region
    """
    fields = {field.alias or field.name: field for field in _fields(component)}
    with placed(path):
        _check_names(fields, settings, label)
    inner = {
        name: _create_inner(fields[name], value, f"{path}.{name}".lstrip("."), create)
        for name, value in settings.items()
        if _holds_components(fields[name])
    }
    with placed(path):
        return _create(component, fields, settings, inner, label)


@contextmanager
def placed(path: str) -> Iterator[None]:
    """Let errors of lungpatch within the block begin with their table in a configuration.

    Examples
    --------
    >>> with placed("model.extractor"):
    ...     raise ConfigurationError("'scales' must be tuple")
    Traceback (most recent call last):
    ...
    lungpatch.errors.ConfigurationError: [model.extractor]: 'scales' must be tuple
    """
    try:
        yield
    except LungpatchError as error:
        if not path:
            raise
        raise type(error)(f"[{path}]: {error}") from error


def component_settings(
    component: object, *, name_of: Callable[[Kind, object], str] | None = None
) -> dict[str, Any]:
    """Return the settings of a component as JSON can hold them, with lists for tuples.

    Parameters
    ----------
    component : object
        Of an attrs class.
    name_of : callable, optional
        Called as ``name_of(kind, component)`` to name components that are settings.

    Raises
    ------
    ConfigurationError
        If a setting is anything else.

    Examples
    --------
    >>> from lungpatch.scorers.sad import SADScorer
    >>> component_settings(SADScorer(reduction="sum"))
    {'reduction': 'sum', 'region': 'lung'}
    """
    settings: dict[str, Any] = {}
    for field in _fields(type(component)):
        value = getattr(component, field.name)
        if "tables" in field.metadata:
            value = [component_settings(table, name_of=name_of) for table in value]
        elif "component" in field.metadata and value is not None:
            assert name_of is not None  # the registry's own way in
            kind = field.metadata["component"]
            value = {"name": name_of(kind, value)} | component_settings(value, name_of=name_of)
        else:
            value = _plain(value, field, component)
        settings[field.alias or field.name] = value
    return settings


def inner_components(component: object) -> Iterator[tuple[str, Kind, Any]]:
    """Yield the components among the settings of a component, at any depth.

    Yields
    ------
    path : str
        Such as ``"members[0].scorer"``.
    kind : str
    component : object

    Examples
    --------
    >>> from lungpatch.models.ensemble import EnsembleModel, Member
    >>> from lungpatch.models.pca import PCA
    >>> from lungpatch.scorers.sad import SADScorer
    >>> model = EnsembleModel(members=[Member(model=PCA(), scorer=SADScorer())])
    >>> [(path, kind) for path, kind, _ in inner_components(model)]
    [('members[0].model', 'model'), ('members[0].scorer', 'scorer')]
    """
    for field in _fields(type(component)):
        name, value = field.alias or field.name, getattr(component, field.name)
        if "component" in field.metadata and value is not None:
            yield name, field.metadata["component"], value
            for path, kind, inner in inner_components(value):
                yield f"{name}.{path}", kind, inner
        elif "tables" in field.metadata:
            for index, table in enumerate(value):
                for path, kind, inner in inner_components(table):
                    yield f"{name}[{index}].{path}", kind, inner


def _check_names(
    fields: Mapping[str, attrs.Attribute[Any]], settings: Mapping[str, Any], label: str
) -> None:
    known = f"Its settings: {', '.join(fields)}" if fields else "It has no settings"
    for name in settings:
        if name not in fields:
            raise ConfigurationError(
                f"{label} has no setting {name!r}{did_you_mean(name, fields)} {known}"
            )
    for name, field in fields.items():
        if field.default is attrs.NOTHING and name not in settings:
            raise ConfigurationError(f"{label} needs the setting {name!r}. {known}")


def _holds_components(field: attrs.Attribute[Any]) -> bool:
    return "component" in field.metadata or "tables" in field.metadata


def _create_inner(
    field: attrs.Attribute[Any],
    value: Any,
    path: str,
    create: Callable[[Kind, Mapping[str, Any], str], Any] | None,
) -> Any:
    """Create the component, or the objects of the tables, that are the value of a setting."""
    assert create is not None  # the registry's own way in
    if "component" in field.metadata:
        # None (null in JSON) is a component that is left out.
        return None if value is None else create(field.metadata["component"], value, path)
    if not isinstance(value, (list, tuple)) or not all(isinstance(t, Mapping) for t in value):
        raise ConfigurationError(f"[{path}] must be a list of tables, got {value!r}")
    table_class = field.metadata["tables"]
    return tuple(
        create_component(
            table_class, table, label="this table", path=f"{path}[{index}]", create=create
        )
        for index, table in enumerate(value)
    )


def _create(
    component: type,
    fields: Mapping[str, attrs.Attribute[Any]],
    settings: Mapping[str, Any],
    inner: Mapping[str, Any],
    label: str,
) -> Any:
    given = {name: value for name, value in settings.items() if name not in inner}
    try:
        values = {
            name: inner[name]
            if name in inner
            else _converted(name, value, _type_of(component, fields[name]))
            for name, value in settings.items()
        }
        return component(**values)
    except ConfigurationError as error:
        # Components name themselves, too.
        problem = str(error).removeprefix(f"{component.__name__}: ")
        raise ConfigurationError(_refusal(label, problem, given)) from error
    except LungpatchError:
        raise
    except (TypeError, ValueError, ArithmeticError) as error:
        raise ConfigurationError(_refusal(label, error_text(error), given)) from error
    except Exception as error:
        raise PluginError(f"{label} cannot be created: {type(error).__name__}: {error}") from error


def _fields(component: type) -> list[attrs.Attribute[Any]]:
    return [field for field in attrs.fields(component) if field.init]


def _plain(value: Any, field: attrs.Attribute[Any], component: object) -> Any:
    if isinstance(value, (tuple, list)):
        return [_plain(item, field, component) for item in value]
    if isinstance(value, _PLAIN):
        return value
    raise ConfigurationError(
        f"{type(component).__name__}: the setting {field.alias!r} is {value!r}, which cannot be "
        "saved: settings are numbers, strings, booleans, None, and tuples of them"
    )


def _refusal(label: str, problem: str, settings: Mapping[str, Any]) -> str:
    """Return the problem and the settings that it speaks of, or all settings."""
    words = set(re.findall(r"\w+", problem))
    named = [name for name in settings if name in words]
    given = ", ".join(f"{name} = {settings[name]!r}" for name in named or settings)
    return f"{label}: {problem}; given: {given}" if given else f"{label}: {problem}"


def _type_of(component: type, field: attrs.Attribute[Any]) -> Any:
    """Resolve the annotation of a field; None where that is impossible.

    Fields are resolved one by one, because `typing.get_type_hints` of the whole class fails if the
    annotation of any field names a type that is imported for type checkers only.
    """
    hint: Any = field.type
    if not isinstance(hint, str):
        return hint
    for base in component.__mro__:
        holder = types.SimpleNamespace(__annotations__={"it": hint})
        namespace = vars(sys.modules[base.__module__])
        try:
            return typing.get_type_hints(holder, namespace)["it"]
        except Exception:  # the annotation is code of the plugin
            continue
    return None


def _converted(name: str, value: Any, hint: Any) -> Any:
    """Convert a value of TOML or JSON to the type of its setting.

    Raises
    ------
    TypeError
        If it cannot be converted.
    """
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    options = typing.get_args(hint) if union else (hint,)
    if isinstance(value, (list, tuple)):
        items = next((typing.get_args(o) for o in options if typing.get_origin(o) is tuple), ())
        if len(items) == 2 and items[1] is Ellipsis:
            items = (items[0],) * len(value)
        if len(items) != len(value):
            items = (None,) * len(value)
        return tuple(_converted(name, item, hint) for item, hint in zip(value, items, strict=True))
    if type(value) is int and float in options and int not in options:
        value = float(value)
    if all(option in _PLAIN for option in options):
        # Checked here as well as in validators, because in Python True is an integer.
        fits = bool in options if isinstance(value, bool) else isinstance(value, options)
        if not fits:
            expected = " or ".join(option.__name__ for option in options)
            raise TypeError(f"{name!r} must be {expected} (got a {type(value).__name__})")
    return value
