"""Networks prepared for inference: the same function in fewer operations."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import TYPE_CHECKING

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lungpatch.networks.torch_adapter import place

if TYPE_CHECKING:
    from collections.abc import Collection

    import torch


def prepare(network: nn.Module, device: torch.device, *, keep: Collection[str] = ()) -> nn.Module:
    """Return a copy of a network for inference on a device; the original stays as it is.

    Batch normalisation is folded into the convolution before it, where both follow each other in a
    ``torch.nn.Sequential``: with fixed statistics it is linear. Outputs are equal but for rounding.

    Parameters
    ----------
    network : torch.nn.Module
    device : torch.device
    keep : collection of str
        Layers, by their names in `torch.nn.Module.named_modules`, whose outputs are needed as they
        are.

    Returns
    -------
    torch.nn.Module
        In evaluation mode and without gradients.

    Examples
    --------
    >>> import torch
    >>> network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU())
    >>> prepare(network, torch.device("cpu"))[1]
    Identity()
    """
    twin = copy.deepcopy(network).eval().requires_grad_(False)
    for name, module in list(twin.named_modules()):
        if isinstance(module, nn.Sequential):
            _fold(module, [kept.removeprefix(f"{name}.") for kept in keep] if name else keep)
    place(twin, device)
    return twin


def _fold(layers: nn.Sequential, keep: Collection[str]) -> None:
    for first, second in pairwise(list(layers._modules)):
        convolution, norm = layers.get_submodule(first), layers.get_submodule(second)
        if (
            isinstance(convolution, nn.Conv2d)
            and isinstance(norm, nn.BatchNorm2d)
            and norm.track_running_stats
            and first not in keep
        ):
            layers._modules[first] = fuse_conv_bn_eval(convolution, norm)
            layers._modules[second] = nn.Identity()
