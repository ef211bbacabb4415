"""Pictures in, `ChestImage` out: the only place where intensity is normalised.

What counts as black and white is decided by the file's type, never by the picture's own darkest
and brightest pixel, so that two films of one detector stay comparable:

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

from __future__ import annotations

import logging
import math
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from lungpatch.containers import ChestImage
from lungpatch.errors import (
    ConfigurationError,
    InvalidImageError,
    InvalidMaskError,
    LungpatchError,
    MissingInputError,
)

if TYPE_CHECKING:
    from PIL import Image
    from pydicom.dataset import Dataset

MIN_SIDE = 32
"""Fewest pixels a side of an image."""

MAX_SIDE = 10_000
"""Most pixels a side of an image; checked before anything is decoded."""

DICOM_SUFFIXES = frozenset({".dcm", ".dicom"})
IMAGE_SUFFIXES = DICOM_SUFFIXES | {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff"}
"""Suffixes by which images are found in folders; what a file holds is decided by its content."""

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"BM", "BMP"),
    (b"GIF8", "GIF"),
)
_FORMATS = "PNG, JPEG, TIFF, BMP, GIF or DICOM"

# Luminance of ITU-R BT.601, as Pillow's mode "L".
_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)

_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_ORIENTATION, _TIFF_SOFTWARE = 258, 262, 274, 305
_TIFF_WHITE_IS_ZERO = 0

_decoding = threading.Lock()


# ------------------------------------------------------------------------------------- public


def read_image(path: str | os.PathLike[str]) -> ChestImage:
    """Read a radiograph from a PNG, JPEG, TIFF, BMP, GIF or DICOM file.

    The format is decided by the file's content, not by its suffix. The orientation that a camera
    or scanner noted (EXIF) is applied, colour becomes luminance, and transparent pixels are laid
    over black. Of a DICOM file the modality rescale or table and the first VOI window or table
    are applied, ``MONOCHROME1`` is inverted, and the pixel spacing is kept (``PixelSpacing``,
    else ``ImagerPixelSpacing``).

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    ChestImage
        Bones bright, float32 (H, W) in [0, 1]; see the table in `lungpatch.images` for the levels
        that become 0 and 1. ``image_id`` is the file's name without its suffix.

    Raises
    ------
    MissingInputError
        If there is no such file.
    InvalidImageError
        If it cannot be read or decoded completely, holds several pictures, NaN or a single grey
        level, is smaller than 32 or larger than 10,000 pixels a side, or if its grey levels have
        no known range.

    References
    ----------
    DICOM PS3.3 C.7.6.3 (pixels), C.11.1 (modality LUT), C.11.2 (VOI LUT).

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "film.png")
    ...     Image.fromarray(np.tile(np.arange(64, dtype=np.uint8), (48, 1))).save(path)
    ...     read_image(path)
    ChestImage('film', 48x64, range [0, 0.247])
    """
    path = Path(path)
    with _open(path) as handle, _decoder_errors(path):
        form = _format(handle)
        if form is None and path.suffix.lower() in DICOM_SUFFIXES:
            form = "DICOM"  # older files lack the preamble
        if form == "DICOM":
            pixels, spacing = _read_dicom(handle)
        else:
            levels, white = _read_picture(handle, form)
            pixels, spacing = _over_white(levels, white), None
    try:
        return _checked(pixels, image_id_of(path), spacing, str(path))
    except InvalidImageError as error:
        raise InvalidImageError(f"{path}: {error}") from None


def as_chest_image(
    array: Any,
    *,
    value_range: tuple[float, float] | None = None,
    image_id: str = "array",
    pixel_spacing_mm: tuple[float, float] | None = None,
) -> ChestImage:
    """Take an array as a radiograph, bones bright.

    Parameters
    ----------
    array : ndarray or torch.Tensor
        Shape (H, W), (H, W, 1) or (1, H, W); or (H, W, 3) and (H, W, 4), which become luminance,
        transparent pixels over black.
    value_range : tuple of float, optional
        The levels (black, white) of the scale, not of this picture. Needed unless the array is
        uint8 (0, 255) or bool (0, 1).
    image_id : str
        A name for messages and records.
    pixel_spacing_mm : tuple of float, optional
        Distance between pixel centres, (row, column), in millimetres.

    Returns
    -------
    ChestImage
        Its pixels are a copy.

    Raises
    ------
    InvalidImageError
        If the shape does not fit, the range is missing, or values are NaN, infinite, outside the
        range or all equal.
    ConfigurationError
        If ``value_range`` or ``pixel_spacing_mm`` makes no sense.

    Examples
    --------
    >>> import numpy as np
    >>> film = np.linspace(0, 4000, 64 * 48).reshape(64, 48).astype(np.uint16)
    >>> as_chest_image(film, value_range=(0, 4095), image_id="film")
    ChestImage('film', 64x48, range [0, 0.977])
    """
    try:
        if value_range is not None:
            _check_pair("value_range", value_range)
            if not value_range[0] < value_range[1]:
                raise ConfigurationError(
                    f"value_range must be (black, white) with black < white, got {value_range}"
                )
        if pixel_spacing_mm is not None:
            _check_pair("pixel_spacing_mm", pixel_spacing_mm)
            if not min(pixel_spacing_mm) > 0:
                raise ConfigurationError(
                    f"pixel_spacing_mm must be above 0, got {pixel_spacing_mm}"
                )
        pixels = _unit_array(_as_numpy(array), value_range)
        return _checked(pixels, image_id, pixel_spacing_mm, "array")
    except LungpatchError as error:
        raise type(error)(f"{image_id}: {error}") from error.__cause__


def resize(image: ChestImage, size: int) -> ChestImage:
    """Stretch an image to a square, with anti-aliasing.

    Bilinear (triangle) filter whose support grows with the reduction, by Pillow.

    Parameters
    ----------
    image : ChestImage
    size : int
        Side of the result, in pixels.

    Returns
    -------
    ChestImage
        Of shape (size, size); ``own_shape`` and the extent in millimetres are kept. The image
        itself where it already has that size.

    Raises
    ------
    ConfigurationError
        If ``size`` is not in 1..10,000.

    Examples
    --------
    >>> import numpy as np
    >>> film = as_chest_image(np.tile(np.arange(200, dtype=np.uint8), (100, 1)))
    >>> resize(film, 64)
    ChestImage('array', 64x64 from 100x200, range [0.0053, 0.775])
    """
    if isinstance(size, bool) or not isinstance(size, int | np.integer):
        raise ConfigurationError(f"size must be a whole number, got {size!r}")
    size = int(size)
    if not 1 <= size <= MAX_SIDE:
        raise ConfigurationError(f"size must be in 1..{MAX_SIDE}, got {size}")
    if image.shape == (size, size):
        return image
    from PIL import Image

    # Pillow's reducing_gap would save at most 3 ms on 2048 rows, at the cost of exactness.
    resized = Image.fromarray(image.pixels).resize((size, size), Image.Resampling.BILINEAR)
    spacing = image.pixel_spacing_mm
    if spacing is not None:
        spacing = (spacing[0] * image.shape[0] / size, spacing[1] * image.shape[1] / size)
    return ChestImage(
        pixels=np.clip(np.asarray(resized), 0.0, 1.0),
        image_id=image.image_id,
        pixel_spacing_mm=spacing,
        source=image.source,
        own_shape=image.own_shape,
    )


def read_mask(path: str | os.PathLike[str]) -> NDArray[np.bool_]:
    """Read a mask file (PNG, TIFF, BMP, GIF, JPEG), whatever its two levels are.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    ndarray of bool, shape (H, W)
        True above half of the file's highest level; a file of zeros is an empty mask.

    Raises
    ------
    MissingInputError
        If there is no such file.
    InvalidMaskError
        If it cannot be read or decoded completely.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "mask.png")
    ...     Image.fromarray(np.eye(3, dtype=np.uint8)).save(path)
    ...     read_mask(path)
    array([[ True, False, False],
           [False,  True, False],
           [False, False,  True]])
    """
    path = Path(path)
    try:
        with _open(path) as handle, _decoder_errors(path):
            form = _format(handle)
            if form == "DICOM":
                raise InvalidImageError("masks in DICOM are not read; save the mask as PNG")
            levels, _ = _read_picture(handle, form)
            if not np.isfinite(levels).all():
                raise InvalidImageError("holds NaN or infinite values; write 0 and 1 instead")
    except InvalidImageError as error:
        raise InvalidMaskError(str(error)) from error.__cause__
    highest = float(levels.max())
    if highest <= 0:
        return np.zeros(levels.shape, dtype=np.bool_)
    return np.asarray(levels > highest / 2)


def holds_dicom(path: str | os.PathLike[str]) -> bool:
    """Whether a file carries the DICOM magic; False where it cannot be read.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    bool

    Examples
    --------
    >>> holds_dicom("no-such-file")
    False
    """
    try:
        with Path(path).open("rb") as handle:
            return _format(handle) == "DICOM"
    except (OSError, ValueError):
        return False


# -------------------------------------------------------------------------- opening and errors


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    """Open a file that exists, is a file, may be read and is not empty."""
    try:
        # Anything but a file is refused before opening it: opening a pipe would wait for ever.
        if path.is_dir():
            raise InvalidImageError(
                f"{path}: is a folder; give its files, which "
                "lungpatch.datasets.folders.find_images lists"
            )
        if path.exists() and not path.is_file():
            raise InvalidImageError(f"{path}: is not a regular file; copy its content to one")
        handle = path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        raise MissingInputError(f"{path}: no such file; check the path") from None
    except PermissionError:
        raise InvalidImageError(f"{path}: no permission to read it; change its mode") from None
    except InvalidImageError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise InvalidImageError(f"{path}: cannot be opened ({error}); check the path") from error
    with handle:
        yield handle


@contextmanager
def _decoder_errors(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises into an `InvalidImageError` that names the file.

    Warnings and log lines of decoders are dropped: what matters of them is an error here. A
    lock, because the state they are kept in belongs to the whole process.
    """
    from PIL import ImageFile

    loggers = [logging.getLogger(name) for name in ("PIL.TiffImagePlugin", "pydicom", "tifffile")]
    with _decoding, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        were_disabled = [logger.disabled for logger in loggers]
        # Other libraries switch this on for good; here half an image must be an error.
        loads_truncated = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = False
        for logger in loggers:
            logger.disabled = True
        try:
            yield
        except InvalidImageError as error:
            raise InvalidImageError(f"{path}: {error}") from error.__cause__
        except Exception as error:
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise InvalidImageError(
                f"{path}: cannot be decoded ({reason}); the file is damaged or of an unusual "
                "kind: open it in a viewer, and copy or export it again"
            ) from error
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = loads_truncated
            for logger, was_disabled in zip(loggers, were_disabled, strict=True):
                logger.disabled = was_disabled


