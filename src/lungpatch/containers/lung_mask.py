"""The lung mask: which pixels of an image are lung."""

from __future__ import annotations

from functools import cached_property

import attrs
import numpy as np

from lungpatch._utils.notebook import NotebookDisplay
from lungpatch._utils.renderings import Rendering, render_grey
from lungpatch.containers.arrays import BoolImage, Box, as_bool, has_ndim
from lungpatch.containers.lung_coordinates import LungFrame, LungSides, split_lungs


@attrs.frozen(eq=False, kw_only=True, repr=False)
class LungMask(NotebookDisplay):
    """Which pixels of an image are lung.

    Parameters
    ----------
    pixels : ndarray of bool, shape (H, W)
        True within the lungs. A mask without any lung pixel is allowed; the status of the image
        is then ``no_lungs``.
    implausible : str or None
        Why these are hardly the lungs of a frontal chest image, from
        `lungpatch.segmenters.plausibility`; the status of the image is then ``out_of_scope``. None
        if the segmenter has no doubts.

    See Also
    --------
    lungpatch.UNetSegmenter : The default segmenter.
    lungpatch.containers.LungFrame : Lung coordinates.

    Examples
    --------
    >>> import numpy as np
    >>> mask = LungMask(pixels=np.array([[False, True], [False, True]]))
    >>> mask.fraction, mask.bounding_box
    (0.5, (0, 1, 2, 2))
    """

    pixels: BoolImage = attrs.field(converter=as_bool, validator=has_ndim(2))
    implausible: str | None = None

    @property
    def fraction(self) -> float:
        """Fraction of the image that is lung, in [0, 1]."""
        return float(self.pixels.mean()) if self.pixels.size else 0.0

    @property
    def right(self) -> BoolImage:
        """The patient's right lung, bool (H, W): at the left of the displayed image."""
        return self._sides.right

    @property
    def left(self) -> BoolImage:
        """The patient's left lung, bool (H, W): at the right of the displayed image."""
        return self._sides.left

    @cached_property
    def _sides(self) -> LungSides:
        return split_lungs(self.pixels)

    @cached_property
    def frame(self) -> LungFrame:
        """Lung coordinates: the position of each pixel in its lung, comparable between patients."""
        return LungFrame.from_mask(self.pixels)

    @property
    def bounding_box(self) -> Box | None:
        """Smallest half-open box around the lungs, or None for an empty mask."""
        rows = np.flatnonzero(self.pixels.any(axis=1))
        if rows.size == 0:
            return None
        columns = np.flatnonzero(self.pixels.any(axis=0))
        return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1

    def _rendering(self) -> Rendering | None:
        return render_grey(self.pixels)

    def __repr__(self) -> str:
        size = "x".join(map(str, self.pixels.shape))
        doubt = f", implausible: {self.implausible}" if self.implausible else ""
        return f"LungMask({size}, {self.fraction:.1%} lung{doubt})"
