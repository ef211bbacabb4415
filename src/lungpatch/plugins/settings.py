"""Settings of components: from plain values to a component, and back."""

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
    """Return the names of a component class's settings, in order.

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
    """Make a component from settings as TOML or JSON give them.

    Lists become tuples, and integers become floats where a setting is a float. A setting whose
    field has ``metadata={"component": kind}`` is a component itself, given as a table with its
    ``name`` and settings; with ``metadata={"tables": Table}`` it is a list of tables, each with
    the settings of the attrs class ``Table``.

    Parameters
    ----------
    component : type
        An attrs class.
    settings : mapping
        Values by name.
    label : str
        What messages call it, such as ``"scorer 'sad'"``.
    path : str
        Where it is in the whole of a configuration, such as ``"model.members[0].scorer"``;
        messages begin with it. Empty for a component by itself.
    create : callable, optional
        Called as ``create(kind, table, path)`` to make components that are settings.

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
    """Let errors of ours within the block begin with their place in a configuration.

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
    """Return a component's settings as JSON holds them: plain values, and lists for tuples.

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
    """Yield the components that are settings of a component, at any depth.

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
    """Make the component, or the tables, that are the value of a setting."""
    assert create is not None  # the registry's own way in
    if "component" in field.metadata:
        # JSON's null is a component that is left out, where the field's default is None.
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
    try:
        values = {
            name: inner[name]
            if name in inner
            else _converted(name, value, _type_of(component, fields[name]))
            for name, value in settings.items()
        }
        return component(**values)
    except (TypeError, ValueError, ArithmeticError) as error:
        if isinstance(error, LungpatchError) and not isinstance(error, ConfigurationError):
            raise
        given = {name: value for name, value in settings.items() if name not in inner}
        raise ConfigurationError(_refusal(label, error, given)) from error
    except LungpatchError:
        raise
    except Exception as error:
        raise PluginError(f"{label} cannot be made: {type(error).__name__}: {error}") from error


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


def _refusal(label: str, error: Exception, settings: Mapping[str, Any]) -> str:
    message = error_text(error)
    words = set(re.findall(r"\w+", message))
    named = [name for name in settings if name in words]
    given = ", ".join(f"{name} = {settings[name]!r}" for name in named or settings)
    return f"{label}: {message}; given: {given}" if given else f"{label}: {message}"


def _type_of(component: type, field: attrs.Attribute[Any]) -> Any:
    """Resolve a field's annotation; None where that is impossible.

    One by one: annotations of learnt fields may name types that are imported for type checkers
    only, which `typing.get_type_hints` of the whole class does not survive.
    """
    if not isinstance(field.type, str):
        return field.type
    for base in component.__mro__:
        holder = types.SimpleNamespace(__annotations__={"it": field.type})
        namespace = vars(sys.modules[base.__module__])
        try:
            return typing.get_type_hints(holder, namespace)["it"]
        except Exception:  # evaluates foreign text
            continue
    return None


def _converted(name: str, value: Any, hint: Any) -> Any:
    """Bring a value of TOML or JSON to the type of its setting, or refuse it."""
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
        # Here as well as in validators, because for Python True is an integer.
        fits = bool in options if isinstance(value, bool) else isinstance(value, options)
        if not fits:
            expected = " or ".join(option.__name__ for option in options)
            raise TypeError(f"{name!r} must be {expected} (got a {type(value).__name__})")
    return value
