"""The paper's U-Net without its skip connections."""

from __future__ import annotations

from typing import ClassVar

import attrs

from lungpatch._utils.component import plain_errors
from lungpatch.models.convolutional import ConvolutionalModel


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class Autoencoder(ConvolutionalModel):
    """A plain convolutional autoencoder: the paper's U-Net without skip connections.

    All that the output knows has to pass through the bottom level: for 32 x 32 pixels that is
    ``4 * base_channels`` maps of 8 x 8. With the default channels these are four times as many
    numbers as there are pixels, so the architecture alone does not keep it from copying.

    Parameters
    ----------
    patch_size : int
        Side P of the patches in pixels, a multiple of 4.
    base_channels : int
        Channels at the full size, at least 1; twice and four times as many below.
    output : {"sigmoid", "linear"}
        What follows the last convolution. Values are clipped nowhere.
    loss : {"squared-dice", "dice", "l1", "l2", "ssim"}
        See `lungpatch.networks.losses`.
    epochs : int
        At most so many passes over the training patches.
    patience : int
        Stop after so many epochs in a row without a lower validation loss.
    batch_size : int
        Patches a step of the training.
    learning_rate : float
        Of Adam; above 0.
    device : {"auto", "cpu", "cuda", "mps"}
        Where to train and to run; ``"auto"`` is the first there is of CUDA, MPS and the CPU.

    See Also
    --------
    lungpatch.models.unet.UNet : The same with skip connections.

    Notes
    -----
    Source: Nagamura, Tokunaga, Okita, "Pneumonia Detection Using Anomaly Detection by U-net",
    which discusses it in comparison.

    Examples
    --------
    >>> Autoencoder(base_channels=2, epochs=3).patch_size
    32
    """

    _skips: ClassVar[bool] = False
