"""Checks of the arrays that a model loads, without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lungpatch.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray


def check_state(
    state: Mapping[str, NDArray[Any]],
    expected: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]],
) -> None:
    """Check that a state has exactly the expected names, shapes and dtypes.

    Parameters
    ----------
    state : mapping of str to ndarray
    expected : mapping of str to (shape, dtype)

    Raises
    ------
    ConfigurationError
        If it does not; the message names at most three differences.

    Examples
    --------
    >>> import numpy as np
    >>> check_state({"mean": np.zeros(3)}, {"mean": ((4,), np.dtype("float64"))})
    Traceback (most recent call last):
    ...
    lungpatch.errors.ConfigurationError: the state does not fit this model's settings: 'mean' is
    float64 (3,), not float64 (4,)
    """
    faults = [f"{name!r} is missing" for name in expected if name not in state]
    faults += [f"{name!r} is unknown" for name in state if name not in expected]
    for name in expected.keys() & state.keys():
        array, (shape, dtype) = state[name], expected[name]
        if array.shape != shape or array.dtype != dtype:
            faults.append(f"{name!r} is {array.dtype} {array.shape}, not {dtype} {shape}")
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise ConfigurationError(
            f"the state does not fit this model's settings: {'; '.join(sorted(faults)[:3])}{more}"
        )
