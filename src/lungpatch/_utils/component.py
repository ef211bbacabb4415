"""What components and pipelines share: scikit-learn's parameters, and errors in plain words."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import attrs

from lungpatch._utils.suggestions import did_you_mean
from lungpatch.errors import ConfigurationError, LungpatchError

EXECUTION = "execution"
"""Key of a field's metadata: the setting does not change results, only where they are computed."""


class Component:
    """Gives an attrs class scikit-learn's ``get_params`` and ``set_params``.

    Parameters are the settings, by the names that the constructor takes. A setting that is a
    component itself has its own settings after two underscores: ``scorer__reduction``; an item of
    a tuple of attrs objects is named by its place: ``members__0__weight``.

    Examples
    --------
    >>> from lungpatch.scorers import SADScorer
    >>> scorer = SADScorer()
    >>> scorer.get_params()
    {'reduction': 'mean', 'region': 'lung'}
    >>> scorer.set_params(reduction="sum")
    SADScorer(reduction='sum', region='lung')
    """

    __slots__ = ()

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the settings by name.

        Parameters
        ----------
        deep : bool
            Whether to add the settings of components that are settings.

        Returns
        -------
        dict
        """
        return get_params(self, deep=deep)

    def set_params(self, **params: Any) -> Self:
        """Change settings by name; all of them or, where one is refused, none.

        Parameters
        ----------
        **params
            Such as ``scorer__reduction="sum"``.

        Returns
        -------
        Component
            Itself.

        Raises
        ------
        ConfigurationError
            If there is no such setting, or a value is not allowed.
        """
        set_params(self, params)
        return self


def get_params(component: Any, *, deep: bool = True) -> dict[str, Any]:
    """Return the settings of an attrs object by name; see `Component.get_params`.

    Examples
    --------
    >>> from lungpatch.scorers import SADScorer
    >>> get_params(SADScorer())
    {'reduction': 'mean', 'region': 'lung'}
    """
    params: dict[str, Any] = {}
    for name, value in _settings(component):
        params[name] = value
        if deep:
            for prefix, inner in _inner(name, value):
                if prefix != name:
                    params[prefix] = inner
                params |= {f"{prefix}__{key}": item for key, item in get_params(inner).items()}
    return params


def set_params(component: Any, params: Mapping[str, Any]) -> None:
    """Change settings of an attrs object by name; see `Component.set_params`.

    Examples
    --------
    >>> from lungpatch.scorers import SADScorer
    >>> set_params(SADScorer(), {"reduktion": "sum"})
    Traceback (most recent call last):
    ...
    lungpatch.errors.ConfigurationError: SADScorer has no setting 'reduktion'; did you mean
    'reduction'? Its settings: reduction, region
    """
    changed: list[tuple[Any, str, Any]] = []
    try:
        # Whole components first, so that their settings are then set on the new ones.
        for name in sorted(params, key=lambda name: name.count("__")):
            owner, field = _owner(component, name)
            changed.append((owner, field, getattr(owner, field)))
            setattr(owner, field, params[name])
        for owner in {
            id(owner): owner for owner, _, _ in [(component, "", None), *changed]
        }.values():
            # Attrs checks one setting at a time; how they go together is checked here.
            if check := getattr(owner, "__attrs_post_init__", None):
                check()
    except BaseException:
        for owner, field, old in reversed(changed):
            setattr(owner, field, old)
        raise


def find_components(component: Any, prefix: str = "") -> dict[str, Any]:
    """Return the attrs objects among the settings of one, at any depth, by parameter name.

    Examples
    --------
    >>> from lungpatch.models import PCA, EnsembleModel, Member
    >>> from lungpatch.scorers import SADScorer
    >>> ensemble = EnsembleModel(members=[Member(model=PCA(), scorer=SADScorer())])
    >>> list(find_components(ensemble))
    ['members__0', 'members__0__model', 'members__0__scorer']
    """
    found: dict[str, Any] = {}
    for name, value in _settings(component):
        for path, inner in _inner(prefix + name, value):
            found[path] = inner
            found |= find_components(inner, f"{path}__")
    return found


def result_settings(component: Any) -> dict[str, Any]:
    """Return the plain settings of an attrs object that its results depend on, by name.

    A setting whose field has ``metadata={"execution": True}`` says where something runs, not what
    it computes, and is left out; so are components.

    Examples
    --------
    >>> from lungpatch.models import Autoencoder
    >>> "device" in result_settings(Autoencoder()), "epochs" in result_settings(Autoencoder())
    (False, True)
    """
    return {
        field.alias or field.name: value
        for field in attrs.fields(type(component))
        if field.init and not field.metadata.get(EXECUTION)
        for value in [getattr(component, field.name)]
        if not list(_inner("", value))
    }


def plain_errors(cls: type, fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    """Let what validators and converters raise reach the user as one clean sentence.

    A ``field_transformer`` for `attrs.define`: attrs' own validators raise tuples of a message
    and of objects, in constructors and at assignments alike.

    Examples
    --------
    >>> from lungpatch.scorers import SADScorer
    >>> SADScorer(reduction="total")
    Traceback (most recent call last):
    ...
    lungpatch.errors.ConfigurationError: SADScorer: 'reduction' must be in ('mean', 'sum') (got
    'total')
    """
    return [
        field.evolve(
            validator=_plain_validator(cls, field.validator),
            converter=_plain_converter(cls, field.converter, field.alias or field.name),
        )
        for field in fields
    ]


def error_text(error: BaseException) -> str:
    """Return the first line of what attrs or Python say is wrong with a setting.

    Examples
    --------
    >>> error_text(TypeError("'q' must be <class 'float'> (got 1).", "the attribute", 1))
    "'q' must be float (got 1)"
    """
    # attrs puts the message first, then the attribute, what was expected and the value.
    message = str(error.args[0]) if error.args else type(error).__name__
    return re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", message).rstrip(".")


def _plain_validator(cls: type, validator: Any) -> Any:
    if validator is None or isinstance(validator, _PlainValidator):
        return validator
    return _PlainValidator(cls.__name__, validator)


@attrs.frozen
class _PlainValidator:
    owner: str
    inner: Callable[[Any, attrs.Attribute[Any], Any], None]

    def __call__(self, instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        try:
            self.inner(instance, attribute, value)
        except LungpatchError:
            raise
        except (TypeError, ValueError, ArithmeticError) as error:
            owner = type(instance).__name__ if instance is not None else self.owner
            raise ConfigurationError(f"{owner}: {error_text(error)}") from error


def _plain_converter(cls: type, converter: Any, name: str) -> Any:
    if converter is None or isinstance(converter, attrs.Converter):
        return converter
    if getattr(converter, "__lungpatch_plain__", False):
        return converter

    @functools.wraps(converter, updated=())
    def convert(value: Any) -> Any:
        try:
            return converter(value)
        except LungpatchError:
            raise
        except (TypeError, ValueError) as error:
            raise ConfigurationError(
                f"{cls.__name__}: {name!r} cannot be {value!r}: {error_text(error)}"
            ) from error

    convert.__lungpatch_plain__ = True  # type: ignore[attr-defined]
    return convert


def _settings(component: Any) -> Iterator[tuple[str, Any]]:
    for field in attrs.fields(type(component)):
        if field.init:
            yield field.alias or field.name, getattr(component, field.name)


def _inner(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the attrs objects of a setting: itself, or the items of a tuple, with their names."""
    if attrs.has(type(value)):
        yield name, value
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            if attrs.has(type(item)):
                yield f"{name}__{index}", item


def _owner(component: Any, name: str) -> tuple[Any, str]:
    """Return the object that a parameter belongs to, and its attribute there."""
    head, _, rest = name.partition("__")
    fields = {
        field.alias or field.name: field for field in attrs.fields(type(component)) if field.init
    }
    if head not in fields:
        known = f" Its settings: {', '.join(fields)}" if fields else " It has no settings"
        raise ConfigurationError(
            f"{type(component).__name__} has no setting {head!r}{did_you_mean(head, fields)}{known}"
        )
    if not rest:
        return component, fields[head].name
    value = getattr(component, fields[head].name)
    index, _, deeper = rest.partition("__")
    if isinstance(value, tuple) and index.isdigit() and int(index) < len(value) and deeper:
        value, rest = value[int(index)], deeper
    if not attrs.has(type(value)):
        raise ConfigurationError(
            f"{type(component).__name__}: {head!r} is {value!r}, which has no setting {rest!r}"
        )
    return _owner(value, rest)
