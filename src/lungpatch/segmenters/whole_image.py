"""No segmentation at all: the control."""

from __future__ import annotations

import attrs
import numpy as np

from lungpatch._utils.component import Component, plain_errors
from lungpatch.containers import ChestImage, LungMask


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class WholeImageSegmenter(Component):
    """Call every pixel lung.

    A control: what a method gains from knowing the lungs shows against this. With it patches are
    taken exhaustively, as the paper does in images with pneumonia.

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch.containers import ChestImage
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
            Of the image's shape.
        """
        return LungMask(pixels=np.ones(image.shape, dtype=np.bool_))
