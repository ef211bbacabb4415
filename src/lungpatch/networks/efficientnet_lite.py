"""EfficientNet-Lite0 up to its block 14, and its packaged weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lungpatch.networks.packaged_weights import load_packaged_weights

WEIGHTS_FILE = "imagenet_lite0.safetensors"

STAGES = (
    # blocks, channels, kernel, stride, expansion
    (1, 16, 3, 1, 1),
    (2, 24, 3, 2, 6),
    (2, 40, 5, 2, 6),
    (3, 80, 3, 2, 6),
    (3, 112, 5, 1, 6),
    (4, 192, 5, 2, 6),
)
"""Blocks of one stage are alike, but for the first, which brings the stride and the channels."""

BLOCKS = sum(stage[0] for stage in STAGES)
"""Number of blocks."""

_STEM_CHANNELS = 32


class InvertedResidual(nn.Sequential):
    """A convolution in more channels, each on its own, between two of 1x1 pixels.

    After [1]_. The input is added where shapes allow it.

    Parameters
    ----------
    channels_in, channels_out : int
    kernel : int
        Side of the kernel, odd.
    stride : {1, 2}
    expansion : int
        How many times more channels there are in between.

    References
    ----------
    .. [1] M. Sandler, A. Howard, M. Zhu, A. Zhmoginov, L.-C. Chen, "MobileNetV2: inverted residuals
       and linear bottlenecks", CVPR 2018. arXiv:1801.04381

    Examples
    --------
    >>> import torch
    >>> block = InvertedResidual(8, 12, kernel=3, stride=2, expansion=6)
    >>> block(torch.zeros(1, 8, 32, 32)).shape
    torch.Size([1, 12, 16, 16])
    """

    def __init__(
        self, channels_in: int, channels_out: int, *, kernel: int, stride: int, expansion: int
    ) -> None:
        channels = expansion * channels_in
        wider = [nn.Conv2d(channels_in, channels, 1), nn.ReLU6(inplace=True)]
        super().__init__(
            *(wider if expansion > 1 else []),
            *_same_convolution(channels, channels, kernel, stride, groups=channels),
            nn.ReLU6(inplace=True),
            nn.Conv2d(channels, channels_out, 1),
        )
        self.adds_input = stride == 1 and channels_in == channels_out

    def forward(self, images: Tensor) -> Tensor:
        """Return the maps of a batch.

        Parameters
        ----------
        images : Tensor, float32, (N, channels_in, H, W)

        Returns
        -------
        Tensor, float32, (N, channels_out, H / stride, W / stride)
        """
        maps = images
        for layer in self:
            maps = layer(maps)
        return images + maps if self.adds_input else maps


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 [1]_ without its last block and its classifier.

    Batch normalisation is part of the convolutions: this network is not for training.

    References
    ----------
    .. [1] M. Tan, Q. Le, "EfficientNet: rethinking model scaling for convolutional neural
       networks", ICML 2019. arXiv:1905.11946

    Examples
    --------
    >>> import torch
    >>> EfficientNetLite0()(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 192, 2, 2])
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            *_same_convolution(3, _STEM_CHANNELS, 3, 2), nn.ReLU6(inplace=True)
        )
        shapes = [
            (channels, kernel, 1 if later else stride, expansion)
            for blocks, channels, kernel, stride, expansion in STAGES
            for later in range(blocks)
        ]
        inputs = (_STEM_CHANNELS, *(shape[0] for shape in shapes[:-1]))
        self.blocks = nn.Sequential(
            *(
                InvertedResidual(
                    channels_in, channels, kernel=kernel, stride=stride, expansion=expansion
                )
                for channels_in, (channels, kernel, stride, expansion) in zip(
                    inputs, shapes, strict=True
                )
            )
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return the maps of the last block.

        Parameters
        ----------
        images : Tensor, float32, (N, 3, H, W)
            ``(g - 127) / 128`` of grey levels or colours g from 0 to 255.

        Returns
        -------
        Tensor, float32, (N, 192, H / 32, W / 32)
        """
        maps: Tensor = self.blocks(self.stem(images))
        return maps


def load_efficientnet_lite0() -> EfficientNetLite0:
    """Load the network with the weights that ship with the package.

    Returns
    -------
    EfficientNetLite0
        On the CPU, in evaluation mode and without gradients.

    Raises
    ------
    LungpatchError
        If the names, shapes or types in the packaged file are not this network's.

    Examples
    --------
    >>> sum(weights.numel() for weights in load_efficientnet_lite0().parameters())
    2336304
    """
    with torch.device("meta"):  # neither time nor torch's random numbers are spent on weights
        network = EfficientNetLite0()
    load_packaged_weights(network, WEIGHTS_FILE)
    return network.eval().requires_grad_(False)


def _same_convolution(
    channels_in: int, channels_out: int, kernel: int, stride: int, *, groups: int = 1
) -> list[nn.Module]:
    """Return a convolution that pads as TensorFlow does images of even sides.

    Strides of 2 take one row and one column more at the end than at the beginning.
    """
    before = (kernel - stride) // 2
    after = kernel - stride - before
    if before == after:
        return [nn.Conv2d(channels_in, channels_out, kernel, stride, padding=before, groups=groups)]
    return [
        nn.ZeroPad2d((before, after, before, after)),
        nn.Conv2d(channels_in, channels_out, kernel, stride, groups=groups),
    ]
