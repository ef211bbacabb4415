"""Checks of what components of all kinds promise: how they are declared, created and shown."""

# ruff: noqa: D401 - the first line of a check's docstring is the promise that reports print

from __future__ import annotations

import json
from typing import Any

import attrs

from lungpatch.errors import PluginError
from lungpatch.plugins.hookspecs import Register, hookimpl
from lungpatch.plugins.registry import Registry
from lungpatch.plugins.settings import inner_components, setting_names
from lungpatch.testing.runner import Check, CheckFailedError, Subject, explained, require

_NAME = "checked"
_LONGEST_REPR = 1000


def loads_by_name(subject: Subject) -> None:
    """The registry takes the class and loads it by name."""
    try:
        _registry(subject).load(subject.kind, _NAME)
    except PluginError as error:
        raise CheckFailedError(f"But {error}.") from error


def declared_as_attrs_class(subject: Subject) -> None:
    """The class is declared with @attrs.define(kw_only=True, eq=False)."""
    component_class = type(subject.component)
    positional = [f.name for f in attrs.fields(component_class) if f.init and not f.kw_only]
    require(
        not positional,
        f"These settings can be given by position: {', '.join(positional)}. Add kw_only=True.",
    )
    compare: Any = component_class.__eq__
    require(
        compare is object.__eq__,
        "It compares by value, which fails for arrays. Add eq=False.",
    )


def settings_round_trip(subject: Subject) -> None:
    """Settings that are saved as JSON give the same component again."""
    registry = _registry(subject)
    text = _json(registry.settings(subject.component))
    again = _json(registry.settings(registry.create(subject.kind, _NAME, json.loads(text))))
    require(
        again == text,
        f"They were {text} and became {again}. Keep settings as they were given, and put what is "
        "derived from them into attrs.field(init=False).",
    )


def parameters_can_be_changed(subject: Subject) -> None:
    """get_params, set_params and sklearn.base.clone work, where a component has them."""
    component, component_class = subject.fresh(), type(subject.component)
    if not (hasattr(component, "get_params") or hasattr(component, "set_params")):
        return
    with explained("Derive the class from lungpatch.Component, which has both methods."):
        params = dict(component.get_params(deep=False))
        names = setting_names(component_class)
        require(
            sorted(params) == sorted(names),
            f"get_params(deep=False) names {sorted(params)}, the settings are {sorted(names)}.",
        )
        _require_set(component, params)
        _require_unknown_refused(component)
        again = component_class(**params).get_params(deep=False)
    # Identity, not equality, is what sklearn.base.clone compares.
    altered = [name for name in names if again[name] is not params[name]]
    require(
        not altered,
        f"A clone would not be the same: the class changes {', '.join(altered)}. Keep settings as "
        "they were given, and let converters return what is right already as it is.",
    )


def _require_set(component: Any, params: dict[str, Any]) -> None:
    for field in attrs.fields(type(component)):
        if field.init:
            object.__setattr__(component, field.name, None)
    returned = component.set_params(**params)
    require(
        returned is component,
        f"set_params returned {type(returned).__name__}. End it with: return self.",
    )
    found = component.get_params(deep=False)
    lost = [name for name, value in params.items() if value is not None and found[name] is None]
    require(not lost, f"set_params does not set {', '.join(lost)}.")


def _require_unknown_refused(component: Any) -> None:
    try:
        component.set_params(no_such_setting=1)
    except (AttributeError, LookupError, TypeError, ValueError):
        return
    raise CheckFailedError("set_params takes 'no_such_setting'. Refuse names that are no setting.")


def readable_repr(subject: Subject) -> None:
    """The repr is one line that begins with the name of the class and shows no array."""
    require_readable(subject.component)


def require_readable(component: object) -> None:
    """Require that the repr of a component is readable."""
    text, name = repr(component), type(component).__name__
    advice = "Give fitted fields repr=False, and let attrs write the repr."
    require(text.partition("(")[0].endswith(name), f"It begins {text[:40]!r}. {advice}")
    require(len(text.splitlines()) == 1, f"It has {len(text.splitlines())} lines. {advice}")
    require(len(text) <= _LONGEST_REPR, f"It has {len(text)} characters. {advice}")
    for sign in (" at 0x", "array(", "tensor("):
        require(sign not in text, f"It holds {sign!r}. {advice}")


def patch_size_is_positive(subject: Subject) -> None:
    """patch_size is a whole number of pixels, at least 1."""
    size = subject.component.patch_size
    require(
        type(size) is int and size >= 1, f"It is {size!r}. Make it a setting, an int from 1 on."
    )


COMMON_CHECKS = (
    Check(loads_by_name, required=True),
    Check(declared_as_attrs_class),
    Check(settings_round_trip),
    Check(parameters_can_be_changed),
    Check(readable_repr),
)
"""The checks of all kinds; those with a patch size also have `patch_size_is_positive`."""


def _registry(subject: Subject) -> Registry:
    class Plugin:
        __name__ = type(subject.component).__module__  # its name in messages

        @hookimpl
        def lungpatch_register(self, register: Register) -> None:
            add = getattr(register, subject.kind)
            add(_NAME, type(subject.component), summary="Checked.")
            if attrs.has(type(subject.component)):
                # Components that it holds may be of the same plugin, which may not be installed.
                for number, (_, kind, inner) in enumerate(inner_components(subject.component)):
                    getattr(register, kind)(f"inner-{number}", type(inner), summary="A setting.")

    return Registry(plugins=[Plugin()])


def _json(settings: dict[str, Any]) -> str:
    return json.dumps(settings, allow_nan=False)
