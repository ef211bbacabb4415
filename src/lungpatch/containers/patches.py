"""Patches: square pieces of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray

from lungpatch._utils.notebook import NotebookDisplay
from lungpatch._utils.renderings import Rendering, patch_sheet
from lungpatch.containers.arrays import (
    BoolImage,
    FloatImage,
    as_bool,
    as_float32,
    as_int64,
    has_ndim,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@attrs.frozen(eq=False, kw_only=True, repr=False)
class PatchBatch(NotebookDisplay):
    """Square patches of one image, or of several images of one shape.

    Parameters
    ----------
    pixels : ndarray of float32, shape (N, P, P), values in [0, 1]
    corners : ndarray of int64, shape (N, 2)
        Row and column, in the image, of each patch's first pixel.
    lung : ndarray of bool, shape (N, P, P)
        Which pixels of each patch are lung.
    image_shape : tuple of int
        Shape (H, W) of the image that the corners refer to.
    image_id : str
    extents : ndarray of int64, shape (N, 2), optional
        Height and width of the area that each patch shows, in pixels of the image, at least 1. By
        default P x P: the patch is cut out of the image. A sampler that resamples an area to P x P
        gives its size here; such an area may reach beyond the image.

    Raises
    ------
    ValueError
        If the patches are not square, the arrays do not fit each other, or an extent is below 1.

    See Also
    --------
    lungpatch.GridSampler, lungpatch.RandomSampler, lungpatch.LungCropSampler

    Examples
    --------
    >>> import numpy as np
    >>> batch = PatchBatch(
    ...     pixels=np.zeros((3, 8, 8), np.float32), corners=np.zeros((3, 2), np.int64),
    ...     lung=np.ones((3, 8, 8), bool), image_shape=(32, 32), image_id="a")
    >>> batch, len(batch[1:])
    (PatchBatch('a', 3 patches of 8x8 in 32x32), 2)
    """

    pixels: FloatImage = attrs.field(converter=as_float32, validator=has_ndim(3))
    corners: NDArray[np.int64] = attrs.field(converter=as_int64, validator=has_ndim(2))
    lung: BoolImage = attrs.field(converter=as_bool, validator=has_ndim(3))
    image_shape: tuple[int, int]
    image_id: str
    extents: NDArray[np.int64] = attrs.field(converter=as_int64, validator=has_ndim(2))

    @extents.default
    def _as_cut(self) -> NDArray[np.int64]:
        return np.full((len(self.pixels), 2), self.pixels.shape[1], np.int64)

    def __attrs_post_init__(self) -> None:
        if self.pixels.shape[1] != self.pixels.shape[2]:
            raise ValueError(f"patches must be square, got shape {self.pixels.shape}")
        if self.lung.shape != self.pixels.shape:
            raise ValueError(f"lung {self.lung.shape} and pixels {self.pixels.shape} disagree")
        for name, array in (("corners", self.corners), ("extents", self.extents)):
            if array.shape != (len(self.pixels), 2):
                raise ValueError(f"{name} {array.shape} do not fit {len(self.pixels)} patches")
        if (self.extents < 1).any():
            raise ValueError("extents must be at least 1 pixel")

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def patch_size(self) -> int:
        """Side P of a patch, in pixels."""
        return int(self.pixels.shape[1])

    def __getitem__(self, index: slice | NDArray[Any]) -> PatchBatch:
        """Return the patches at a slice or index array as a batch."""
        return attrs.evolve(
            self,
            pixels=self.pixels[index],
            corners=self.corners[index],
            lung=self.lung[index],
            extents=self.extents[index],
        )

    def split(self, size: int) -> Iterator[PatchBatch]:
        """Yield consecutive batches of at most ``size`` patches, in order."""
        for start in range(0, len(self), size):
            yield self[start : start + size]

    @classmethod
    def concatenate(cls, batches: Sequence[PatchBatch]) -> PatchBatch:
        """Join batches of images of one shape into one batch.

        Parameters
        ----------
        batches : sequence of PatchBatch
            At least one.

        Returns
        -------
        PatchBatch
            The patches in order, with ``image_id`` ``"2 images"`` for two batches.

        Raises
        ------
        ValueError
            If the images have different shapes.
        """
        if len(batches) == 1:
            return batches[0]
        shapes = {batch.image_shape for batch in batches}
        if len(shapes) != 1:
            raise ValueError(f"cannot join patches of images of different shapes: {shapes}")
        return cls(
            pixels=np.concatenate([batch.pixels for batch in batches]),
            corners=np.concatenate([batch.corners for batch in batches]),
            lung=np.concatenate([batch.lung for batch in batches]),
            extents=np.concatenate([batch.extents for batch in batches]),
            image_shape=batches[0].image_shape,
            image_id=f"{len(batches)} images",
        )

    def _rendering(self) -> Rendering | None:
        return patch_sheet(self.pixels, self.lung)

    def __repr__(self) -> str:
        height, width = self.image_shape
        side = self.patch_size
        return (
            f"PatchBatch({self.image_id!r}, {len(self)} patches of {side}x{side} "
            f"in {height}x{width})"
        )
