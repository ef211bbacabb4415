"""A linear map from features to lesion evidence, fitted to painted lesions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch
from attrs import validators
from scipy import optimize
from scipy.special import expit

from lungpatch._utils.component import plain_errors
from lungpatch._utils.states import check_state
from lungpatch.containers import PatchBatch, Reconstruction
from lungpatch.containers.cells import mean_over_cells
from lungpatch.models.feature_model import MIN_LUNG, FeatureModel, no_lung
from lungpatch.networks.lesion_painting import LesionSettings, paint_varied

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lungpatch.protocols import PatchSource

MAX_CELLS = 200_000
"""Maximum number of cells in ``fit``; of more, a random choice is used, to limit memory."""


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class LesionHeadModel(LesionSettings, FeatureModel):
    """Return evidence of a lesion from the features of each cell, against an expectation of none.

    The features stay as they are. One weight per channel is fitted: a logistic regression that
    distinguishes cells with painted lesions from normal ones. A lesion that covers part of a cell
    counts in proportion. Use the scorer ``feature`` with ``difference="excess"``.

    Parameters
    ----------
    patch_size : int
        Side P of the patches, in pixels.
    extractor : FeatureExtractor
        By default `StatisticsExtractor`, which needs no download.
    max_patches : int
        If there are more training patches, each pass uses a random choice of this many.
    passes : int
        Number of times that new lesions are painted into each patch.
    ridge : float
        Penalty on the squared norm of the weights, for channels in standard deviations; above 0. A
        high penalty favours features that all kinds of lesions have in common over those that only
        painted ones have.
    recipes : tuple of str
        What is painted, out of `lungpatch.synthesis.RECIPES`.
    normal_fraction : float
        Fraction of the training patches that stay normal, in [0, 1].
    max_lesions : int
        Maximum number of lesions per patch, at least 1.
    distractor_fraction : float
        Fraction of the training patches with objects that are no lesions, such as wires, in [0, 1].

    See Also
    --------
    SyntheticLesionModel : Trains a whole network on painted lesions.

    Notes
    -----
    A linear classifier on the features of a fixed network is a linear probe [1]_, here of
    synthetic lesions.

    References
    ----------
    .. [1] G. Alain, Y. Bengio, "Understanding intermediate layers using linear classifier probes",
       2016. arXiv:1610.01644

    Examples
    --------
    >>> from lungpatch.features import StatisticsExtractor
    >>> from lungpatch.models import LesionHeadModel
    >>> from lungpatch.testing.samples import phantom_patches, phantom_source
    >>> model = LesionHeadModel(patch_size=32, extractor=StatisticsExtractor(grid=8), passes=1)
    >>> with phantom_source(32) as source:
    ...     _ = model.fit(source, rng=np.random.default_rng(0))
    >>> model.reconstruct(phantom_patches(32))
    Reconstruction(15 patches, 1 channel of 8x8)
    """

    passes: int = attrs.field(default=20, validator=[validators.instance_of(int), validators.ge(1)])
    ridge: float = attrs.field(
        default=0.1, validator=[validators.instance_of((int, float)), validators.gt(0)]
    )

    def reconstruct(self, patches: PatchBatch) -> Reconstruction:
        """Return the evidence of a lesion, against none.

        Parameters
        ----------
        patches : PatchBatch
            N patches of P x P pixels; N may be 0.

        Returns
        -------
        Reconstruction
            ``target``, float32 (N, 1, h, w), in [0, 1]: how likely a lesion is in each cell, as
            learned from painted ones. ``expected`` is 0.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ConfigurationError
            If the patches have another size.
        """
        fitted = self._fitted()
        shape = (len(fitted["weight"]), *fitted["shape"].tolist())
        features = self._fitted_features(patches, shape)
        logits = np.einsum("nchw,c->nhw", features, fitted["weight"], dtype=np.float64)
        evidence = expit(logits + fitted["bias"]).astype(np.float32)[:, None]
        return Reconstruction(target=evidence, expected=np.zeros_like(evidence))

    def _fit_features(
        self, source: PatchSource, rng: np.random.Generator
    ) -> tuple[dict[str, NDArray[Any]], dict[str, float]]:
        features, target, shape = self._painted_cells(source, rng)
        mean = features.mean(axis=0, dtype=np.float64)
        unit = features.std(axis=0, dtype=np.float64)
        unit[unit == 0] = 1.0
        features -= mean.astype(np.float32)
        features /= unit.astype(np.float32)
        weight, bias, loss = logistic_regression(features, target, ridge=self.ridge)
        fitted = {
            "shape": np.array(shape, np.int64),
            "weight": (weight / unit).astype(np.float32),
            "bias": np.array(bias - (mean / unit) @ weight, np.float32),
        }
        return fitted, {"train_loss": loss, "cells": float(len(target))}

    def _painted_cells(
        self, source: PatchSource, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], tuple[int, int]]:
        """Return features of lung cells (n, C), their fraction of lesion (n,), and the grid."""
        synthesiser = self._synthesiser()
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        values, targets, shape = [], [], (0, 0)
        count = min(len(source), self.max_patches)
        for _ in range(self.passes):
            for part in self._batches(source, rng):
                painted = paint_varied(part, synthesiser, rng, generator)
                lung = painted.lung[:, 0].numpy() > 0.5
                images = attrs.evolve(part, pixels=painted.images[:, 0].numpy(), lung=lung)
                features = self._features(images)
                shape = (features.shape[2], features.shape[3])
                lesion = mean_over_cells(painted.alpha[:, 0].numpy(), shape)
                kept = mean_over_cells(lung, shape) >= MIN_LUNG
                wanted = MAX_CELLS / (self.passes * count * kept[0].size)
                kept &= rng.random(kept.shape) < wanted
                values.append(features.transpose(0, 2, 3, 1)[kept])
                targets.append(lesion[kept].astype(np.float32))
        if not any(len(part) for part in values):
            raise no_lung(source)
        return np.concatenate(values), np.concatenate(targets), shape

    def _check_fitted(self, fitted: Mapping[str, NDArray[Any]]) -> None:
        channels = len(fitted["weight"]) if "weight" in fitted and fitted["weight"].ndim else 0
        float32, int64 = np.dtype(np.float32), np.dtype(np.int64)
        check_state(
            fitted,
            {"shape": ((2,), int64), "weight": ((channels,), float32), "bias": ((), float32)},
        )


def logistic_regression(
    features: NDArray[np.float32], target: NDArray[np.floating], *, ridge: float
) -> tuple[NDArray[np.float64], float, float]:
    """Fit a logistic regression whose targets are probabilities.

    Parameters
    ----------
    features : ndarray of float32, shape (n, C)
    target : ndarray, shape (n,)
        In [0, 1].
    ridge : float
        Half of it times the squared norm of the weights is added to the mean cross-entropy.

    Returns
    -------
    weight : ndarray of float64, shape (C,)
    bias : float
    loss : float
        The minimum, penalty included.

    Notes
    -----
    The logistic regression of scikit-learn takes classes only, no probabilities.

    Examples
    --------
    >>> features = np.array([[-1.0], [1.0]], np.float32)
    >>> weight, bias, _ = logistic_regression(features, np.array([0.1, 0.9]), ridge=1e-9)
    >>> expit(features @ weight + bias).round(3).tolist()
    [0.1, 0.9]
    """

    def value_and_gradient(
        parameters: NDArray[np.float64],
    ) -> tuple[float, NDArray[np.float64]]:
        weight, bias = parameters[:-1], parameters[-1]
        logits = (features @ weight.astype(np.float32)).astype(np.float64) + bias
        loss = np.mean(np.logaddexp(0.0, logits) - target * logits)
        excess = (expit(logits) - target) / len(target)
        gradient = features.T @ excess.astype(np.float32) + ridge * weight
        return (
            float(loss + 0.5 * ridge * weight @ weight),
            np.append(gradient, excess.sum()).astype(np.float64),
        )

    start = np.zeros(features.shape[1] + 1)
    found = optimize.minimize(
        value_and_gradient, start, jac=True, method="L-BFGS-B", options={"maxiter": 300}
    )
    return found.x[:-1], float(found.x[-1]), float(found.fun)
