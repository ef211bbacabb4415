"""What models and extractors promise alike: how they are fitted, and that they compute by patch."""

# ruff: noqa: D401, D403 - the first line of a check's docstring is the promise that reports print

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from lungpatch.containers import PatchBatch, TrainingHistory
from lungpatch.testing.batch_checks import require_batch_may_be_split, require_order_kept
from lungpatch.testing.common_checks import require_readable
from lungpatch.testing.comparing import (
    arrays_of,
    difference,
    require_deterministic,
    require_random_states_kept,
    require_unchanged,
)
from lungpatch.testing.runner import Check, Subject, explained, require
from lungpatch.testing.samples import PATCHES, phantom_patches, phantom_source
from lungpatch.testing.state_checks import (
    State,
    require_refused_state_changes_nothing,
    require_wrong_states_refused,
    saved_state,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lungpatch.protocols import EpochCallback

SIDE = 64
"""Side of the patches for components without a patch_size: five halvings leave 2 x 2 cells."""


def fit_returns_history(subject: Subject) -> None:
    """fit returns a TrainingHistory; without epochs where nothing is trained."""
    found = _fit(subject, subject.fresh())
    require(
        isinstance(found, TrainingHistory),
        f"It returned {type(found).__name__}. Write return lungpatch.TrainingHistory(...).",
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
    """on_epoch(epoch, epochs, metrics) is called after every epoch, which count from 1."""
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


def order_kept(subject: Subject) -> None:
    """Results come in the order of the patches."""
    component = fitted(subject)
    require_order_kept(lambda chosen: _results(subject, component, chosen))


def batch_may_be_split(subject: Subject) -> None:
    """The result of a patch does not depend on the other patches of the batch."""
    component = fitted(subject)
    require_batch_may_be_split(
        lambda chosen: _results(subject, component, chosen),
        "Call network.eval(), which ends batch normalisation by the batch, and normalise by no "
        "mean of the batch.",
    )


def inputs_unchanged(subject: Subject) -> None:
    """The patches stay as they are."""
    patches, component = patches_for(subject), fitted(subject)
    require_unchanged({"patches": patches}, lambda: _compute(subject, component, patches))


def fit_follows_rng(subject: Subject) -> None:
    """fit with the same state of rng gives the same results."""
    require_deterministic(
        lambda: _results(subject, _fitted_once(subject)),
        "Draw from rng only; seed torch with torch.Generator().manual_seed(int(rng.integers("
        "2**63))).",
    )


def deterministic(subject: Subject) -> None:
    """The same patches give the same results."""
    component = fitted(subject)
    require_deterministic(
        lambda: _results(subject, component),
        "Call network.eval(), which ends dropout, and draw nothing at random.",
    )


def global_random_state_kept(subject: Subject) -> None:
    """The global random state stays as it is, in fit and afterwards."""
    require_random_states_kept(lambda: _results(subject, _fitted_once(subject)))


def state_round_trip(subject: Subject) -> None:
    """A new component that loads the state gives the same results, bit for bit."""
    from safetensors.numpy import load, save

    component, restored = fitted(subject), subject.fresh()
    with explained("state() returns a dict of named numpy arrays of numbers; load_state takes it."):
        restored.load_state(load(save(saved_state(component))))
    differs = difference(_results(subject, restored), _results(subject, component), exact=True)
    require(
        not differs,
        f"With the loaded one, {differs}. Return all that was fitted from state(), unrounded, and "
        "take over all of it.",
    )


def wrong_state_is_refused(subject: Subject) -> None:
    """load_state refuses a state with a missing name or an array of another shape."""
    require_wrong_states_refused(subject, saved_state(fitted(subject)))


def refused_state_changes_nothing(subject: Subject) -> None:
    """A component that refuses a state is as it was before."""
    component = fitted(subject)
    require_refused_state_changes_nothing(component, lambda: _results(subject, component))


def readable_repr_after_fit(subject: Subject) -> None:
    """The repr stays readable after fit."""
    require_readable(fitted(subject))


CHECK_OF_FIT = Check(fit_returns_history, required=True)
"""Comes before the checks of what a kind returns."""

CHECKS_AFTER_FIT = (
    Check(takes_validation_patches),
    Check(on_epoch_is_called),
    Check(order_kept),
    Check(batch_may_be_split),
    Check(inputs_unchanged),
    Check(fit_follows_rng),
    Check(deterministic),
    Check(global_random_state_kept),
    Check(state_round_trip),
    Check(wrong_state_is_refused),
    Check(refused_state_changes_nothing),
    Check(readable_repr_after_fit),
)
"""Come after the checks of what a kind returns."""


def patches_for(subject: Subject) -> PatchBatch:
    """Return new patches of a size that the component takes."""
    return phantom_patches(_side(subject))


def fitted(subject: Subject) -> Any:
    """Return a fitted copy of the component."""
    return copy.deepcopy(subject.once(_fitted_once))


def _side(subject: Subject) -> int:
    return int(getattr(subject.component, "patch_size", SIDE))


def _fit(
    subject: Subject, component: Any, on_epoch: EpochCallback | None = None
) -> TrainingHistory:
    with phantom_source(_side(subject)) as source:
        history: TrainingHistory = component.fit(
            source, rng=np.random.default_rng(0), on_epoch=on_epoch
        )
    return history


def _fitted_once(subject: Subject) -> Any:
    component = subject.fresh()
    _fit(subject, component)
    return component


def _compute(subject: Subject, component: Any, patches: PatchBatch) -> State:
    """Return copies of the arrays that a component computes of patches."""
    if subject.kind == "model":
        return arrays_of(component.reconstruct(patches))
    return {"features": component.extract(patches).copy()}


def _results(subject: Subject, component: Any, chosen: NDArray[np.int64] | None = None) -> State:
    """Return the arrays of new patches, of all of them or of the chosen ones."""
    patches = patches_for(subject)
    return _compute(subject, component, patches if chosen is None else patches[chosen])
