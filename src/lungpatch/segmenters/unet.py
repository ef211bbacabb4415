"""Lungs by a small U-Net with packaged weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import numpy as np

from lungpatch._utils.component import plain_errors
from lungpatch._utils.devices import choose_device
from lungpatch._utils.forks import IMPORTING
from lungpatch.segmenters.network_segmenter import NetworkSegmenter

if TYPE_CHECKING:
    from lungpatch.containers import FloatImage


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class UNetSegmenter(NetworkSegmenter):
    """Find lungs with a U-Net that includes the opacified parts of a lung.

    The network [1]_ was trained on 92 radiographs with lung masks and on 236 normal ones, with
    opacities painted into the lungs until nothing of a border is left; see the model card beside
    the weights.

    Parameters
    ----------
    flip_average : bool
        Whether to average over the image and its mirror image, which takes twice as long.
    device : {"auto", "cpu", "cuda", "mps"}
        Where the network runs; ``"auto"`` is the first available one of CUDA, MPS and the CPU.

    See Also
    --------
    IMLABSegmenter : The network that the paper used.
    ThresholdSegmenter : A segmenter without a network.

    Notes
    -----
    The image is stretched to 256 x 256 pixels for the network. In its output of 128 x 128 cells all
    but two components are removed and holes are filled; then it is interpolated to the native grid
    of the image.

    References
    ----------
    .. [1] O. Ronneberger, P. Fischer, T. Brox, "U-Net: convolutional networks for biomedical image
       segmentation", MICCAI 2015. doi:10.1007/978-3-319-24574-4_28

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch import ChestImage, UNetSegmenter
    >>> pixels = np.zeros((300, 250), np.float32)
    >>> UNetSegmenter(device="cpu").segment(ChestImage(pixels=pixels, image_id="black"))
    LungMask(300x250, 0.0% lung)
    """

    def _logits(self, pixels: FloatImage) -> FloatImage:
        with IMPORTING:
            import torch

            from lungpatch.networks.lung_network import prepared_lung_network
            from lungpatch.networks.torch_adapter import reproducible

        device = choose_device(self.device)
        network = prepared_lung_network(device)
        # torch takes no mirrored views.
        images = torch.from_numpy(np.ascontiguousarray(pixels))[None, None].to(device)
        with torch.inference_mode(), reproducible(device):
            logits: FloatImage = network(images)[0, 0].cpu().numpy()
        return logits
