"""Compares results array by array."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from lungpatch.testing.random_state import random_states, seeded_globally
from lungpatch.testing.runner import require

Arrays = Mapping[str, NDArray[Any]]

_TOLERANCE = 1e-4
"""Fraction of the largest value by which float32 sums in another order may differ."""


def arrays_of(container: Any) -> dict[str, NDArray[Any]]:
    """Return copies of the arrays of a container, by field."""
    values = {field.name: getattr(container, field.name) for field in attrs.fields(type(container))}
    return {name: value.copy() for name, value in values.items() if isinstance(value, np.ndarray)}


def joined(parts: Sequence[Arrays]) -> dict[str, NDArray[Any]]:
    """Concatenate the arrays of several results."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def difference(found: Arrays, wanted: Arrays, *, exact: bool) -> str:
    """Return where two results differ; an empty string if they do not."""
    if found.keys() != wanted.keys():
        return f"{', '.join(sorted(found.keys() ^ wanted.keys()))} is in only one of them"
    for name, array in found.items():
        other = wanted[name]
        if array.shape != other.shape or array.dtype != other.dtype:
            return f"{name} is {array.dtype} {array.shape} and then {other.dtype} {other.shape}"
        if np.array_equal(array, other, equal_nan=array.dtype.kind == "f"):
            continue
        if array.dtype.kind == "f" and np.isfinite(array).all() and np.isfinite(other).all():
            gap = float(np.abs(array - other).max())
            if not exact and gap <= _TOLERANCE * float(np.abs(other).max()):
                continue
            return f"{name} differs by up to {gap:.3g}"
        return f"{name} differs"
    return ""


def require_unchanged(inputs: Mapping[str, Any], call: Callable[[], object]) -> None:
    """Require that ``call`` does not change the arrays of the containers ``inputs``."""
    before = {name: arrays_of(container) for name, container in inputs.items()}
    call()
    for name, container in inputs.items():
        changed = difference(arrays_of(container), before[name], exact=True)
        require(
            not changed,
            f"It changed {name}: {changed}. Work on a copy (array.copy(), tensor.clone()), not in "
            "place; a tensor of torch.from_numpy shares the memory of the array.",
        )


def require_deterministic(call: Callable[[], Arrays], advice: str) -> None:
    """Require that ``call`` returns the same twice, whatever the global random states."""
    with seeded_globally(1):
        first = call()
    with seeded_globally(2):
        second = call()
    differs = difference(second, first, exact=True)
    require(not differs, f"The second time, {differs}. {advice}")


def require_random_states_kept(call: Callable[[], object]) -> None:
    """Require that ``call`` does not change the global random states."""
    call()  # may import torch
    with seeded_globally(3):
        before = random_states()
        call()
        after = random_states()
    changed = [name for name, state in before.items() if after[name] != state]
    require(
        not changed,
        f"It changed that of {', '.join(changed)}. Draw from a numpy.random.Generator or a "
        "torch.Generator of your own, or build networks within torch.random.fork_rng().",
    )
