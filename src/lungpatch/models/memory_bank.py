"""PatchCore: the nearest normal feature in a memory bank."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import attrs
import numpy as np
from attrs import validators
from scipy import ndimage

from lungpatch._utils.component import plain_errors
from lungpatch._utils.states import check_state
from lungpatch.containers import FloatImage, PatchBatch, Reconstruction
from lungpatch.containers.cells import nearest_known
from lungpatch.errors import ConfigurationError
from lungpatch.models.feature_model import FeatureModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lungpatch.protocols import PatchSource

Search = Literal["local", "global"]
SEARCHES: tuple[Search, ...] = ("local", "global")

PROJECTED_CHANNELS = 128
"""Number of random directions in which features are compared while the bank is thinned out."""


def _odd(_: Any, attribute: attrs.Attribute[Any], value: int) -> None:
    if value < 1 or value % 2 == 0:
        raise ValueError(f"{attribute.name!r} must be an odd number, at least 1, got {value}")


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class MemoryBankModel(FeatureModel):
    """Expect, in each cell, the nearest normal feature in a memory bank (PatchCore).

    ``target`` is the feature and ``expected`` its nearest neighbour in the bank, so the Euclidean
    distance that the scorer ``feature`` takes is PatchCore's [1]_ score. The bank is a part of all
    normal features, chosen so that none is far from it.

    Parameters
    ----------
    patch_size : int
        Side P of the patches, in pixels.
    extractor : FeatureExtractor
        By default `StatisticsExtractor`, which needs no download. PatchCore uses features of a
        network trained on ImageNet, here `ImageNetExtractor`.
    max_patches : int
        If there are more training patches, a random choice of this many is used.
    search : {"local", "global"}
        ``local``: only features of nearby cells are neighbours; with the sampler ``lung-crop``
        these are nearby positions in the lungs. ``global``: those of all cells are.
    radius : float
        For ``local``: cells are nearby if row and column both differ by at most this fraction of
        the patch's side, rounded to whole cells; in [0, 1].
    coreset_fraction : float
        Fraction of the normal features that is kept, in each cell for ``local`` or of all for
        ``global``; in (0, 1].
    neighbourhood : int
        Features are first averaged over a square of this many cells a side; odd, 1 for none.

    See Also
    --------
    GaussianModel : Compares with a Gaussian of the normal features instead.

    Notes
    -----
    Every channel is standardised over normal lungs, so that layers and statistics of any scale can
    be joined. Every feature is then scaled to length 1, so neighbours are near in direction
    (cosine). How strongly the layers respond, which follows contrast and exposure, has no effect.

    From PatchCore are the local averaging (section 3.1) and the greedy coreset after a random
    projection (section 3.2). The local search is not, and its reweighting of the image's score by
    the neighbours of the neighbour is left out: the scorer sets the score of an image.

    References
    ----------
    .. [1] K. Roth et al., "Towards total recall in industrial anomaly detection", CVPR 2022.
       arXiv:2106.08265

    Examples
    --------
    >>> from lungpatch.features import StatisticsExtractor
    >>> from lungpatch.models import MemoryBankModel
    >>> from lungpatch.testing.samples import phantom_patches, phantom_source
    >>> model = MemoryBankModel(patch_size=32, extractor=StatisticsExtractor(grid=8))
    >>> with phantom_source(32) as source:
    ...     _ = model.fit(source, rng=np.random.default_rng(0))
    >>> model.reconstruct(phantom_patches(32))
    Reconstruction(15 patches, 9 channels of 8x8)
    """

    search: Search = attrs.field(default="local", validator=validators.in_(SEARCHES))
    radius: float = attrs.field(
        default=0.1,
        validator=[validators.instance_of((int, float)), validators.ge(0), validators.le(1)],
    )
    coreset_fraction: float = attrs.field(
        default=0.1,
        validator=[validators.instance_of((int, float)), validators.gt(0), validators.le(1)],
    )
    neighbourhood: int = attrs.field(default=3, validator=[validators.instance_of(int), _odd])

    def reconstruct(self, patches: PatchBatch) -> Reconstruction:
        """Return the features and, for each, the nearest in the bank.

        Parameters
        ----------
        patches : PatchBatch
            N patches of P x P pixels; N may be 0.

        Returns
        -------
        Reconstruction
            ``target`` and ``expected``, float32 (N, C, h, w), of length 1 over the channels.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ConfigurationError
            If the patches have another size.
        """
        fitted = self._fitted()
        shape = tuple(fitted["shape"].tolist())
        mean, unit = fitted["mean"], fitted["unit"]
        features = self._fitted_features(patches, (len(unit), *shape)).transpose(0, 2, 3, 1)
        queries = np.ascontiguousarray(_directions(features, mean, unit))
        if self.search == "global":
            flat = queries.reshape(-1, len(unit))
            nearest = _nearest(flat, fitted["bank"]).reshape(queries.shape)
        else:
            nearest = _nearest_nearby(
                queries, fitted["bank"], fitted["cells"], _reach(self.radius, shape)
            )
        return Reconstruction(
            target=queries.transpose(0, 3, 1, 2), expected=nearest.transpose(0, 3, 1, 2)
        )

    def _features(self, patches: PatchBatch) -> FloatImage:
        features = self.extractor.extract(patches)
        size = (1, 1, self.neighbourhood, self.neighbourhood)
        averaged: FloatImage = ndimage.uniform_filter(features, size, mode="nearest")
        return averaged

    def _fit_features(
        self, source: PatchSource, rng: np.random.Generator
    ) -> tuple[dict[str, NDArray[Any]], dict[str, float]]:
        normal = self._normal(source, rng)
        shape = normal.values.shape[2:]
        # By cell, then by patch.
        lung = normal.lung.transpose(1, 2, 0)
        features = normal.values.transpose(2, 3, 0, 1)[lung]
        mean = features.mean(axis=0, dtype=np.float64).astype(np.float32)
        unit = features.std(axis=0, dtype=np.float64).astype(np.float32)
        unit = np.where(unit > 0, unit, np.float32(1))
        features = _directions(features, mean, unit)
        cells = np.nonzero(lung.reshape(-1, lung.shape[2]))[0]
        projected = _projected(features, rng)
        if self.search == "global":
            kept = coreset(projected, self._kept(len(features)), rng)
        else:
            starts = np.flatnonzero(np.diff(cells, prepend=-1))
            kept = np.concatenate(
                [
                    start + coreset(part, self._kept(len(part)), rng)
                    for start, part in zip(starts, np.split(projected, starts[1:]), strict=True)
                ]
            )
        fitted = {
            "shape": np.array(shape, np.int64),
            "mean": mean,
            "unit": unit,
            "cells": cells[kept].astype(np.int64),
            "bank": features[kept],
        }
        return fitted, {"bank_size": float(len(kept)), "normal_features": float(len(features))}

    def _kept(self, count: int) -> int:
        return max(1, round(self.coreset_fraction * count))

    def _check_fitted(self, fitted: Mapping[str, NDArray[Any]]) -> None:
        count = len(fitted["cells"]) if "cells" in fitted and fitted["cells"].ndim else 0
        channels = len(fitted["unit"]) if "unit" in fitted and fitted["unit"].ndim else 0
        float32, int64 = np.dtype(np.float32), np.dtype(np.int64)
        check_state(
            fitted,
            {
                "shape": ((2,), int64),
                "mean": ((channels,), float32),
                "unit": ((channels,), float32),
                "cells": ((count,), int64),
                "bank": ((count, channels), float32),
            },
        )
        cells = fitted["cells"]
        if not (count and channels and 0 <= cells.min() <= cells.max() < fitted["shape"].prod()):
            raise ConfigurationError("this state is not that of a memory bank: fit it again")


def coreset(
    features: NDArray[np.floating], count: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Choose rows so that no other row is far from all of them: greedy k-centre.

    Parameters
    ----------
    features : ndarray, shape (n, p)
    count : int
        Number of rows to choose, from 1 to n.
    rng : numpy.random.Generator
        Chooses the first row; each next one is the farthest from those chosen.

    Returns
    -------
    ndarray of int64, shape (count,)
        Indices in the order of their choice.

    Notes
    -----
    The largest distance of a row to the nearest chosen one is at most twice that of the best
    possible choice [1]_.

    References
    ----------
    .. [1] T. F. Gonzalez, "Clustering to minimize the maximum intercluster distance", Theoretical
       Computer Science 38, 1985. doi:10.1016/0304-3975(85)90224-5

    Examples
    --------
    >>> line = np.array([[0.0], [1.0], [2.0], [10.0]])
    >>> sorted(coreset(line, 2, np.random.default_rng(0)).tolist())
    [0, 3]
    """
    chosen = np.empty(count, np.int64)
    chosen[0] = rng.integers(len(features))
    distance = np.full(len(features), np.inf, features.dtype)
    for number in range(1, count):
        difference = features - features[chosen[number - 1]]
        np.minimum(distance, np.einsum("np,np->n", difference, difference), out=distance)
        chosen[number] = distance.argmax()
    return chosen


