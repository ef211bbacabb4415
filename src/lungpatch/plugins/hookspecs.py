"""What the author of a plugin sees: the marker, the one hook, and the object that it is given."""

from __future__ import annotations

import functools
import inspect
import re
from typing import TYPE_CHECKING, Concatenate, NoReturn, ParamSpec, get_args

import attrs
import pluggy

from lungpatch._utils.suggestions import did_you_mean
from lungpatch.errors import PluginError
from lungpatch.protocols import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT = "lungpatch"

hookimpl = pluggy.HookimplMarker(PROJECT)
"""Decorator of the function that registers the components of a plugin."""

hookspec = pluggy.HookspecMarker(PROJECT)

KINDS: tuple[Kind, ...] = get_args(Kind)
"""All kinds of components, in the order in which they are used on an image."""

_NAME = re.compile("[a-z][a-z0-9-]*")
_SIGNATURE = "(name, target, *, summary)"
_P = ParamSpec("_P")


@hookspec
def lungpatch_register(register: Register) -> None:
    """Register the components that a plugin brings.

    Parameters
    ----------
    register : Register
        Has one method for each kind of component.

    See Also
    --------
    lungpatch.testing.parametrize_checks : Tests that a component keeps its contract.
    lungpatch.testing.temporary_plugin : Makes a plugin available without installing it.

    Examples
    --------
    The whole module of a plugin; the plugin's entry point in the group ``lungpatch`` names it:

    >>> import lungpatch
    >>> @lungpatch.hookimpl
    ... def lungpatch_register(register):
    ...     register.scorer("gms", "my_package.gms:GMSScorer",
    ...                     summary="Difference of edges; ignores brightness.")
    """


@attrs.frozen(kw_only=True)
class Entry:
    """A component that a plugin offers.

    Parameters
    ----------
    kind : {"segmenter", "sampler", "extractor", "model", "scorer", "thresholder"}
    name : str
        Its name within the plugin.
    plugin_id : str
        ``distribution:entry-point``; ``lungpatch`` for a built-in component.
    version : str or None
        Version of the distribution that brings the plugin.
    target : str
        Import path of its class: ``"package.module:Class"``.
    summary : str
        What it does, in one line.
    target_class : type or None
        The class itself, where the plugin gave it instead of its import path.

    Examples
    --------
    >>> Entry(kind="scorer", name="gms", plugin_id="lungpatch-gms:gms", version="1.0",
    ...       target="lungpatch_gms:GMSScorer", summary="Difference of edges.").full_name
    'lungpatch-gms:gms/gms'
    """

    kind: Kind
    name: str
    plugin_id: str
    version: str | None
    target: str
    summary: str
    target_class: type | None = attrs.field(default=None, repr=False)

    @property
    def full_name(self) -> str:
        """The name ``plugin-id/name``: always means this component; saved pipelines hold it."""
        return f"{self.plugin_id}/{self.name}"


def _shows_signature(
    method: Callable[Concatenate[Register, _P], None],
) -> Callable[Concatenate[Register, _P], None]:
    """Let calls with wrong arguments raise an error that shows the right ones."""
    signature = inspect.signature(method)

    @functools.wraps(method)
    def checked(self: Register, /, *args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            signature.bind(self, *args, **kwargs)
        except TypeError as error:
            call = f"register.{method.__name__}"
            # A misspelt name, which Python would report as another one that is missing.
            unknown = [name for name in kwargs if name not in signature.parameters]
            problem = f"there is no argument {unknown[0]!r}" if unknown else str(error)
            raise PluginError(f"{call}: {problem}; call it as {call}{_SIGNATURE}") from None
        method(self, *args, **kwargs)

    return checked


class Register:
    """Records the components that a plugin registers; `lungpatch_register` is called with one.

    All methods take the same arguments:

    name : str
        Lower-case letters, digits and hyphens, such as ``"multi-otsu"``.
    target : str or type
        ``"package.module:Class"``, imported when the component is first used, or the class itself.
    summary : str
        What the component does, in one line that a newcomer understands.

    They raise `PluginError` if an argument is not of that form, or if the plugin registered the
    name before for that kind.

    Parameters
    ----------
    plugin_id : str
    version : str or None

    Examples
    --------
    >>> register = Register("my-package:gms", "1.0")
    >>> register.scorer("gms", "my_package.gms:GMSScorer", summary="Difference of edges.")
    >>> register.scorrer
    Traceback (most recent call last):
    ...
    AttributeError: register has no method 'scorrer'; did you mean 'scorer'? It has: segmenter,
    sampler, extractor, model, scorer, thresholder
    """

    def __init__(self, plugin_id: str, version: str | None) -> None:
        self._plugin_id = plugin_id
        self._version = version
        self._entries: dict[tuple[Kind, str], Entry] = {}

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All components that were registered, in order."""
        return tuple(self._entries.values())

    @_shows_signature
    def segmenter(self, name: str, target: str | type, *, summary: str) -> None:
        """Register a class that finds the lungs; see `lungpatch.protocols.Segmenter`."""
        self._add("segmenter", name, target, summary)

    @_shows_signature
    def sampler(self, name: str, target: str | type, *, summary: str) -> None:
        """Register a class that cuts patches; see `lungpatch.protocols.PatchSampler`."""
        self._add("sampler", name, target, summary)

    @_shows_signature
    def extractor(self, name: str, target: str | type, *, summary: str) -> None:
        """Register a class that computes features; see `lungpatch.protocols.FeatureExtractor`."""
        self._add("extractor", name, target, summary)

    @_shows_signature
    def model(self, name: str, target: str | type, *, summary: str) -> None:
        """Register a class that reconstructs; see `lungpatch.protocols.ReconstructionModel`."""
        self._add("model", name, target, summary)

    @_shows_signature
    def scorer(self, name: str, target: str | type, *, summary: str) -> None:
        """Register a class that scores patches; see `lungpatch.protocols.Scorer`."""
        self._add("scorer", name, target, summary)

    @_shows_signature
    def thresholder(self, name: str, target: str | type, *, summary: str) -> None:
        """Register a class that finds a threshold; see `lungpatch.protocols.Thresholder`."""
        self._add("thresholder", name, target, summary)

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"register has no method {name!r}{did_you_mean(name, KINDS)} It has: {', '.join(KINDS)}"
        )

    def _add(self, kind: Kind, name: str, target: str | type, summary: str) -> None:
        call = f"register.{kind}({name!r}, ...)"
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise PluginError(
                f"{call}: a name is a lower-case letter, then lower-case letters, digits or "
                "hyphens, such as 'multi-otsu'"
            )
        if isinstance(target, type):
            import_path = f"{target.__module__}:{target.__qualname__}"
        elif isinstance(target, str) and _is_import_path(target):
            import_path = target
        else:
            raise PluginError(
                f"{call}: target must be 'package.module:Class' or a class, got {target!r}"
            )
        if not isinstance(summary, str) or len(summary.splitlines()) != 1 or not summary.strip():
            raise PluginError(f"{call}: summary must be one line of text, got {summary!r}")
        if (kind, name) in self._entries:
            raise PluginError(f"{call}: this plugin registers that {kind} twice")
        self._entries[kind, name] = Entry(
            kind=kind,
            name=name,
            plugin_id=self._plugin_id,
            version=self._version,
            target=import_path,
            summary=summary.strip(),
            target_class=target if isinstance(target, type) else None,
        )


def _is_import_path(target: str) -> bool:
    module, colon, name = target.partition(":")
    return bool(colon) and all(
        part.isidentifier() for part in (*module.split("."), *name.split("."))
    )
