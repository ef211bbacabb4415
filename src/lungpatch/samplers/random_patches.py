"""Patches at random places."""

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
    """Patches drawn uniformly from all places that hold enough lung.

    For training: unlike a grid it shows the model every alignment of ribs and vessels. No place is
    drawn twice, unless there are fewer places than ``n_patches``: then they are drawn with
    replacement.

    Parameters
    ----------
    patch_size : int
        Side of a patch in pixels, at least 1.
    n_patches : int
        Patches an image, at least 1.
    min_lung_fraction : float
        Least share of a patch's pixels that must be lung, in [0, 1]; 0 admits every place.

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch.containers import ChestImage, LungMask
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
            Of the image's shape.
        rng : numpy.random.Generator
            Required: the same state gives the same patches.

        Returns
        -------
        PatchBatch
            Of length 0 where no place holds enough lung.

        Raises
        ------
        ConfigurationError
            If ``rng`` is None.
        InvalidImageError
            If a patch is larger than the image.
        InvalidMaskError
            If the mask's shape is not the image's.
        """
        if rng is None:
            raise ConfigurationError(
                "RandomSampler draws at random: call sample(image, lungs, "
                "rng=numpy.random.default_rng(seed)), or use a GridSampler"
            )
        check_fit(image, lungs, self.patch_size)
        places = image.shape[0] - self.patch_size + 1, image.shape[1] - self.patch_size + 1
        enough = holds_enough_lung(
            lungs.pixels,
            np.arange(places[0])[:, None],
            np.arange(places[1])[None, :],
            self.patch_size,
            self.min_lung_fraction,
        )
        admissible = np.argwhere(enough)
        if len(admissible):
            admissible = rng.choice(
                admissible, size=self.n_patches, replace=len(admissible) < self.n_patches
            )
        return cut(image, lungs, admissible, self.patch_size)
