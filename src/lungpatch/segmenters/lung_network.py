"""The small U-Net that finds lungs, and how its packaged weights are loaded.

Imports torch, so nothing imports this module before a network is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from lungpatch.errors import LungpatchError

NETWORK_SIDE = 256
"""Side, in pixels, of the square image the network sees."""

CHANNELS = (16, 24, 40, 72, 112)
"""Channels of the five levels, from half the network's resolution to a thirty-second."""

WEIGHTS_FILE = "lung_unet.safetensors"


class ConvBlock(nn.Sequential):
    """Two 3x3 convolutions, each with batch normalisation and ReLU."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
        )


class LungNetwork(nn.Module):
    """U-Net of 0.54 million parameters from a standardised radiograph to lung logits.

    The stem halves the resolution and the logits stay there: the border of a lung is smooth
    enough for bilinear interpolation to bring them to any size.

    Examples
    --------
    >>> import torch
    >>> network = LungNetwork().eval()
    >>> network(torch.zeros(2, 1, 256, 256)).shape
    torch.Size([2, 1, 128, 128])
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, CHANNELS[0], 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(CHANNELS[0]),
            nn.ReLU(inplace=True),
        )
        inputs = (CHANNELS[0], *CHANNELS[:-1])
        self.encoder = nn.ModuleList(map(ConvBlock, inputs, CHANNELS))
        self.decoder = nn.ModuleList(
            ConvBlock(deep + shallow, shallow)
            for deep, shallow in zip(CHANNELS[:0:-1], CHANNELS[-2::-1], strict=True)
        )
        self.head = nn.Conv2d(CHANNELS[0], 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of lung.

        Parameters
        ----------
        images : Tensor, float32, (N, 1, H, W)
            Radiographs from `standardise`; H and W multiples of 32.

        Returns
        -------
        Tensor, float32, (N, 1, H / 2, W / 2)
            Positive inside a lung.
        """
        features = self.stem(images)
        skips: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            features = block(F.max_pool2d(features, 2) if level else features)
            skips.append(features)
        skips.pop()
        for block in self.decoder:
            features = resize(features, skips[-1].shape[2:])
            features = block(torch.cat([features, skips.pop()], dim=1))
        logits: Tensor = self.head(features)
        return logits


def standardise(images: Tensor) -> Tensor:
    """Bring every image of a batch to mean 0 and standard deviation 1.

    Films differ in exposure and display curve, which say nothing about where the lungs are.

    Parameters
    ----------
    images : Tensor, float32, (N, 1, H, W)
        Grey levels on any scale.

    Returns
    -------
    Tensor, float32, (N, 1, H, W)
        An image of one grey level becomes 0.

    Examples
    --------
    >>> import torch
    >>> standardise(torch.tensor([[[[0.0, 1.0]]]]))
    tensor([[[[-1.,  1.]]]])
    """
    return F.layer_norm(images, images.shape[1:], eps=1e-10)


def network_input(images: Tensor) -> Tensor:
    """Resize radiographs to the side the network was trained for, and standardise them.

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


def resize(images: Tensor, shape: Sequence[int]) -> Tensor:
    """Interpolate (N, C, H, W) bilinearly to another H and W."""
    return F.interpolate(images, size=list(shape), mode="bilinear")


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
        In evaluation mode and without gradients; the same object at every call.

    Raises
    ------
    LungpatchError
        If the names, shapes or types in the packaged file are not this network's.
    """
    packaged = resources.files("lungpatch").joinpath("weights", WEIGHTS_FILE)
    weights = load_safetensors(packaged.read_bytes())
    network = LungNetwork()
    check_weights(weights, network)
    network.load_state_dict(weights)
    # A third faster on CPUs; torch's stubs do not know it.
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.to(device).eval().requires_grad_(False)


def check_weights(weights: Mapping[str, Tensor], network: nn.Module) -> None:
    """Raise `LungpatchError` unless the weights have the network's names, shapes and types."""
    expected = network.state_dict()
    differing = [
        name
        for name in sorted(weights.keys() | expected.keys())
        if name not in weights
        or name not in expected
        or weights[name].shape != expected[name].shape
        or weights[name].dtype != expected[name].dtype
    ]
    if differing:
        raise LungpatchError(
            f"{WEIGHTS_FILE} does not fit the lung network in {', '.join(differing)}; "
            "install lungpatch again"
        )
