"""A linear map from features to lesion evidence, learnt from painted lesions."""

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
from lungpatch.networks.lesion_painting import paint_varied
from lungpatch.synthesis import RECIPES, LesionSynthesiser, Recipe
from lungpatch.synthesis.lesions import are_recipes, as_recipes, is_fraction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lungpatch.protocols import PatchSource

MAX_CELLS = 200_000
"""Places that are learnt from; beyond that a random choice, for the sake of memory."""


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class LesionHeadModel(FeatureModel):
    """Evidence of a lesion from the features of each place, against an expectation of none.

    The features stay as they are; what is learnt is one weight a channel: a logistic regression
    that tells places of painted lesions from normal ones. A lesion that covers part of a place
    counts by its share. Score it with ``feature``, ``difference="excess"``.

    Parameters
    ----------
    patch_size : int
        Side P of the patches, in pixels.
    extractor : FeatureExtractor
        By default `lungpatch.features.statistics.StatisticsExtractor`, which needs no download.
    max_patches : int
        If there are more training patches, each pass takes a random choice of this many.
    passes : int
        How often lesions are painted into each patch, each time others.
    ridge : float
        Weight of the squared norm of the weights, for channels in standard deviations; above 0. A
        high one keeps to what all kinds of lesions have in common, and to less of what only painted
        ones have.
    recipes : tuple of str
        What is painted, out of `lungpatch.synthesis.RECIPES`.
    normal_fraction : float
        Share of the training patches that stay normal, in [0, 1].
    max_lesions : int
        Most lesions in a patch.

    Notes
    -----
    Features of a frozen network under a linear classifier are the linear probe of G. Alain,
    Y. Bengio, "Understanding intermediate layers using linear classifier probes", 2016,
    arXiv:1610.01644; here on synthetic lesions, as
    `lungpatch.models.synthetic_lesion.SyntheticLesionModel` learns them.

    Examples
    --------
    >>> from lungpatch.features.statistics import StatisticsExtractor
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
    recipes: tuple[Recipe, ...] = attrs.field(
        default=RECIPES, converter=as_recipes, validator=are_recipes
    )
    normal_fraction: float = attrs.field(default=0.25, validator=is_fraction)
    max_lesions: int = attrs.field(
        default=2, validator=[validators.instance_of(int), validators.ge(1)]
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
            ``target``, float32 (N, 1, h, w), in [0, 1]: how likely a lesion is at each place, as
            far as painted ones tell. ``expected`` is 0.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ConfigurationError
            If the patches have another size.
        """
        learnt = self._fitted()
        shape = (len(learnt["weight"]), *learnt["shape"].tolist())
        features = self._fitted_features(patches, shape)
        logits = np.einsum("nchw,c->nhw", features, learnt["weight"], dtype=np.float64)
        evidence = expit(logits + learnt["bias"]).astype(np.float32)[:, None]
        return Reconstruction(target=evidence, expected=np.zeros_like(evidence))

    def _learn(
        self, source: PatchSource, rng: np.random.Generator
    ) -> tuple[dict[str, NDArray[Any]], dict[str, float]]:
        features, target, shape = self._painted_places(source, rng)
        mean = features.mean(axis=0, dtype=np.float64)
        unit = features.std(axis=0, dtype=np.float64)
        unit[unit == 0] = 1.0
        features -= mean.astype(np.float32)
        features /= unit.astype(np.float32)
        weight, bias, loss = logistic_regression(features, target, ridge=self.ridge)
        learnt = {
            "shape": np.array(shape, np.int64),
            "weight": (weight / unit).astype(np.float32),
            "bias": np.array(bias - (mean / unit) @ weight, np.float32),
        }
        return learnt, {"train_loss": loss, "places": float(len(target))}

    def _painted_places(
        self, source: PatchSource, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], tuple[int, int]]:
        """Return features of lung places (n, C), their share of lesion (n,), and the grid."""
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
                share = mean_over_cells(painted.alpha[:, 0].numpy(), shape)
                kept = mean_over_cells(lung, shape) >= MIN_LUNG
                wanted = MAX_CELLS / (self.passes * count * kept[0].size)
                kept &= rng.random(kept.shape) < wanted
                values.append(features.transpose(0, 2, 3, 1)[kept])
                targets.append(share[kept].astype(np.float32))
        if not any(len(part) for part in values):
            raise no_lung(source)
        return np.concatenate(values), np.concatenate(targets), shape

    def _check_learnt(self, learnt: Mapping[str, NDArray[Any]]) -> None:
        channels = len(learnt["weight"]) if "weight" in learnt and learnt["weight"].ndim else 0
        float32, int64 = np.dtype(np.float32), np.dtype(np.int64)
        check_state(
            learnt,
            {"shape": ((2,), int64), "weight": ((channels,), float32), "bias": ((), float32)},
        )

    def _synthesiser(self) -> LesionSynthesiser:
        return LesionSynthesiser(
            recipes=self.recipes, normal_fraction=self.normal_fraction, max_lesions=self.max_lesions
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
        The lowest value, ridge included.

    Notes
    -----
    scikit-learn's takes classes only, not shares.

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
