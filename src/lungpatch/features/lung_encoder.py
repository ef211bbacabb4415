"""Features of the network that finds lungs: packaged, nothing trained or downloaded."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import attrs
import torch
from attrs import validators
from torch import Tensor, nn

from lungpatch._utils.component import plain_errors
from lungpatch.features.network_extractor import NetworkExtractor, TrainedNetwork
from lungpatch.networks.compact_unet import CHANNELS, standardise
from lungpatch.networks.lung_network import load_lung_network

if TYPE_CHECKING:
    from collections.abc import Sequence

LEVELS = tuple(range(len(CHANNELS)))


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class LungEncoder(NetworkExtractor):
    """What the encoder of the packaged lung network makes of every place.

    The network of the segmenter ``unet`` had to find lungs that disease, real and painted, has
    made opaque: its levels describe what lies in a lung. It learnt from lung masks and never from
    a lesion's outline. On the images of ``benchmarks/detectors.py`` a linear map on it finds
    opacities better than one on features of photographs.

    Parameters
    ----------
    levels : tuple of int
        Whose features are joined: 0 is the finest of the five, 4 the coarsest, with 16, 24, 40, 72
        and 112 channels at a half to a thirty-second of the patch's resolution.
    grid : int
        Places a side that all levels are brought to.
    device : {"auto", "cpu", "cuda", "mps"}
        Where the network runs.

    Notes
    -----
    The network was trained on whole images of 256 x 256 pixels; patches of that size suit it best.

    Examples
    --------
    >>> import numpy as np
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
        # A copy, since extractors move their network to their device.
        lungs = copy.deepcopy(load_lung_network(torch.device("cpu")))
        return TrainedNetwork(network=_Standardised(lungs), mean=[0.0], std=[1.0])

    def _layer_names(self) -> Sequence[str]:
        return [f"network.encoder.{level}" for level in self.levels]


class _Standardised(nn.Module):
    """A network behind the standardisation that it was trained with."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        output: Tensor = self.network(standardise(images))
        return output
