"""What a scorer promises; see `lungpatch.protocols.Scorer`."""

# ruff: noqa: D401, D403 - the first line of a check's docstring is the promise that reports print

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lungpatch.containers import PatchBatch, PatchScores, Reconstruction
from lungpatch.errors import LungpatchError
from lungpatch.testing.batch_checks import require_batch_may_be_split, require_order_kept
from lungpatch.testing.common_checks import COMMON_CHECKS
from lungpatch.testing.comparing import (
    arrays_of,
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

CHANNELS = 9


def check_scorer(
    scorer: Scorer, *, expected_failures: Mapping[str, str] | None = None
) -> CheckReport:
    """Check that a scorer keeps what its contract promises.

    Parameters
    ----------
    scorer : Scorer
        Only copies of it are used.
    expected_failures : mapping of str to str, optional
        Names of checks that it is not meant to pass, and the reasons.

    Returns
    -------
    CheckReport

    Raises
    ------
    ConfigurationError
        If ``scorer`` is a class, or ``expected_failures`` names no check.

    Examples
    --------
    >>> from lungpatch.scorers import SADScorer
    >>> check_scorer(SADScorer()).raise_on_failure()
    SADScorer(reduction='mean', region='lung'): 17 checks, 17 passed
    """
    return run_checks("scorer", SCORER_CHECKS, scorer, expected_failures)


def returns_patch_scores(subject: Subject) -> None:
    """score returns PatchScores, one finite value per patch."""
    _require_patch_scores(_score(subject))


def higher_is_more_anomalous(subject: Subject) -> None:
    """The further a patch is from what was expected, the higher its score."""
    equal, near, far = (
        float(np.median(_score(subject, strength=strength).values)) for strength in (0.0, 0.25, 1.0)
    )
    require(
        equal < near < far,
        f"The median score was {equal:.4g} where both are equal, {near:.4g} with some noise and "
        f"{far:.4g} with much. Return a distance, or 1 minus a similarity.",
    )


def every_channel_counts(subject: Subject) -> None:
    """A difference in any of 9 channels changes the score, unless 9 channels are refused."""
    scorer, patches = subject.fresh(), phantom_patches()
    advice = (
        "Models of features have many channels: take the mean over axis 1, or raise "
        "lungpatch.errors.ConfigurationError where reconstruction.target.shape[1] is not 1."
    )
    with explained(advice):
        try:
            equal = scorer.score(patches, _one_channel_wrong(patches, None))
        except LungpatchError:
            return  # it compares pixels only, and says so
        _require_patch_scores(equal)
        for channel in range(CHANNELS):
            wrong = scorer.score(patches, _one_channel_wrong(patches, channel))
            require(
                np.median(wrong.values) != np.median(equal.values),
                f"Noise in channel {channel} alone does not change the median score. {advice}",
            )


def support_has_shape_of_patches(subject: Subject) -> None:
    """support says for every pixel of every patch whether it counted."""
    patches, shape = phantom_patches(), _score(subject).support.shape
    require(
        shape == patches.pixels.shape,
        f"Its shape is {shape}, the shape of the patches {patches.pixels.shape}. Pass "
        "support=patches.lung, or np.ones(patches.pixels.shape, bool) where all pixels count.",
    )


def support_is_not_empty(subject: Subject) -> None:
    """Every score was computed over at least one pixel."""
    empty = np.flatnonzero(~_score(subject).support.any(axis=(1, 2)))
    require(
        not len(empty),
        f"support is empty for {len(empty)} of {PATCHES} patches: no map could show their "
        "scores. Set it where pixels counted.",
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
    require_order_kept(lambda chosen: arrays_of(_score(subject, chosen)))


def batch_may_be_split(subject: Subject) -> None:
    """The score of a patch does not depend on the other patches of the batch."""
    require_batch_may_be_split(
        lambda chosen: arrays_of(_score(subject, chosen)),
        "Normalise by no mean, maximum or deviation of the batch.",
    )


def inputs_unchanged(subject: Subject) -> None:
    """score does not change patches and reconstruction."""
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
    """score does not change the global random state."""
    require_random_states_kept(lambda: _score(subject))


SCORER_CHECKS = (
    *COMMON_CHECKS,
    Check(returns_patch_scores, required=True),
    Check(higher_is_more_anomalous),
    Check(every_channel_counts),
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
    """Return new copies of all patches or of the chosen ones, and of their reconstruction."""
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


def _one_channel_wrong(patches: PatchBatch, channel: int | None) -> Reconstruction:
    """Return features that equal what was expected, but for noise in one channel, if any."""
    noisy = phantom_reconstruction(patches, strength=1.0)
    target = np.repeat(noisy.target, CHANNELS, axis=1)
    expected = target.copy()
    if channel is not None:
        expected[:, channel] = noisy.expected[:, 0]
    return Reconstruction(target=target, expected=expected)


def _require_patch_scores(found: Any) -> None:
    require(
        isinstance(found, PatchScores),
        f"It returned {type(found).__name__}. Write return lungpatch.PatchScores(values=..., "
        "support=...).",
    )
    require(
        len(found) == PATCHES,
        f"{PATCHES} patches gave {len(found)} values. Reduce over all axes but the first.",
    )
