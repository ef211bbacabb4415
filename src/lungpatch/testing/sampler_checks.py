"""What a sampler promises; see `lungpatch.protocols.PatchSampler`."""

# ruff: noqa: D401, D403 - the first line of a check's docstring is the promise that reports print

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from lungpatch.containers import ChestImage, LungMask, PatchBatch
from lungpatch.errors import ConfigurationError
from lungpatch.testing.common_checks import COMMON_CHECKS, patch_size_is_positive
from lungpatch.testing.comparing import (
    arrays_of,
    difference,
    require_deterministic,
    require_random_states_kept,
    require_unchanged,
)
from lungpatch.testing.runner import Check, Subject, explained, require, run_checks
from lungpatch.testing.samples import phantom_image, phantom_lungs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from lungpatch.protocols import PatchSampler
    from lungpatch.testing.results import CheckReport

_LARGEST_SIDE = 1024

_MIN_CORRELATION = 0.5
_WRONG_FRACTION = 0.02
_MAPPING = (
    "corners is the image's row and column that the patch begins at, extents how many rows and "
    "columns it shows; image row r from there lies in patch row floor((r + 1/2) P / rows)."
)


def check_sampler(
    sampler: PatchSampler, *, expected_failures: Mapping[str, str] | None = None
) -> CheckReport:
    """Check that a sampler keeps what its contract promises.

    Parameters
    ----------
    sampler : PatchSampler
        Only copies of it are used.
    expected_failures : mapping of str to str, optional
        Names of checks that it is not meant to pass, and the reasons.

    Returns
    -------
    CheckReport

    Raises
    ------
    ConfigurationError
        If ``sampler`` is a class, or ``expected_failures`` names no check.

    Examples
    --------
    >>> from lungpatch.samplers import GridSampler
    >>> check_sampler(GridSampler(patch_size=16)).ok
    True
    """
    return run_checks("sampler", SAMPLER_CHECKS, sampler, expected_failures)


def returns_patch_batch(subject: Subject) -> None:
    """sample returns a PatchBatch."""
    found = _sample(subject.fresh(), *_image(subject))
    require(
        isinstance(found, PatchBatch),
        f"It returned {type(found).__name__}. Write return lungpatch.PatchBatch(...).",
    )


def patches_have_patch_size(subject: Subject) -> None:
    """Patches have the side that patch_size says."""
    size, found = subject.component.patch_size, _sample(subject.fresh(), *_image(subject))
    require(
        found.patch_size == size,
        f"patch_size is {size}, the patches' side {found.patch_size}. Cut pixels of shape "
        "(N, patch_size, patch_size), for N = 0 too.",
    )


def batch_names_its_image(subject: Subject) -> None:
    """The batch has its image's id and shape."""
    image, lungs = _image(subject)
    found = _sample(subject.fresh(), image, lungs)
    require(
        (found.image_id, found.image_shape) == (image.image_id, image.shape),
        f"The batch of {image.image_id!r} {image.shape} says {found.image_id!r} "
        f"{found.image_shape}. Pass image_id=image.image_id and image_shape=image.shape.",
    )


def corners_inside_image(subject: Subject) -> None:
    """Every patch lies within its image; a resampled patch overlaps its image at least."""
    image, lungs = _image(subject)
    found = _sample(subject.fresh(), image, lungs)
    wrong = found.corners[~(_inside(found) | _is_resampled(found) & _overlaps(found))].tolist()
    require(
        not wrong,
        f"{len(wrong)} of {len(found)} do not, with the corners {wrong[:3]}. A corner is the "
        "patch's first pixel (row, column), from 0 to the image's side minus patch_size. Set "
        "extents of resampled patches.",
    )


def pixels_are_cut_at_corners(subject: Subject) -> None:
    """The pixels of a patch that was not resampled are the image's at its corner."""
    image, _ = _image(subject)
    _require_cut(_sample(subject.fresh(), *_image(subject)), "pixels", image.pixels)


