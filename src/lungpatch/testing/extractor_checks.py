"""What an extractor promises; see `lungpatch.protocols.FeatureExtractor`."""

# ruff: noqa: D403 - the first line of a check's docstring is the promise that reports print

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lungpatch.errors import NotFittedError
from lungpatch.testing.common_checks import COMMON_CHECKS
from lungpatch.testing.fitted_checks import CHECK_OF_FIT, CHECKS_AFTER_FIT, fitted, patches_for
from lungpatch.testing.runner import Check, CheckFailedError, Subject, require, run_checks
from lungpatch.testing.samples import PATCHES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lungpatch.protocols import FeatureExtractor
    from lungpatch.testing.results import CheckReport


def check_extractor(
    extractor: FeatureExtractor, *, expected_failures: Mapping[str, str] | None = None
) -> CheckReport:
    """Check that an extractor keeps what its contract promises.

    It is fitted a few times, on 64 patches of 64 x 64 pixels, or of its ``patch_size`` where it has
    one: give it settings with which this is quick.

    Parameters
    ----------
    extractor : FeatureExtractor
        Not fitted. Only copies of it are used.
    expected_failures : mapping of str to str, optional
        Names of checks that it is not meant to pass, and the reasons.

    Returns
    -------
    CheckReport

    Raises
    ------
    ConfigurationError
        If ``extractor`` is a class, or ``expected_failures`` names no check.

    Examples
    --------
    >>> from lungpatch.features import StatisticsExtractor
    >>> check_extractor(StatisticsExtractor(grid=4)).ok
    True
    """
    return run_checks("extractor", EXTRACTOR_CHECKS, extractor, expected_failures)


def says_that_it_is_not_fitted(subject: Subject) -> None:
    """Before fit, extract returns features or raises NotFittedError, which says to call fit."""
    advice = 'Raise lungpatch.errors.NotFittedError("...: call fit(source, rng=...)").'
    try:
        subject.fresh().extract(patches_for(subject))
    except NotFittedError as error:
        require("fit" in str(error), f"Its message is {str(error)!r}. {advice}")
    except Exception as error:
        raise CheckFailedError(f"It raised {type(error).__name__}: {error}. {advice}") from error


def returns_feature_maps(subject: Subject) -> None:
    """extract returns finite float32 features, (N, C, h, w), for each of N patches."""
    found = fitted(subject).extract(patches_for(subject))
    shown = f"an array of {found.dtype}" if isinstance(found, np.ndarray) else type(found).__name__
    require(
        isinstance(found, np.ndarray) and found.dtype == np.float32,
        f"It returned {shown}. Return a numpy array of float32.",
    )
    require(
        found.ndim == 4 and len(found) == PATCHES and found.size > 0,
        f"{PATCHES} patches gave the shape {found.shape}. Return (N, channels, rows, columns).",
    )
    require(
        np.isfinite(found).all(),
        "Some are NaN or infinite. Look for a division by 0, such as the deviation of a patch with "
        "one grey level.",
    )


EXTRACTOR_CHECKS = (
    *COMMON_CHECKS,
    Check(says_that_it_is_not_fitted),
    CHECK_OF_FIT,
    Check(returns_feature_maps, required=True),
    *CHECKS_AFTER_FIT,
)
