"""Features of a network that was trained to classify photographs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from lungpatch._utils.component import plain_errors
from lungpatch.features.network_extractor import NetworkExtractor, TrainedNetwork
from lungpatch.networks.efficientnet_lite import BLOCKS, load_efficientnet_lite0

if TYPE_CHECKING:
    from lungpatch._utils.devices import Precision


def _blocks(_: Any, attribute: attrs.Attribute[Any], value: tuple[int, ...]) -> None:
    known = range(BLOCKS)
    if not value or len(set(value)) < len(value) or not all(b in known for b in value):
        raise ValueError(
            f"{attribute.name!r} must be one or several different numbers from 0 to "
            f"{BLOCKS - 1}, got {value}"
        )


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class ImageNetExtractor(NetworkExtractor):
    """Feature maps of EfficientNet-Lite0, trained on the photographs of ImageNet.

    The network [1]_ was not trained on any radiograph. Its weights are packaged; nothing is trained
    or downloaded.

    Parameters
    ----------
    blocks : tuple of int
        Blocks whose outputs are joined, out of 0 to 14. Those of the default, 2, 4, 10 and 14,
        have 24, 40, 112 and 192 channels, at a fourth, an eighth, a sixteenth and a thirty-second
        of the patch's resolution.
    grid : int
        Cells per side of the feature grid, at least 1; features of all blocks are brought to it.
    device : {"auto", "cpu", "cuda", "mps"}
        Where the network runs.
    precision : {"float32", "bfloat16"}
        Without effect: this network computes in float32. In bfloat16 it moves scores by 0.1.

    See Also
    --------
    LungEncoder : Features of the packaged lung network.
    TorchModuleExtractor : Features of other networks.

    Notes
    -----
    The Lite variant is Google's EfficientNet without squeeze-and-excitation. Its last block and its
    classifier are left out.

    References
    ----------
    .. [1] M. Tan, Q. Le, "EfficientNet: rethinking model scaling for convolutional neural
       networks", ICML 2019. arXiv:1905.11946

    Examples
    --------
    >>> from lungpatch.features import ImageNetExtractor
    >>> ImageNetExtractor(blocks=(4, 10), grid=8)
    ImageNetExtractor(grid=8, device='auto', precision='float32', blocks=(4, 10))
    """

    blocks: tuple[int, ...] = attrs.field(
        default=(2, 4, 10, 14), converter=tuple, validator=_blocks
    )

    def _computed_in(self) -> Precision:
        return "float32"

    def _layer_names(self) -> list[str]:
        return [f"blocks.{block}" for block in self.blocks]

    def _read(self) -> TrainedNetwork:
        # The network takes (g - 127) / 128 of grey levels g = 255 x.
        network = load_efficientnet_lite0()
        return TrainedNetwork(network=network, mean=[127 / 255] * 3, std=[128 / 255] * 3)
