"""One anomaly score per patch."""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from lungpatch.containers.arrays import (
    BoolImage,
    FloatImage,
    as_bool,
    as_float32,
    as_float64,
    check_lengths,
    has_ndim,
    is_finite,
    range_text,
)


@attrs.frozen(eq=False, kw_only=True, repr=False)
class PatchScores:
    """One anomaly score per patch; higher is more anomalous.

    Parameters
    ----------
    values : ndarray of float64, shape (N,)
        The scores; finite.
    support : ndarray of bool, shape (N, P, P)
        The pixels that each score was computed over.
    error_maps : ndarray of float32, shape (N, P, P), or None
        One error per pixel; None if the scorer has none.

    Raises
    ------
    ValueError
        If the arrays do not fit each other, or a score is not finite.

    See Also
    --------
    lungpatch.SADScorer, lungpatch.L2Scorer, lungpatch.SSIMScorer, lungpatch.FeatureScorer
    AnomalyMap : The scores at their positions in the image.

    Examples
    --------
    >>> import numpy as np
    >>> PatchScores(values=np.array([1.0, 5.0]), support=np.ones((2, 8, 8), bool))
    PatchScores(2 patches, range [1, 5])
    """

    values: NDArray[np.float64] = attrs.field(
        converter=as_float64, validator=[has_ndim(1), is_finite]
    )
    support: BoolImage = attrs.field(converter=as_bool, validator=has_ndim(3))
    error_maps: FloatImage | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_float32)
    )

    def __attrs_post_init__(self) -> None:
        check_lengths("PatchScores", {"values": len(self.values), "support": len(self.support)})
        if self.error_maps is not None and self.error_maps.shape != self.support.shape:
            raise ValueError(
                f"error_maps {self.error_maps.shape} and support {self.support.shape} disagree"
            )

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        return f"PatchScores({len(self)} patches, range {range_text(self.values)})"