def _format(handle: BinaryIO) -> str | None:
    """Tell the format by the first bytes; None where they are not known."""
    head = handle.read(132)
    handle.seek(0)
    if not head:
        raise InvalidImageError("is empty (0 bytes); copy or export it again")
    for magic, form in _MAGIC:
        if head.startswith(magic):
            return form
    return "DICOM" if head[128:] == b"DICM" else None


def _check_size(height: int, width: int) -> None:
    if height < 1 or width < 1:
        raise InvalidImageError(f"has no pixels ({height}x{width})")
    if max(height, width) > MAX_SIDE:
        raise InvalidImageError(
            f"is {height}x{width} pixels, more than {MAX_SIDE} a side; scale it down"
        )


def _checked(
    pixels: NDArray[np.float32],
    image_id: str,
    spacing: tuple[float, float] | None,
    source: str,
) -> ChestImage:
    """Build the image where its pixels can be used at all."""
    height, width = pixels.shape
    _check_size(height, width)
    if min(height, width) < MIN_SIDE:
        raise InvalidImageError(
            f"is {height}x{width} pixels, fewer than {MIN_SIDE} a side; use the full-size picture"
        )
    low, high = float(pixels.min()), float(pixels.max())
    if low == high:
        raise InvalidImageError(
            f"all its pixels have one value ({low:.4g} of 0..1): nothing can be seen in it; check "
            "how it was exported"
        )
    return ChestImage(pixels=pixels, image_id=image_id, pixel_spacing_mm=spacing, source=source)


