"""Patches on a regular grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import numpy as np
from attrs import validators

from lungpatch._utils.component import Component, plain_errors
from lungpatch.samplers.cutting import check_fit, cut, holds_enough_lung

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lungpatch.containers import ChestImage, LungMask, PatchBatch


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class GridSampler(Component):
    """Patches on a regular grid, its last row and column flush with the image's border.

    Rows and columns start at 0, ``stride``, ``2 * stride``, ...; where the last patch would not
    reach the border, one more row (or column) that ends there is added, so with
    ``stride <= patch_size`` every pixel lies in a patch. The defaults are the paper's for normal
    images (data preparation: 32x32 pixels, step 20, no background pixel in a patch);
    ``min_lung_fraction=0`` is its exhaustive rule for images with pneumonia.

    Parameters
    ----------
    patch_size : int
        Side of a patch in pixels, at least 1; it may equal the image's side.
    stride : int
        Step between patches in pixels, at least 1.
    min_lung_fraction : float
        Least share of a patch's pixels that must be lung, in [0, 1]; 0 keeps every patch.

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch.containers import ChestImage, LungMask
    >>> image = ChestImage(pixels=np.zeros((256, 256), np.float32), image_id="a")
    >>> lungs = LungMask(pixels=np.ones((256, 256), bool))
    >>> patches = GridSampler(patch_size=32, stride=20).sample(image, lungs)
    >>> patches
    PatchBatch('a', 169 patches of 32x32 in 256x256)
    >>> np.unique(patches.corners[:, 0]).tolist()
    [0, 20, 40, 60, 80, 100, 120, 140, 160, 180, 200, 220, 224]
    """

    patch_size: int = attrs.field(
        default=32, validator=[validators.instance_of(int), validators.ge(1)]
    )
    stride: int = attrs.field(default=20, validator=[validators.instance_of(int), validators.ge(1)])
    min_lung_fraction: float = attrs.field(
        default=1.0,
        validator=[validators.instance_of((int, float)), validators.ge(0), validators.le(1)],
    )

    def sample(
        self, image: ChestImage, lungs: LungMask, *, rng: np.random.Generator | None = None
    ) -> PatchBatch:
        """Return the patches of the grid that hold enough lung, row by row.

        Parameters
        ----------
        image : ChestImage
        lungs : LungMask
            Of the image's shape.
        rng : numpy.random.Generator, optional
            Not used: a grid has nothing random.

        Returns
        -------
        PatchBatch
            Of length 0 where no patch holds enough lung.

        Raises
        ------
        InvalidImageError
            If a patch is larger than the image.
        InvalidMaskError
            If the mask's shape is not the image's.
        """
        check_fit(image, lungs, self.patch_size)
        rows, columns = np.meshgrid(
            *(self._starts(length) for length in image.shape), indexing="ij"
        )
        kept = holds_enough_lung(
            lungs.pixels, rows, columns, self.patch_size, self.min_lung_fraction
        )
        corners = np.stack([rows[kept], columns[kept]], axis=1)
        return cut(image, lungs, corners, self.patch_size)

    def _starts(self, length: int) -> NDArray[np.int64]:
        last = length - self.patch_size
        starts = np.arange(0, last + 1, self.stride, dtype=np.int64)
        return starts if starts[-1] == last else np.append(starts, last)
