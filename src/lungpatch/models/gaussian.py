"""PaDiM: a Gaussian of normal features at each place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from attrs import validators

from lungpatch._utils.component import plain_errors
from lungpatch._utils.states import check_state
from lungpatch.containers import PatchBatch, Reconstruction
from lungpatch.containers.cells import known_cells, nearest_known
from lungpatch.errors import ConfigurationError
from lungpatch.models.feature_model import FeatureModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lungpatch.protocols import PatchSource

MIN_VARIANCE = 1e-6
"""Added to the variance of every channel, in units of its variance over all places."""


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class GaussianModel(FeatureModel):
    """Whitened features: how unusual, for this place, is what is there.

    The normal features of each place have a mean and a covariance. ``target = L^-1 (feature -
    mean)`` with ``covariance = L L'``, and ``expected = 0``, so the Euclidean distance that the
    scorer ``feature`` takes is the Mahalanobis distance. Made for the sampler ``lung-crop``.

    Parameters
    ----------
    patch_size : int
        Side P of the patches, in pixels.
    extractor : FeatureExtractor
        By default `lungpatch.features.statistics.StatisticsExtractor`, which needs no download;
        the paper's are features of ImageNet, here ``imagenet``.
    max_patches : int
        If there are more training patches, a random choice of this many is used.
    n_channels : int
        A random choice of so many channels of the features, or all where there are fewer.

    Notes
    -----
    Two departures from the paper. It adds 0.01 to the variances; here each covariance is shrunk
    towards a multiple of the identity as far as the number of samples asks for, since there are
    often fewer images than channels. And only patches whose place is lung count; a place that is
    lung in too few takes the Gaussian of the nearest place that is known.

    Source: T. Defard et al., "PaDiM: a patch distribution modeling framework for anomaly
    detection and localization", ICPR Workshops 2020, arXiv:2011.08785. The shrinkage: Y. Chen et
    al., "Shrinkage algorithms for MMSE covariance estimation", IEEE Transactions on Signal
    Processing 58 (2010), eq. 23, arXiv:0907.4698.

    Examples
    --------
    >>> from lungpatch.features.statistics import StatisticsExtractor
    >>> from lungpatch.testing.samples import phantom_patches, phantom_source
    >>> model = GaussianModel(patch_size=32, extractor=StatisticsExtractor(grid=8), n_channels=4)
    >>> with phantom_source(32) as source:
    ...     _ = model.fit(source, rng=np.random.default_rng(0))
    >>> model.reconstruct(phantom_patches(32))
    Reconstruction(15 patches, 4 channels of 8x8)
    """

    n_channels: int = attrs.field(
        default=100, validator=[validators.instance_of(int), validators.ge(1)]
    )

    def reconstruct(self, patches: PatchBatch) -> Reconstruction:
        """Return whitened features, against 0.

        Parameters
        ----------
        patches : PatchBatch
            N patches of P x P pixels; N may be 0.

        Returns
        -------
        Reconstruction
            ``target``, float32 (N, C, h, w), C being ``n_channels`` or fewer; ``expected`` is 0.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ConfigurationError
            If the patches have another size.
        """
        learnt = self._fitted()
        known, channels = learnt["known"], learnt["channels"]
        features = self._fitted_features(patches, (int(learnt["n_features"]), *known.shape))
        index = np.zeros(known.shape, np.int64)
        index[known] = np.arange(known.sum())
        index = index[nearest_known(known)]
        # One matrix product for all patches a place: (h, w, C, C) times (h, w, C, N).
        centred = features[:, channels].transpose(2, 3, 1, 0) - learnt["mean"][index][..., None]
        white = np.matmul(_unpacked(learnt["whitening"], len(channels))[index], centred)
        target = np.ascontiguousarray(white.transpose(3, 2, 0, 1))
        return Reconstruction(target=target, expected=np.zeros_like(target))

    def _learn(
        self, source: PatchSource, rng: np.random.Generator
    ) -> tuple[dict[str, NDArray[Any]], dict[str, float]]:
        normal = self._normal(source, rng)
        n_features = normal.values.shape[1]
        channels = np.sort(rng.choice(n_features, min(self.n_channels, n_features), replace=False))
        values = normal.values[:, channels].astype(np.float64)
        # In units of each channel, so that the shrinkage does not favour any.
        unit = values.std(axis=(0, 2, 3), where=normal.lung[:, None])
        unit[unit == 0] = 1.0
        values /= unit[:, None, None]
        known = known_cells(normal.lung)
        means, factors, shrinkages = [], [], []
        lower = np.tril_indices(len(channels))
        for row, column in np.argwhere(known):
            samples = values[normal.lung[:, row, column], :, row, column]
            mean, covariance, shrinkage = shrunk_covariance(samples)
            covariance[np.diag_indices_from(covariance)] += MIN_VARIANCE
            whitening = np.linalg.inv(np.linalg.cholesky(covariance)) / unit
            means.append(mean * unit)
            factors.append(whitening[lower])
            shrinkages.append(shrinkage)
        learnt = {
            "channels": channels.astype(np.int64),
            "n_features": np.array(n_features, np.int64),
            "known": known,
            "mean": np.array(means, np.float32),
            "whitening": np.array(factors, np.float32),
        }
        figures = {"known_cells": float(known.sum()), "shrinkage": float(np.mean(shrinkages))}
        return learnt, figures

    def _check_learnt(self, learnt: Mapping[str, NDArray[Any]]) -> None:
        channels, known = learnt.get("channels"), learnt.get("known")
        if channels is None or known is None or channels.ndim != 1 or known.ndim != 2:
            raise ConfigurationError("this state is not that of a GaussianModel: fit it again")
        width, count = len(channels), int(np.count_nonzero(known))
        float32, int64 = np.dtype(np.float32), np.dtype(np.int64)
        check_state(
            learnt,
            {
                "channels": ((width,), int64),
                "n_features": ((), int64),
                "known": (known.shape, np.dtype(np.bool_)),
                "mean": ((count, width), float32),
                "whitening": ((count, width * (width + 1) // 2), float32),
            },
        )
        if not (count and width and 0 <= channels.min() <= channels.max() < learnt["n_features"]):
            raise ConfigurationError("this state holds channels that there are not: fit it again")


def shrunk_covariance(
    samples: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Estimate mean and covariance, the oracle approximating shrinkage (OAS) of it.

    Parameters
    ----------
    samples : ndarray of float64, shape (n, p)

    Returns
    -------
    mean : ndarray of float64, shape (p,)
    covariance : ndarray of float64, shape (p, p)
        ``(1 - shrinkage) S + shrinkage tr(S) / p I``, S being the samples' covariance, divided
        by n.
    shrinkage : float
        In [0, 1].

    Examples
    --------
    >>> samples = np.random.default_rng(0).normal(size=(1000, 3))
    >>> _, covariance, shrinkage = shrunk_covariance(samples)
    >>> np.allclose(covariance, np.eye(3), atol=0.1), 0 <= shrinkage <= 1
    (True, True)
    """
    count, width = samples.shape
    mean = samples.mean(axis=0)
    covariance = (samples - mean).T @ (samples - mean) / count
    scale = np.trace(covariance) / width
    square = (covariance**2).mean()
    # As scikit-learn writes equation 23, p being large.
    divisor = (count + 1) * (square - scale**2 / width)
    shrinkage = min(1.0, (square + scale**2) / divisor) if divisor > 0 else 1.0
    covariance *= 1 - shrinkage
    covariance[np.diag_indices(width)] += shrinkage * scale
    return mean, covariance, float(shrinkage)


def _unpacked(packed: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Return lower triangles, (n, p (p + 1) / 2), as matrices, (n, p, p)."""
    matrices = np.zeros((len(packed), width, width), np.float32)
    rows, columns = np.tril_indices(width)
    matrices[:, rows, columns] = packed
    return matrices
