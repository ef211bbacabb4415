"""What an extractor promises; see `lungpatch.protocols.FeatureExtractor`."""

# ruff: noqa: D401, D403 - the first line of a check's docstring is the promise that reports print

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

from lungpatch.containers import PatchBatch, TrainingHistory
from lungpatch.errors import NotFittedError
from lungpatch.testing.batch_checks import require_batch_may_be_split, require_order_kept
from lungpatch.testing.common_checks import COMMON_CHECKS, require_readable
from lungpatch.testing.comparing import (
    difference,
    require_deterministic,
    require_random_states_kept,
    require_unchanged,
)
from lungpatch.testing.runner import (
    Check,
    CheckFailedError,
    Subject,
    explained,
    require,
    run_checks,
)
from lungpatch.testing.samples import PATCHES, phantom_patches, phantom_source
from lungpatch.testing.state_checks import (
    State,
    require_refused_state_changes_nothing,
    require_wrong_states_refused,
    saved_state,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lungpatch.protocols import EpochCallback, FeatureExtractor
    from lungpatch.testing.results import CheckReport

SIDE = 64
"""Side of the patches that extractors without a patch_size are tried on: five halvings leave 2 x 2
places."""


def check_extractor(
    extractor: FeatureExtractor, *, expected_failures: Mapping[str, str] | None = None
) -> CheckReport:
    """Check that an extractor keeps what its contract promises.

    It is fitted a few times, on 64 patches of 64 x 64 pixels, or of its ``patch_size`` where it has
    one: give it settings that make this quick.

    Parameters
    ----------
    extractor : FeatureExtractor
        Not fitted. Only copies of it are used.
    expected_failures : mapping of str to str, optional
        Checks that it does not pass by intent, and why.

    Returns
    -------
    CheckReport

    Raises
    ------
    ConfigurationError
        If ``extractor`` is a class, or ``expected_failures`` names no check.

    Examples
    --------
    >>> from lungpatch.features.statistics import StatisticsExtractor
    >>> check_extractor(StatisticsExtractor(grid=4)).ok
    True
    """
    return run_checks("extractor", EXTRACTOR_CHECKS, extractor, expected_failures)


def says_that_it_is_not_fitted(subject: Subject) -> None:
    """Before fit, extract gives features or raises NotFittedError, which says to call fit."""
    advice = 'Raise lungpatch.errors.NotFittedError("...: call fit(source, rng=...)").'
    try:
        subject.fresh().extract(_patches(subject))
    except NotFittedError as error:
        require("fit" in str(error), f"Its message is {str(error)!r}. {advice}")
    except Exception as error:
        raise CheckFailedError(f"It raised {type(error).__name__}: {error}. {advice}") from error


def fit_returns_history(subject: Subject) -> None:
    """fit returns a TrainingHistory; without epochs where there is nothing to learn."""
    found = _fit(subject, subject.fresh())
    require(
        isinstance(found, TrainingHistory),
        f"It returned {type(found).__name__}. Write return lungpatch.TrainingHistory(...).",
    )


def returns_feature_maps(subject: Subject) -> None:
    """extract returns finite float32 features, (N, C, h, w), for each of N patches."""
    found = _fitted(subject).extract(_patches(subject))
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
        "Some are NaN or infinite. Look for a division by 0, such as the deviation of one grey.",
    )


def takes_validation_patches(subject: Subject) -> None:
    """fit takes validation patches."""
    with (
        phantom_source(_side(subject)) as source,
        phantom_source(_side(subject), PATCHES) as validation,
        explained("Where they are of no use, take and ignore them."),
    ):
        subject.fresh().fit(source, validation=validation, rng=np.random.default_rng(0))


def on_epoch_is_called(subject: Subject) -> None:
    """on_epoch(epoch, epochs, figures) is called after every epoch, which count from 1."""
    calls: list[tuple[int, int]] = []
    history = _fit(
        subject, subject.fresh(), on_epoch=lambda epoch, epochs, _: calls.append((epoch, epochs))
    )
    require(
        [epoch for epoch, _ in calls] == list(range(1, len(history.epochs) + 1))
        and all(epoch <= epochs for epoch, epochs in calls),
        f"The history has {len(history.epochs)} epochs; the calls said (epoch, epochs) = {calls}. "
        "Call it, unless it is None, for each entry of TrainingHistory.epochs.",
    )


