"""Checks of learnt states, for all kinds that have one."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lungpatch.errors import LungpatchError
from lungpatch.testing.runner import CheckFailedError, Subject

State = dict[str, NDArray[Any]]

_REFUSALS = (LungpatchError, AttributeError, LookupError, TypeError, ValueError)
"""What lungpatch.load_pipeline takes for a state that does not fit."""


class _HasState(Protocol):
    def state(self) -> State: ...


def saved_state(component: _HasState) -> State:
    """Return a component's state as saving writes it."""
    # safetensors writes the memory of a strided array in the wrong order.
    return {name: np.array(array, order="C") for name, array in component.state().items()}


def wrong_states(state: State) -> dict[str, State]:
    """Return states that do not fit, by what is wrong; none where nothing is learnt."""
    if not state:
        return {}
    last = list(state)[-1]
    others = {name: array for name, array in state.items() if name != last}
    return {
        f"{last!r} is missing": others,
        f"{last!r} has another shape": {**others, last: np.stack([state[last]] * 2)},
    }


def require_wrong_states_refused(subject: Subject, state: State) -> None:
    """Require that a new component takes none of the `wrong_states`."""
    for fault, wrong in wrong_states(state).items():
        component = subject.fresh()
        try:
            component.load_state(wrong)
        except _REFUSALS:
            continue
        except Exception as error:
            raise CheckFailedError(
                f"It raised {type(error).__name__} for one where {fault}, which ends "
                "lungpatch.load_pipeline in a traceback. Compare names, shapes and dtypes first, "
                "and raise lungpatch.errors.ConfigurationError."
            ) from error
        raise CheckFailedError(
            f"It took one where {fault}. Compare names, shapes and dtypes first, and raise "
            "lungpatch.errors.ConfigurationError."
        )
