"""Parts of one seeded phantom that components are checked on; new copies at each call."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from lungpatch.containers import ChestImage, LungMask, PatchBatch, Reconstruction
from lungpatch.datasets.phantom import PhantomCase, phantom_chest
from lungpatch.pipeline.patch_store import PatchStore

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED = 20
PATCHES = 15
"""Odd, so that no split of a batch is even."""


@functools.lru_cache(maxsize=4)
def _case(size: int) -> PhantomCase:
    return phantom_chest(SEED, size=size, opacity="lobar")


def phantom_image(shape: tuple[int, int] = (256, 256)) -> ChestImage:
    """Return the middle of the phantom's image.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.

    Examples
    --------
    >>> phantom_image((128, 96))
    ChestImage('phantom-128x96', 128x96, range [..., ...])
    """
    case = _case(max(64, *shape))
    return ChestImage(
        pixels=case.image.pixels[_middle(case, shape)].copy(),
        image_id=f"phantom-{shape[0]}x{shape[1]}",
    )


def phantom_lungs(shape: tuple[int, int] = (256, 256)) -> LungMask:
    """Return the true lungs of `phantom_image`.

    Examples
    --------
    >>> phantom_lungs()
    LungMask(256x256, ...% lung)
    """
    case = _case(max(64, *shape))
    return LungMask(pixels=case.lungs[_middle(case, shape)].copy())


def segmenter_images() -> list[ChestImage]:
    """Return phantom images of several shapes, on which segmenters are checked.

    Examples
    --------
    >>> [image.image_id for image in segmenter_images()]
    ['phantom-256x256', 'phantom-200x256', 'phantom-150x131']
    """
    return [phantom_image(shape) for shape in ((256, 256), (200, 256), (150, 131))]


def lungless_images() -> list[ChestImage]:
    """Return images of one grey level, which have no lungs.

    Examples
    --------
    >>> [image.image_id for image in lungless_images()]
    ['black', 'grey', 'white']
    """
    return [
        ChestImage(pixels=np.full((256, 256), grey, np.float32), image_id=name)
        for name, grey in (("black", 0.0), ("grey", 0.5), ("white", 1.0))
    ]


def phantom_patches(patch_size: int = 32, count: int = PATCHES) -> PatchBatch:
    """Return patches of the phantom whose middle pixel is lung.

    Parameters
    ----------
    patch_size : int
    count : int

    Examples
    --------
    >>> phantom_patches(16)
    PatchBatch('phantom-128x128', 15 patches of 16x16 in 128x128)
    """
    side = max(128, 2 * patch_size)
    image, lungs = phantom_image((side, side)), phantom_lungs((side, side))
    half, count_of_rows = patch_size // 2, side - patch_size + 1
    middle = np.s_[half : half + count_of_rows]
    corners = np.argwhere(lungs.pixels[middle, middle])
    rng = np.random.default_rng(SEED)
    corners = corners[rng.choice(len(corners), count, replace=len(corners) < count)]
    slices = [np.s_[r : r + patch_size, c : c + patch_size] for r, c in corners]
    return PatchBatch(
        pixels=np.stack([image.pixels[window] for window in slices]),
        corners=corners,
        lung=np.stack([lungs.pixels[window] for window in slices]),
        image_shape=image.shape,
        image_id=image.image_id,
    )


def phantom_reconstruction(patches: PatchBatch, strength: float = 0.3) -> Reconstruction:
    """Return a reconstruction of pixels to which noise is added.

    Parameters
    ----------
    patches : PatchBatch
    strength : float
        0 for a reconstruction that equals the patches, 1 for nothing but noise.

    Examples
    --------
    >>> phantom_reconstruction(phantom_patches(16))
    Reconstruction(15 patches, 1 channel of 16x16)
    """
    target = patches.pixels[:, None].copy()
    noise = np.random.default_rng(SEED).random(target.shape, dtype=np.float32)
    return Reconstruction(target=target, expected=target + np.float32(strength) * (noise - target))


@contextmanager
def phantom_source(patch_size: int = 32, count: int = 64) -> Iterator[PatchStore]:
    """Yield patches of the phantom as the ``fit`` of a model takes them.

    Examples
    --------
    >>> with phantom_source(16) as source:
    ...     source
    PatchStore(64 patches of 16x16 from 1 images)
    """
    with PatchStore(patch_size) as store:
        store.add(phantom_patches(patch_size, count))
        yield store


def _middle(case: PhantomCase, shape: tuple[int, int]) -> tuple[slice, slice]:
    height, width = case.image.shape
    top, left = (height - shape[0]) // 2, (width - shape[1]) // 2
    return slice(top, top + shape[0]), slice(left, left + shape[1])
