"""No segmentation: a control."""

from __future__ import annotations

import attrs
import numpy as np

from lungpatch._utils.component import Component, plain_errors
from lungpatch.containers import ChestImage, LungMask


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class WholeImageSegmenter(Component):
    """Take every pixel for lung.

    This is a control that shows what a method gains from a lung mask. Patches are then cut out of
    the whole image, as the paper does in images with pneumonia.

    See Also
    --------
    UNetSegmenter : Finds the lungs.

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch import ChestImage, WholeImageSegmenter
    >>> image = ChestImage(pixels=np.zeros((4, 6), np.float32), image_id="a")
    >>> WholeImageSegmenter().segment(image)
    LungMask(4x6, 100.0% lung)
    """

    def segment(self, image: ChestImage) -> LungMask:
        """Return a mask that is True everywhere.

        Parameters
        ----------
        image : ChestImage

        Returns
        -------
        LungMask
            Of the shape of the image.
        """
        return LungMask(pixels=np.ones(image.shape, dtype=np.bool_))
