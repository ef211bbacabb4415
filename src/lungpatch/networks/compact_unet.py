"""A small U-Net for whole images, used by all networks that map an image to one value per pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

if TYPE_CHECKING:
    from collections.abc import Sequence

CHANNELS = (16, 24, 40, 72, 112)
"""Channels of the five levels, from a half to a thirty-second of the image's resolution."""


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


class CompactUNet(nn.Module):
    """U-Net with a stem of stride 2, so that its output has half the input's resolution.

    After [1]_.

    Parameters
    ----------
    channels_in : int
        Channels of the input.
    channels : sequence of int
        Channels of the levels, the finest first; each level halves the resolution.

    References
    ----------
    .. [1] O. Ronneberger, P. Fischer, T. Brox, "U-Net: convolutional networks for biomedical image
       segmentation", MICCAI 2015. arXiv:1505.04597

    Examples
    --------
    >>> import torch
    >>> network = CompactUNet(channels_in=3, channels=(4, 8)).eval()
    >>> network(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 1, 32, 32])
    """

    def __init__(self, *, channels_in: int, channels: Sequence[int] = CHANNELS) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels_in, channels[0], 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels[0]),
            nn.ReLU(inplace=True),
        )
        inputs = (channels[0], *channels[:-1])
        self.encoder = nn.ModuleList(map(ConvBlock, inputs, channels))
        self.decoder = nn.ModuleList(
            ConvBlock(deep + shallow, shallow)
            for deep, shallow in zip(channels[:0:-1], channels[-2::-1], strict=True)
        )
        self.head = nn.Conv2d(channels[0], 1, 1)

    def encode(self, images: Tensor) -> list[Tensor]:
        """Return the features of every level, the finest first.

        Parameters
        ----------
        images : Tensor, float32, (N, channels_in, H, W)
            H and W multiples of 2 to the number of levels.

        Returns
        -------
        list of Tensor, float32, (N, channels[i], H / 2**(i + 1), W / 2**(i + 1))
        """
        features = self.stem(images)
        levels: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            features = block(F.max_pool2d(features, 2) if level else features)
            levels.append(features)
        return levels

    def forward(self, images: Tensor) -> Tensor:
        """Return one logit per output pixel.

        Parameters
        ----------
        images : Tensor, float32, (N, channels_in, H, W)
            H and W multiples of 2 to the number of levels.

        Returns
        -------
        Tensor, float32, (N, 1, H / 2, W / 2)
        """
        *skips, features = self.encode(images)
        for block in self.decoder:
            skip = skips.pop()
            features = resize(features, skip.shape[2:])
            features = block(torch.cat([features, skip], dim=1))
        logits: Tensor = self.head(features)
        return logits


def standardise(images: Tensor) -> Tensor:
    """Bring every image of a batch to mean 0 and standard deviation 1.

    Images differ in exposure and display curve, neither of which is anatomy.

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


def resize(images: Tensor, shape: Sequence[int]) -> Tensor:
    """Interpolate (N, C, H, W) bilinearly to another H and W.

    Examples
    --------
    >>> import torch
    >>> resize(torch.zeros(1, 1, 4, 4), (2, 3)).shape
    torch.Size([1, 1, 2, 3])
    """
    return F.interpolate(images, size=list(shape), mode="bilinear")
