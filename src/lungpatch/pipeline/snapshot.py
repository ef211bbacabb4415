"""What a pipeline was fitted with, so that no part is exchanged afterwards without notice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import attrs

from lungpatch._utils.component import EXECUTION, find_components, result_settings

if TYPE_CHECKING:
    from lungpatch.pipeline.steps import Steps

PARTS = (
    "segmenter",
    "fit_sampler",
    "sampler",
    "model",
    "scorer",
    "thresholder",
    "region_thresholder",
)
"""Parameter names of the parts of a pipeline."""

_MODEL = "model"


@attrs.frozen(kw_only=True)
class Snapshot:
    """The parts of a pipeline and their settings at one moment.

    Parameters
    ----------
    parts : mapping of str to object
        By parameter name.
    settings : mapping of str to mapping
        The plain settings that results depend on: of each part, and (``""``) of the pipeline.
    fields : tuple of (object, str, object)
        Parts, the names of their fields that results depend on, and the values.

    Examples
    --------
    >>> import lungpatch
    >>> pipeline = lungpatch.load_preset("paper")
    >>> snapshot = Snapshot.of(pipeline)
    >>> pipeline.scorer.reduction = "sum"
    >>> snapshot.changes(pipeline)
    ["scorer__reduction was 'mean' and is 'sum'"]
    """

    parts: Mapping[str, Any] = attrs.field(repr=False)
    settings: Mapping[str, Mapping[str, Any]]
    _fields: tuple[tuple[Any, str, Any], ...] = attrs.field(repr=False, eq=False)

    @classmethod
    def of(cls, steps: Steps) -> Self:
        """Take the snapshot of a pipeline as it is now."""
        # Parts need not be attrs classes; those that are bring their own settings.
        parts = {name: getattr(steps, name) for name in PARTS} | find_components(steps)
        settings = {
            path: result_settings(part) for path, part in parts.items() if attrs.has(type(part))
        }
        own = {name: value for name, value in result_settings(steps).items() if name not in PARTS}
        fields = [
            (part, field.name, getattr(part, field.name))
            for part in parts.values()
            if attrs.has(type(part))
            for field in attrs.fields(type(part))
            if field.init and not field.metadata.get(EXECUTION)
        ]
        return cls(parts=parts, settings=settings | {"": own}, fields=tuple(fields))

    def changes(self, steps: Steps) -> list[str]:
        """Return what differs in a pipeline, one sentence each; nothing if it is as it was."""
        if self._is_untouched(steps):
            return []
        now = Snapshot.of(steps)
        changes = _changed_settings("", self.settings[""], now.settings[""])
        changes += [f"{path} was removed" for path in self.parts if path not in now.parts]
        for path, part in now.parts.items():
            if path not in self.parts:
                changes.append(f"{path} was added")
            elif _exchanged(path, self.parts[path], part):
                changes.append(f"{path} was exchanged: it is {type(part).__name__} now")
            elif path in now.settings:
                changes += _changed_settings(path, self.settings[path], now.settings[path])
        return changes

    def _is_untouched(self, steps: Steps) -> bool:
        """Whether every setting is the very same object: a quick look, for it is at every image."""
        return (
            all(getattr(steps, name) is self.parts[name] for name in PARTS)
            and all(getattr(steps, name) is value for name, value in self.settings[""].items())
            and all(getattr(part, name) is value for part, name, value in self._fields)
        )


def _exchanged(path: str, old: Any, new: Any) -> bool:
    if path.partition("__")[0] == _MODEL:
        return old is not new  # what a model has been fitted to is in the object
    return type(old) is not type(new)


def _changed_settings(path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    prefix = f"{path}__" if path else ""
    return [
        f"{prefix}{name} was {old.get(name)!r} and is {value!r}"
        for name, value in new.items()
        if not _equal(old.get(name), value)
    ]


def _equal(old: Any, new: Any) -> bool:
    return old is new or bool(old == new)
