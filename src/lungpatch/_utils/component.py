"""Base of components and pipelines: scikit-learn's parameters, and errors in plain words."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import attrs

from lungpatch._utils.forks import make_torch_fork_safe
from lungpatch._utils.suggestions import did_you_mean
from lungpatch.errors import ConfigurationError, LungpatchError

EXECUTION = "execution"
"""Key in a field's metadata: the setting changes where results are computed, not the results."""


# Every component comes through here, and so does whatever runs torch.
make_torch_fork_safe()


class Component:
    """Base class that gives an attrs class scikit-learn's ``get_params`` and ``set_params``.

    The parameters are the settings, by the names that the constructor takes. The settings of a
    component that is a setting itself follow after two underscores: ``scorer__reduction``. An item
    of a tuple of attrs objects is named by its index: ``members__0__weight``.

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

    @classmethod
    def __attrs_init_subclass__(cls) -> None:
        """Let classes that were defined without `plain_errors` raise plain errors, too."""
        made: Any = cls  # by attrs: it calls this
        validators = (field.validator for field in attrs.fields(made))
        if not all(check is None or isinstance(check, _PlainValidator) for check in validators):
            for method in ("__init__", "__setattr__"):
                setattr(cls, method, _raising_plain_errors(cls, getattr(cls, method)))

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
        """Change settings by name: all of them or, if one is refused, none.

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
    touched: dict[int, Any] = {id(component): component}
    try:
        # Whole components first, so that their settings are then set on the new ones.
        for name in sorted(params, key=lambda name: name.count("__")):
            path, field = _find(component, name)
            touched |= {id(part): part for part in path}
            owner = path[-1]
            changed.append((owner, field, getattr(owner, field)))
            try:
                setattr(owner, field, params[name])
            except attrs.exceptions.FrozenInstanceError as error:
                raise ConfigurationError(
                    f"{type(owner).__name__} is frozen: make a new one to change {field!r}"
                ) from error
        # Validators check one setting at a time; how settings fit each other is checked here, in
        # the innermost parts first.
        for part in reversed(touched.values()):
            if check := getattr(part, "__attrs_post_init__", None):
                check()
    except BaseException:
        for owner, field, old in changed:
            object.__setattr__(owner, field, old)  # the very same object: no converter runs
        raise


def find_components(component: Any, prefix: str = "") -> dict[str, Any]:
    """Return the attrs objects among the settings of an attrs object, by parameter name.

    Those among their settings are there too, at any depth.

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


def set_execution(
    pipeline: Any, *, device: str | None = None, precision: str | None = None
) -> None:
    """Set where all networks of a pipeline run, and what models and extractors compute in.

    Parameters
    ----------
    pipeline : Pipeline
        If it is fitted, it stays so.
    device : {"auto", "cpu", "cuda", "mps"}, optional
    precision : {"float32", "bfloat16"}, optional

    Examples
    --------
    >>> import lungpatch
    >>> pipeline = lungpatch.load_preset("default")
    >>> set_execution(pipeline, device="cpu")
    >>> pipeline.segmenter.device, pipeline.model.members[0].model.extractor.device
    ('cpu', 'cpu')
    """
    for component in find_components(pipeline).values():
        for name, value in (("device", device), ("precision", precision)):
            if value is not None and hasattr(component, name):
                setattr(component, name, value)


def result_settings(component: Any) -> dict[str, Any]:
    """Return the plain settings of an attrs object that its results depend on, by name.

    Left out are components, and settings whose field has ``metadata={"execution": True}``: these
    say where something runs, not what it computes.

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


