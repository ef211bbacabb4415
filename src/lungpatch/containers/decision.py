"""The results of thresholds: of a score a decision, of a map the regions above."""

from __future__ import annotations

import attrs
import numpy as np
from attrs import converters, validators
from numpy.typing import NDArray

from lungpatch.containers.arrays import (
    BoolImage,
    as_bool,
    as_float64,
    as_int64,
    check_lengths,
    has_ndim,
)


@attrs.frozen(kw_only=True)
class Decision:
    """Whether an image is classified as anomalous.

    Parameters
    ----------
    pred_score : float
        The anomaly score of the image.
    threshold : float
    rule : str
        Name of the thresholder that set the threshold.
    p_value : float or None
        How unusual the score is among those of normal images (see
        `lungpatch.thresholders.conformal_p_values`), in (0, 1]; None if it is not known.

    See Also
    --------
    Localisation : Where an image is anomalous.

    Examples
    --------
    >>> Decision(pred_score=5.0, threshold=1.5, rule="quantile").pred_label
    True
    """

    pred_score: float
    threshold: float
    rule: str
    p_value: float | None = None

    @property
    def pred_label(self) -> bool:
        """True if ``pred_score`` is above ``threshold``."""
        return self.pred_score > self.threshold


@attrs.frozen(eq=False, kw_only=True, repr=False)
class Localisation:
    """Where an image is anomalous.

    Parameters
    ----------
    pred_mask : ndarray of bool, shape (H, W)
        Which pixels have an anomaly score above ``threshold``.
    boxes : ndarray of int64, shape (K, 4)
        Half-open boxes (row0, col0, row1, col1) around the connected regions of ``pred_mask``, by
        falling score.
    box_scores : ndarray of float64, shape (K,)
        The maximum anomaly score of each region.
    box_p_values : ndarray of float64, shape (K,), or None
        How unusual a region so high is in a normal image, in (0, 1]; None if it is not known.
    threshold : float

    See Also
    --------
    AnomalyMap : The map that the threshold is applied to.
    Decision : Whether the image as a whole is anomalous.

    Examples
    --------
    >>> import numpy as np
    >>> Localisation(pred_mask=np.ones((2, 2), bool), boxes=np.array([[0, 0, 2, 2]]),
    ...              box_scores=np.array([3.0]), threshold=1.0)
    Localisation(1 box, 4 pixels above 1)
    """

    pred_mask: BoolImage = attrs.field(converter=as_bool, validator=has_ndim(2))
    boxes: NDArray[np.int64] = attrs.field(converter=as_int64, validator=has_ndim(2))
    box_scores: NDArray[np.float64] = attrs.field(converter=as_float64, validator=has_ndim(1))
    box_p_values: NDArray[np.float64] | None = attrs.field(
        default=None,
        converter=converters.optional(as_float64),
        validator=validators.optional(has_ndim(1)),
    )
    threshold: float

    def __attrs_post_init__(self) -> None:
        if self.boxes.shape[1] != 4:
            raise ValueError(f"boxes must have shape (K, 4), got {self.boxes.shape}")
        lengths = {"boxes": len(self.boxes), "box_scores": len(self.box_scores)}
        if self.box_p_values is not None:
            lengths["box_p_values"] = len(self.box_p_values)
        check_lengths("Localisation", lengths)

    def __repr__(self) -> str:
        plural = "" if len(self.boxes) == 1 else "es"
        return (
            f"Localisation({len(self.boxes)} box{plural}, {int(self.pred_mask.sum())} pixels "
            f"above {self.threshold:.4g})"
        )
