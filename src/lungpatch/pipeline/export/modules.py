"""Parts of a fitted pipeline as torch modules that the exporter to ONNX can follow.

They compute in float32 what the parts compute, and hold a copy of what was fitted.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from lungpatch.containers.cells import mean_over_cells
from lungpatch.errors import ConfigurationError
from lungpatch.features import (
    ImageNetExtractor,
    LesionEncoder,
    LungEncoder,
    StatisticsExtractor,
    TorchModuleExtractor,
    network_extractor,
)
from lungpatch.features.statistics import STATISTICS
from lungpatch.models import (
    PCA,
    Autoencoder,
    EnsembleModel,
    LesionHeadModel,
    SyntheticLesionModel,
    UNet,
)
from lungpatch.networks.compact_unet import CompactUNet, resize
from lungpatch.networks.lesion_trained import LesionTrainedNetwork, network_input
from lungpatch.scorers import FeatureScorer, L2Scorer, SADScorer, feature

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import ArrayLike

    from lungpatch.features.network_extractor import NetworkExtractor
    from lungpatch.models.convolutional import ConvolutionalModel

Reconstructed = tuple[Tensor, Tensor]
"""Target and expectation, float32 (N, C, h, w)."""


class CropToMap(nn.Module):
    """A model, and a scorer if there is one, from the pixels of patches to their error maps.

    Parameters
    ----------
    model : ReconstructionModel
        Fitted.
    scorer : Scorer, optional

    Raises
    ------
    ConfigurationError
        If a part cannot be exported.

    Examples
    --------
    >>> from lungpatch import SADScorer, load_pipeline
    >>> module = CropToMap(load_pipeline("paper").model, SADScorer())
    >>> [tuple(output.shape) for output in module(torch.zeros(3, 32, 32))]
    [(3, 1, 32, 32), (3, 1, 32, 32), (3, 32, 32)]
    >>> module.needs_lung
    False
    """

    def __init__(self, model: Any, scorer: Any = None) -> None:
        super().__init__()
        self.model = _made(_MODELS, "model", model)
        self.scorer = None if scorer is None else _scorer(scorer, model.patch_size)
        self.needs_lung = any(
            isinstance(part, _Painted) or (isinstance(part, _Smoothing) and part.is_masked)
            for part in self.modules()
        )

    def forward(self, pixels: Tensor, lung: Tensor | None = None) -> tuple[Tensor, ...]:
        """Return target and expectation and, where there is a scorer, the error maps.

        Parameters
        ----------
        pixels : Tensor, float32, (N, P, P)
        lung : Tensor, bool, (N, P, P), optional

        Returns
        -------
        tuple of Tensor, float32
            (N, C, h, w) twice, and (N, P, P).
        """
        target, expected = self.model(pixels[:, None], lung)
        if self.scorer is None:
            return target, expected
        return target, expected, self.scorer(target, expected, lung)


def _made(table: Mapping[type, Callable[[Any], nn.Module]], kind: str, part: Any) -> nn.Module:
    # A subclass may compute something else.
    make = table.get(type(part))
    if make is None:
        known = ", ".join(sorted(cls.__name__ for cls in table))
        raise ConfigurationError(
            f"the {kind} {type(part).__name__} cannot be exported to ONNX, only {known}"
        )
    return make(part)


def _constant(array: ArrayLike) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32))


# ---------------------------------------------------------------------------------- models


class _Pixels(nn.Module):
    """`UNet` and `Autoencoder`."""

    def __init__(self, model: ConvolutionalModel) -> None:
        super().__init__()
        self.network = copy.deepcopy(model._fitted_network()).eval()

    def forward(self, pixels: Tensor, lung: Tensor | None) -> Reconstructed:
        return pixels, self.network(pixels)


class _Components(nn.Module):
    """`PCA`."""

    def __init__(self, model: PCA) -> None:
        super().__init__()
        mean, components = model._fitted()
        self.register_buffer("mean", _constant(mean))
        self.register_buffer("components", _constant(components))

    def forward(self, pixels: Tensor, lung: Tensor | None) -> Reconstructed:
        mean, components = self.get_buffer("mean"), self.get_buffer("components")
        weights = (pixels.flatten(1) - mean) @ components.T
        return pixels, (weights @ components + mean).reshape(-1, *pixels.shape[1:])


class _LesionHead(nn.Module):
    """`LesionHeadModel`."""

    def __init__(self, model: LesionHeadModel) -> None:
        super().__init__()
        fitted = model._fitted()
        self.features = _extractor(model.extractor, model.patch_size)
        self.register_buffer("weight", _constant(fitted["weight"])[None, :, None, None])
        self.register_buffer("bias", _constant(fitted["bias"])[None])

    def forward(self, pixels: Tensor, lung: Tensor | None) -> Reconstructed:
        features = self.features(pixels, lung)
        logits = F.conv2d(features, self.get_buffer("weight"), self.get_buffer("bias"))
        evidence = logits.sigmoid()
        return evidence, torch.zeros_like(evidence)


class _Painted(nn.Module):
    """The network of a `LesionTrainedNetwork`, and what it takes."""

    def __init__(self, model: LesionTrainedNetwork) -> None:
        super().__init__()
        self.network = cast("CompactUNet", copy.deepcopy(model._fitted_network()).eval())
        self.shrink = model.shrink

    def images(self, pixels: Tensor, lung: Tensor | None) -> Tensor:
        assert lung is not None  # CropToMap says that it is needed
        inside = lung[:, None].float()
        if self.shrink > 1:
            pixels = F.avg_pool2d(pixels, self.shrink)
            inside = (F.avg_pool2d(inside, self.shrink) >= 0.5).float()
        return network_input(pixels, inside)


class _LesionEvidence(_Painted):
    """`SyntheticLesionModel`."""

    def forward(self, pixels: Tensor, lung: Tensor | None) -> Reconstructed:
        images = self.images(pixels, lung)
        mirrored = self.network(images.flip(3)).flip(3)
        evidence = ((self.network(images) + mirrored) / 2).sigmoid()
        return evidence, torch.zeros_like(evidence)


class _Ensemble(nn.Module):
    """`EnsembleModel`."""

    def __init__(self, model: EnsembleModel) -> None:
        super().__init__()
        self.models = nn.ModuleList(
            _made(_MODELS, "model", member.model) for member in model.members
        )
        self.scorers = nn.ModuleList(
            _scorer(member.scorer, model.patch_size) for member in model.members
        )
        total = sum(member.weight for member in model.members)
        self.weights = [member.weight / total for member in model.members]
        self.normal = [tuple(map(float, calibration)) for calibration in model._fitted()]

    def forward(self, pixels: Tensor, lung: Tensor | None) -> Reconstructed:
        scores = torch.zeros_like(pixels[:, 0])
        for model, scorer, weight, (mean, spread) in zip(
            self.models, self.scorers, self.weights, self.normal, strict=True
        ):
            errors = scorer(*model(pixels, lung), lung)
            scores = scores + weight * (errors - mean) / spread
        return scores[:, None], torch.zeros_like(pixels)


_MODELS: dict[type, Callable[[Any], nn.Module]] = {
    UNet: _Pixels,
    Autoencoder: _Pixels,
    PCA: _Components,
    LesionHeadModel: _LesionHead,
    SyntheticLesionModel: _LesionEvidence,
    EnsembleModel: _Ensemble,
}


# -------------------------------------------------------------------------------- features


class _Layers(nn.Module):
    """A `NetworkExtractor`."""

    def __init__(self, extractor: NetworkExtractor) -> None:
        super().__init__()
        self.extractor = extractor
        trained = extractor._load().trained
        self.network = copy.deepcopy(trained.network)
        names = tuple(extractor._layer_names())
        self.layers = network_extractor.Layers.of(trained, names, self.network, torch.device("cpu"))

    def forward(self, pixels: Tensor, lung: Tensor | None) -> Tensor:
        return self.extractor._on_grid(self.layers.maps(pixels))


class _Levels(_Painted):
    """`LesionEncoder`."""

    def __init__(self, extractor: LesionEncoder) -> None:
        super().__init__(extractor)
        self.levels, self.grid = extractor.levels, extractor.grid

    def forward(self, pixels: Tensor, lung: Tensor | None) -> Tensor:
        levels = self.network.encode(self.images(pixels, lung))
        shape = (self.grid, self.grid)
        return torch.cat([resize(levels[level], shape) for level in self.levels], dim=1)


class _Statistics(nn.Module):
    """`StatisticsExtractor`, in float64 as it is: a deviation is a small difference."""

    def __init__(self, extractor: StatisticsExtractor, patch_size: int) -> None:
        super().__init__()
        side = min(extractor.grid, patch_size)
        self.chosen = [
            STATISTICS.index(name) * len(extractor.scales) + scale
            for name in extractor.statistics
            for scale in range(len(extractor.scales))
        ]
        one = np.eye(patch_size)
        averaging = mean_over_cells(one, (side, patch_size))
        gradient = np.gradient(one, axis=0) if patch_size > 1 else np.zeros((1, 1))
        self.register_buffer("averaging", torch.from_numpy(averaging))
        self.register_buffer("gradient", torch.from_numpy(gradient))
        self.windows = [f"window_{scale}" for scale in range(len(extractor.scales))]
        for name, scale in zip(self.windows, extractor.scales, strict=True):
            window = ndimage.gaussian_filter1d(np.eye(side), scale * side, axis=0, mode="nearest")
            self.register_buffer(name, torch.from_numpy(window))

    def forward(self, pixels: Tensor, lung: Tensor | None) -> Tensor:
        grey = pixels.double()
        gradient = self.get_buffer("gradient")
        energy = (gradient @ grey).square() + (grey @ gradient.T).square()
        means = [self._along_both("averaging", maps) for maps in (grey, grey.square(), energy)]
        channels = []
        for name in self.windows:
            mean, square, energy = (self._along_both(name, maps) for maps in means)
            channels.append((mean, (square - mean.square()).clamp_min(0.0).sqrt(), energy.sqrt()))
        ordered = [maps for statistic in zip(*channels, strict=True) for maps in statistic]
        return torch.cat([ordered[index] for index in self.chosen], dim=1).float()

    def _along_both(self, name: str, maps: Tensor) -> Tensor:
        matrix = self.get_buffer(name)
        return matrix @ maps @ matrix.T


def _extractor(extractor: Any, patch_size: int) -> nn.Module:
    makers: dict[type, Callable[[Any], nn.Module]] = {
        ImageNetExtractor: _Layers,
        LungEncoder: _Layers,
        TorchModuleExtractor: _Layers,
        LesionEncoder: _Levels,
        StatisticsExtractor: lambda part: _Statistics(part, patch_size),
    }
    return _made(makers, "extractor", extractor)


# --------------------------------------------------------------------------------- scorers


class _Differences(nn.Module):
    """`SADScorer` and `L2Scorer`."""

    def __init__(self, *, squared: bool) -> None:
        super().__init__()
        self.squared = squared

    def forward(self, target: Tensor, expected: Tensor, lung: Tensor | None) -> Tensor:
        error = 255.0 * (target - expected)
        return (error.square() if self.squared else error.abs()).mean(dim=1)


class _FeatureDifferences(nn.Module):
    """`FeatureScorer`."""

    def __init__(self, scorer: FeatureScorer, patch_size: int) -> None:
        super().__init__()
        self.is_distance = scorer.difference == "distance"
        self.patch_size = patch_size
        self.smoothing: nn.Module | None = None
        if scorer.smoothing:
            sigma = scorer.smoothing * patch_size
            self.smoothing = _Smoothing(patch_size, sigma, is_masked=scorer.region == "lung")

    def forward(self, target: Tensor, expected: Tensor, lung: Tensor | None) -> Tensor:
        error = target - expected
        maps = error.square().sum(dim=1).sqrt() if self.is_distance else error.mean(dim=1)
        if maps.shape[1:] != (self.patch_size, self.patch_size):
            maps = _enlarged(maps, self.patch_size)
        return maps if self.smoothing is None else self.smoothing(maps, lung)


def _enlarged(maps: Tensor, side: int) -> Tensor:
    """Interpolate (N, h, w) bilinearly, by two products of matrices."""
    rows, columns = (_constant(feature._interpolation(n, side)) for n in maps.shape[1:])
    return rows @ maps @ columns.T


class _Smoothing(nn.Module):
    """Smooths maps, those of lungs within the lungs only, so that nothing leaks in."""

    def __init__(self, side: int, sigma: float, *, is_masked: bool) -> None:
        super().__init__()
        self.is_masked = is_masked
        self.register_buffer("matrix", _constant(feature._smoothing(side, sigma)))

    def forward(self, maps: Tensor, lung: Tensor | None) -> Tensor:
        if not self.is_masked:
            return self._smoothed(maps)
        assert lung is not None  # CropToMap says that it is needed
        inside = lung.float()  # ONNX Runtime multiplies in a tenth of the time that it chooses in
        weight = self._smoothed(inside).clamp_min(1e-12)
        return inside * (self._smoothed(inside * maps) / weight) + (1.0 - inside) * maps

    def _smoothed(self, maps: Tensor) -> Tensor:
        matrix = self.get_buffer("matrix")
        return matrix @ maps @ matrix.T


def _scorer(scorer: Any, patch_size: int) -> nn.Module:
    makers: dict[type, Callable[[Any], nn.Module]] = {
        SADScorer: lambda _: _Differences(squared=False),
        L2Scorer: lambda _: _Differences(squared=True),
        FeatureScorer: lambda part: _FeatureDifferences(part, patch_size),
    }
    return _made(makers, "scorer", scorer)