def image_id_of(path: Path) -> str:
    """Return the image id of a file: its name without an image suffix.

    Examples
    --------
    >>> image_id_of(Path("films/a.png")), image_id_of(Path("1.2.840.1"))
    ('a', '1.2.840.1')
    """
    # The dots of a DICOM UID used as a file name do not set off a suffix.
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else path.name


# ------------------------------------------------------------------------ PNG, JPEG, TIFF and co


def _read_picture(handle: BinaryIO, form: str | None) -> tuple[NDArray[Any], float]:
    """Decode a picture to its grey levels (H, W) and the level that is white."""
    if form is None:
        raise InvalidImageError(
            f"is not an image of a known format; give {_FORMATS} (a text or an archive of another "
            "name is not converted)"
        )
    from PIL import Image, UnidentifiedImageError

    try:
        if form == "PNG":
            # Pillow stops at the last row and so misses damage that the checksums show.
            Image.open(handle, formats=["PNG"]).verify()
            handle.seek(0)
        image = Image.open(handle, formats=[form])
    except Image.DecompressionBombError:
        raise InvalidImageError(
            f"is more than {MAX_SIDE} pixels a side, or close to it; scale it down"
        ) from None
    except UnidentifiedImageError:
        if form != "TIFF":
            raise InvalidImageError(
                f"starts like {form}, but is not a readable {form} file; copy or export it again"
            ) from None
        handle.seek(0)
        return _read_tiff_array(handle)
    with image:
        _check_size(image.height, image.width)
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and form != "JPEG":  # the second picture of a JPEG is a preview
            raise InvalidImageError(f"holds {frames} pictures; save the one to read on its own")
        if form == "TIFF":
            bits = image.tag_v2.get(_TIFF_BITS, (1,))  # type: ignore[attr-defined]
            if len(bits) > 1 and max(bits) > 8:
                # Pillow would keep the high byte only.
                handle.seek(0)
                return _read_tiff_array(handle)
        return _grey_levels(image)


