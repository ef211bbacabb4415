"""Lungs by a network in the ONNX format, which runs without torch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from lungpatch._utils.component import plain_errors
from lungpatch.errors import ConfigurationError
from lungpatch.networks.lung_input import NETWORK_SIDE
from lungpatch.networks.onnx_network import OnnxNetwork, check_contract, require_onnxruntime
from lungpatch.segmenters.network_segmenter import NetworkSegmenter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lungpatch.containers import FloatImage

IMAGES, LOGITS = "images", "logits"
"""Names of the input and the output of the network."""


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class OnnxSegmenter(NetworkSegmenter):
    """Find lungs with a network in an ONNX file. It runs by ONNX Runtime, without torch.

    `lungpatch.export_onnx` makes one of the network of `UNetSegmenter`; any other one with the same
    input and output will do. The file becomes part of a saved pipeline.

    Parameters
    ----------
    file : str or path, optional
        ONNX file. A saved pipeline holds its network itself, and needs no file.
    flip_average : bool
        Whether to average over the image and its mirror image, which takes twice as long.
    device : {"auto", "cpu", "cuda", "mps"}
        Where the network runs; ``"auto"`` is CUDA where the installed ONNX Runtime has it, else the
        CPU. There is no ``"mps"``.

    Raises
    ------
    MissingExtraError
        If ONNX Runtime is not installed.

    See Also
    --------
    UNetSegmenter : The packaged network, by torch.
    OnnxModel : The same for models.

    Notes
    -----
    The network takes ``images``, float32 (N, 1, 256, 256), for any N: radiographs stretched to a
    square, with mean 0 and standard deviation 1. It returns ``logits``, float32 (N, 1, h, w), the
    log-odds of lung. What is done before and after is the same as for `UNetSegmenter`.

    Examples
    --------
    >>> from lungpatch.segmenters import OnnxSegmenter
    >>> OnnxSegmenter(file="lungs.onnx")
    OnnxSegmenter(flip_average=False, device='auto', file='lungs.onnx')
    """

    file: str | None = attrs.field(default=None, converter=attrs.converters.optional(os.fspath))

    network_: OnnxNetwork | None = attrs.field(init=False, default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        require_onnxruntime("the segmenter 'onnx'")

    def state(self) -> dict[str, NDArray[Any]]:
        """Return ``onnx``, uint8 (n,): the bytes of the file.

        Raises
        ------
        ConfigurationError
            If no file is set, or the network in it has another input or output.
        MissingInputError
            If the file cannot be read.
        """
        return self._network().state()

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what ``state`` returned.

        Raises
        ------
        ConfigurationError
            If it is no ONNX network that finds lungs; the segmenter is then as it was before.
        """
        self.network_ = _checked(OnnxNetwork.from_state(state))

    def _network(self) -> OnnxNetwork:
        if self.network_ is None:
            if self.file is None:
                raise ConfigurationError("OnnxSegmenter has no network: set 'file' to an ONNX file")
            self.network_ = _checked(OnnxNetwork.read(self.file))
        return self.network_

    def _logits(self, pixels: FloatImage) -> FloatImage:
        network = self._network()
        (logits,) = network.run((LOGITS,), {IMAGES: pixels[None, None]}, self.device)
        maps: FloatImage = logits[0, 0]
        return maps


def _checked(network: OnnxNetwork) -> OnnxNetwork:
    check_contract(
        network,
        inputs={IMAGES: (np.float32, (None, 1, NETWORK_SIDE, NETWORK_SIDE))},
        outputs={LOGITS: (np.float32, (None, 1, None, None))},
    )
    return network
