"""Runs checks one after the other, each on a copy of the component."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import attrs

from lungpatch._utils.suggestions import did_you_mean
from lungpatch.errors import ConfigurationError
from lungpatch.plugins.manager import describe_error
from lungpatch.protocols import Kind
from lungpatch.testing.results import CheckReport, CheckResult

T = TypeVar("T")


class CheckFailedError(AssertionError):
    """A component does not keep a promise; the message says what to do."""


def require(condition: object, message: str) -> None:
    """Raise `CheckFailedError` unless ``condition`` holds."""
    if not condition:
        raise CheckFailedError(message)


@contextmanager
def explained(advice: str) -> Iterator[None]:
    """Turn any exception within the block into a `CheckFailedError` that says what to do."""
    try:
        yield
    except CheckFailedError:
        raise
    except Exception as error:
        raise CheckFailedError(f"It raised {describe_error(error)}. {advice}") from error


@attrs.define(eq=False, kw_only=True)
class Subject:
    """A component that is checked.

    Parameters
    ----------
    kind : str
    component : object
        Never used itself: checks work on copies, so that they do not affect each other.
    """

    kind: Kind
    component: Any
    _known: dict[Any, Any] = attrs.field(init=False, factory=dict, repr=False)

    def fresh(self) -> Any:
        """Return a copy of the component as it was given."""
        return copy.deepcopy(self.component)

    def once(self, make: Callable[[Subject], T]) -> T:
        """Return ``make(self)``, which is called only once for all checks."""
        if make not in self._known:
            self._known[make] = make(self)
        result: T = self._known[make]
        return result


@attrs.frozen
class Check:
    """A named check.

    Parameters
    ----------
    run : callable
        Raises an exception where its subject does not keep the promise. Its name is the name of
        the check, and the first line of its docstring is the promise.
    required : bool
        Whether the checks after it are not run where it fails.
    """

    run: Callable[[Subject], None]
    required: bool = False

    @property
    def name(self) -> str:
        """The name in reports and in ``expected_failures``."""
        return self.run.__name__

    @property
    def promise(self) -> str:
        """What is checked, in one line."""
        return (self.run.__doc__ or "").strip().partition("\n")[0]

    def fault(self, subject: Subject) -> str:
        """Return what is wrong, or an empty string if nothing is."""
        try:
            self.run(subject)
        except CheckFailedError as error:
            return f"{self.promise} {error}"
        except Exception as error:
            return f"{self.promise} Instead it raised {describe_error(error)}"
        return ""


def run_check(
    check: Check, checks: Sequence[Check], subject: Subject, reason: str | None
) -> CheckResult:
    """Run one check.

    Parameters
    ----------
    check : Check
    checks : sequence of Check
        All checks of the kind, in order: the required ones before it must pass.
    subject : Subject
    reason : str or None
        Why it is expected to fail; None if it is not.
    """
    for earlier in checks[: checks.index(check)]:
        if earlier.required and subject.once(earlier.fault):
            return CheckResult(
                name=check.name, status="not run", message=f"needs {earlier.name!r} to pass first"
            )
    fault = subject.once(check.fault)
    if reason is None:
        return CheckResult(name=check.name, status="failed" if fault else "passed", message=fault)
    if fault:
        return CheckResult(
            name=check.name, status="expected failure", message=f"{reason} ({fault})"
        )
    return CheckResult(
        name=check.name,
        status="unexpected pass",
        message=f"declared to fail ({reason}), but it passes: take it out of expected_failures",
    )


def run_checks(
    kind: Kind,
    checks: Sequence[Check],
    component: object,
    expected_failures: Mapping[str, str] | None,
) -> CheckReport:
    """Run all checks of a kind; see `lungpatch.testing.check_scorer`."""
    check_arguments(kind, checks, component, expected_failures)
    subject = Subject(kind=kind, component=component)
    reasons = expected_failures or {}
    results = [run_check(check, checks, subject, reasons.get(check.name)) for check in checks]
    try:
        shown = repr(component)
    except Exception:  # readable_repr reports it
        shown = f"{type(component).__name__}(...)"
    return CheckReport(component=shown, results=tuple(results))


def check_arguments(
    kind: Kind,
    checks: Sequence[Check],
    component: object,
    expected_failures: Mapping[str, str] | None,
) -> None:
    """Refuse classes in place of instances, and unknown names of checks.

    Raises
    ------
    ConfigurationError
    """
    if isinstance(component, type):
        raise ConfigurationError(
            f"checks need a {kind}, not its class: pass {component.__name__}(...)"
        )
    names = [check.name for check in checks]
    for name in expected_failures or {}:
        if name not in names:
            raise ConfigurationError(
                f"expected_failures: there is no check {name!r} of a {kind}"
                f"{did_you_mean(name, names)} There is: {', '.join(names)}"
            )
