"""Differences of feature maps, place by place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs
import numpy as np
from attrs import validators
from scipy import ndimage

from lungpatch._utils.component import Component, plain_errors
from lungpatch.containers import BoolImage, PatchBatch, PatchScores, Reconstruction
from lungpatch.scorers.region import REGIONS, Region, check_same_batch, region_support

if TYPE_CHECKING:
    from numpy.typing import NDArray

Difference = Literal["distance", "excess"]
DIFFERENCES: tuple[Difference, ...] = ("distance", "excess")


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class FeatureScorer(Component):
    """How far features lie from what was expected, at every place of a patch.

    For models that compare more than grey levels: the target may have any number of channels and
    places. Errors are brought to the patch's size by bilinear interpolation, smoothed if wanted,
    and the patch's score is the mean of its highest.

    Parameters
    ----------
    difference : {"distance", "excess"}
        ``distance``: the Euclidean norm of target - expected over the channels, as memory banks
        and Gaussians of features use it. ``excess``: the mean of target - expected over the
        channels, with its sign, for models whose target is itself evidence of a lesion.
    smoothing : float
        Standard deviation of a Gaussian that the error maps are smoothed by, as a share of the
        patch's side; at least 0. Only pixels that count take part.
    top_fraction : float
        Share of the pixels that count, those of the highest error, whose mean is the patch's
        score; in (0, 1]. 1 is the mean over all.
    region : {"lung", "patch"}
        Which pixels count: lung only, or all.

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch.containers import PatchBatch, Reconstruction
    >>> patches = PatchBatch(
    ...     pixels=np.zeros((1, 4, 4), np.float32), corners=np.zeros((1, 2), np.int64),
    ...     lung=np.ones((1, 4, 4), bool), image_shape=(4, 4), image_id="a")
    >>> features = np.zeros((1, 2, 2, 2), np.float32)
    >>> features[0, :, 0, 0] = 3.0, 4.0
    >>> reconstruction = Reconstruction(target=features, expected=np.zeros_like(features))
    >>> scores = FeatureScorer(top_fraction=0.01).score(patches, reconstruction)
    >>> scores.values.tolist(), scores.error_maps.shape
    ([5.0], (1, 4, 4))
    """

    difference: Difference = attrs.field(default="distance", validator=validators.in_(DIFFERENCES))
    smoothing: float = attrs.field(
        default=0.0, validator=[validators.instance_of((int, float)), validators.ge(0)]
    )
    top_fraction: float = attrs.field(
        default=0.1,
        validator=[validators.instance_of((int, float)), validators.gt(0), validators.le(1)],
    )
    region: Region = attrs.field(default="lung", validator=validators.in_(REGIONS))

    def score(self, patches: PatchBatch, reconstruction: Reconstruction) -> PatchScores:
        """Return one score a patch.

        Parameters
        ----------
        patches : PatchBatch
            N patches of P x P pixels.
        reconstruction : Reconstruction
            Of the same patches, shape (N, C, h, w).

        Returns
        -------
        PatchScores
            ``error_maps`` holds every pixel's smoothed difference.

        Raises
        ------
        ConfigurationError
            If the numbers of patches disagree, or a patch has no lung pixel under
            ``region="lung"``.
        """
        check_same_batch(patches, reconstruction)
        support = region_support(patches, self.region)
        error = np.subtract(reconstruction.target, reconstruction.expected, dtype=np.float64)
        if self.difference == "distance":
            error = np.sqrt((error * error).sum(axis=1))
        else:
            error = error.mean(axis=1)
        error = _enlarge(error, patches.patch_size)
        if self.smoothing:
            error = _smooth(error, support, self.smoothing * patches.patch_size)
        values = [
            _mean_of_highest(errors[counts], self.top_fraction)
            for errors, counts in zip(error, support, strict=True)
        ]
        return PatchScores(
            values=np.array(values, np.float64),
            support=support,
            error_maps=error.astype(np.float32),
        )


def _enlarge(maps: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Interpolate (N, h, w) bilinearly to (N, side, side), pixel areas aligned."""
    for axis in (1, 2):
        length = maps.shape[axis]
        if length == side:
            continue
        place = (np.arange(side) + 0.5) * length / side - 0.5
        place = np.clip(place, 0, length - 1)
        below = np.minimum(place.astype(np.int64), max(length - 2, 0))
        share = (place - below).reshape((-1, 1) if axis == 1 else (-1,))
        low = np.take(maps, below, axis)
        high = np.take(maps, np.minimum(below + 1, length - 1), axis)
        maps = low + share * (high - low)
    return maps


def _smooth(maps: NDArray[np.float64], support: BoolImage, sigma: float) -> NDArray[np.float64]:
    """Smooth each map over its support only, so that what lies beyond does not leak in."""
    sigmas = (0.0, sigma, sigma)
    weight = ndimage.gaussian_filter(support.astype(np.float64), sigmas)
    total = ndimage.gaussian_filter(np.where(support, maps, 0.0), sigmas)
    smoothed: NDArray[np.float64] = np.where(support, total / np.maximum(weight, 1e-12), maps)
    return smoothed


def _mean_of_highest(errors: NDArray[np.float64], share: float) -> float:
    count = max(1, round(share * errors.size))
    return float(np.partition(errors, errors.size - count)[errors.size - count :].mean())