def _grey_levels(image: Image.Image) -> tuple[NDArray[Any], float]:
    from PIL import ImageOps

    tiff_tags = getattr(image, "tag_v2", {})
    tiles = getattr(image, "tile", [])
    raw_mode = str(tiles[0][3]) if tiles else ""
    transparent = image.info.get("transparency")
    image.load()
    ImageOps.exif_transpose(image, in_place=True)

    if image.mode == "F":
        return _unit_float(np.asarray(image)), 1.0
    if image.mode.startswith("I"):
        levels = np.asarray(image)
        if levels.min() < 0 or levels.max() > 65535:
            raise InvalidImageError(_no_range(levels))
        white = _white_of_16_bit(levels)
        if tiff_tags.get(_TIFF_PHOTOMETRIC) == _TIFF_WHITE_IS_ZERO:
            levels = np.asarray(white - levels)
        return levels, white

    has_alpha = image.mode in ("LA", "PA", "RGBA", "La", "RGBa")
    if has_alpha or (transparent is not None and image.mode != "1"):
        image = image.convert("RGBA")
        levels = np.asarray(image.convert("RGB").convert("L"))
        alpha = np.asarray(image.getchannel("A"))
        if alpha.min() < 255:
            levels = np.asarray(levels * (alpha / np.float32(255.0)))
    elif image.mode == "1":
        bits = np.asarray(image)
        # tifffile notes "white is zero" for every array of bool, but writes True as 1.
        if tiff_tags.get(_TIFF_PHOTOMETRIC) == _TIFF_WHITE_IS_ZERO and str(
            tiff_tags.get(_TIFF_SOFTWARE, "")
        ).startswith("tifffile"):
            bits = ~bits
        return bits.astype(np.uint8), 1.0
    else:
        levels = np.asarray(image.convert("L"))
    if ";16" in raw_mode and levels.max() < 128:
        raise InvalidImageError(
            "is a 16-bit colour or transparent PNG that uses few of its 16 bits, which cannot be "
            "read without loss; save it as 16-bit grey"
        )
    return levels, 255.0


