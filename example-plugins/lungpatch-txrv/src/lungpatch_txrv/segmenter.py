"""Finds lungs with the PSPNet of ChestX-Det."""

from __future__ import annotations

import warnings
from typing import Literal

import attrs
import torch
from attrs import validators
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from lungpatch import ChestImage, Component, LungMask
from lungpatch_txrv.networks import pspnet

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@attrs.define(kw_only=True, eq=False)
class PSPNetSegmenter(Component):
    """Finds both lungs with the PSPNet of ChestX-Det [1]_; its masks are used as they are.

    Parameters
    ----------
    probability : float
        Probability in (0, 1) from which a pixel is lung.
    side : int
        Side in pixels of the square that images are stretched to for the network, which was
        trained on 512.
    weights : {"chestx-det", "untrained"}
        ``untrained`` is for tests.

    See Also
    --------
    lungpatch.UNetSegmenter : The packaged network; includes opaque parts of lungs.

    References
    ----------
    .. [1] J. Lian et al., "A structure-aware relation network for thoracic diseases detection and
       segmentation", IEEE Transactions on Medical Imaging (2021), arXiv:2104.10326.
    """

    probability: float = attrs.field(
        default=0.5, validator=[validators.instance_of(float), validators.gt(0), validators.lt(1)]
    )
    side: int = attrs.field(default=512, validator=[validators.instance_of(int), validators.ge(48)])
    weights: Literal["chestx-det", "untrained"] = attrs.field(
        default="chestx-det", validator=validators.in_(("chestx-det", "untrained"))
    )

    def segment(self, image: ChestImage) -> LungMask:
        """Return the lung mask, of the shape of the image; empty if there is no lung."""
        network, lungs = pspnet(self.weights)
        mean, std = (torch.tensor(values)[:, None, None] for values in (_MEAN, _STD))
        pixels = torch.from_numpy(image.pixels.copy())[None, None]
        square = F.interpolate(pixels, size=(self.side, self.side), mode="bilinear", antialias=True)
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the library calls functions that torch has renamed
            logits = network((square - mean) / std)[:, list(lungs)]
        probability = F.interpolate(logits.sigmoid(), size=image.shape, mode="bilinear").amax(dim=1)
        return LungMask(pixels=probability[0].numpy() >= self.probability)
