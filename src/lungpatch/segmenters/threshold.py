"""Lungs by a threshold on grey levels: a classical, weak segmenter without weights."""

from __future__ import annotations

import attrs
import numpy as np
from PIL import Image
from scipy import ndimage

from lungpatch._utils.component import Component, plain_errors
from lungpatch._utils.forks import IMPORTING
from lungpatch.containers import BoolImage, ChestImage, FloatImage, LungMask
from lungpatch.containers.grids import to_native_grid
from lungpatch.segmenters.plausibility import implausibility

_SIDE = 128
"""Longer side of the copy that is segmented; lungs are large."""

# Lengths as fractions of the longer side, tuned by eye and by Dice on adult radiographs.
_SMOOTHING = 1 / 64
_SURROUNDINGS = 0.15
_OPENING = 1 / 32
_CLOSING = 1 / 16
_GROWTH = 1 / 32

_AREA = (0.02, 0.4)  # minimum and maximum area of one lung, as fractions of the image
_ROWS = (0.15, 0.8)  # range of its centre, as fractions of the height and the width
_COLUMNS = (0.1, 0.9)
_MAX_BORDER = 2.5  # maximum length along the border of the image, in square roots of its area
_MIN_FRACTION = 0.15  # minimum area of the second lung, as a fraction of the first
_MIN_CONTRAST = 0.05  # minimum difference of grey level between a lung and its surroundings


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class ThresholdSegmenter(Component):
    """Find lungs as the two large dark regions in the middle of the image.

    This segmenter needs no weights and serves as a control. It is weak: consolidated lung is as
    bright as the tissue around the lung, so it is cut out of the mask together with the disease,
    and the lung behind the heart is missed. `UNetSegmenter` is better.

    See Also
    --------
    UNetSegmenter : The default segmenter.
    WholeImageSegmenter : No segmentation.

    Notes
    -----
    The steps, on a copy of at most 128 pixels per side:

    1. Gaussian smoothing, and subtraction of the grey level of the wider surroundings.
    2. Otsu's threshold [1]_.
    3. Opening, which cuts narrow bridges to the air outside the body.
    4. Of the remaining regions, those with the size and position of a lung, that do not run along
       the border and are darker than their surroundings: the two largest.
    5. Closing, filling of holes, and growth by the margin that smoothing removed.

    References
    ----------
    .. [1] N. Otsu, "A threshold selection method from gray-level histograms", IEEE Transactions on
       Systems, Man, and Cybernetics 9, 1979. doi:10.1109/TSMC.1979.4310076

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch import ChestImage, ThresholdSegmenter
    >>> pixels = np.full((256, 256), 0.8, np.float32)
    >>> pixels[60:200, 40:110] = pixels[60:200, 146:216] = 0.2
    >>> mask = ThresholdSegmenter().segment(ChestImage(pixels=pixels, image_id="a"))
    >>> bool(mask.pixels[130, 75]), bool(mask.pixels[130, 128])
    (True, False)
    """

    def segment(self, image: ChestImage) -> LungMask:
        """Find the lungs.

        Parameters
        ----------
        image : ChestImage
            Of any size.

        Returns
        -------
        LungMask
            Of the shape of the image; empty if no region looks like a lung.
        """
        shrink = min(1.0, _SIDE / max(image.shape))
        height, width = (max(1, round(length * shrink)) for length in image.shape)
        small = Image.fromarray(image.pixels).resize((width, height), Image.Resampling.BOX)
        lungs = to_native_grid(_find_lungs(np.asarray(small)), image.shape)
        return LungMask(pixels=lungs, implausible=implausibility(image, lungs))


def _find_lungs(pixels: FloatImage) -> BoolImage:
    """Find the lungs on the small copy; bool, of its shape."""
    with IMPORTING:
        from skimage.filters import threshold_otsu
        from skimage.measure import label, regionprops
        from skimage.morphology import isotropic_closing, isotropic_dilation, isotropic_opening

    height, width = pixels.shape
    side = max(height, width)
    lungs = np.zeros(pixels.shape, dtype=np.bool_)
    smooth = ndimage.gaussian_filter(pixels, _SMOOTHING * side)
    relative = smooth - ndimage.gaussian_filter(smooth, _SURROUNDINGS * side)
    # Collimators and labels at the border would shift the threshold.
    inner = relative[height // 8 : height - height // 8, width // 8 : width - width // 8]
    if np.ptp(inner) < _MIN_CONTRAST:
        return lungs
    regions = label(
        isotropic_opening(relative < threshold_otsu(inner), _OPENING * side), connectivity=1
    )
    border = np.ones(pixels.shape, dtype=np.bool_)
    border[1:-1, 1:-1] = False
    touching = np.bincount(regions[border], minlength=regions.max() + 1)
    found = [
        region
        for region in regionprops(regions)
        if _AREA[0] < region.area / pixels.size < _AREA[1]
        and touching[region.label] < _MAX_BORDER * region.area**0.5
        and _ROWS[0] < region.centroid[0] / height < _ROWS[1]
        and _COLUMNS[0] < region.centroid[1] / width < _COLUMNS[1]
    ]
    found = sorted(found, key=lambda region: -region.area)[:2]
    for region in found:
        if region.area < _MIN_FRACTION * found[0].area:
            continue
        inside = regions == region.label
        around = isotropic_dilation(inside, _CLOSING * side) & ~inside
        if not around.any() or smooth[around].mean() - smooth[inside].mean() < _MIN_CONTRAST:
            continue
        lungs |= ndimage.binary_fill_holes(isotropic_closing(inside, _CLOSING * side))
    return isotropic_dilation(lungs, _GROWTH * side) if lungs.any() else lungs