def lung_is_cut_at_corners(subject: Subject) -> None:
    """The lung of a patch that was not resampled is the mask's at its corner."""
    _, lungs = _image(subject)
    _require_cut(_sample(subject.fresh(), *_image(subject)), "lung", lungs.pixels)


def resampled_pixels_show_their_box(subject: Subject) -> None:
    """A resampled patch shows what corner and extents say: dark and bright where the image is."""
    from scipy.stats import spearmanr

    image, lungs = _image(subject)
    for patch in _resampled(_sample(subject.fresh(), image, lungs)):
        seen = _resampled_box(image.pixels, patch)
        inside = np.isfinite(seen)
        if np.ptp(seen[inside]) > 0:
            alike = spearmanr(seen[inside], patch.pixels[0][inside]).statistic
            # Grey levels may be stretched, also differently in each neighbourhood, but not moved.
            require(
                alike >= _MIN_CORRELATION,
                f"The rank correlation of their grey levels is {alike:.2f}. {_MAPPING}",
            )


def resampled_lung_shows_its_box(subject: Subject) -> None:
    """The lung of a resampled patch is what corner and extents say of the mask."""
    image, lungs = _image(subject)
    for patch in _resampled(_sample(subject.fresh(), image, lungs)):
        size = np.ceil(3 * patch.extents[0] / patch.patch_size).astype(int)
        # Only where all pixels nearby are lung, or none is: borders depend on the resampling.
        surely = _resampled_box(ndimage.minimum_filter(lungs.pixels, size), patch, smooth=False)
        maybe = _resampled_box(ndimage.maximum_filter(lungs.pixels, size), patch, smooth=False)
        wrong = (surely == 1) & ~patch.lung[0] | (maybe == 0) & patch.lung[0]
        fraction = wrong.sum() / max(1, ((surely == 1) | (maybe == 0)).sum())
        require(
            fraction <= _WRONG_FRACTION,
            f"{fraction:.0%} of its pixels say otherwise. {_MAPPING}",
        )


def takes_any_shape(subject: Subject) -> None:
    """Images need not be square."""
    with explained("Take rows and columns from image.shape separately."):
        _sample(subject.fresh(), *_image(subject, wider=21))


def takes_tiny_lungs(subject: Subject) -> None:
    """Lungs too small for a patch are no error: a batch of length 0 says that there is none."""
    image, lungs = _image(subject)
    one_pixel = np.zeros_like(lungs.pixels)
    one_pixel[tuple(np.argwhere(lungs.pixels)[0])] = True
    with explained("Return pixels of shape (0, patch_size, patch_size), corners of (0, 2)."):
        found = _sample(subject.fresh(), image, LungMask(pixels=one_pixel))
    require(isinstance(found, PatchBatch), f"It returned {type(found).__name__}.")


def inputs_unchanged(subject: Subject) -> None:
    """sample does not change image and mask."""
    image, lungs = _image(subject)
    require_unchanged(
        {"image": image, "lungs": lungs}, lambda: _sample(subject.fresh(), image, lungs)
    )


def deterministic(subject: Subject) -> None:
    """The same state of rng gives the same patches."""
    sampler = subject.fresh()
    require_deterministic(
        lambda: arrays_of(_sample(sampler, *_image(subject))),
        "Draw from the rng that is passed, and from nothing else.",
    )


def rng_moves_on(subject: Subject) -> None:
    """A random sampler draws new patches at each call with one rng."""
    sampler = subject.fresh()

    def alike(rngs: Iterator[np.random.Generator]) -> bool:
        first, *others = (arrays_of(sampler.sample(*_image(subject), rng=rng)) for rng in rngs)
        return not any(difference(other, first, exact=True) for other in others)

    one = np.random.default_rng(0)
    require(
        alike(np.random.default_rng(seed) for seed in range(4)) or not alike(one for _ in range(4)),
        "It draws the same patches again. Draw from rng itself; a new generator from its seed "
        "would start over at every image.",
    )


