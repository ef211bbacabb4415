"""Differences of feature maps, cell by cell."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import attrs
import numpy as np
from attrs import validators
from scipy import ndimage

from lungpatch._utils.component import Component, plain_errors
from lungpatch._utils.forks import IMPORTING
from lungpatch.containers import BoolImage, FloatImage, PatchBatch, PatchScores, Reconstruction
from lungpatch.scorers.region import REGIONS, Region, check_same_batch, region_support

Difference = Literal["distance", "excess"]
DIFFERENCES: tuple[Difference, ...] = ("distance", "excess")


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class FeatureScorer(Component):
    """Score how far features are from what was expected, in every cell of a patch.

    It is made for models that compare more than grey levels: target and expectation may have any
    number of channels and cells. Errors are brought to the patch's size by bilinear interpolation
    and optionally smoothed. The score of a patch is the mean of its highest errors.

    Parameters
    ----------
    difference : {"distance", "excess"}
        ``distance``: the Euclidean norm of target - expected over the channels, for memory banks
        and Gaussians of features. ``excess``: the mean of target - expected over the channels,
        with its sign, for models whose target is itself evidence of a lesion.
    smoothing : float
        Standard deviation of the Gaussian that smooths the error maps, as a fraction of the
        patch's side; at least 0, where 0 is none. Only pixels that are scored take part.
    top_fraction : float
        Fraction of the scored pixels whose highest errors are averaged; in (0, 1]. 1 is the mean
        over all.
    region : {"lung", "patch"}
        Which pixels are scored: lung only, or all.

    See Also
    --------
    SADScorer, L2Scorer, SSIMScorer : Compare grey levels, pixel by pixel.

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch.containers import PatchBatch, Reconstruction
    >>> from lungpatch.scorers import FeatureScorer
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
        """Return one score per patch.

        Parameters
        ----------
        patches : PatchBatch
            N patches of P x P pixels.
        reconstruction : Reconstruction
            Of the same patches, shape (N, C, h, w).

        Returns
        -------
        PatchScores
            ``error_maps`` holds the smoothed difference of every pixel.

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
        maps = _enlarge(error.astype(np.float32), patches.patch_size)
        if self.smoothing:
            maps = _smooth(maps, support, self.smoothing * patches.patch_size)
        values = [
            _mean_of_highest(errors[scored], self.top_fraction)
            for errors, scored in zip(maps, support, strict=True)
        ]
        return PatchScores(values=np.array(values, np.float64), support=support, error_maps=maps)


def _enlarge(maps: FloatImage, side: int) -> FloatImage:
    """Interpolate (N, h, w) bilinearly to (N, side, side), pixel areas aligned."""
    if maps.shape[1:] == (side, side):
        return maps
    rows, columns = (_interpolation(length, side) for length in maps.shape[1:])
    return _along_both_axes(rows, maps, columns)


@lru_cache(maxsize=16)
def _interpolation(length: int, side: int) -> FloatImage:
    """Return the matrix that interpolates linearly along an axis, (side, length)."""
    position = np.clip((np.arange(side) + 0.5) * length / side - 0.5, 0, length - 1)
    below = np.minimum(position.astype(np.int64), max(length - 2, 0))
    above = np.minimum(below + 1, length - 1)
    weight = position - below
    matrix = np.zeros((side, length), np.float32)
    matrix[np.arange(side), below] = 1.0 - weight
    matrix[np.arange(side), above] += weight
    return matrix


def _smooth(maps: FloatImage, support: BoolImage, sigma: float) -> FloatImage:
    """Smooth each map over its support only, so that nothing leaks in from outside."""
    smooth = _smoothing(maps.shape[1], sigma)
    total = _along_both_axes(smooth, np.where(support, maps, np.float32(0)), smooth)
    weight = _weight(np.packbits(support).tobytes(), support.shape, sigma)
    smoothed: FloatImage = np.where(support, total / weight, maps)
    return smoothed


@lru_cache(maxsize=2)
def _weight(packed: bytes, shape: tuple[int, int, int], sigma: float) -> FloatImage:
    """Return the weight of the support around each pixel, (N, P, P).

    The members of an ensemble score the same support one after the other.
    """
    support = np.unpackbits(np.frombuffer(packed, np.uint8), count=np.prod(shape)).reshape(shape)
    smooth = _smoothing(shape[1], sigma)
    return np.maximum(_along_both_axes(smooth, support.astype(np.float32), smooth), 1e-12)


@lru_cache(maxsize=16)
def _smoothing(side: int, sigma: float) -> FloatImage:
    """Return the matrix that smooths along an axis with a Gaussian, (side, side).

    For wide Gaussians two products of matrices take a fifth of the time of the filter itself.
    """
    matrix: FloatImage = ndimage.gaussian_filter1d(np.eye(side), sigma, axis=0).astype(np.float32)
    return matrix


def _along_both_axes(rows: FloatImage, maps: FloatImage, columns: FloatImage) -> FloatImage:
    """Return ``rows @ map @ columns.T`` of each map, (N, h, w)."""
    # By torch on one thread: a fork waits for ever for the threads of numpy's products.
    with IMPORTING:
        import torch

        from lungpatch.networks.torch_adapter import reproducible

    with torch.inference_mode(), reproducible(torch.device("cpu")):
        left, middle, right = (torch.from_numpy(np.array(a)) for a in (rows, maps, columns))
        product: FloatImage = (left @ middle @ right.T).numpy()
    return product


def _mean_of_highest(errors: FloatImage, fraction: float) -> float:
    count = max(1, round(fraction * errors.size))
    highest = np.partition(errors, errors.size - count)[errors.size - count :]
    return float(highest.mean(dtype=np.float64))
