"""Components that break one promise each, noted by the check that must find them."""

from __future__ import annotations

import attrs


@attrs.frozen
class Fault:
    check: str
    component_class: type
    advice: str
    """A piece of the message that says what to do."""

    def __str__(self) -> str:
        return f"{self.check}-{self.component_class.__name__}"


class Faults(list[Fault]):
    def breaks(self, check: str, advice: str):
        """Note what a class breaks, and a piece of the message that says what to do."""

        def note(component_class):
            self.append(Fault(check, component_class, advice))
            return component_class

        return note

    @property
    def checks(self) -> list[str]:
        """The checks that a class fails, each once."""
        return list(dict.fromkeys(fault.check for fault in self))

    def of(self, check: str) -> type:
        """Return the first class that fails a check."""
        return next(fault.component_class for fault in self if fault.check == check)