def without_rng(subject: Subject) -> None:
    """Without rng, patches are not random, or a ConfigurationError asks for rng."""
    sampler = subject.fresh()

    def call() -> dict[str, NDArray[Any]]:
        try:
            return arrays_of(sampler.sample(*_image(subject)))
        except ConfigurationError:
            return {}

    require_deterministic(call, "Raise lungpatch.errors.ConfigurationError where rng is None.")


def global_random_state_kept(subject: Subject) -> None:
    """sample does not change the global random state."""
    sampler = subject.fresh()
    require_random_states_kept(lambda: _sample(sampler, *_image(subject)))


SAMPLER_CHECKS = (
    *COMMON_CHECKS,
    Check(patch_size_is_positive, required=True),
    Check(returns_patch_batch, required=True),
    Check(patches_have_patch_size),
    Check(batch_names_its_image),
    Check(corners_inside_image),
    Check(pixels_are_cut_at_corners),
    Check(lung_is_cut_at_corners),
    Check(resampled_pixels_show_their_box),
    Check(resampled_lung_shows_its_box),
    Check(takes_any_shape),
    Check(takes_tiny_lungs),
    Check(inputs_unchanged),
    Check(deterministic),
    Check(rng_moves_on),
    Check(without_rng),
    Check(global_random_state_kept),
)


def _image(subject: Subject, wider: int = 0) -> tuple[ChestImage, LungMask]:
    """Return an image into which many patches fit, and its lungs."""
    size = subject.component.patch_size
    side = max(128, size, min(4 * size, _LARGEST_SIDE))
    shape = (side, side + wider)
    return phantom_image(shape), phantom_lungs(shape)


def _sample(sampler: PatchSampler, image: ChestImage, lungs: LungMask) -> PatchBatch:
    return sampler.sample(image, lungs, rng=np.random.default_rng(0))


def _is_resampled(batch: PatchBatch) -> NDArray[np.bool_]:
    return np.asarray((batch.extents != batch.patch_size).any(axis=1))


def _inside(batch: PatchBatch) -> NDArray[np.bool_]:
    last = np.array(batch.image_shape) - batch.patch_size
    inside = ((batch.corners >= 0) & (batch.corners <= last)).all(axis=1)
    return np.asarray(inside & ~_is_resampled(batch))


def _overlaps(batch: PatchBatch) -> NDArray[np.bool_]:
    end = batch.corners + batch.extents
    return np.asarray(((end > 0) & (batch.corners < batch.image_shape)).all(axis=1))


def _resampled(batch: PatchBatch) -> Iterator[PatchBatch]:
    """Yield the resampled patches that overlap the image; others fail the check of corners."""
    for index in np.flatnonzero(_is_resampled(batch) & _overlaps(batch)):
        yield batch[index : index + 1]


def _resampled_box(
    whole: NDArray[Any], patch: PatchBatch, *, smooth: bool = True
) -> NDArray[np.float64]:
    """Return what corner and extents of one patch show of an image, (P, P); NaN beyond it."""
    side = patch.patch_size
    step = patch.extents[0] / side
    values = whole.astype(np.float64)
    if smooth:
        values = ndimage.uniform_filter(values, np.maximum(1, np.rint(step)).astype(int))
    rows, columns = patch.corners[0, :, None] + (np.arange(side) + 0.5) * step[:, None] - 0.5
    positions = np.meshgrid(rows, columns, indexing="ij")
    seen: NDArray[np.float64] = ndimage.map_coordinates(
        values, positions, order=1 if smooth else 0, mode="constant", cval=np.nan
    )
    return seen


def _require_cut(batch: PatchBatch, name: str, whole: NDArray[Any]) -> None:
    side = batch.patch_size
    # Patches outside the image and resampled ones have checks of their own.
    for index in np.flatnonzero(_inside(batch)):
        row, column = batch.corners[index].tolist()
        found = getattr(batch, name)[index]
        require(
            np.array_equal(found, whole[row : row + side, column : column + side]),
            f"They differ for the patch {index} at row {row}, column {column}. Cut "
            "[row : row + patch_size, column : column + patch_size], and change no value.",
        )
