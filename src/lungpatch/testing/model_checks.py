"""What a model promises; see `lungpatch.protocols.ReconstructionModel`."""

# ruff: noqa: D401, D403 - the first line of a check's docstring is the promise that reports print

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

from lungpatch.containers import PatchBatch, Reconstruction, TrainingHistory
from lungpatch.errors import NotFittedError
from lungpatch.testing.batch_checks import require_batch_may_be_split, require_order_kept
from lungpatch.testing.common_checks import COMMON_CHECKS, require_readable
from lungpatch.testing.comparing import (
    arrays_of,
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

    from lungpatch.protocols import EpochCallback, ReconstructionModel
    from lungpatch.testing.results import CheckReport


def check_model(
    model: ReconstructionModel, *, expected_failures: Mapping[str, str] | None = None
) -> CheckReport:
    """Check that a model keeps what its contract promises.

    It is fitted a few times, on 64 patches: give it settings that make this quick.

    Parameters
    ----------
    model : ReconstructionModel
        Not fitted. Only copies of it are used.
    expected_failures : mapping of str to str, optional
        Checks that it does not pass by intent, and why.

    Returns
    -------
    CheckReport

    Raises
    ------
    ConfigurationError
        If ``model`` is a class, or ``expected_failures`` names no check.

    Examples
    --------
    >>> from lungpatch.models.pca import PCA
    >>> check_model(PCA(patch_size=8, n_components=3)).raise_on_failure()
    PCA(patch_size=8, n_components=3, max_patches=20000): 21 checks, 21 passed
    """
    return run_checks("model", MODEL_CHECKS, model, expected_failures)


def patch_size_is_positive(subject: Subject) -> None:
    """patch_size is a whole number of pixels, at least 1."""
    size = subject.component.patch_size
    require(
        type(size) is int and size >= 1, f"It is {size!r}. Make it a setting, an int from 1 on."
    )


def not_fitted_before_fit(subject: Subject) -> None:
    """reconstruct and state before fit raise NotFittedError, which says to call fit."""
    advice = (
        'Raise lungpatch.errors.NotFittedError("...: call fit(source, rng=...)"); and check one '
        "that was not fitted."
    )
    model, patches = subject.fresh(), _patches(subject)
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


def fit_returns_history(subject: Subject) -> None:
    """fit returns a TrainingHistory."""
    with phantom_source(subject.component.patch_size) as source:
        found = subject.fresh().fit(source, rng=np.random.default_rng(0))
    require(
        isinstance(found, TrainingHistory),
        f"It returned {type(found).__name__}. Write return lungpatch.TrainingHistory(...).",
    )


def returns_reconstruction(subject: Subject) -> None:
    """reconstruct returns a Reconstruction, one finite target and expectation a patch."""
    found = _fitted(subject).reconstruct(_patches(subject))
    require(
        isinstance(found, Reconstruction),
        f"It returned {type(found).__name__}. Write return lungpatch.Reconstruction(target=..., "
        "expected=...).",
    )
    require(len(found) == PATCHES, f"{PATCHES} patches gave {len(found)}. Return one each.")
    require(
        np.isfinite(found.target).all(),
        "target holds NaN or infinite values. No scorer can compare them: look for a division by "
        "0, such as the deviation of a patch of one grey.",
    )


def takes_validation_patches(subject: Subject) -> None:
    """fit takes validation patches."""
    size = subject.component.patch_size
    with (
        phantom_source(size) as source,
        phantom_source(size, PATCHES) as validation,
        explained("Where they are of no use, take and ignore them."),
    ):
        subject.fresh().fit(source, validation=validation, rng=np.random.default_rng(0))


def on_epoch_is_called(subject: Subject) -> None:
    """on_epoch(epoch, epochs, figures) is called after every epoch, which count from 1."""
    calls: list[tuple[int, int]] = []
    model = subject.fresh()
    history = _fit(model, on_epoch=lambda epoch, epochs, _: calls.append((epoch, epochs)))
    numbers = [epoch for epoch, _ in calls]
    require(
        numbers == list(range(1, len(history.epochs) + 1))
        and all(epoch <= epochs for epoch, epochs in calls),
        f"The history has {len(history.epochs)} epochs; the calls said (epoch, epochs) = {calls}. "
        "Call it, unless it is None, for each entry of TrainingHistory.epochs.",
    )


def takes_no_patches(subject: Subject) -> None:
    """A batch of length 0 gives a reconstruction of length 0."""
    model = _fitted(subject)
    with explained("Images without lungs give such batches: max and min need initial=..."):
        found = model.reconstruct(_patches(subject)[:0]).target.shape
    some = model.reconstruct(_patches(subject)).target
    require(
        found == (0, *some.shape[1:]),
        f"Its shape is {found}, and {some.shape} for {PATCHES} patches: all but the first number "
        "must agree.",
    )


def order_kept(subject: Subject) -> None:
    """Reconstructions come in the order of the patches."""
    model = _fitted(subject)
    require_order_kept(lambda patches: _reconstruct(model, patches), lambda: _patches(subject))


def batch_may_be_split(subject: Subject) -> None:
    """A patch's reconstruction does not depend on the other patches of the batch."""
    model = _fitted(subject)
    require_batch_may_be_split(
        lambda patches: _reconstruct(model, patches), lambda: _patches(subject)
    )


def inputs_unchanged(subject: Subject) -> None:
    """reconstruct leaves the patches as they are."""
    patches = _patches(subject)
    require_unchanged({"patches": patches}, lambda: _fitted(subject).reconstruct(patches))


def fit_follows_rng(subject: Subject) -> None:
    """The same state of rng gives the same model."""

    def call() -> State:
        return _reconstruct(_fitted_once(subject), _patches(subject))

    require_deterministic(
        call,
        "Draw from rng only; seed torch with torch.Generator().manual_seed(int(rng.integers("
        "2**63))).",
    )


def reconstruct_deterministic(subject: Subject) -> None:
    """The same patches give the same reconstruction."""
    model = _fitted(subject)
    require_deterministic(
        lambda: _reconstruct(model, _patches(subject)),
        "Call network.eval(), which ends dropout, and draw nothing at random.",
    )


def global_random_state_kept(subject: Subject) -> None:
    """Neither fit nor reconstruct changes the global random state."""

    def call() -> None:
        _fitted_once(subject).reconstruct(_patches(subject))

    require_random_states_kept(call)


def state_round_trip(subject: Subject) -> None:
    """A new model that loads the state gives the same, bit by bit."""
    from safetensors.numpy import load, save

    model, restored = _fitted(subject), subject.fresh()
    with explained("state() returns a dict of named numpy arrays of numbers; load_state takes it."):
        restored.load_state(load(save(saved_state(model))))
    wanted = _reconstruct(model, _patches(subject))
    differs = difference(_reconstruct(restored, _patches(subject)), wanted, exact=True)
    require(
        not differs,
        f"With the loaded one {differs}. Return all that was learnt from state(), unrounded, and "
        "take over all of it.",
    )


def wrong_state_is_refused(subject: Subject) -> None:
    """load_state refuses a state with a missing name or an array of another shape."""
    require_wrong_states_refused(subject, saved_state(_fitted(subject)))


def refused_state_changes_nothing(subject: Subject) -> None:
    """A model that refuses a state is as it was before."""
    model = _fitted(subject)
    require_refused_state_changes_nothing(model, lambda: _reconstruct(model, _patches(subject)))


def readable_repr_after_fit(subject: Subject) -> None:
    """The repr stays readable after fit."""
    require_readable(_fitted(subject))


MODEL_CHECKS = (
    *COMMON_CHECKS,
    Check(patch_size_is_positive, required=True),
    Check(not_fitted_before_fit),
    Check(fit_returns_history, required=True),
    Check(returns_reconstruction, required=True),
    Check(takes_validation_patches),
    Check(on_epoch_is_called),
    Check(takes_no_patches),
    Check(order_kept),
    Check(batch_may_be_split),
    Check(inputs_unchanged),
    Check(fit_follows_rng),
    Check(reconstruct_deterministic),
    Check(global_random_state_kept),
    Check(state_round_trip),
    Check(wrong_state_is_refused),
    Check(refused_state_changes_nothing),
    Check(readable_repr_after_fit),
)


def _patches(subject: Subject) -> PatchBatch:
    return phantom_patches(subject.component.patch_size)


def _fit(model: ReconstructionModel, on_epoch: EpochCallback | None = None) -> TrainingHistory:
    with phantom_source(model.patch_size) as source:
        return model.fit(source, rng=np.random.default_rng(0), on_epoch=on_epoch)


def _fitted_once(subject: Subject) -> ReconstructionModel:
    model: ReconstructionModel = subject.fresh()
    _fit(model)
    return model


def _fitted(subject: Subject) -> ReconstructionModel:
    return copy.deepcopy(subject.once(_fitted_once))


def _reconstruct(model: ReconstructionModel, patches: PatchBatch) -> State:
    return arrays_of(model.reconstruct(patches))
