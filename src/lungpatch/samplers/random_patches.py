"""Patches at random positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import numpy as np
from attrs import validators

from lungpatch._utils.component import Component, plain_errors
from lungpatch.errors import ConfigurationError
from lungpatch.samplers.cutting import check_fit, cut, holds_enough_lung

if TYPE_CHECKING:
    from lungpatch.containers import ChestImage, LungMask, PatchBatch


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class RandomSampler(Component):
    """Patches drawn uniformly from all positions that hold enough lung.

    It is meant for training: unlike a grid it shows the model every alignment of ribs and vessels.
    Positions are drawn without replacement, or with replacement if there are fewer than
    ``n_patches``.

    Parameters
    ----------
    patch_size : int
        Side of a patch in pixels, at least 1.
    n_patches : int
        Number of patches per image, at least 1.
    min_lung_fraction : float
        Minimum fraction of the pixels of a patch that are lung, in [0, 1]; 0 admits every position.

    See Also
    --------
    GridSampler : Patches on a regular grid.
    LungCropSampler : Both lungs as one patch.

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch import ChestImage, LungMask, RandomSampler
    >>> image = ChestImage(pixels=np.zeros((64, 64), np.float32), image_id="a")
    >>> lungs = LungMask(pixels=np.ones((64, 64), bool))
    >>> RandomSampler(n_patches=5).sample(image, lungs, rng=np.random.default_rng(0))
    PatchBatch('a', 5 patches of 32x32 in 64x64)
    """

    patch_size: int = attrs.field(
        default=32, validator=[validators.instance_of(int), validators.ge(1)]
    )
    n_patches: int = attrs.field(
        default=64, validator=[validators.instance_of(int), validators.ge(1)]
    )
    min_lung_fraction: float = attrs.field(
        default=1.0,
        validator=[validators.instance_of((int, float)), validators.ge(0), validators.le(1)],
    )

    def sample(
        self, image: ChestImage, lungs: LungMask, *, rng: np.random.Generator | None = None
    ) -> PatchBatch:
        """Return ``n_patches`` patches in the order drawn.

        Parameters
        ----------
        image : ChestImage
        lungs : LungMask
            Of the shape of the image.
        rng : numpy.random.Generator
            Required: the same state gives the same patches.

        Returns
        -------
        PatchBatch
            Of length 0 if no position holds enough lung.

        Raises
        ------
        ConfigurationError
            If ``rng`` is None.
        InvalidImageError
            If a patch is larger than the image.
        InvalidMaskError
            If the mask has another shape than the image.
        """
        if rng is None:
            raise ConfigurationError(
                "RandomSampler draws at random: call sample(image, lungs, "
                "rng=numpy.random.default_rng(seed)), or use a GridSampler"
            )
        check_fit(image, lungs, self.patch_size)
        height, width = image.shape
        enough = holds_enough_lung(
            lungs.pixels,
            np.arange(height - self.patch_size + 1)[:, None],
            np.arange(width - self.patch_size + 1)[None, :],
            self.patch_size,
            self.min_lung_fraction,
        )
        admissible = np.argwhere(enough)
        if len(admissible):
            admissible = rng.choice(
                admissible, size=self.n_patches, replace=len(admissible) < self.n_patches
            )
        return cut(image, lungs, admissible, self.patch_size)
