"""Mean squared difference."""

from __future__ import annotations

import attrs
import numpy as np
from attrs import validators

from lungpatch._utils.component import Component, plain_errors
from lungpatch.containers import PatchBatch, PatchScores, Reconstruction
from lungpatch.scorers.region import REGIONS, Region, check_pixelwise, mean_over, region_support


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class L2Scorer(Component):
    """Score the mean squared difference in squared grey levels, on the scale 0..255.

    ``L2 = mean((I(x, y) - T(x, y))**2)``, the mean squared error of 8-bit images. Compared with
    SAD, a few large differences weigh more than many small ones.

    Parameters
    ----------
    region : {"lung", "patch"}
        Which pixels are scored: lung only, or all.

    See Also
    --------
    SADScorer : The mean or sum of absolute differences.
    SSIMScorer : Compares structure too.
    FeatureScorer : Compares feature maps of any size.

    Notes
    -----
    Differences of several channels are averaged over the channels first. They are scaled by 255**2
    too, although a feature has no grey level: only the order of such scores has a meaning.

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch.containers import PatchBatch, Reconstruction
    >>> from lungpatch.scorers import L2Scorer
    >>> patches = PatchBatch(
    ...     pixels=np.zeros((1, 4, 4), np.float32), corners=np.zeros((1, 2), np.int64),
    ...     lung=np.ones((1, 4, 4), bool), image_shape=(4, 4), image_id="a")
    >>> expected = np.full((1, 1, 4, 4), 5 / 255, np.float32)
    >>> reconstruction = Reconstruction(target=patches.pixels[:, None], expected=expected)
    >>> L2Scorer().score(patches, reconstruction)
    PatchScores(1 patches, range [25, 25])
    """

    region: Region = attrs.field(default="lung", validator=validators.in_(REGIONS))

    def score(self, patches: PatchBatch, reconstruction: Reconstruction) -> PatchScores:
        """Return one mean squared difference per patch.

        Parameters
        ----------
        patches : PatchBatch
            N patches of P x P pixels.
        reconstruction : Reconstruction
            Of the same patches, shape (N, C, P, P).

        Returns
        -------
        PatchScores
            ``error_maps`` holds the squared difference of every pixel, in squared grey levels.

        Raises
        ------
        ConfigurationError
            If shapes disagree, or a patch has no lung pixel under ``region="lung"``.
        """
        check_pixelwise(patches, reconstruction)
        support = region_support(patches, self.region)
        error = np.subtract(reconstruction.target, reconstruction.expected, dtype=np.float64)
        error = np.square(error, out=error).mean(axis=1)
        error *= 255.0**2
        return PatchScores(
            values=mean_over(error, support), support=support, error_maps=error.astype(np.float32)
        )
