"""What each image of a reproduction is for, and how many patches that gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lungpatch.errors import InsufficientDataError
from lungpatch.reference.cohort import known_patients
from lungpatch.reference.patch_table import LUNG_SAMPLER, WHOLE_IMAGE_SAMPLER, PatchCutter
from lungpatch.reference.settings import (
    GRID_SIZE,
    N_NORMAL_IMAGES,
    N_PNEUMONIA_IMAGES,
    N_PNEUMONIA_PATCHES,
    NORMAL_PATCHES,
    PATCH_SIZE,
    PATCHES_PER_NORMAL_IMAGE,
    STRIDE,
    ReproductionSettings,
)
from lungpatch.reference.stages import StageResult
from lungpatch.reference.training import ROLES, normal_patches, stage_rng

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from lungpatch._utils.progress import ProgressCallback
    from lungpatch.reference.images import PreparedImages

MIN_IMAGES = 3
"""Minimum number of images for validation, and for test, where there are some 15: ours."""


def choose_roles(
    labels: ArrayLike,
    patients: ArrayLike,
    n_patches: ArrayLike,
    *,
    n_pneumonia: int,
    n_held_normal: int,
    rng: np.random.Generator,
) -> NDArray[np.str_]:
    """Choose what each image is for, so that no patient is on two sides.

    Of the normal images 100 (`settings.N_NORMAL_IMAGES`) are used for training, validation and
    test. They are split by patient as the paper's patches are: 5,750 for training, 100 for
    validation and 200 for test where there are as many, and in proportion otherwise, but with at
    least three images each for validation and test (a fifth, where there are few).

    Parameters
    ----------
    labels : array_like of str, shape (N,)
        ``normal`` or ``pneumonia``; images with other labels are left out.
    patients : array_like of str, shape (N,)
    n_patches : array_like of int, shape (N,)
        Number of lung patches in each image. Normal images with 0 are left out.
    n_pneumonia, n_held_normal : int
        Maximum number of images.
    rng : numpy.random.Generator
        Draws the patients.

    Returns
    -------
    ndarray of str, shape (N,)
        ``training``, ``validation`` and ``test`` (normal images), ``held`` (further normal images,
        held out), ``pneumonia``, or empty. A pneumonia image of a patient with images for training
        or validation is left out.

    Raises
    ------
    InsufficientDataError
        If there are fewer than three patients with normal lungs, or no pneumonia image is left.

    Examples
    --------
    >>> roles = choose_roles(["normal"] * 20 + ["pneumonia"] * 2, range(22), [30] * 22,
    ...                      n_pneumonia=5, n_held_normal=5, rng=np.random.default_rng(0))
    >>> [int((roles == role).sum()) for role in ("training", "validation", "test", "pneumonia")]
    [14, 3, 3, 2]
    """
    classes, owners, counts = np.asarray(labels), np.asarray(patients), np.asarray(n_patches)
    roles = np.full(len(classes), "", dtype="<U10")
    usable = (classes == "normal") & (counts > 0)
    order = rng.permutation(np.unique(owners[usable]))
    if len(order) < 3:
        raise InsufficientDataError(
            f"a reproduction needs normal images of at least 3 patients whose lungs hold a patch, "
            f"got {len(order)}: give more images"
        )
    images_of = [np.flatnonzero(usable & (owners == owner)) for owner in order]
    sizes = np.array([len(images) for images in images_of])
    n_used = max(3, int(np.searchsorted(np.cumsum(sizes), N_NORMAL_IMAGES, side="right")))
    for role, images in _split_by_patches(images_of[:n_used], counts).items():
        roles[images] = role
    further = images_of[n_used:]
    if further:
        roles[np.concatenate(further)[:n_held_normal]] = "held"

    seen = np.unique(owners[np.isin(roles, ("training", "validation"))])
    pneumonia = np.flatnonzero((classes == "pneumonia") & ~np.isin(owners, seen))
    if not len(pneumonia):
        raise InsufficientDataError(
            "there is no pneumonia image of a patient whose images are not used for training or "
            "validation: give some"
        )
    roles[np.sort(rng.permutation(pneumonia)[:n_pneumonia])] = "pneumonia"
    return roles


def _split_by_patches(
    images_of: list[NDArray[np.int64]], counts: NDArray[np.int64]
) -> dict[str, NDArray[np.int64]]:
    """Split patients, given as their images, by the paper's numbers of patches."""
    n_images = sum(map(len, images_of))
    total = int(sum(counts[images].sum() for images in images_of))
    fraction = min(1.0, total / sum(NORMAL_PATCHES.values()))
    min_images = max(1, min(MIN_IMAGES, n_images // 5))
    waiting = list(images_of)
    split = {}
    for role in ("test", "validation"):
        wanted = fraction * NORMAL_PATCHES[role]
        images = waiting.pop(0)
        others = 1 if role == "test" else 0  # validation needs a patient too
        while len(waiting) > 1 + others and (
            counts[images].sum() < wanted or len(images) < min_images
        ):
            images = np.concatenate([images, waiting.pop(0)])
        split[role] = images
    return split | {"training": np.concatenate(waiting)}


def choose_images(
    images: PreparedImages, settings: ReproductionSettings, progress: ProgressCallback
) -> StageResult:
    """Choose what each image is for and count the patches, beside the paper's counts.

    Parameters
    ----------
    images : PreparedImages
    settings : ReproductionSettings
    progress : callable

    Returns
    -------
    StageResult
        The array ``roles`` is that of `choose_roles`.

    Raises
    ------
    InsufficientDataError
        If there are too few images.
    """
    roles = choose_roles(
        np.where(images.usable, images.dataset.labels, ""),
        known_patients(images.dataset),
        images.n_patches,
        n_pneumonia=settings.n_pneumonia,
        n_held_normal=settings.n_held_normal,
        rng=stage_rng(settings.seed, "patches"),
    )
    cutter = PatchCutter(images=images, sampler=LUNG_SAMPLER)
    with normal_patches(cutter, roles, rng=stage_rng(settings.seed, "cut")) as stores:
        n_patches = {role: len(stores[role]) for role in ROLES}
    progress("patches", 1, 1, {})
    used = np.isin(roles, ROLES)
    first_used = images.read(int(np.flatnonzero(used)[0]))
    return StageResult(
        values={
            "normal_images": {role: int((roles == role).sum()) for role in (*ROLES, "held")},
            "normal_patches": n_patches,
            "normal_patches_before_drawing": int(images.n_patches[used].sum()),
            "normal_patches_per_image": float(images.n_patches[used].mean()),
            "pneumonia_images": int((roles == "pneumonia").sum()),
            "pneumonia_patches_per_image": len(WHOLE_IMAGE_SAMPLER.sample(*first_used)),
            "positions_of_the_stated_sizes": ((GRID_SIZE - PATCH_SIZE) // STRIDE + 1) ** 2,
            "paper": {
                "normal_images": N_NORMAL_IMAGES,
                "normal_patches": NORMAL_PATCHES,
                "normal_patches_per_image_by_its_text": PATCHES_PER_NORMAL_IMAGE,
                "normal_patches_per_image_by_its_totals": sum(NORMAL_PATCHES.values())
                / N_NORMAL_IMAGES,
                "pneumonia_images": N_PNEUMONIA_IMAGES,
                "pneumonia_patches": N_PNEUMONIA_PATCHES,
                "pneumonia_patches_per_image": N_PNEUMONIA_PATCHES / N_PNEUMONIA_IMAGES,
            },
        },
        arrays={"roles": roles},
    )
