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
    """Patches on a regular grid that reaches all borders of the image.

    Rows and columns of patches start at 0, ``stride``, ``2 * stride``, ... If the last row (or
    column) would not reach the border, one more that ends there is added. So every pixel lies in a
    patch if ``stride <= patch_size``. The defaults are those of the paper [1]_ for normal images
    (32x32 pixels, step 20, no background pixel in a patch); ``min_lung_fraction=0`` is its
    exhaustive rule for images with pneumonia.

    Parameters
    ----------
    patch_size : int
        Side of a patch in pixels, at least 1; at most the shorter side of the image.
    stride : int
        Step between patches in pixels, at least 1.
    min_lung_fraction : float
        Minimum fraction of the pixels of a patch that are lung, in [0, 1]; 0 keeps every patch.

    See Also
    --------
    RandomSampler : Patches at random positions, for training.
    LungCropSampler : Both lungs as one patch.

    References
    ----------
    .. [1] Nagamura, Tokunaga, Okita, "Pneumonia detection using anomaly detection by U-net", data
       preparation.

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch import ChestImage, GridSampler, LungMask
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
            Of the shape of the image.
        rng : numpy.random.Generator, optional
            Not used: nothing is random.

        Returns
        -------
        PatchBatch
            Of length 0 if no patch holds enough lung.

        Raises
        ------
        InvalidImageError
            If a patch is larger than the image.
        InvalidMaskError
            If the mask has another shape than the image.
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
