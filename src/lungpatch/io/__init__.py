"""Image files in, `ChestImage` out: the only place where intensity is normalised.

What counts as black and white is decided by the file's type, never by the image's own darkest and
brightest pixel, so that two images of one detector stay comparable. The rules, format by format,
are in one table of the user guide, "Read DICOM and other images"; what was done to an image is
noted in its ``reading``.
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