def _read_tiff_array(handle: BinaryIO) -> tuple[NDArray[Any], float]:
    """Decode the TIFF files that Pillow cannot, such as 16-bit colour or 64-bit float."""
    import tifffile

    with tifffile.TiffFile(handle) as tiff:
        if len(tiff.pages) != 1:
            raise InvalidImageError(
                f"holds {len(tiff.pages)} pictures; save the one to read on its own"
            )
        page: Any = tiff.pages[0]
        _check_size(page.imagelength, page.imagewidth)
        if page.imagedepth != 1 or page.samplesperpixel > 4:
            raise InvalidImageError("has more than grey or colour channels; save it as grey")
        try:
            array = np.asarray(page.asarray())
        except ValueError as error:
            raise InvalidImageError(
                f"cannot be decompressed ({error}); save it as 16-bit grey, or uncompressed"
            ) from error
        if page.samplesperpixel > 1 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
            array = np.moveaxis(array, 0, -1)
        array = array.reshape(page.imagelength, page.imagewidth, page.samplesperpixel)
        orientation = page.tags.valueof(_TIFF_ORIENTATION, 1)
        white_is_zero = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
        known = (
            tifffile.PHOTOMETRIC.MINISWHITE,
            tifffile.PHOTOMETRIC.MINISBLACK,
            tifffile.PHOTOMETRIC.RGB,
        )
        if page.photometric not in known:
            raise InvalidImageError("is neither grey nor RGB; save it as grey")
        premultiplied = bool(page.extrasamples) and page.extrasamples[-1] == 1
    if array.dtype.kind == "f":
        white = 1.0
        array = _unit_float(array)
    elif array.dtype.kind == "u" and array.max() <= 65535:
        n_grey = 3 if array.shape[-1] > 2 else 1
        white = _white_of_16_bit(array[..., :n_grey])
    else:
        raise InvalidImageError(_no_range(array))
    alpha_white = 1.0 if array.dtype.kind == "f" else float(np.iinfo(array.dtype).max)
    alpha = array[..., -1] / np.float32(alpha_white) if array.shape[-1] in (2, 4) else None
    levels = _luminance(array[..., : 3 if array.shape[-1] > 2 else 1])
    if white_is_zero:
        levels = white - levels
    if alpha is not None and not premultiplied:
        levels = levels * alpha
    return _oriented(levels, orientation), white


