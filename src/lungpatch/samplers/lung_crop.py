"""One patch per image: both lungs, at one size and position."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs
import numpy as np
from attrs import validators

from lungpatch._utils.component import Component, plain_errors
from lungpatch._utils.forks import IMPORTING
from lungpatch.containers import BoolImage, ChestImage, FloatImage, LungMask, PatchBatch
from lungpatch.samplers.cutting import check_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

Intensity = Literal["image", "crop", "lung", "clahe"]
INTENSITIES: tuple[Intensity, ...] = ("image", "crop", "lung", "clahe")
BLACK_PERCENTILE, WHITE_PERCENTILE = 2.0, 98.0


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class LungCropSampler(Component):
    """One patch per image: the bounding box of the lungs with a margin, resampled to a square.

    Lungs of any size and framing then lie at nearly the same position, so that a model can be
    fitted to what is usual at each position, and sees a lung as a whole. The patch may reach beyond
    the image; it is black there.

    Parameters
    ----------
    patch_size : int
        Side of the patch in pixels, at least 8.
    margin : float
        Width of the margin on each side, as a fraction of the height or width of the box; in
        [0, 1].
    intensity : {"image", "crop", "lung", "clahe"}
        Which grey levels become black and white. With ``image``, grey levels are unchanged. With
        ``crop`` and ``lung``, the 2nd and 98th percentile of the patch, or of its lung pixels,
        become black and white, and values outside are clipped. ``clahe`` is the contrast-limited
        adaptive histogram equalisation [1]_ of ``crop``, by scikit-image.

    See Also
    --------
    GridSampler : Patches on a regular grid.
    RandomSampler : Patches at random positions, for training.

    Notes
    -----
    A patch of P x P pixels that shows n image rows shows row ``r`` of them in its own row
    ``floor((r + 1/2) P / n)``. `lungpatch.pipeline.localisation.build_anomaly_map` brings scores
    back to the image by the same rule.

    References
    ----------
    .. [1] K. Zuiderveld, "Contrast limited adaptive histogram equalization", Graphics Gems IV,
       1994, 474-485.

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch import LungCropSampler, LungMask
    >>> from lungpatch.datasets.phantom import phantom_chest
    >>> chest = phantom_chest(0, size=256)
    >>> lungs = LungMask(pixels=chest.lungs)
    >>> patch = LungCropSampler(patch_size=64).sample(chest.image, lungs)
    >>> patch, bool(patch.lung.any())
    (PatchBatch('phantom', 1 patches of 64x64 in 256x256), True)
    """

    patch_size: int = attrs.field(
        default=256, validator=[validators.instance_of(int), validators.ge(8)]
    )
    margin: float = attrs.field(
        default=0.06,
        validator=[validators.instance_of((int, float)), validators.ge(0), validators.le(1)],
    )
    intensity: Intensity = attrs.field(default="crop", validator=validators.in_(INTENSITIES))

    def sample(
        self, image: ChestImage, lungs: LungMask, *, rng: np.random.Generator | None = None
    ) -> PatchBatch:
        """Return the crop around the lungs.

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
            Of length 1, or 0 if there are no lungs.

        Raises
        ------
        InvalidMaskError
            If the mask has another shape than the image.
        """
        check_mask(image, lungs)
        side = self.patch_size
        box = lungs.bounding_box
        if box is None:
            return PatchBatch(
                pixels=np.empty((0, side, side), np.float32),
                corners=np.empty((0, 2), np.int64),
                lung=np.empty((0, side, side), np.bool_),
                image_shape=image.shape,
                image_id=image.image_id,
            )
        size = np.array([box[2] - box[0], box[3] - box[1]])
        border = np.rint(self.margin * size).astype(np.int64)
        corner, extent = np.array(box[:2]) - border, size + 2 * border
        lung = _resample(lungs.pixels.astype(np.float32), corner, extent, side) > 0.5
        pixels = _resample(image.pixels, corner, extent, side)
        return PatchBatch(
            pixels=self._normalise(pixels, lung)[None],
            corners=corner[None],
            lung=lung[None],
            extents=extent[None],
            image_shape=image.shape,
            image_id=image.image_id,
        )

    def _normalise(self, pixels: FloatImage, lung: BoolImage) -> FloatImage:
        if self.intensity == "image":
            return pixels
        measured = pixels[lung] if self.intensity == "lung" and lung.any() else pixels
        black, white = np.percentile(measured, [BLACK_PERCENTILE, WHITE_PERCENTILE])
        # A patch of one grey level is left as it is, instead of amplifying its noise.
        if white - black < 1e-6:
            return pixels
        stretched = np.clip((pixels - black) / (white - black), 0.0, 1.0)
        if self.intensity == "clahe":
            with IMPORTING:
                from skimage.exposure import equalize_adapthist

            stretched = np.clip(equalize_adapthist(stretched), 0.0, 1.0)
        normalised: FloatImage = stretched.astype(np.float32)
        return normalised


def _resample(
    pixels: FloatImage, corner: NDArray[np.int64], extent: NDArray[np.int64], side: int
) -> FloatImage:
    """Resample a box of the image to ``side`` x ``side``, anti-aliased; 0 beyond the image."""
    from PIL import Image

    before = np.maximum(-corner, 0)
    after = np.maximum(corner + extent - pixels.shape, 0)
    padded = np.pad(pixels, list(zip(before, after, strict=True)))
    row, column = (corner + before).tolist()
    height, width = extent.tolist()
    box = padded[row : row + height, column : column + width]
    return np.asarray(Image.fromarray(box).resize((side, side), Image.Resampling.BILINEAR))
