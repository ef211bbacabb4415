"""One pytest item per check. pytest is imported only when it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from lungpatch.errors import ConfigurationError
from lungpatch.plugins.hookspecs import KINDS
from lungpatch.testing.extractor_checks import EXTRACTOR_CHECKS
from lungpatch.testing.model_checks import MODEL_CHECKS
from lungpatch.testing.runner import Check, Subject, check_arguments, run_check
from lungpatch.testing.sampler_checks import SAMPLER_CHECKS
from lungpatch.testing.scorer_checks import SCORER_CHECKS
from lungpatch.testing.segmenter_checks import SEGMENTER_CHECKS
from lungpatch.testing.thresholder_checks import THRESHOLDER_CHECKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

    from lungpatch.protocols import Kind

CHECKS: dict[Kind, tuple[Check, ...]] = {
    "segmenter": SEGMENTER_CHECKS,
    "sampler": SAMPLER_CHECKS,
    "extractor": EXTRACTOR_CHECKS,
    "model": MODEL_CHECKS,
    "scorer": SCORER_CHECKS,
    "thresholder": THRESHOLDER_CHECKS,
}
"""All checks of each kind of component, in the order in which they are run."""


@attrs.frozen(eq=False, kw_only=True)
class PytestCheck:
    """A check of a component, to be called by a test.

    It raises AssertionError where the check fails or passes unexpectedly, and reports expected
    failures (``xfail``) and checks that are not run (``skip``) to pytest.
    """

    check: Check
    subject: Subject
    reason: str | None

    def __call__(self) -> None:
        """Run the check."""
        import pytest

        checks = CHECKS[self.subject.kind]
        result = run_check(self.check, checks, self.subject, self.reason)
        if result.status == "not run":
            pytest.skip(result.message)
        if result.status == "expected failure":
            pytest.xfail(result.message)
        if result.status != "passed":
            raise AssertionError(f"{result.name}: {result.message}")


def parametrize_checks(
    kind: Kind, *components: object, expected_failures: Mapping[str, str] | None = None
) -> pytest.MarkDecorator:
    """Parametrize a test with the checks of components, one test per check and component.

    Parameters
    ----------
    kind : {"segmenter", "sampler", "extractor", "model", "scorer", "thresholder"}
    *components : object
        One or several, such as one class with several settings. Only copies are used.
    expected_failures : mapping of str to str, optional
        Names of checks that none of them is meant to pass, and the reasons; pytest reports them
        as ``xfailed``.

    Returns
    -------
    pytest.MarkDecorator
        For a test that takes ``check`` and calls it.

    Raises
    ------
    ConfigurationError
        If there is no such kind, a component is a class, or ``expected_failures`` names no check.

    Examples
    --------
    >>> from lungpatch.scorers import SADScorer
    >>> @parametrize_checks("scorer", SADScorer(), SADScorer(region="patch"))
    ... def test_sad(check):
    ...     check()
    """
    import pytest

    if kind not in KINDS:
        raise ConfigurationError(f"there is no kind {kind!r} of component: {', '.join(KINDS)}")
    parameters = []
    for component in components:
        check_arguments(kind, CHECKS[kind], component, expected_failures)
        subject = Subject(kind=kind, component=component)
        for check in CHECKS[kind]:
            reason = (expected_failures or {}).get(check.name)
            parameters.append(
                pytest.param(
                    PytestCheck(check=check, subject=subject, reason=reason),
                    id=f"{type(component).__name__}-{check.name}",
                )
            )
    return pytest.mark.parametrize("check", parameters)
