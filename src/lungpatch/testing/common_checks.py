"""Checks of what components of all kinds promise: how they are declared, made and shown."""

# ruff: noqa: D401 - the first line of a check's docstring is the promise that reports print

from __future__ import annotations

import json
from typing import Any

import attrs

from lungpatch.errors import PluginError
from lungpatch.plugins.hookspecs import Register, hookimpl
from lungpatch.plugins.registry import Registry
from lungpatch.plugins.settings import inner_components
from lungpatch.testing.runner import Check, CheckFailedError, Subject, require

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
    """Settings survive being saved as JSON and made into a component again."""
    registry = _registry(subject)
    text = _json(registry.settings(subject.component))
    again = _json(registry.settings(registry.create(subject.kind, _NAME, json.loads(text))))
    require(
        again == text,
        f"They were {text} and became {again}. Keep settings as they were given, and put what is "
        "derived from them into attrs.field(init=False).",
    )


def readable_repr(subject: Subject) -> None:
    """The repr is one line that begins with the class's name and shows no array."""
    require_readable(subject.component)


def require_readable(component: object) -> None:
    """Require that a component's repr can be read."""
    text, name = repr(component), type(component).__name__
    advice = "Give learnt fields repr=False, and let attrs write the repr."
    require(text.partition("(")[0].endswith(name), f"It begins {text[:40]!r}. {advice}")
    require(len(text.splitlines()) == 1, f"It has {len(text.splitlines())} lines. {advice}")
    require(len(text) <= _LONGEST_REPR, f"It has {len(text)} characters. {advice}")
    for sign in (" at 0x", "array(", "tensor("):
        require(sign not in text, f"It holds {sign!r}. {advice}")


COMMON_CHECKS = (
    Check(loads_by_name, required=True),
    Check(declared_as_attrs_class),
    Check(settings_round_trip),
    Check(readable_repr),
)


def _registry(subject: Subject) -> Registry:
    class Plugin:
        __name__ = type(subject.component).__module__  # what messages call it

        @hookimpl
        def lungpatch_register(self, register: Register) -> None:
            add = getattr(register, subject.kind)
            add(_NAME, type(subject.component), summary="Checked.")
            if attrs.has(type(subject.component)):
                # Those of the same plugin, which need not be installed.
                for number, (_, kind, inner) in enumerate(inner_components(subject.component)):
                    getattr(register, kind)(f"inner-{number}", type(inner), summary="A setting.")

    return Registry(plugins=[Plugin()])


def _json(settings: dict[str, Any]) -> str:
    return json.dumps(settings, allow_nan=False)
