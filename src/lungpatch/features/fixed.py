"""What extractors share that learn nothing from the patches they are fitted on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from lungpatch._utils.component import Component, plain_errors
from lungpatch._utils.states import check_state
from lungpatch.containers import TrainingHistory

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from lungpatch.protocols import EpochCallback, PatchSource


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class FixedExtractor(Component):
    """An extractor that needs no ``fit``. A subclass says how features are extracted."""

    def fit(
        self,
        source: PatchSource,
        *,
        validation: PatchSource | None = None,
        rng: np.random.Generator,
        on_epoch: EpochCallback | None = None,
    ) -> TrainingHistory:
        """Do nothing: there is nothing to learn. The arguments are not used.

        Returns
        -------
        TrainingHistory
            Without epochs.
        """
        return TrainingHistory(epochs=(), best_epoch=None, stopped="finished", seconds=0.0)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return nothing: nothing was learnt."""
        return {}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Refuse whatever is not empty.

        Raises
        ------
        ConfigurationError
            If there is anything in it.
        """
        check_state(state, {})
