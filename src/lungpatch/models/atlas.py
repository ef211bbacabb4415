"""The normal range of each cell of the lungs: a baseline without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from lungpatch._utils.component import plain_errors
from lungpatch._utils.states import check_state
from lungpatch.containers import PatchBatch, Reconstruction
from lungpatch.containers.cells import known_cells, nearest_known
from lungpatch.errors import ConfigurationError
from lungpatch.features.statistics import StatisticsExtractor
from lungpatch.models.feature_model import FeatureModel
from lungpatch.protocols import FeatureExtractor, PatchSource, is_component

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

MIN_SPREAD = 0.05
"""Minimum standard deviation in a cell, as a fraction of that over all cells."""


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class AtlasModel(FeatureModel):
    """Return every feature as a z-score among normal lungs, cell by cell.

    ``target = (feature - mean) / standard deviation``, both over the normal patches where the same
    cell is lung, and ``expected = 0``, as in an atlas of voxel-wise z-scores [1]_. With the scorer
    ``feature`` and ``difference="excess"``, brighter than usual is anomalous: the baseline that
    any detector must beat. With other features than grey levels, ``difference="distance"`` makes
    lower values than usual anomalous, too. Use it with the sampler ``lung-crop``.

    Parameters
    ----------
    patch_size : int
        Side P of the patches, in pixels.
    extractor : FeatureExtractor
        By default `StatisticsExtractor` with the smoothed grey level alone.
    max_patches : int
        If there are more training patches, a random choice of this many is used.

    See Also
    --------
    GaussianModel : Takes account of how channels vary together.

    Notes
    -----
    A cell that is lung in too few patches, such as one beyond the edge of the lungs, takes mean
    and deviation of the nearest known cell.

    References
    ----------
    .. [1] K. J. Worsley et al., "A three-dimensional statistical analysis for CBF activation
       studies in human brain", Journal of Cerebral Blood Flow & Metabolism 12, 1992.
       doi:10.1038/jcbfm.1992.127

    Examples
    --------
    >>> from lungpatch.models import AtlasModel
    >>> from lungpatch.testing.samples import phantom_patches, phantom_source
    >>> model = AtlasModel(patch_size=32)
    >>> with phantom_source(32) as source:
    ...     _ = model.fit(source, rng=np.random.default_rng(0))
    >>> model.reconstruct(phantom_patches(32))
    Reconstruction(15 patches, 1 channel of 32x32)
    """

    extractor: FeatureExtractor = attrs.field(
        # mypy does not know what `tuple` as a converter takes.
        factory=lambda: StatisticsExtractor(statistics=("grey",), scales=(0.04,)),  # type: ignore[arg-type]
        validator=is_component("extractor"),
        metadata={"component": "extractor"},
    )

    def reconstruct(self, patches: PatchBatch) -> Reconstruction:
        """Return the z-scores of the features, against 0.

        Parameters
        ----------
        patches : PatchBatch
            N patches of P x P pixels; N may be 0.

        Returns
        -------
        Reconstruction
            ``target``, float32 (N, C, h, w), in standard deviations; ``expected`` is 0.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ConfigurationError
            If the patches have another size.
        """
        fitted = self._fitted()
        features = self._fitted_features(patches, fitted["mean"].shape)
        z = (features - fitted["mean"]) / fitted["spread"]
        return Reconstruction(target=z, expected=np.zeros_like(z))

    def _fit_features(
        self, source: PatchSource, rng: np.random.Generator
    ) -> tuple[dict[str, NDArray[Any]], dict[str, float]]:
        normal = self._normal(source, rng)
        counts = normal.lung.sum(axis=0)
        known = known_cells(normal.lung)
        rows, columns = nearest_known(known)
        lung = normal.lung[:, None]
        weights = lung / np.maximum(counts, 1)
        mean = (weights * normal.values).sum(axis=0)
        spread = np.sqrt((weights * (normal.values - mean) ** 2).sum(axis=0))
        overall = normal.values.std(axis=(0, 2, 3), where=lung, dtype=np.float64)
        # A feature that is the same everywhere carries no information; any spread will do.
        lowest = MIN_SPREAD * np.where(overall > 0, overall, 1.0)
        fitted = {
            "mean": mean[:, rows, columns].astype(np.float32),
            "spread": np.maximum(spread, lowest[:, None, None])[:, rows, columns].astype(
                np.float32
            ),
        }
        return fitted, {"known_cells": float(known.sum())}

    def _check_fitted(self, fitted: Mapping[str, NDArray[Any]]) -> None:
        shape = fitted["mean"].shape if "mean" in fitted else ()
        float32 = np.dtype(np.float32)
        check_state(fitted, {"mean": (shape, float32), "spread": (shape, float32)})
        if len(shape) != 3 or not (fitted["spread"] > 0).all():
            raise ConfigurationError("this state is not that of an atlas: fit it again")
