"""Results of checks, as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator

CheckStatus = Literal["passed", "failed", "expected failure", "unexpected pass", "not run"]

_WRONG: tuple[CheckStatus, ...] = ("failed", "unexpected pass")


@attrs.frozen(kw_only=True)
class CheckResult:
    """The result of one check.

    Parameters
    ----------
    name : str
    status : {"passed", "failed", "expected failure", "unexpected pass", "not run"}
        ``unexpected pass``: declared as an expected failure, but it passes. ``not run``: an
        earlier check that this one needs has failed.
    message : str
        What is wrong and what to do; for an expected failure also the declared reason. Empty
        where the check passed.

    Examples
    --------
    >>> from lungpatch.scorers import SADScorer
    >>> from lungpatch.testing import check_scorer
    >>> check_scorer(SADScorer()).results[0]
    CheckResult(name='loads_by_name', status='passed', message='')
    """

    name: str
    status: CheckStatus
    message: str = ""


@attrs.frozen(kw_only=True, repr=False)
class CheckReport:
    """The results of all checks of one component; iterating yields them.

    Parameters
    ----------
    component : str
        The repr of the component.
    results : tuple of CheckResult
        In the order in which the checks were run.

    Examples
    --------
    >>> from lungpatch.scorers import SADScorer
    >>> from lungpatch.testing import check_scorer
    >>> report = check_scorer(SADScorer())
    >>> report.ok, {result.status for result in report}
    (True, {'passed'})
    >>> report
    SADScorer(reduction='mean', region='lung'): 17 checks, 17 passed
    """

    component: str
    results: tuple[CheckResult, ...]

    def __iter__(self) -> Iterator[CheckResult]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    @property
    def wrong(self) -> tuple[CheckResult, ...]:
        """The results that ask for a change: failures and unexpected passes."""
        return tuple(result for result in self.results if result.status in _WRONG)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.wrong

    def raise_on_failure(self) -> Self:
        """Return the report itself if nothing is wrong; otherwise raise an error for a test.

        Raises
        ------
        AssertionError
            If anything is wrong. Names each failed check and says what to do.

        Examples
        --------
        >>> from lungpatch.scorers import SADScorer
        >>> from lungpatch.testing import check_scorer
        >>> check_scorer(SADScorer(), expected_failures={"order_kept": "a guess"}
        ...              ).raise_on_failure()
        Traceback (most recent call last):
        ...
        AssertionError: SADScorer(reduction='mean', region='lung'): 17 checks, 16 passed, 1
        unexpected pass
          order_kept: unexpected pass: declared to fail (a guess), but it passes: take it out of
          expected_failures
        """
        if self.wrong:
            raise AssertionError(repr(self))
        return self

    def __repr__(self) -> str:
        statuses = [result.status for result in self.results]
        counts = [f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses)]
        lines = [f"\n  {r.name}: {r.status}: {r.message}" for r in self.results if r.message]
        return f"{self.component}: {len(self)} checks, {', '.join(counts)}{''.join(lines)}"
