"""What a thresholder promises; see `lungpatch.protocols.Thresholder`."""

# ruff: noqa: D401, D403 - the first line of a check's docstring is the promise that reports print

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lungpatch.errors import NotFittedError
from lungpatch.testing.common_checks import COMMON_CHECKS, require_readable
from lungpatch.testing.comparing import (
    require_deterministic,
    require_random_states_kept,
)
from lungpatch.testing.runner import (
    Check,
    CheckFailedError,
    Subject,
    explained,
    require,
    run_checks,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lungpatch.protocols import Thresholder
    from lungpatch.testing.results import CheckReport

Scores = NDArray[np.float64]
Labels = NDArray[np.bool_]

_TOLERANCE = 1e-6


def check_thresholder(
    thresholder: Thresholder, *, expected_failures: Mapping[str, str] | None = None
) -> CheckReport:
    """Check that a thresholder keeps what its contract promises.

    Parameters
    ----------
    thresholder : Thresholder
        Not fitted. Only copies of it are used.
    expected_failures : mapping of str to str, optional
        Names of checks that it is not meant to pass, and the reasons.

    Returns
    -------
    CheckReport

    Raises
    ------
    ConfigurationError
        If ``thresholder`` is a class, or ``expected_failures`` names no check.

    Examples
    --------
    >>> from lungpatch.thresholders import QuantileThresholder
    >>> check_thresholder(QuantileThresholder(q=0.9)).raise_on_failure()
    QuantileThresholder(q=0.9): 20 checks, 20 passed
    """
    return run_checks("thresholder", THRESHOLDER_CHECKS, thresholder, expected_failures)


def says_whether_it_uses_labels(subject: Subject) -> None:
    """The class says whether it uses labels: uses_labels is True or False."""
    value = getattr(type(subject.component), "uses_labels", None)
    require(
        isinstance(value, bool),
        f"It is {value!r}. Write uses_labels: ClassVar[bool] = False (or True) in the class; "
        "reports and fit rely on it.",
    )


def min_scores_is_positive(subject: Subject) -> None:
    """min_scores is a whole number, at least 1, and known before fit."""
    with explained("Make it a property that returns an int."):
        value = subject.fresh().min_scores
    require(
        type(value) is int and value >= 1,
        f"It is {value!r}. Return the smallest number of scores that fit accepts.",
    )


def not_fitted_before_fit(subject: Subject) -> None:
    """threshold_ before fit raises NotFittedError, which says to call fit."""
    advice = (
        'Raise lungpatch.errors.NotFittedError("...: call fit(pred_scores)"); and check one that '
        "was not fitted."
    )
    try:
        value = subject.fresh().threshold_
    except NotFittedError as error:
        require("fit" in str(error), f"Its message is {str(error)!r}. {advice}")
    except Exception as error:
        raise CheckFailedError(f"It raised {type(error).__name__}: {error}. {advice}") from error
    else:
        raise CheckFailedError(f"It is {value!r}. {advice}")


def fit_returns_itself(subject: Subject) -> None:
    """fit returns the thresholder."""
    thresholder = subject.fresh()
    found = thresholder.fit(*_scores(subject))
    require(found is thresholder, f"It returned {type(found).__name__}. End fit with: return self.")


def threshold_is_finite_float(subject: Subject) -> None:
    """threshold_ after fit is a finite float."""
    value = subject.fresh().fit(*_scores(subject)).threshold_
    require(
        isinstance(value, float) and math.isfinite(value),
        f"It is {value!r} of type {type(value).__name__}. Return float(threshold), and raise "
        "where there is none.",
    )


def scores_above_are_anomalous(subject: Subject) -> None:
    """An image is anomalous if its score is above the threshold, not equal to it or below."""
    scores, labels = _scores(subject)
    above = scores > subject.fresh().fit(scores, labels).threshold_
    if labels is None:
        require(
            not above.all(),
            "All scores that it was fitted on are above it, though some of them are normal. The "
            "lowest of the classes that it finds is normal.",
        )
        return
    agree = float((above == labels).mean())
    require(
        agree > 0.5,
        f"It agrees with only {agree:.0%} of the labels that it was fitted on. Label True is "
        "anomalous, and higher scores are more anomalous.",
    )


def nan_is_refused(subject: Subject) -> None:
    """A score that is NaN is refused with a ValueError."""
    scores, labels = _scores(subject)
    scores[3] = np.nan
    _require_refused(
        subject, scores, labels, "Raise lungpatch.errors.ConfigurationError if not finite."
    )


def min_scores_suffice(subject: Subject) -> None:
    """fit works on as few scores as min_scores says."""
    # Both labels must occur.
    count = max(subject.component.min_scores, 2 if subject.component.uses_labels else 1)
    scores, labels = _few_scores(subject, count)
    with explained(
        f"{len(scores)} different scores were too few. Raise min_scores: pipelines then keep "
        "enough normal patients."
    ):
        subject.fresh().fit(scores, labels)


def too_few_scores_refused(subject: Subject) -> None:
    """Fewer scores than min_scores are refused with a ValueError."""
    scores, labels = _few_scores(subject, subject.component.min_scores - 1)
    _require_refused(
        subject,
        scores,
        labels,
        f"Raise lungpatch.errors.InsufficientDataError for {len(scores)} scores, or lower "
        "min_scores.",
    )


def refit_forgets(subject: Subject) -> None:
    """fit forgets earlier scores; pipelines fit a copy again on other scores."""
    wanted = subject.fresh().fit(*_scores(subject, scale=3.0)).threshold_
    fitted = subject.fresh().fit(*_scores(subject))
    found = copy.deepcopy(fitted).fit(*_scores(subject, scale=3.0)).threshold_
    require(
        math.isclose(found, wanted, rel_tol=_TOLERANCE),
        f"After other scores the threshold is {found}, otherwise {wanted}. Use the scores of "
        "this call only.",
    )


def inputs_unchanged(subject: Subject) -> None:
    """fit does not change scores and labels."""
    scores, labels = _scores(subject)
    kept = scores.copy(), None if labels is None else labels.copy()
    subject.fresh().fit(scores, labels)
    same = np.array_equal(scores, kept[0]) and (
        labels is None or kept[1] is None or np.array_equal(labels, kept[1])
    )
    require(same, "It changed them. Sort a copy: numpy.sort(scores), not scores.sort().")


def takes_lists(subject: Subject) -> None:
    """Scores may be any array_like, such as a list."""
    scores, labels = _scores(subject)
    wanted = subject.fresh().fit(*_scores(subject)).threshold_
    lists = scores.tolist(), None if labels is None else labels.tolist()
    with explained("Begin with scores = np.asarray(pred_scores, float)."):
        found = subject.fresh().fit(*lists).threshold_
    same = math.isclose(found, wanted, rel_tol=_TOLERANCE)
    require(same, f"A list gave {found}, an array {wanted}.")


def deterministic(subject: Subject) -> None:
    """The same scores give the same threshold."""
    require_deterministic(
        lambda: {"threshold_": np.array(subject.fresh().fit(*_scores(subject)).threshold_)},
        "Draw nothing at random, or from a generator with a fixed seed.",
    )


def global_random_state_kept(subject: Subject) -> None:
    """fit does not change the global random state."""
    require_random_states_kept(lambda: subject.fresh().fit(*_scores(subject)))


def readable_repr_after_fit(subject: Subject) -> None:
    """The repr stays readable after fit."""
    require_readable(subject.fresh().fit(*_scores(subject)))


THRESHOLDER_CHECKS = (
    *COMMON_CHECKS,
    Check(says_whether_it_uses_labels, required=True),
    Check(min_scores_is_positive, required=True),
    Check(not_fitted_before_fit),
    Check(fit_returns_itself, required=True),
    Check(threshold_is_finite_float, required=True),
    Check(scores_above_are_anomalous),
    Check(nan_is_refused),
    Check(min_scores_suffice),
    Check(too_few_scores_refused),
    Check(refit_forgets),
    Check(inputs_unchanged),
    Check(takes_lists),
    Check(deterministic),
    Check(global_random_state_kept),
    Check(readable_repr_after_fit),
)


def _scores(subject: Subject, scale: float = 1.0) -> tuple[Scores, Labels | None]:
    """Return scores like those of the paper (table 1): normal, opaque, outside the lung."""
    rng = np.random.default_rng(0)
    count = max(100, subject.component.min_scores)
    groups = [rng.normal(mean, mean / 8, count) for mean in (1.0, 5.0, 12.0)]
    scores: Scores = np.concatenate(groups)
    order = rng.permutation(scores.size)
    labels = (np.arange(scores.size) >= count)[order]
    return scale * scores[order], labels if subject.component.uses_labels else None


def _few_scores(subject: Subject, count: int) -> tuple[Scores, Labels | None]:
    scores = np.linspace(1.0, 12.0, count)
    labels = np.arange(count) >= count // 2
    return scores, labels if subject.component.uses_labels else None


def _require_refused(subject: Subject, scores: Scores, labels: Labels | None, advice: str) -> None:
    try:
        subject.fresh().fit(scores, labels)
    except ValueError:
        return
    raise CheckFailedError(f"fit took them. {advice}")
