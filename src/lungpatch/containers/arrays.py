"""Types of the arrays in the containers, and the converters and validators of these arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

    import attrs

FloatImage = NDArray[np.float32]
BoolImage = NDArray[np.bool_]
Box = tuple[int, int, int, int]
"""Half-open: (row0, col0, row1, col1)."""


def read_only(value: Any, dtype: type[np.generic]) -> NDArray[Any]:
    """Return a read-only view of an array; it is copied only if its dtype has to be cast."""
    array = np.asarray(value)
    if array.dtype != dtype:
        if not np.can_cast(array.dtype, dtype, "same_kind"):
            raise TypeError(f"expected an array of {np.dtype(dtype)}, got {array.dtype}")
        array = array.astype(dtype)
    view = array.view()
    view.flags.writeable = False
    return view


def as_float32(value: Any) -> NDArray[np.float32]:
    """Return a read-only float32 array."""
    return read_only(value, np.float32)


def as_float64(value: Any) -> NDArray[np.float64]:
    """Return a read-only float64 array."""
    return read_only(value, np.float64)


def as_int64(value: Any) -> NDArray[np.int64]:
    """Return a read-only int64 array."""
    return read_only(value, np.int64)


def as_bool(value: Any) -> NDArray[np.bool_]:
    """Return a read-only bool array."""
    return read_only(value, np.bool_)


def has_ndim(ndim: int) -> Callable[[Any, attrs.Attribute[Any], NDArray[Any]], None]:
    """Return a validator that requires a number of axes."""

    def check(_: Any, attribute: attrs.Attribute[Any], value: NDArray[Any]) -> None:
        if value.ndim != ndim:
            raise ValueError(f"{attribute.name} must have {ndim} axes, got shape {value.shape}")

    return check


def is_finite(_: Any, attribute: attrs.Attribute[Any], value: NDArray[Any]) -> None:
    """Require that there is no NaN and no infinity: a validator."""
    if not np.isfinite(value).all():
        raise ValueError(f"{attribute.name} holds NaN or infinite values")


def in_unit_range(_: Any, attribute: attrs.Attribute[Any], value: NDArray[Any]) -> None:
    """Require finite values in [0, 1]: a validator."""
    # The comparisons fail for NaN too.
    if value.size and not (value.min() >= 0.0 and value.max() <= 1.0):
        raise ValueError(
            f"{attribute.name} must lie in [0, 1]; read files with lungpatch.read_image and "
            "arrays with lungpatch.as_chest_image, which normalise them"
        )


def range_text(values: NDArray[Any]) -> str:
    """Return the minimum and maximum of the finite values, for a repr."""
    known = values[np.isfinite(values)]
    return f"[{known.min():.3g}, {known.max():.3g}]" if known.size else "[]"


def check_lengths(name: str, lengths: dict[str, int]) -> None:
    """Raise a ValueError if arrays, given by name with their lengths, differ in length."""
    if len(set(lengths.values())) > 1:
        raise ValueError(f"{name}: lengths disagree: {lengths}")