def plain_errors(_cls: type, fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    """Make validators and converters raise a `ConfigurationError` in one clean sentence.

    This is a ``field_transformer`` for `attrs.define`. It holds for constructors and for
    assignments; attrs' own validators raise tuples of a message and of objects.

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
            validator=_plain_validator(field.validator), converter=_plain_converter(field.converter)
        )
        for field in fields
    ]


def error_text(error: BaseException) -> str:
    """Return what attrs or Python say is wrong with a setting, on one line of limited length.

    Examples
    --------
    >>> error_text(TypeError("'q' must be <class 'float'> (got 1).", "the attribute", 1))
    "'q' must be float (got 1)"
    """
    # attrs puts the message first, then the attribute, what was expected and the value.
    message = _one_line(str(error.args[0]) if error.args else type(error).__name__)
    message = _CLASS.sub(r"\1", message)
    message = _CLASSES.sub(lambda found: found[1].replace(", ", " or "), message).rstrip(".")
    return _cut(message, _MAX_MESSAGE)


_CLASS = re.compile(r"<class '(?:[\w<>]+\.)*(\w+)'>")
_CLASSES = re.compile(r"(?<=must be )\((\w+(?:, \w+)+)\)")
_MAX_MESSAGE = 400
_MAX_VALUE = 80


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}..."


def _raising_plain_errors(cls: type, method: Callable[..., None]) -> Callable[..., None]:
    """Wrap a method, so that what attrs' validators raise in it is a `ConfigurationError`."""

    @functools.wraps(method)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            method(self, *args, **kwargs)
        except LungpatchError:
            raise
        except (TypeError, ValueError) as error:
            # Messages of validators begin with the name of the field.
            named = re.match(r"'(\w+)' ", str(error.args[0]) if error.args else "")
            if not named or named[1] not in {field.name for field in attrs.fields(cls)}:
                raise
            raise ConfigurationError(f"{type(self).__name__}: {error_text(error)}") from error

    return wrapper


def _plain_validator(validator: Any) -> Any:
    # The fields of a base class have been transformed already.
    if validator is None or isinstance(validator, _PlainValidator):
        return validator
    return _PlainValidator(validator)


@attrs.frozen
class _PlainValidator:
    check: Callable[[Any, attrs.Attribute[Any], Any], None]

    def __call__(self, instance: Any, field: attrs.Attribute[Any], value: Any) -> None:
        with _plain(instance, field, value):
            _refuse_bool(field, value)
            self.check(instance, field, value)


def _refuse_bool(field: attrs.Attribute[Any], value: Any) -> None:
    """Refuse True and False for a number: in Python they are integers."""
    kinds = re.findall(r"\w+", str(field.type))  # an annotation, or a type
    values = value if isinstance(value, tuple) else (value,)
    if "bool" not in kinds and {"int", "float"} & set(kinds):
        for item in values:
            if isinstance(item, bool):
                raise TypeError(f"{field.name!r} must be a number (got {item})")


def _plain_converter(converter: Any) -> Any:
    if converter is None:
        return None
    if not isinstance(converter, attrs.Converter):
        converter = attrs.Converter(converter)
    if isinstance(converter.converter, _PlainConverter):
        return converter
    return attrs.Converter(_PlainConverter(converter), takes_self=True, takes_field=True)


@attrs.frozen
class _PlainConverter:
    convert: Any  # an attrs.Converter

    def __call__(self, value: Any, instance: Any, field: attrs.Attribute[Any]) -> Any:
        with _plain(instance, field, value):
            return self.convert(value, instance, field)


@contextmanager
def _plain(instance: Any, field: attrs.Attribute[Any], value: Any) -> Iterator[None]:
    """Turn what the block raises about a setting into a `ConfigurationError` that names it."""
    try:
        yield
    except ConfigurationError as error:
        raise _refusal(instance, field, value, error) from error
    except LungpatchError:
        raise
    except (TypeError, ValueError, ArithmeticError) as error:
        raise _refusal(instance, field, value, error) from error


def _refusal(
    instance: Any, field: attrs.Attribute[Any], value: Any, error: Exception
) -> ConfigurationError:
    name, problem = field.alias or field.name, error_text(error)
    if name not in re.findall(r"\w+", problem):
        problem = f"{name!r} cannot be {_cut(_one_line(repr(value)), _MAX_VALUE)}: {problem}"
    return ConfigurationError(f"{type(instance).__name__}: {problem}")


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


def _find(component: Any, name: str, path: tuple[Any, ...] = ()) -> tuple[tuple[Any, ...], str]:
    """Return the objects on the way to a parameter, and its attribute in the last of them."""
    path = (*path, component)
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
        return path, fields[head].name
    value = getattr(component, fields[head].name)
    index, _, deeper = rest.partition("__")
    if isinstance(value, tuple) and index.isdigit() and int(index) < len(value) and deeper:
        value, rest = value[int(index)], deeper
    if not attrs.has(type(value)):
        raise ConfigurationError(
            f"{type(component).__name__}: {head!r} is {value!r}, which has no setting {rest!r}"
        )
    return _find(value, rest, path)
