"""One patch an image: both lungs, brought to one size and place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs
import numpy as np
from attrs import validators

from lungpatch._utils.component import Component, plain_errors
from lungpatch.containers import BoolImage, ChestImage, FloatImage, LungMask, PatchBatch
from lungpatch.samplers.cutting import check_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

Intensity = Literal["image", "crop", "lung", "clahe"]
INTENSITIES: tuple[Intensity, ...] = ("image", "crop", "lung", "clahe")
BLACK_PERCENTILE, WHITE_PERCENTILE = 2.0, 98.0


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class LungCropSampler(Component):
    """The bounding box of the lungs with a margin, resampled to a square: one patch an image.

    Lungs of any size and framing then lie in nearly the same place, so that a model can learn what
    is usual where, and sees a lung as a whole. What the patch shows may reach beyond the image; it
    is black there.

    Parameters
    ----------
    patch_size : int
        Side of the patch in pixels, at least 8.
    margin : float
        Added on every side, as a share of the box's height or width; in [0, 1].
    intensity : {"image", "crop", "lung", "clahe"}
        Which grey levels become black and white. ``image``: those of the image, nothing is
        changed. ``crop``, ``lung``: the 2nd and 98th percentile of the patch, or of its lung
        pixels; what lies beyond is clipped. ``clahe``: contrast-limited adaptive histogram
        equalisation of ``crop``, by scikit-image.

    Notes
    -----
    A patch of extent n shows image row ``r`` in its row ``floor((r + 1/2) P / n)``, counted from
    its corner; `lungpatch.pipeline.localisation.build_anomaly_map` brings maps back by that rule.

    Examples
    --------
    >>> import numpy as np
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
            Of the image's shape.
        rng : numpy.random.Generator, optional
            Not used: nothing is random.

        Returns
        -------
        PatchBatch
            Of length 1, or 0 where there are no lungs.

        Raises
        ------
        InvalidMaskError
            If the mask's shape is not the image's.
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
        # A picture of one grey level stays as it is instead of becoming noise.
        if white - black < 1e-6:
            return pixels
        stretched = np.clip((pixels - black) / (white - black), 0.0, 1.0)
        if self.intensity == "clahe":
            from skimage.exposure import equalize_adapthist

            stretched = np.clip(equalize_adapthist(stretched), 0.0, 1.0)
        normalised: FloatImage = stretched.astype(np.float32)
        return normalised


def _resample(
    pixels: FloatImage, corner: NDArray[np.int64], extent: NDArray[np.int64], side: int
) -> FloatImage:
    """Bring a box of the image to ``side`` x ``side``, anti-aliased, 0 beyond the image."""
    from PIL import Image

    before = np.maximum(-corner, 0)
    after = np.maximum(corner + extent - pixels.shape, 0)
    padded = np.pad(pixels, list(zip(before, after, strict=True)))
    row, column = (corner + before).tolist()
    height, width = extent.tolist()
    box = padded[row : row + height, column : column + width]
    resized = Image.fromarray(box).resize((side, side), Image.Resampling.BILINEAR)
    clipped: FloatImage = np.clip(np.asarray(resized), 0.0, 1.0)
    return clipped
