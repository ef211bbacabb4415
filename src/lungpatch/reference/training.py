"""Learning from the normal images of a reproduction, for a number of steps."""

from __future__ import annotations

import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from lungpatch.containers import PatchBatch, TrainingHistory
from lungpatch.errors import InsufficientDataError
from lungpatch.networks.network_model import NetworkModel
from lungpatch.pipeline.patch_store import PatchStore
from lungpatch.reference.patch_table import ImageSource, patches_of_images
from lungpatch.reference.settings import NORMAL_PATCHES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lungpatch._utils.progress import ProgressCallback
    from lungpatch.protocols import PatchSampler, ReconstructionModel
    from lungpatch.reference.images import Images

ROLES = tuple(NORMAL_PATCHES)


def stage_rng(seed: int, stage: str) -> np.random.Generator:
    """Return the generator of a stage: it does not depend on which stages ran before.

    Parameters
    ----------
    seed : int
    stage : str

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
    return np.random.default_rng([seed, zlib.crc32(stage.encode())])


@contextmanager
def normal_patches(
    films: Images,
    roles: NDArray[np.str_],
    sampler: PatchSampler,
    *,
    rng: np.random.Generator,
    source: ImageSource | None = None,
) -> Iterator[dict[str, PatchStore]]:
    """Cut the patches of normal lung that are learnt from, into a store a role.

    Where there are more than the paper's counts, so many are drawn.

    Parameters
    ----------
    images : Images
    roles : ndarray of str, shape (N,)
        See `lungpatch.reference.cohort.choose_roles`.
    sampler : PatchSampler
    rng : numpy.random.Generator
    source : callable, optional
        See `lungpatch.reference.patch_table.patches_of_images`.

    Yields
    ------
    dict of str to PatchStore
        ``training``, ``validation`` and ``test``; closed when the block ends.

    Raises
    ------
    InsufficientDataError
        If a role is left without patches.
    """
    stores = {role: PatchStore(sampler.patch_size) for role in ROLES}
    try:
        for role, store in stores.items():
            cut = [
                batch
                for _, batch, _ in patches_of_images(
                    films, np.flatnonzero(roles == role).tolist(), sampler, source=source
                )
            ]
            if not cut:
                raise InsufficientDataError(
                    f"the normal images for {role} hold no patch of {sampler.patch_size} pixels: "
                    "give more images"
                )
            together = PatchBatch.concatenate(cut)
            most = NORMAL_PATCHES[role]
            if len(together) > most:
                together = together[np.sort(rng.permutation(len(together))[:most])]
            store.add(together)
        yield stores
    finally:
        for store in stores.values():
            store.close()


def learn(
    model: ReconstructionModel,
    stores: dict[str, PatchStore],
    *,
    steps: int,
    rng: np.random.Generator,
    progress: ProgressCallback,
    stage: str,
) -> TrainingHistory:
    """Fit a model for about a number of steps; the validation patches choose the weights.

    Parameters
    ----------
    model : ReconstructionModel
        A network's ``epochs`` and ``patience`` are set; any other model learns as it does.
    stores : dict of str to PatchStore
        See `normal_patches`.
    steps : int
    rng : numpy.random.Generator
    progress : callable
    stage : str
        What to call the work in ``progress``.

    Returns
    -------
    TrainingHistory
    """
    if isinstance(model, NetworkModel):
        a_pass = -(-len(stores["training"]) // model.batch_size)
        model.epochs = model.patience = max(1, round(steps / a_pass))
    return model.fit(
        stores["training"],
        validation=stores["validation"],
        rng=rng,
        on_epoch=lambda epoch, epochs, figures: progress(stage, epoch, epochs, figures),
    )


def all_patches(store: PatchStore) -> PatchBatch:
    """Return the patches of a store in one batch."""
    return next(iter(store.batches(len(store))))
