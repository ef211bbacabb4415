"""A threshold that the user gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import attrs
from attrs import validators

from lungpatch._utils.component import plain_errors
from lungpatch.thresholders.base import FittedThresholds

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class FixedThresholder(FittedThresholds):
    """Use a threshold that is a setting; nothing is fitted.

    Parameters
    ----------
    value : float
        The threshold, in the unit of the scores; finite.

    See Also
    --------
    QuantileThresholder, ConformalThresholder : Thresholds from normal scores.

    Examples
    --------
    >>> from lungpatch.thresholders import FixedThresholder
    >>> FixedThresholder(value=1.5).threshold_
    1.5
    """

    value: float = attrs.field(
        validator=[
            validators.instance_of((int, float)),
            validators.gt(float("-inf")),
            validators.lt(float("inf")),
        ]
    )

    @property
    def thresholds_(self) -> tuple[float, ...]:
        """The one threshold."""
        return (float(self.value),)

    def fit(self, pred_scores: ArrayLike, gt_labels: ArrayLike | None = None) -> Self:
        """Return itself; neither scores nor labels are used."""
        return self
