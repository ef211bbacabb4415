"""Image files in, `ChestImage` out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lungpatch.containers import ChestImage
from lungpatch.errors import InvalidImageError
from lungpatch.io.dicom import read_dicom
from lungpatch.io.files import DICOM_SUFFIXES, decoder_errors, image_id_of, open_file
from lungpatch.io.formats import format_of, is_dicomdir, is_result
from lungpatch.io.levels import check_pixels, in_known_range, over_white
from lungpatch.io.raster import read_raster

if TYPE_CHECKING:
    import os

    from lungpatch.io.files import ImageFile


def read_image(path: str | os.PathLike[str]) -> ChestImage:
    """Read a radiograph from a PNG, JPEG, TIFF, BMP, GIF or DICOM file.

    The format is decided by the file's content, not by its suffix. The orientation that a camera
    or scanner noted (EXIF) is applied, colour becomes luminance, and transparent pixels are laid
    over black. Of a DICOM file the modality rescale or table and the first VOI window or table
    are applied, ``MONOCHROME1`` is inverted, and the image is turned and mirrored until, as
    ``PatientOrientation`` says, the patient's right is at the left and the head at the top
    [1]_ [2]_ [3]_ [4]_. The pixel spacing is kept (``PixelSpacing``, else
    ``ImagerPixelSpacing``).

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    ChestImage
        Bones bright, float32 (H, W) in [0, 1]; see "Read DICOM and other images" in the user
        guide for the levels that become 0 and 1. ``image_id`` is the file's name without its
        suffix, ``reading`` says in words what was assumed or done, and ``tags`` holds what a
        DICOM file says of the kind and the identity of the image. Everything that is found in
        the image refers to it as it is here, turned and mirrored.

    Raises
    ------
    MissingInputError
        If there is no such file.
    InvalidImageError
        If it cannot be read or decoded completely, contradicts itself, holds several images, NaN
        or a single grey level, is smaller than 32 or larger than 10,000 pixels per side, is a
        result that lungpatch wrote, or if its grey levels have no known range.

    See Also
    --------
    as_chest_image : The same for an array or an image of Pillow.
    find_images : The image files of a folder.
    read_mask : Read a lung mask.

    References
    ----------
    .. [1] DICOM PS3.3 C.7.6.3 "Image Pixel Module".
    .. [2] DICOM PS3.3 C.11.1 "Modality LUT Module".
    .. [3] DICOM PS3.3 C.11.2 "VOI LUT Module".
    .. [4] DICOM PS3.3 C.7.6.1.1.1 "Patient Orientation".

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "image.png")
    ...     Image.fromarray(np.tile(np.arange(64, dtype=np.uint8), (48, 1))).save(path)
    ...     read_image(path)
    ChestImage('image', 48x64, range [0, 0.247])
    """
    path = Path(path)
    with open_file(path) as file, decoder_errors(path):
        return _read(file, path)


def _read(file: ImageFile, path: Path) -> ChestImage:
    head = file.head()
    if is_result(head):
        raise InvalidImageError(
            "is a result that lungpatch wrote (an overlay, a mask, a map, a sheet or a report), "
            "not a radiograph; leave it out"
        )
    if is_dicomdir(head):
        raise InvalidImageError("is a DICOMDIR, an index of other files; give those files")
    form = format_of(head)
    if form is None and path.suffix.lower() in DICOM_SUFFIXES:
        form = "DICOM"
    if form == "DICOM":
        dicom = read_dicom(file)
        check_pixels(dicom.pixels)
        return ChestImage(
            pixels=dicom.pixels,
            image_id=image_id_of(path),
            pixel_spacing_mm=dicom.pixel_spacing_mm,
            source=str(path),
            reading=dicom.notes,
            tags=dicom.tags,
        )
    raster = read_raster(file, form)
    pixels = over_white(*in_known_range(raster))
    check_pixels(pixels)
    return ChestImage(
        pixels=pixels, image_id=image_id_of(path), source=str(path), reading=raster.notes
    )
