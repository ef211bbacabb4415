"""Training on the normal images of a reproduction, for a number of steps."""

from __future__ import annotations

import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from lungpatch.containers import PatchBatch, TrainingHistory
from lungpatch.errors import InsufficientDataError
from lungpatch.models.diagnostics import identity_shortcut
from lungpatch.networks.network_model import NetworkModel
from lungpatch.pipeline.patch_store import PatchStore
from lungpatch.reference.settings import NORMAL_PATCHES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lungpatch.protocols import EpochCallback, ReconstructionModel
    from lungpatch.reference.patch_table import PatchCutter

ROLES = tuple(NORMAL_PATCHES)


def stage_rng(seed: int, stream: str) -> np.random.Generator:
    """Return a generator that does not depend on which stages ran before.

    Parameters
    ----------
    seed : int
    stream : str
        Name of the stream of random numbers. Another name gives other results.

    Returns
    -------
    numpy.random.Generator

    Examples
    --------
    >>> one, same, other = stage_rng(0, "a"), stage_rng(0, "a"), stage_rng(0, "b")
    >>> draw = int(one.integers(1000))
    >>> draw == int(same.integers(1000)), draw == int(other.integers(1000))
    (True, False)
    """
    return np.random.default_rng([seed, zlib.crc32(stream.encode())])


def steps_per_epoch(n_items: int, batch_size: int) -> int:
    """Return the number of batches that hold ``n_items``.

    Examples
    --------
    >>> steps_per_epoch(130, 64)
    3
    """
    return -(-n_items // batch_size)


@contextmanager
def normal_patches(
    cutter: PatchCutter, roles: NDArray[np.str_], *, rng: np.random.Generator
) -> Iterator[dict[str, PatchStore]]:
    """Cut the normal patches for training, validation and test, one store per role.

    Where there are more patches than the paper's counts, as many as the paper has are drawn.

    Parameters
    ----------
    cutter : PatchCutter
    roles : ndarray of str, shape (N,)
        What each image is for; see `lungpatch.reference.roles.choose_roles`.
    rng : numpy.random.Generator

    Yields
    ------
    dict of str to PatchStore
        ``training``, ``validation`` and ``test``; closed when the block ends.

    Raises
    ------
    InsufficientDataError
        If a role is left without patches.
    """
    size = cutter.sampler.patch_size
    stores = {role: PatchStore(size) for role in ROLES}
    try:
        for role, store in stores.items():
            batches = [patches for patches, _ in cutter.cut(np.flatnonzero(roles == role).tolist())]
            if not batches:
                raise InsufficientDataError(
                    f"the normal images for {role} hold no patch of {size} pixels: give more images"
                )
            patches = PatchBatch.concatenate(batches)
            max_patches = NORMAL_PATCHES[role]
            if len(patches) > max_patches:
                patches = patches[np.sort(rng.permutation(len(patches))[:max_patches])]
            store.add(patches)
        yield stores
    finally:
        for store in stores.values():
            store.close()


def fit_for_steps(
    model: ReconstructionModel,
    stores: dict[str, PatchStore],
    *,
    steps: int,
    rng: np.random.Generator,
    on_epoch: EpochCallback,
) -> TrainingHistory:
    """Fit a model for about a number of steps; the validation patches choose the weights.

    Parameters
    ----------
    model : ReconstructionModel
        The ``epochs`` and ``patience`` of a network are set. Any other model is fitted as it is.
    stores : dict of str to PatchStore
        See `normal_patches`.
    steps : int
    rng : numpy.random.Generator
    on_epoch : callable
        Called as ``on_epoch(epoch, epochs, metrics)`` after every epoch.

    Returns
    -------
    TrainingHistory
    """
    if isinstance(model, NetworkModel):
        per_epoch = steps_per_epoch(len(stores["training"]), model.batch_size)
        model.epochs = model.patience = max(1, round(steps / per_epoch))
    return model.fit(
        stores["training"], validation=stores["validation"], rng=rng, on_epoch=on_epoch
    )


def all_patches(store: PatchStore) -> PatchBatch:
    """Return the patches of a store in one batch."""
    return next(iter(store.batches(len(store))))


def shortcut_of(
    model: ReconstructionModel, store: PatchStore, *, rng: np.random.Generator
) -> float | None:
    """Return the identity shortcut of a model; None where it cannot be measured.

    See `lungpatch.models.diagnostics.identity_shortcut`.
    """
    try:
        found = identity_shortcut(model, store, rng=rng)
    except InsufficientDataError:
        return None
    return None if found is None else found.shortcut
