"""Lungs by the PSPNet of ChestX-Det."""

from __future__ import annotations

import warnings
from typing import Literal

import attrs
import torch
from attrs import validators
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from lungpatch import ChestImage, LungMask
from lungpatch_txrv.networks import pspnet

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@attrs.define(kw_only=True, eq=False)
class PSPNetSegmenter:
    """Both lungs, as the network sees them; what it draws is not cleaned up.

    Parameters
    ----------
    probability : float
        A pixel is lung from here on, in (0, 1).
    side : int
        The image is stretched to so many pixels square for the network; it was trained on 512.
    weights : {"chestx-det", "untrained"}
        ``untrained`` is for tests.

    Notes
    -----
    Source: Lian et al., "A structure-aware relation network for thoracic diseases detection and
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
        """Return the lung mask, of the image's shape; empty where there is no lung."""
        network, lungs = pspnet(self.weights)
        mean, std = (torch.tensor(values)[:, None, None] for values in (_MEAN, _STD))
        pixels = torch.from_numpy(image.pixels.copy())[None, None]
        square = F.interpolate(pixels, size=(self.side, self.side), mode="bilinear", antialias=True)
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its code calls what torch has renamed
            logits = network((square - mean) / std)[:, list(lungs)]
        probability = F.interpolate(logits.sigmoid(), size=image.shape, mode="bilinear").amax(dim=1)
        return LungMask(pixels=probability[0].numpy() >= self.probability)
