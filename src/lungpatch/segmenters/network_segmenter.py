"""Base of the segmenters with a network that finds lungs."""

from __future__ import annotations

import attrs
import numpy as np

from lungpatch._utils.component import EXECUTION, Component, plain_errors
from lungpatch._utils.devices import DEVICES, Device
from lungpatch.containers import ChestImage, FloatImage, LungMask
from lungpatch.networks.lung_input import interpolate, network_input
from lungpatch.segmenters.lung_logits import lungs_from_logits, probability
from lungpatch.segmenters.plausibility import implausibility


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class NetworkSegmenter(Component):
    """A segmenter whose network takes a standardised square. A subclass says how it is run."""

    flip_average: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool))
    device: Device = attrs.field(
        default="auto", validator=attrs.validators.in_(DEVICES), metadata={EXECUTION: True}
    )

    def segment(self, image: ChestImage) -> LungMask:
        """Find the lungs.

        Parameters
        ----------
        image : ChestImage
            Of any size.

        Returns
        -------
        LungMask
            Of the shape of the image: at most two components without holes. Empty if the network
            finds no lung.
        """
        logits = self._averaged(image)
        lungs = lungs_from_logits(logits, image.shape)
        doubt = implausibility(image, lungs, probability=probability(logits))
        return LungMask(pixels=lungs, implausible=doubt)

    def probability(self, image: ChestImage) -> FloatImage:
        """Return the probability of lung, before components are removed and holes are filled.

        Parameters
        ----------
        image : ChestImage
            Of any size.

        Returns
        -------
        ndarray of float32, shape (H, W), values in [0, 1]
            One probability per pixel of the image.
        """
        return probability(interpolate(self._averaged(image), image.shape))

    def _averaged(self, image: ChestImage) -> FloatImage:
        """Return the logits of lung, over the mirror image too if that is set."""
        pixels = network_input(image.pixels)
        logits = self._logits(pixels)
        if self.flip_average:
            logits = (logits + self._logits(pixels[:, ::-1])[:, ::-1]) / np.float32(2)
        return logits

    def _logits(self, pixels: FloatImage) -> FloatImage:
        """Return the logits of lung, float32 (h, w), of a standardised (256, 256)."""
        raise NotImplementedError
