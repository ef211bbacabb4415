"""Arrays of numpy and torch, and images of Pillow, as radiographs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lungpatch.containers import ChestImage
from lungpatch.errors import ConfigurationError, InvalidImageError, LungpatchError
from lungpatch.io.levels import (
    Levels,
    check_pixels,
    check_size,
    container_bits,
    luminance,
    over_white,
)
from lungpatch.io.raster import pillow_levels

if TYPE_CHECKING:
    from numpy.typing import NDArray


_WHITE = {np.dtype(np.uint8): 255.0, np.dtype(np.bool_): 1.0}
"""The level that is white in arrays whose type says so."""


def as_chest_image(
    array: Any,
    *,
    value_range: tuple[float, float] | None = None,
    image_id: str = "array",
    pixel_spacing_mm: tuple[float, float] | None = None,
) -> ChestImage:
    """Take an array or an image of Pillow as a radiograph, bones bright.

    Parameters
    ----------
    array : ndarray, torch.Tensor or PIL.Image.Image
        Shape (H, W), (H, W, 1) or (1, H, W); or (H, W, 3) and (H, W, 4), which become luminance,
        transparent pixels over black. An image of Pillow is read as from a file: through its
        palette, colours and transparency, and turned as its EXIF orientation says. A masked array
        must have no masked value.
    value_range : tuple of float, optional
        The levels (black, white) of the scale, not of this image. Needed unless the array is
        uint8 (0, 255) or bool (0, 1).
    image_id : str
        A name for messages and records.
    pixel_spacing_mm : tuple of float, optional
        Distance between pixel centres, (row, column), in millimetres, of the array as it is
        given.

    Returns
    -------
    ChestImage
        Its pixels are a copy.

    Raises
    ------
    InvalidImageError
        If the shape does not fit, the range is missing, or values are masked, NaN, infinite,
        outside the range or all equal.
    ConfigurationError
        If ``value_range`` or ``pixel_spacing_mm`` makes no sense.

    See Also
    --------
    read_image : The same for a file.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.linspace(0, 4000, 64 * 48).reshape(64, 48).astype(np.uint16)
    >>> as_chest_image(image, value_range=(0, 4095), image_id="image")
    ChestImage('image', 64x48, range [0, 0.977])
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
        levels = _levels(array)
        pixels = _unit_array(levels, value_range)
        check_pixels(pixels)
        return ChestImage(
            pixels=pixels,
            image_id=image_id,
            pixel_spacing_mm=pixel_spacing_mm,
            reading=levels.notes,
        )
    except LungpatchError as error:
        raise type(error)(f"{image_id}: {error}") from error.__cause__


def _check_pair(name: str, pair: Any) -> None:
    try:
        fits = len(pair) == 2 and all(math.isfinite(value) for value in pair)
    except TypeError:
        fits = False
    if not fits:
        raise ConfigurationError(f"{name} must be two finite numbers, got {pair!r}")


def _levels(array: Any) -> Levels:
    """Return grey levels of shape (H, W, 1), or colours of shape (H, W, 3 or 4)."""
    if _is_pillow(array):
        try:
            levels = pillow_levels(array)
        except (OSError, ValueError, SyntaxError) as error:
            if isinstance(error, InvalidImageError):
                raise
            raise InvalidImageError(
                f"is an image of Pillow that cannot be decoded: {error}"
            ) from error
        return levels._replace(array=_as_numpy(levels.array))
    array = _as_numpy(array)
    return Levels(array, _WHITE.get(array.dtype))


def _is_pillow(array: Any) -> bool:
    return any(
        kind.__module__ == "PIL.Image" and kind.__name__ == "Image" for kind in type(array).__mro__
    )


def _as_numpy(array: Any) -> NDArray[Any]:
    try:
        if hasattr(array, "detach"):
            array = array.detach().cpu().numpy()
        if np.ma.is_masked(array):
            count = int(np.ma.getmaskarray(array).sum())
            raise InvalidImageError(
                f"has {count} masked values, which have no grey level; give array.filled(value), "
                "with the level that they are to have"
            )
        array = np.asarray(array)
    except InvalidImageError:
        raise
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
    check_size(array.shape[0], array.shape[1])
    return np.asarray(array)


def _unit_array(levels: Levels, value_range: tuple[float, float] | None) -> NDArray[np.float32]:
    """Bring an array (H, W, 1 or 3 or 4) to grey levels in [0, 1], shape (H, W)."""
    array = levels.array
    low, high = array.min(), array.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InvalidImageError("holds NaN or infinite values; replace them before")
    if value_range is None:
        if levels.white is None:
            raise InvalidImageError(
                f"is an array of {array.dtype} from {low:.6g} to {high:.6g}: which levels are "
                f"black and white is not known; give value_range, perhaps "
                f"{_likely_range(array.dtype, low, high)}"
            )
        value_range = (0.0, levels.white)
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
    grey = luminance(unit[..., :3])
    if array.shape[-1] == 4:
        grey = grey * unit[..., 3]
    return over_white(grey, 1.0)


def _likely_range(dtype: np.dtype[Any], low: float, high: float) -> str:
    if dtype.kind == "f":
        return "(0, 1)" if low >= 0 and high <= 1 else "(black, white)"
    if low >= 0 and high <= 65535:
        return f"(0, {2 ** container_bits(int(high)) - 1})"
    return "(black, white)"
