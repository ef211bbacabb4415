"""The global random states, which components must not change."""

from __future__ import annotations

import random
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator


def random_states() -> dict[str, Any]:
    """Return the global states of Python, numpy and, where it is imported, torch's CPU."""
    states: dict[str, Any] = {
        "random": random.getstate(),
        "numpy.random": _hashable(np.random.get_state()),  # noqa: NPY002 - this very state
    }
    if "torch" in sys.modules:
        states["torch"] = sys.modules["torch"].get_rng_state().numpy().tobytes()
    return states


@contextmanager
def seeded_globally(seed: int) -> Iterator[None]:
    """Seed all global states within the block, and restore them afterwards."""
    python_state = random.getstate()
    numpy_state = np.random.get_state()  # noqa: NPY002
    torch = sys.modules.get("torch")
    torch_state = torch.get_rng_state() if torch else None
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    if torch:
        torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
        if torch:
            torch.set_rng_state(torch_state)


def _hashable(state: Any) -> tuple[Any, ...]:
    return tuple(part.tobytes() if isinstance(part, np.ndarray) else part for part in state)
