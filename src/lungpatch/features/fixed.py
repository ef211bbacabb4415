"""Base of the extractors that are not fitted."""

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
    """An extractor that needs no ``fit``. A subclass says how features are extracted.

    Examples
    --------
    >>> from lungpatch.features import StatisticsExtractor
    >>> isinstance(StatisticsExtractor(), FixedExtractor), StatisticsExtractor().state()
    (True, {})
    """

    def fit(
        self,
        source: PatchSource,
        *,
        validation: PatchSource | None = None,
        rng: np.random.Generator,
        on_epoch: EpochCallback | None = None,
    ) -> TrainingHistory:
        """Do nothing: there is nothing to fit. The arguments are not used.

        Returns
        -------
        TrainingHistory
            Without epochs.
        """
        return TrainingHistory(epochs=(), best_epoch=None, stopped="finished", seconds=0.0)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return an empty dictionary: nothing was fitted."""
        return {}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Refuse any state that is not empty.

        Raises
        ------
        ConfigurationError
            If the state holds anything.
        """
        check_state(state, {})
