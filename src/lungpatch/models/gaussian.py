"""PaDiM: a Gaussian of normal features in each cell."""

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
"""Added to the variance of every channel, in units of its variance over all cells."""


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class GaussianModel(FeatureModel):
    """Whiten features by the Gaussian of normal features in the same cell (PaDiM).

    The normal features of each cell have a mean and a covariance [1]_. ``target = L^-1 (feature -
    mean)`` with ``covariance = L L'``, and ``expected = 0``, so the Euclidean distance that the
    scorer ``feature`` takes is the Mahalanobis distance. Use it with the sampler ``lung-crop``.

    Parameters
    ----------
    patch_size : int
        Side P of the patches, in pixels.
    extractor : FeatureExtractor
        By default `StatisticsExtractor`, which needs no download. PaDiM uses features of a
        network trained on ImageNet, here `ImageNetExtractor`.
    max_patches : int
        If there are more training patches, a random choice of this many is used.
    n_channels : int
        Number of channels that are chosen at random; all are used where there are fewer.

    See Also
    --------
    MemoryBankModel : Compares with the nearest normal feature instead.
    AtlasModel : Treats each channel by itself.

    Notes
    -----
    There are two differences from PaDiM. It adds 0.01 to the variances; here each covariance is
    shrunk towards a multiple of the identity, the more the fewer samples there are [2]_, since
    there are often fewer images than channels. And only patches whose cell is lung are used; a cell
    that is lung in too few patches takes the Gaussian of the nearest known cell.

    References
    ----------
    .. [1] T. Defard et al., "PaDiM: a patch distribution modeling framework for anomaly detection
       and localization", ICPR Workshops 2020. arXiv:2011.08785
    .. [2] Y. Chen et al., "Shrinkage algorithms for MMSE covariance estimation", IEEE Transactions
       on Signal Processing 58, 2010, equation 23. arXiv:0907.4698

    Examples
    --------
    >>> from lungpatch.features import StatisticsExtractor
    >>> from lungpatch.models import GaussianModel
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
            ``target``, float32 (N, C, h, w), where C is ``n_channels`` or fewer; ``expected`` is
            0.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ConfigurationError
            If the patches have another size.
        """
        fitted = self._fitted()
        known, channels = fitted["known"], fitted["channels"]
        features = self._fitted_features(patches, (int(fitted["n_features"]), *known.shape))
        index = np.zeros(known.shape, np.int64)
        index[known] = np.arange(known.sum())
        index = index[nearest_known(known)]
        # One matrix product per cell for all patches: (h, w, C, C) times (h, w, C, N).
        centred = features[:, channels].transpose(2, 3, 1, 0) - fitted["mean"][index][..., None]
        white = np.matmul(_unpacked(fitted["whitening"], len(channels))[index], centred)
        target = np.ascontiguousarray(white.transpose(3, 2, 0, 1))
        return Reconstruction(target=target, expected=np.zeros_like(target))

    def _fit_features(
        self, source: PatchSource, rng: np.random.Generator
    ) -> tuple[dict[str, NDArray[Any]], dict[str, float]]:
        normal = self._normal(source, rng)
        n_features = normal.values.shape[1]
        channels = np.sort(rng.choice(n_features, min(self.n_channels, n_features), replace=False))
        values = normal.values[:, channels].astype(np.float64)
        # In units of each channel, so that the shrinkage treats all alike.
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
        fitted = {
            "channels": channels.astype(np.int64),
            "n_features": np.array(n_features, np.int64),
            "known": known,
            "mean": np.array(means, np.float32),
            "whitening": np.array(factors, np.float32),
        }
        metrics = {"known_cells": float(known.sum()), "shrinkage": float(np.mean(shrinkages))}
        return fitted, metrics

    def _check_fitted(self, fitted: Mapping[str, NDArray[Any]]) -> None:
        channels, known = fitted.get("channels"), fitted.get("known")
        if channels is None or known is None or channels.ndim != 1 or known.ndim != 2:
            raise ConfigurationError("this state is not that of a GaussianModel: fit it again")
        width, count = len(channels), int(np.count_nonzero(known))
        float32, int64 = np.dtype(np.float32), np.dtype(np.int64)
        check_state(
            fitted,
            {
                "channels": ((width,), int64),
                "n_features": ((), int64),
                "known": (known.shape, np.dtype(np.bool_)),
                "mean": ((count, width), float32),
                "whitening": ((count, width * (width + 1) // 2), float32),
            },
        )
        if not (count and width and 0 <= channels.min() <= channels.max() < fitted["n_features"]):
            raise ConfigurationError("this state holds channels that do not exist: fit it again")


def shrunk_covariance(
    samples: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Estimate a mean and a covariance by oracle approximating shrinkage (OAS).

    Parameters
    ----------
    samples : ndarray of float64, shape (n, p)

    Returns
    -------
    mean : ndarray of float64, shape (p,)
    covariance : ndarray of float64, shape (p, p)
        ``(1 - shrinkage) S + shrinkage tr(S) / p I``, where S is the covariance of the samples,
        divided by n.
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
