"""Mean or sum of absolute differences."""

from __future__ import annotations

from typing import Literal

import attrs
import numpy as np
from attrs import validators

from lungpatch._utils.component import Component, plain_errors
from lungpatch.containers import PatchBatch, PatchScores, Reconstruction
from lungpatch.scorers.region import (
    REGIONS,
    Region,
    check_pixelwise,
    mean_over,
    region_support,
    sum_over,
)


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class SADScorer(Component):
    """Score the absolute difference in grey levels, as the paper does.

    ``SAD = |I(x, y) - T(x, y)|`` over the pixels of a patch, for the input I and the output T, on
    the scale 0..255. The paper's values [1]_ (about 1 for normal patches, about 5 for pneumonia)
    fit the mean over the pixels; ``reduction="sum"`` is the sum that the name says.

    Parameters
    ----------
    reduction : {"mean", "sum"}
        Mean or sum over the scored pixels; both in grey levels.
    region : {"lung", "patch"}
        Which pixels are scored: lung only, or all.

    See Also
    --------
    L2Scorer : The mean of squared differences.
    SSIMScorer : Compares structure too.
    FeatureScorer : Compares feature maps of any size.

    Notes
    -----
    Differences of several channels are averaged over the channels first. They are scaled by 255
    too, although a feature has no grey level: only the order of such scores has a meaning.

    References
    ----------
    .. [1] Nagamura, Tokunaga, Okita, "Pneumonia detection using anomaly detection by U-net", its
       section on the score.

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch.containers import PatchBatch, Reconstruction
    >>> from lungpatch.scorers import SADScorer
    >>> patches = PatchBatch(
    ...     pixels=np.zeros((1, 4, 4), np.float32), corners=np.zeros((1, 2), np.int64),
    ...     lung=np.ones((1, 4, 4), bool), image_shape=(4, 4), image_id="a")
    >>> expected = np.full((1, 1, 4, 4), 5 / 255, np.float32)
    >>> reconstruction = Reconstruction(target=patches.pixels[:, None], expected=expected)
    >>> SADScorer().score(patches, reconstruction)
    PatchScores(1 patches, range [5, 5])
    """

    reduction: Literal["mean", "sum"] = attrs.field(
        default="mean", validator=validators.in_(("mean", "sum"))
    )
    region: Region = attrs.field(default="lung", validator=validators.in_(REGIONS))

    def score(self, patches: PatchBatch, reconstruction: Reconstruction) -> PatchScores:
        """Return one SAD per patch.

        Parameters
        ----------
        patches : PatchBatch
            N patches of P x P pixels.
        reconstruction : Reconstruction
            Of the same patches, shape (N, C, P, P).

        Returns
        -------
        PatchScores
            ``error_maps`` holds the absolute difference of every pixel, in grey levels.

        Raises
        ------
        ConfigurationError
            If shapes disagree, or a patch has no lung pixel under ``region="lung"``.
        """
        check_pixelwise(patches, reconstruction)
        support = region_support(patches, self.region)
        # In float64: sums of many small differences lose digits in float32.
        error = np.subtract(reconstruction.target, reconstruction.expected, dtype=np.float64)
        error = np.abs(error, out=error).mean(axis=1)
        error *= 255.0
        reduce = mean_over if self.reduction == "mean" else sum_over
        return PatchScores(
            values=reduce(error, support), support=support, error_maps=error.astype(np.float32)
        )