def _directions(
    features: NDArray[np.float32], mean: NDArray[np.float32], unit: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Standardise features, (..., C), and scale each to length 1."""
    standard = (features - mean) / unit
    length = np.maximum(np.linalg.norm(standard, axis=-1, keepdims=True), np.float32(1e-12))
    directions: NDArray[np.float32] = standard / length
    return directions


def _projected(features: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Project rows on random directions, which nearly keeps distances (Johnson-Lindenstrauss)."""
    channels = features.shape[1]
    if channels <= PROJECTED_CHANNELS:
        return features
    directions = rng.standard_normal((channels, PROJECTED_CHANNELS), dtype=np.float32)
    return features @ directions


def _nearest(queries: NDArray[np.float32], bank: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return, for each row of ``queries``, the nearest row of ``bank``."""
    # |q - b|^2 without |q|^2, which is the same for all b.
    distance = (bank * bank).sum(axis=1) - 2 * queries @ bank.T
    nearest: NDArray[np.float32] = bank[distance.argmin(axis=1)]
    return nearest


def _reach(radius: float, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return by how many rows and columns of cells neighbours may differ."""
    rows, columns = (round(radius * side) for side in shape)
    return rows, columns


def _nearest_nearby(
    queries: NDArray[np.float32],
    bank: NDArray[np.float32],
    cells: NDArray[np.int64],
    reach: tuple[int, int],
) -> NDArray[np.float32]:
    """Return the nearest features among those of nearby cells.

    Parameters
    ----------
    queries : ndarray of float32, shape (N, h, w, C)
    bank : ndarray of float32, shape (M, C)
    cells : ndarray of int64, shape (M,)
        Row times w plus column of the cell of each row of the bank.
    reach : tuple of int
        Maximum difference in rows and in columns.

    Returns
    -------
    ndarray of float32, shape (N, h, w, C)
    """
    height, width = queries.shape[1:3]
    index, filled = _by_cell(cells, (height, width))
    by_cell = bank[index]
    squares = np.where(filled, (by_cell * by_cell).sum(axis=3), np.inf)
    best = np.full(queries.shape[:3], np.inf, np.float32)
    choice = np.zeros(queries.shape[:3], np.int64)
    for down in range(-reach[0], reach[0] + 1):
        for right in range(-reach[1], reach[1] + 1):
            here = _overlap(down, height), _overlap(right, width)
            there = _overlap(-down, height), _overlap(-right, width)
            # (h, w, K, C) times (h, w, C, N).
            products = np.matmul(by_cell[there], queries[:, *here].transpose(1, 2, 3, 0))
            # |q - b|^2 without |q|^2, as above.
            distance = squares[there][..., None] - 2 * products
            nearest = distance.argmin(axis=2)
            rows = np.take_along_axis(index[there], nearest, axis=2).transpose(2, 0, 1)
            lowest = distance.min(axis=2).transpose(2, 0, 1)
            closer = lowest < best[:, *here]
            best[:, *here][closer] = lowest[closer]
            choice[:, *here][closer] = rows[closer]
    chosen: NDArray[np.float32] = bank[choice]
    return chosen


def _overlap(shift: int, length: int) -> slice:
    """Return the positions that have a neighbour ``shift`` further on."""
    return slice(max(0, -shift), max(0, length - max(0, shift)))


def _by_cell(
    cells: NDArray[np.int64], shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the rows of the bank in each cell, (h, w, K), and which of these are filled.

    A cell without rows takes those of the nearest cell that has some.
    """
    counts = np.bincount(cells, minlength=shape[0] * shape[1])
    order = np.argsort(cells, kind="stable")
    slots = np.arange(counts.max())
    filled = slots < counts[:, None]
    index = np.zeros(filled.shape, np.int64)
    index[filled] = order
    nearest = nearest_known((counts > 0).reshape(shape))
    return index.reshape(*shape, -1)[nearest], filled.reshape(*shape, -1)[nearest]