def takes_no_patches(subject: Subject) -> None:
    """A batch of length 0 gives features of length 0."""
    extractor = _fitted(subject)
    with explained("Images without lungs give such batches: max and min need initial=..."):
        found = extractor.extract(_patches(subject)[:0]).shape
    some = extractor.extract(_patches(subject)).shape
    require(
        found == (0, *some[1:]),
        f"Their shape is {found}, and {some} for {PATCHES} patches: all but the first number must "
        "agree.",
    )


def order_kept(subject: Subject) -> None:
    """Features come in the order of the patches."""
    extractor = _fitted(subject)
    require_order_kept(lambda patches: _extract(extractor, patches), lambda: _patches(subject))


def batch_may_be_split(subject: Subject) -> None:
    """A patch's features do not depend on the other patches of the batch."""
    extractor = _fitted(subject)
    require_batch_may_be_split(
        lambda patches: _extract(extractor, patches), lambda: _patches(subject)
    )


def inputs_unchanged(subject: Subject) -> None:
    """extract leaves the patches as they are."""
    patches, extractor = _patches(subject), _fitted(subject)
    require_unchanged({"patches": patches}, lambda: extractor.extract(patches))


def fit_follows_rng(subject: Subject) -> None:
    """The same state of rng gives the same features."""
    require_deterministic(
        lambda: _extract(_fitted_once(subject), _patches(subject)),
        "Draw from rng only; seed torch with torch.Generator().manual_seed(int(rng.integers("
        "2**63))).",
    )


def extract_deterministic(subject: Subject) -> None:
    """The same patches give the same features."""
    extractor = _fitted(subject)
    require_deterministic(
        lambda: _extract(extractor, _patches(subject)),
        "Call network.eval(), which ends dropout, and draw nothing at random.",
    )


def global_random_state_kept(subject: Subject) -> None:
    """Neither fit nor extract changes the global random state."""
    require_random_states_kept(lambda: _extract(_fitted_once(subject), _patches(subject)))


def state_round_trip(subject: Subject) -> None:
    """A new extractor that loads the state gives the same, bit by bit."""
    from safetensors.numpy import load, save

    extractor, restored = _fitted(subject), subject.fresh()
    with explained("state() returns a dict of named numpy arrays of numbers; load_state takes it."):
        restored.load_state(load(save(saved_state(extractor))))
    differs = difference(
        _extract(restored, _patches(subject)), _extract(extractor, _patches(subject)), exact=True
    )
    require(
        not differs,
        f"With the loaded one {differs}. Return all that was learnt from state(), unrounded, and "
        "take over all of it.",
    )


def wrong_state_is_refused(subject: Subject) -> None:
    """load_state refuses a state with a missing name or an array of another shape."""
    require_wrong_states_refused(subject, saved_state(_fitted(subject)))


def refused_state_changes_nothing(subject: Subject) -> None:
    """An extractor that refuses a state is as it was before."""
    extractor = _fitted(subject)
    require_refused_state_changes_nothing(extractor, lambda: _extract(extractor, _patches(subject)))


def readable_repr_after_fit(subject: Subject) -> None:
    """The repr stays readable after fit."""
    require_readable(_fitted(subject))


EXTRACTOR_CHECKS = (
    *COMMON_CHECKS,
    Check(says_that_it_is_not_fitted),
    Check(fit_returns_history, required=True),
    Check(returns_feature_maps, required=True),
    Check(takes_validation_patches),
    Check(on_epoch_is_called),
    Check(takes_no_patches),
    Check(order_kept),
    Check(batch_may_be_split),
    Check(inputs_unchanged),
    Check(fit_follows_rng),
    Check(extract_deterministic),
    Check(global_random_state_kept),
    Check(state_round_trip),
    Check(wrong_state_is_refused),
    Check(refused_state_changes_nothing),
    Check(readable_repr_after_fit),
)


def _side(subject: Subject) -> int:
    return int(getattr(subject.component, "patch_size", SIDE))


def _patches(subject: Subject) -> PatchBatch:
    return phantom_patches(_side(subject))


def _fit(
    subject: Subject, extractor: FeatureExtractor, on_epoch: EpochCallback | None = None
) -> TrainingHistory:
    with phantom_source(_side(subject)) as source:
        return extractor.fit(source, rng=np.random.default_rng(0), on_epoch=on_epoch)


def _fitted_once(subject: Subject) -> FeatureExtractor:
    extractor: FeatureExtractor = subject.fresh()
    _fit(subject, extractor)
    return extractor


def _fitted(subject: Subject) -> FeatureExtractor:
    return copy.deepcopy(subject.once(_fitted_once))


def _extract(extractor: FeatureExtractor, patches: PatchBatch) -> State:
    return {"features": extractor.extract(patches).copy()}
