"""The networks; they are imported and built at first use, once per setting."""

from __future__ import annotations

import functools
from typing import Any

import torch

from lungpatch.errors import MissingExtraError

UNTRAINED = "untrained"


def _library() -> Any:
    try:
        import torchxrayvision
        import torchxrayvision.baseline_models.chestx_det.ptsemseg.pspnet
    except ImportError as error:
        raise MissingExtraError(
            "this component needs torchxrayvision: pip install torchxrayvision"
        ) from error
    return torchxrayvision


@functools.lru_cache(maxsize=1)
def pspnet(weights: str) -> tuple[torch.nn.Module, tuple[int, int]]:
    """Return the network, which takes input scaled as for ImageNet, and the two maps of lungs."""
    chestx_det = _library().baseline_models.chestx_det
    targets = chestx_det.PSPNet.targets
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if weights == UNTRAINED:
            network = chestx_det.ptsemseg.pspnet.pspnet(len(targets))
        else:
            network = chestx_det.PSPNet().model
    network.eval().requires_grad_(False)
    return network, (targets.index("Left Lung"), targets.index("Right Lung"))


@functools.lru_cache(maxsize=2)
def densenet(weights: str) -> torch.nn.Sequential:
    """Return the layers of a DenseNet-121 that compute feature maps."""
    models = _library().models
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = models.DenseNet(weights=None if weights == UNTRAINED else weights)
    network.eval().requires_grad_(False)
    layers: torch.nn.Sequential = network.features
    return layers
