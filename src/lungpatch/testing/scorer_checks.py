"""What a scorer promises; see `lungpatch.protocols.Scorer`."""

# ruff: noqa: D401, D403 - the first line of a check's docstring is the promise that reports print

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lungpatch.containers import PatchBatch, PatchScores, Reconstruction
from lungpatch.testing.common_checks import COMMON_CHECKS
from lungpatch.testing.comparing import (
    arrays_of,
    difference,
    joined,
    require_deterministic,
    require_random_states_kept,
    require_unchanged,
)
from lungpatch.testing.runner import Check, Subject, explained, require, run_checks
from lungpatch.testing.samples import PATCHES, phantom_patches, phantom_reconstruction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lungpatch.protocols import Scorer
    from lungpatch.testing.results import CheckReport


def check_scorer(
    scorer: Scorer, *, expected_failures: Mapping[str, str] | None = None
) -> CheckReport:
    """Check that a scorer keeps what its contract promises.

    Parameters
    ----------
    scorer : Scorer
        Only copies of it are used.
    expected_failures : mapping of str to str, optional
        Checks that it does not pass by intent, and why.

    Returns
    -------
    CheckReport

    Raises
    ------
    ConfigurationError
        If ``scorer`` is a class, or ``expected_failures`` names no check.

    Examples
    --------
    >>> from lungpatch.scorers.sad import SADScorer
    >>> check_scorer(SADScorer()).raise_on_failure()
    SADScorer(reduction='mean', region='lung'): 16 checks, 16 passed
    """
    return run_checks("scorer", SCORER_CHECKS, scorer, expected_failures)


def returns_patch_scores(subject: Subject) -> None:
    """score returns PatchScores, one finite value a patch."""
    found = _score(subject)
    require(
        isinstance(found, PatchScores),
        f"It returned {type(found).__name__}. Write return lungpatch.PatchScores(values=..., "
        "support=...).",
    )
    require(
        len(found) == PATCHES,
        f"{PATCHES} patches gave {len(found)} values. Reduce over all axes but the first.",
    )


def takes_no_patches(subject: Subject) -> None:
    """A batch of length 0 gives scores of length 0."""
    with explained("Images without lungs give such batches: max and min need initial=..."):
        found = _score(subject, np.arange(0))
    require(len(found) == 0, f"It gave {len(found)}. Return values of shape (0,).")


def higher_is_more_anomalous(subject: Subject) -> None:
    """The further a patch is from what was expected, the higher its score."""
    equal, near, far = (
        float(np.median(_score(subject, strength=strength).values)) for strength in (0.0, 0.25, 1.0)
    )
    require(
        equal < near < far,
        f"The median score was {equal:.4g} where both are equal, {near:.4g} with some noise and "
        f"{far:.4g} with much. Return a distance; of a similarity, 1 minus it.",
    )


def support_has_shape_of_patches(subject: Subject) -> None:
    """support says of every pixel of every patch whether it counted."""
    patches, shape = phantom_patches(), _score(subject).support.shape
    require(
        shape == patches.pixels.shape,
        f"Its shape is {shape}, that of the patches {patches.pixels.shape}. Pass support=patches."
        "lung, or np.ones(patches.pixels.shape, bool) where all pixels count.",
    )


def support_is_not_empty(subject: Subject) -> None:
    """Every score was computed over at least one pixel."""
    empty = np.flatnonzero(~_score(subject).support.any(axis=(1, 2)))
    require(
        not len(empty),
        f"support is empty for {len(empty)} of {PATCHES} patches: their scores would be on no "
        "map. Set it where pixels counted.",
    )


def region_lung_means_lung(subject: Subject) -> None:
    """With the setting region="lung", only lung pixels count."""
    if getattr(subject.component, "region", None) != "lung":
        return
    patches, support = phantom_patches(), _score(subject).support
    if support.shape != patches.lung.shape:
        return  # support_has_shape_of_patches reports it
    outside = np.count_nonzero(support & ~patches.lung)
    require(
        not outside,
        f"support holds {outside} pixels that are not lung. Leave them out of score and support: "
        "support=patches.lung, or less.",
    )


def error_maps_are_finite(subject: Subject) -> None:
    """error_maps, where there are any, are finite within support."""
    found = _score(subject)
    if found.error_maps is None:
        return
    bad = np.count_nonzero(~np.isfinite(found.error_maps[found.support]))
    require(
        not bad,
        f"{bad} pixels are NaN or infinite. Give every pixel of support an error, or take it out "
        "of support.",
    )


def order_kept(subject: Subject) -> None:
    """Scores come in the order of the patches."""
    order = np.random.default_rng(0).permutation(PATCHES)
    wanted = {name: array[order] for name, array in arrays_of(_score(subject)).items()}
    differs = difference(arrays_of(_score(subject, order)), wanted, exact=False)
    require(
        not differs,
        f"Of the patches in another order {differs}. Do not sort, and let no score depend on the "
        "patch's place in the batch.",
    )


def batch_may_be_split(subject: Subject) -> None:
    """A patch's score does not depend on the other patches of the batch."""
    # One patch alone, too: what squeeze() takes away.
    parts = [
        arrays_of(_score(subject, part)) for part in np.split(np.arange(PATCHES), [PATCHES - 1])
    ]
    differs = difference(joined(parts), arrays_of(_score(subject)), exact=False)
    require(
        not differs,
        f"In two batches {differs}. Normalise by no mean, maximum or deviation of the batch.",
    )


def inputs_unchanged(subject: Subject) -> None:
    """score leaves patches and reconstruction as they are."""
    patches, reconstruction = _inputs()
    require_unchanged(
        {"patches": patches, "reconstruction": reconstruction},
        lambda: subject.fresh().score(patches, reconstruction),
    )


def deterministic(subject: Subject) -> None:
    """The same patches give the same scores."""
    scorer = subject.fresh()
    require_deterministic(
        lambda: arrays_of(scorer.score(*_inputs())),
        "Keep nothing between calls, and draw nothing at random.",
    )


def global_random_state_kept(subject: Subject) -> None:
    """score leaves the global random state alone."""
    require_random_states_kept(lambda: _score(subject))


SCORER_CHECKS = (
    *COMMON_CHECKS,
    Check(returns_patch_scores, required=True),
    Check(takes_no_patches),
    Check(higher_is_more_anomalous),
    Check(support_has_shape_of_patches),
    Check(support_is_not_empty),
    Check(region_lung_means_lung),
    Check(error_maps_are_finite),
    Check(order_kept),
    Check(batch_may_be_split),
    Check(inputs_unchanged),
    Check(deterministic),
    Check(global_random_state_kept),
)


def _inputs(
    chosen: NDArray[np.int64] | None = None, strength: float = 0.3
) -> tuple[PatchBatch, Reconstruction]:
    """Return new copies of the chosen patches, all by default, and of their reconstruction."""
    patches = phantom_patches()
    whole = phantom_reconstruction(patches, strength)
    if chosen is None:
        return patches, whole
    part = Reconstruction(target=whole.target[chosen], expected=whole.expected[chosen])
    return patches[chosen], part


def _score(
    subject: Subject, chosen: NDArray[np.int64] | None = None, strength: float = 0.3
) -> PatchScores:
    scores: PatchScores = subject.fresh().score(*_inputs(chosen, strength))
    return scores
