"""A threshold read off the free-response curve (FROC)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

import attrs
import numpy as np
from attrs import validators

from lungpatch import Component
from lungpatch.errors import ConfigurationError, InsufficientDataError, NotFittedError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@attrs.define(kw_only=True, eq=False)
class FROCThresholder(Component):
    """Lowest threshold with at most a given number of false alarms per image.

    The lowest threshold has the highest sensitivity. It uses labels: metrics on the images that it
    was fitted on are optimistic.

    Parameters
    ----------
    false_alarms : float
        Number of false alarms per image, at least 0. It may be above 1 where an image has several
        scores.
    n_images : int, optional
        Number of images that the scores come from, if they are scores of boxes. By default every
        score belongs to one image, and false alarms are counted per normal image.
    """

    uses_labels: ClassVar[bool] = True

    false_alarms: float = attrs.field(
        default=0.2, validator=[validators.instance_of((int, float)), validators.ge(0)]
    )
    n_images: int | None = attrs.field(
        default=None,
        validator=validators.optional([validators.instance_of(int), validators.ge(1)]),
    )

    _threshold: float | None = attrs.field(init=False, default=None, repr=False)

    @property
    def min_scores(self) -> int:
        """Minimum number of scores that ``fit`` needs: one of each kind."""
        return 2

    @property
    def threshold_(self) -> float:
        """The threshold that ``fit`` found."""
        if self._threshold is None:
            raise NotFittedError(
                "this thresholder has no threshold yet: call fit(pred_scores, gt_labels)"
            )
        return self._threshold

    def fit(self, pred_scores: ArrayLike, gt_labels: ArrayLike | None = None) -> Self:
        """Find the threshold.

        Parameters
        ----------
        pred_scores : array_like, shape (N,)
        gt_labels : array_like of bool, shape (N,)
            True or 1 for an abnormal image, or for a box that hits an opacity.

        Raises
        ------
        InsufficientDataError
            If there are fewer than two scores, or all labels are the same.
        ConfigurationError
            If scores are not finite numbers, or labels are missing or of another length.
        """
        scores = np.asarray(pred_scores, dtype=np.float64)
        if scores.ndim != 1 or not np.isfinite(scores).all():
            raise ConfigurationError("pred_scores must be finite numbers, shape (N,)")
        if gt_labels is None:
            raise ConfigurationError("this thresholder uses labels: call fit(scores, gt_labels)")
        labels = np.asarray(gt_labels)
        if labels.shape != scores.shape or not np.isin(labels, (0, 1)).all():
            raise ConfigurationError(
                f"gt_labels must be True or False, one per score, got shape {labels.shape} for "
                f"{scores.shape}"
            )
        positive = labels.astype(bool)
        if positive.all() or not positive.any():
            raise InsufficientDataError("scores of both kinds are needed, at least one of each")
        alarms = np.sort(scores[~positive])[::-1]
        allowed = int(self.false_alarms * (self.n_images or len(alarms)) + 1e-9)
        if allowed < len(alarms):
            self._threshold = float(alarms[allowed])
        else:  # every image may be called abnormal
            self._threshold = float(np.nextafter(scores.min(), -np.inf))
        return self
