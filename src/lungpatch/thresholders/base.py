"""Base of the thresholders: ascending thresholds, how they are used, saved and restored."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import attrs
import numpy as np

from lungpatch._utils.component import Component, plain_errors
from lungpatch.errors import ConfigurationError, NotFittedError
from lungpatch.thresholders.checks import check_scores

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class FittedThresholds(Component):
    """Thresholds that split scores into classes.

    ``fit`` of a subclass sets them. A subclass overrides ``min_scores`` where one score is not
    enough.

    See Also
    --------
    lungpatch.protocols.Thresholder : What a pipeline asks of a thresholder.

    Examples
    --------
    >>> from lungpatch.thresholders import MultiOtsuThresholder
    >>> fitted = MultiOtsuThresholder(classes=3).fit([1, 2, 11, 12, 21, 22])
    >>> restored = MultiOtsuThresholder(classes=3)
    >>> restored.load_state(fitted.state())
    >>> restored.threshold_, restored.thresholds_
    (6.5, (6.5, 16.5))
    """

    uses_labels: ClassVar[bool] = False

    _thresholds: tuple[float, ...] | None = attrs.field(init=False, default=None, repr=False)

    @property
    def min_scores(self) -> int:
        """Minimum number of scores that ``fit`` needs."""
        return 1

    @property
    def thresholds_(self) -> tuple[float, ...]:
        """All thresholds in ascending order: one fewer than there are classes."""
        if self._thresholds is None:
            name = type(self).__name__
            labels = ", gt_labels" if self.uses_labels else ""
            raise NotFittedError(f"{name} has no threshold yet: call fit(pred_scores{labels})")
        return self._thresholds

    @property
    def threshold_(self) -> float:
        """The threshold between normal and anomalous scores: the lowest one."""
        return self.thresholds_[0]

    def classify(self, scores: ArrayLike) -> NDArray[np.int64]:
        """Return the class of each score.

        Parameters
        ----------
        scores : array_like, shape (N,)

        Returns
        -------
        ndarray of int64, shape (N,)
            The number of thresholds that are below the score: 0 is normal.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ConfigurationError
            If the scores have several axes, or hold NaN or infinite values.
        """
        thresholds = np.array(self.thresholds_)
        values = check_scores(scores, at_least=0)
        return np.searchsorted(thresholds, values, side="left").astype(np.int64)

    def state(self) -> dict[str, list[float]]:
        """Return the thresholds, ready for JSON."""
        return {"thresholds": list(self.thresholds_)}

    def load_state(self, state: Mapping[str, list[float]]) -> None:
        """Take over what ``state`` returned.

        Parameters
        ----------
        state : mapping

        Raises
        ------
        ConfigurationError
            If it does not hold finite thresholds in ascending order.
        """
        thresholds = state.get("thresholds", [])
        values = check_scores(thresholds, at_least=0)
        if values.size == 0 or (np.diff(values) < 0).any():
            raise ConfigurationError(
                f"{type(self).__name__}: a state holds 'thresholds' in ascending order, got {state}"
            )
        self._thresholds = tuple(values.tolist())
