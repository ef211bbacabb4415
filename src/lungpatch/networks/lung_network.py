"""The small U-Net that finds lungs, and its packaged weights."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import torch

from lungpatch.networks.compact_unet import CompactUNet, resize, standardise
from lungpatch.networks.lung_input import NETWORK_SIDE
from lungpatch.networks.packaged_weights import load_packaged_weights
from lungpatch.networks.prepared import prepare
from lungpatch.networks.torch_adapter import place

if TYPE_CHECKING:
    from torch import Tensor, nn

WEIGHTS_FILE = "lung_unet.safetensors"


class LungNetwork(CompactUNet):
    """U-Net of 0.54 million parameters from a standardised radiograph to lung logits.

    The logits stay at half the resolution: the border of a lung is smooth enough for bilinear
    interpolation to bring them to any size.

    Examples
    --------
    >>> import torch
    >>> network = LungNetwork().eval()
    >>> network(torch.zeros(2, 1, 256, 256)).shape
    torch.Size([2, 1, 128, 128])
    """

    def __init__(self) -> None:
        super().__init__(channels_in=1)


def network_input(images: Tensor) -> Tensor:
    """Resize radiographs to the side the network is trained for, and standardise them.

    `lungpatch.networks.lung_input.network_input` does the same without torch.

    Parameters
    ----------
    images : Tensor, float32, (N, 1, H, W)
        Grey levels on any scale, of any size.

    Returns
    -------
    Tensor, float32, (N, 1, 256, 256)
        Stretched to a square where it is none, as the training images were.

    Examples
    --------
    >>> import torch
    >>> network_input(torch.rand(1, 1, 600, 500)).shape
    torch.Size([1, 1, 256, 256])
    """
    # Bilinear interpolation to half the size is a mean of four pixels, so steps of at most two
    # keep fine texture from turning into coarse patterns.
    while (shape := tuple(images.shape[2:])) != (NETWORK_SIDE, NETWORK_SIDE):
        images = resize(images, [max(NETWORK_SIDE, side // 2) for side in shape])
    return standardise(images)


@cache
def load_lung_network(device: torch.device) -> LungNetwork:
    """Load the lung network with the weights that ship with the package.

    Parameters
    ----------
    device : torch.device
        Where the network is to run.

    Returns
    -------
    LungNetwork
        In evaluation mode and without gradients. All callers share it and must not change it.

    Raises
    ------
    LungpatchError
        If the names, shapes or types in the packaged file are not this network's.
    """
    with torch.device("meta"):  # neither time nor torch's random numbers are spent on weights
        network = LungNetwork()
    load_packaged_weights(network, WEIGHTS_FILE)
    place(network, device)
    return network.eval().requires_grad_(False)


@cache
def prepared_lung_network(device: torch.device) -> nn.Module:
    """Return the packaged network, prepared for inference on a device.

    Parameters
    ----------
    device : torch.device

    Returns
    -------
    torch.nn.Module
        All callers share it and must not change it.

    Raises
    ------
    LungpatchError
        As by `load_lung_network`.

    Examples
    --------
    >>> import torch
    >>> prepared_lung_network(torch.device("cpu"))(torch.zeros(1, 1, 256, 256)).shape
    torch.Size([1, 1, 128, 128])
    """
    return prepare(load_lung_network(torch.device("cpu")), device)
