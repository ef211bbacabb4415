"""What a model promises; see `lungpatch.protocols.ReconstructionModel`."""

# ruff: noqa: D403 - the first line of a check's docstring is the promise that reports print

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lungpatch.containers import Reconstruction
from lungpatch.errors import NotFittedError
from lungpatch.testing.common_checks import COMMON_CHECKS, patch_size_is_positive
from lungpatch.testing.fitted_checks import CHECK_OF_FIT, CHECKS_AFTER_FIT, fitted, patches_for
from lungpatch.testing.runner import Check, CheckFailedError, Subject, require, run_checks
from lungpatch.testing.samples import PATCHES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lungpatch.protocols import ReconstructionModel
    from lungpatch.testing.results import CheckReport


def check_model(
    model: ReconstructionModel, *, expected_failures: Mapping[str, str] | None = None
) -> CheckReport:
    """Check that a model keeps what its contract promises.

    It is fitted a few times, on 64 patches: give it settings with which this is quick.

    Parameters
    ----------
    model : ReconstructionModel
        Not fitted. Only copies of it are used.
    expected_failures : mapping of str to str, optional
        Names of checks that it is not meant to pass, and the reasons.

    Returns
    -------
    CheckReport

    Raises
    ------
    ConfigurationError
        If ``model`` is a class, or ``expected_failures`` names no check.

    Examples
    --------
    >>> from lungpatch.models import PCA
    >>> check_model(PCA(patch_size=8, n_components=3)).raise_on_failure()
    PCA(patch_size=8, n_components=3, max_patches=20000): 21 checks, 21 passed
    """
    return run_checks("model", MODEL_CHECKS, model, expected_failures)


def not_fitted_before_fit(subject: Subject) -> None:
    """reconstruct and state before fit raise NotFittedError, which says to call fit."""
    advice = (
        'Raise lungpatch.errors.NotFittedError("...: call fit(source, rng=...)"); and check one '
        "that was not fitted."
    )
    model, patches = subject.fresh(), patches_for(subject)
    for name, call in (("reconstruct", lambda: model.reconstruct(patches)), ("state", model.state)):
        try:
            call()
        except NotFittedError as error:
            require("fit" in str(error), f"The message of {name} is {str(error)!r}. {advice}")
        except Exception as error:
            raise CheckFailedError(
                f"{name} raised {type(error).__name__}: {error}. {advice}"
            ) from error
        else:
            raise CheckFailedError(f"{name} gave a result. {advice}")


def returns_reconstruction(subject: Subject) -> None:
    """reconstruct returns a Reconstruction, one finite target and expectation per patch."""
    found = fitted(subject).reconstruct(patches_for(subject))
    require(
        isinstance(found, Reconstruction),
        f"It returned {type(found).__name__}. Write return lungpatch.Reconstruction(target=..., "
        "expected=...).",
    )
    require(len(found) == PATCHES, f"{PATCHES} patches gave {len(found)}. Return one of each.")
    require(
        np.isfinite(found.target).all(),
        "target holds NaN or infinite values. No scorer can compare them: look for a division by "
        "0, such as the deviation of a patch with one grey level.",
    )


MODEL_CHECKS = (
    *COMMON_CHECKS,
    Check(patch_size_is_positive, required=True),
    Check(not_fitted_before_fit),
    CHECK_OF_FIT,
    Check(returns_reconstruction, required=True),
    *CHECKS_AFTER_FIT,
)