def _oriented(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn the stored rows and columns as the EXIF orientation says."""
    if orientation >= 5:
        array = array.T
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return array


def _unit_float(array: NDArray[Any]) -> NDArray[Any]:
    if not np.isfinite(array).all():
        raise InvalidImageError("holds NaN or infinite values; replace them before")
    if array.min() < 0 or array.max() > 1:
        raise InvalidImageError(_no_range(array))
    return array


def _no_range(array: NDArray[Any]) -> str:
    return (
        f"holds {array.dtype} values from {array.min():.6g} to {array.max():.6g}, a scale that "
        "is not known; load it yourself (with tifffile, say) and call "
        "lungpatch.as_chest_image(array, value_range=(black, white))"
    )


def _white_of_16_bit(levels: NDArray[Any]) -> float:
    highest = int(levels.max())
    return next(2.0**bits - 1 for bits in (8, 10, 12, 14, 16) if highest < 2**bits)


def _over_white(levels: NDArray[Any], white: float) -> NDArray[np.float32]:
    pixels = np.empty(levels.shape, dtype=np.float32)
    np.divide(levels, white, out=pixels, casting="unsafe")
    return np.clip(pixels, 0.0, 1.0, out=pixels)


def _luminance(array: NDArray[Any]) -> NDArray[Any]:
    """Grey of an array (H, W, 1) or (H, W, 3)."""
    if array.shape[-1] == 1:
        return np.asarray(array[..., 0])
    return np.asarray(array.astype(np.float32) @ _LUMINANCE)


# ---------------------------------------------------------------------------------------- DICOM


def _read_dicom(handle: BinaryIO) -> tuple[NDArray[np.float32], tuple[float, float] | None]:
    import pydicom
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    dataset = pydicom.dcmread(handle, force=True)
    if "PixelData" not in dataset:
        raise InvalidImageError(
            "is DICOM without pixel data (a report, say, or no DICOM at all); leave it out"
        )
    if int(dataset.get("NumberOfFrames") or 1) != 1:
        raise InvalidImageError(
            f"holds {dataset.NumberOfFrames} frames; export the one to read on its own"
        )
    _check_size(int(dataset.Rows), int(dataset.Columns))
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit = dataset.original_encoding[0]
        dataset.file_meta.TransferSyntaxUID = (
            ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        )
    _check_decoder(dataset)

    photometric = str(dataset.PhotometricInterpretation)
    if photometric in ("MONOCHROME1", "MONOCHROME2"):
        stored = np.asarray(dataset.pixel_array)
        pixels = _display_levels(dataset, stored)
        if photometric == "MONOCHROME1":
            np.subtract(1.0, pixels, out=pixels)
    elif photometric == "RGB" or photometric.startswith("YBR"):
        white = 2.0 ** int(dataset.BitsStored) - 1
        # pydicom brings YBR to RGB.
        pixels = _over_white(_luminance(np.asarray(dataset.pixel_array)), white)
    else:
        raise InvalidImageError(
            f"has photometric interpretation {photometric}, which has no grey meaning; export it "
            "as MONOCHROME2"
        )
    if pixels.ndim != 2:
        raise InvalidImageError(f"holds an array of shape {pixels.shape}, not one grey picture")
    return pixels, _spacing(dataset)


def _check_decoder(dataset: Dataset) -> None:
    from pydicom.pixels.decoders.base import get_decoder

    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        if get_decoder(syntax).is_available:
            return
    except NotImplementedError:
        raise InvalidImageError(
            f"has transfer syntax {syntax.name} ({syntax}), which pydicom does not decode; "
            "export it uncompressed"
        ) from None
    raise InvalidImageError(
        f"is compressed as {syntax.name} (transfer syntax {syntax}), for which no decoder is "
        "installed; run: pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg pylibjpeg-rle"
    )


def _display_levels(dataset: Dataset, stored: NDArray[Any]) -> NDArray[np.float32]:
    """Bring stored values (H, W) to [0, 1] by the modality and the VOI transform.

    Both are computed once for each possible stored value (at most ``2**16``) and looked up.
    """
    from pydicom.pixels.processing import apply_modality_lut, apply_voi, apply_windowing

    bits = int(dataset.BitsStored)
    if not 8 <= bits <= 16 or stored.dtype.kind not in "iu":
        raise InvalidImageError(
            f"stores {bits}-bit values of type {stored.dtype}; 8 to 16 bits are read"
        )
    signed = int(dataset.PixelRepresentation) == 1
    lowest = -(2 ** (bits - 1)) if signed else 0
    highest = lowest + 2**bits - 1
    values = np.asarray(
        apply_modality_lut(np.arange(lowest, highest + 1, dtype=np.int32), dataset),
        dtype=np.float64,
    )
    if dataset.get("ModalityLUTSequence"):
        black = 0.0
        white = 2.0 ** int(dataset.ModalityLUTSequence[0].LUTDescriptor[2]) - 1
    else:
        black, white = float(values[0]), float(values[-1])

    if dataset.get("VOILUTSequence"):
        levels = apply_voi(np.rint(values).astype(np.int64), dataset).astype(np.float64)
        black = 0.0
        white = 2.0 ** int(dataset.VOILUTSequence[0].LUTDescriptor[2]) - 1
    elif dataset.get("WindowCenter") is not None and dataset.get("WindowWidth") is not None:
        # Its range is (black, white), the ends swapped for a negative slope: dividing by their
        # signed difference puts that right.
        levels = apply_windowing(values, dataset)
    else:
        levels = values
        black, white = min(black, white), max(black, white)
    if not (math.isfinite(black) and math.isfinite(white) and black != white):
        raise InvalidImageError(
            f"rescales all its values to one level or beyond any (slope "
            f"{dataset.get('RescaleSlope')}, intercept {dataset.get('RescaleIntercept')}); "
            "export it again"
        )
    table = _over_white(levels - black, white - black)
    pixels: NDArray[np.float32] = table[np.clip(stored, lowest, highest).astype(np.int64) - lowest]
    return pixels


def _spacing(dataset: Dataset) -> tuple[float, float] | None:
    for name in ("PixelSpacing", "ImagerPixelSpacing"):
        try:
            row, column = (float(value) for value in dataset.get(name) or ())
        except (TypeError, ValueError):
            continue
        if 0 < row < math.inf and 0 < column < math.inf:
            return row, column
    return None


# --------------------------------------------------------------------------------------- arrays


def _check_pair(name: str, pair: Any) -> None:
    try:
        fits = len(pair) == 2 and all(math.isfinite(value) for value in pair)
    except TypeError:
        fits = False
    if not fits:
        raise ConfigurationError(f"{name} must be two finite numbers, got {pair!r}")


def _as_numpy(array: Any) -> NDArray[Any]:
    try:
        if hasattr(array, "detach"):
            array = array.detach().cpu().numpy()
        array = np.asarray(array)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidImageError(
            f"cannot be taken as an array ({error}); convert it to float32 or uint8 before"
        ) from error
    if array.dtype.kind not in "biuf":
        raise InvalidImageError(
            f"is an array of {array.dtype}; give integers, floats, bool, or read the file with "
            "lungpatch.read_image"
        )
    shape = array.shape
    if array.ndim == 2:
        array = array[..., None]
    elif array.ndim == 3 and shape[-1] not in (1, 3, 4) and shape[0] == 1:
        array = array[0, ..., None]
    if array.ndim != 3 or array.shape[-1] not in (1, 3, 4):
        raise InvalidImageError(
            f"has shape {shape}; give one image of shape (H, W), (H, W, 1), (1, H, W), (H, W, 3) "
            "or (H, W, 4)"
        )
    _check_size(array.shape[0], array.shape[1])
    return np.asarray(array)


def _unit_array(
    array: NDArray[Any], value_range: tuple[float, float] | None
) -> NDArray[np.float32]:
    """Bring an array (H, W, 1 or 3 or 4) to grey levels in [0, 1], shape (H, W)."""
    low, high = array.min(), array.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InvalidImageError("holds NaN or infinite values; replace them before")
    if value_range is None:
        if array.dtype == np.uint8:
            value_range = (0, 255)
        elif array.dtype == np.bool_:
            value_range = (0, 1)
        else:
            if array.dtype.kind == "f":
                likely = "(0, 1)" if low >= 0 and high <= 1 else "(black, white)"
            elif low >= 0 and high <= 65535:
                likely = f"(0, {_white_of_16_bit(array):.0f})"
            else:
                likely = "(black, white)"
            raise InvalidImageError(
                f"is an array of {array.dtype} from {low:.6g} to {high:.6g}: which levels are "
                f"black and white cannot be told from it; give value_range, perhaps {likely}"
            )
    black, white = float(value_range[0]), float(value_range[1])
    if low < black or high > white:
        raise InvalidImageError(
            f"has values from {low:.6g} to {high:.6g}, outside value_range ({black:g}, "
            f"{white:g}); give the range of the scale, or clip the array if that is meant"
        )
    # 8 and 16 bits are exact in float32; wider types are not.
    wide = np.float32 if array.dtype.itemsize <= 2 else np.float64
    unit: NDArray[Any] = array.astype(wide)
    unit -= black
    unit /= white - black
    grey = _luminance(unit[..., :3])
    if array.shape[-1] == 4:
        grey = grey * unit[..., 3]
    return _over_white(grey, 1.0)
