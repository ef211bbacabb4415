"""Pictures in, `ChestImage` out: the only place where intensity is normalised.

What counts as black and white is decided by the file's type, never by the picture's own darkest
and brightest pixel, so that two images of one detector stay comparable:

=============================  ===============================================================
file or array                  levels that become 0 and 1
=============================  ===============================================================
8-bit (or 1-bit, palette)      0 and 255 (0 and 1); colour becomes luminance
16-bit PNG or TIFF             0 and ``2**b - 1``, with ``b`` the smallest of 8, 10, 12, 14 and 16
                               bits that holds the brightest pixel: detectors of fewer bits are
                               often stored in 16-bit files
float TIFF                     0 and 1; other values are refused
DICOM                          the range of the VOI window or table, else that of the stored bits
                               after rescaling; ``MONOCHROME1`` is inverted
array of uint8 or bool         0 and 255, 0 and 1
any other array                the ``value_range`` that the caller gives
=============================  ===============================================================
"""

from lungpatch.io.arrays import as_chest_image
from lungpatch.io.files import DICOM_SUFFIXES, IMAGE_SUFFIXES, holds_dicom, image_id_of
from lungpatch.io.folders import find_images
from lungpatch.io.levels import MAX_SIDE, MIN_SIDE
from lungpatch.io.masks import read_mask
from lungpatch.io.read import read_image
from lungpatch.io.resizing import resize

__all__ = [
    "DICOM_SUFFIXES",
    "IMAGE_SUFFIXES",
    "MAX_SIDE",
    "MIN_SIDE",
    "as_chest_image",
    "find_images",
    "holds_dicom",
    "image_id_of",
    "read_image",
    "read_mask",
    "resize",
]
