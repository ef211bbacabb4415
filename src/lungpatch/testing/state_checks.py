"""Checks of fitted states, for all kinds that have one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lungpatch.errors import LungpatchError
from lungpatch.testing.comparing import difference
from lungpatch.testing.runner import CheckFailedError, Subject, require

if TYPE_CHECKING:
    from collections.abc import Callable

State = dict[str, NDArray[Any]]

_REFUSALS = (LungpatchError, AttributeError, LookupError, TypeError, ValueError)
"""Exceptions that `lungpatch.load_pipeline` reports as a state that does not fit."""


class _HasState(Protocol):
    def state(self) -> State: ...

    def load_state(self, state: State) -> None: ...


def saved_state(component: _HasState) -> State:
    """Return the state of a component as it is written when a pipeline is saved."""
    # safetensors would write the memory of a strided array in the wrong order.
    return {name: np.array(array, order="C") for name, array in component.state().items()}


def wrong_states(state: State) -> dict[str, State]:
    """Return states that do not fit, by what is wrong; none where the state is empty."""
    if not state:
        return {}
    last = list(state)[-1]
    others = {name: array for name, array in state.items() if name != last}
    return {
        f"{last!r} is missing": others,
        f"{last!r} has another shape": {**others, last: np.stack([state[last]] * 2)},
    }


def require_wrong_states_refused(subject: Subject, state: State) -> None:
    """Require that a new component refuses all `wrong_states`."""
    for fault, wrong in wrong_states(state).items():
        component = subject.fresh()
        try:
            component.load_state(wrong)
        except _REFUSALS:
            continue
        except Exception as error:
            raise CheckFailedError(
                f"It raised {type(error).__name__} for a state where {fault}, which ends "
                "lungpatch.load_pipeline in a traceback. Compare names, shapes and dtypes first, "
                "and raise lungpatch.errors.ConfigurationError."
            ) from error
        raise CheckFailedError(
            f"It took a state where {fault}. Compare names, shapes and dtypes first, and raise "
            "lungpatch.errors.ConfigurationError."
        )


def require_refused_state_changes_nothing(component: _HasState, call: Callable[[], State]) -> None:
    """Require that ``call`` returns the same after ``component`` refused the `wrong_states`."""
    wanted = call()
    for fault, state in wrong_states(saved_state(component)).items():
        # Other values than its own: otherwise a half-taken state would not show.
        other = {name: np.asarray(array + 1, array.dtype) for name, array in state.items()}
        try:
            component.load_state(other)
        except Exception:  # wrong_state_is_refused reports those of a wrong type
            differs = difference(call(), wanted, exact=False)
            require(
                not differs,
                f"After a state where {fault}, {differs}. Check the whole state before taking over "
                "any of it.",
            )
        else:
            return  # wrong_state_is_refused reports it
