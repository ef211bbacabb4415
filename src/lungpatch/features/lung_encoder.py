"""Features of the packaged network that finds lungs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import torch
from attrs import validators
from torch import Tensor, nn

from lungpatch._utils.component import plain_errors
from lungpatch.features.network_extractor import NetworkExtractor, TrainedNetwork
from lungpatch.networks.compact_unet import CHANNELS, CompactUNet, standardise
from lungpatch.networks.lung_network import load_lung_network

if TYPE_CHECKING:
    from collections.abc import Sequence

LEVELS = tuple(range(len(CHANNELS)))


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class LungEncoder(NetworkExtractor):
    """Features from the encoder of the packaged lung network; nothing is trained or downloaded.

    The network of the segmenter ``unet`` was trained to find lungs that disease, real and painted,
    has made opaque, so its levels describe the content of lungs. It was trained on lung masks and
    never on the outline of a lesion. On the images of ``benchmarks/detectors.py`` a linear map on
    its features finds opacities better than one on features of photographs.

    Parameters
    ----------
    levels : tuple of int
        Levels whose features are joined: 0 is the finest of the five, 4 the coarsest, with 16, 24,
        40, 72 and 112 channels at a half to a thirty-second of the patch's resolution.
    grid : int
        Cells per side of the feature grid, at least 1; features of all levels are brought to it.
    device : {"auto", "cpu", "cuda", "mps"}
        Where the network runs.
    precision : {"float32", "bfloat16"}
        What the network computes in.

    See Also
    --------
    LesionEncoder : Features of a network that is trained by ``fit``.
    ImageNetExtractor : Features of a network trained on photographs.

    Notes
    -----
    The network was trained on whole images of 256 x 256 pixels; patches of that size suit it best.

    Examples
    --------
    >>> from lungpatch.features import LungEncoder
    >>> from lungpatch.testing.samples import phantom_patches
    >>> LungEncoder(levels=(2, 3), grid=4, device="cpu").extract(phantom_patches(32)).shape
    (15, 112, 4, 4)
    """

    levels: tuple[int, ...] = attrs.field(
        default=LEVELS,
        converter=tuple,
        validator=[validators.min_len(1), validators.deep_iterable(validators.in_(LEVELS))],
    )

    def _read(self) -> TrainedNetwork:
        lungs = load_lung_network(torch.device("cpu"))
        return TrainedNetwork(network=_Standardised(lungs), mean=[0.0], std=[1.0])

    def _layer_names(self) -> Sequence[str]:
        return [f"network.encoder.{level}" for level in self.levels]


class _Standardised(nn.Module):
    """The encoder of a network that standardises its input, as it was trained."""

    def __init__(self, network: CompactUNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network.encode(standardise(images))[-1]
