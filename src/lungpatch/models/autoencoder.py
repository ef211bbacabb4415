"""The paper's U-Net without its skip connections."""

from __future__ import annotations

from typing import ClassVar

import attrs

from lungpatch._utils.component import plain_errors
from lungpatch.models.convolutional import ConvolutionalModel


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class Autoencoder(ConvolutionalModel):
    """A plain convolutional autoencoder: the paper's U-Net without skip connections.

    The paper [1]_ discusses it in comparison. All information about the input passes through the
    bottom level: for 32 x 32 pixels that is ``4 * base_channels`` maps of 8 x 8. With the default
    channels these are four times as many numbers as there are pixels, so the architecture alone
    does not prevent copying.

    Parameters
    ----------
    patch_size : int
        Side P of the patches in pixels, a multiple of 4.
    base_channels : int
        Number of channels at the full size, at least 1; the lower levels have two and four times
        as many.
    output : {"sigmoid", "linear"}
        What follows the last convolution. Values are never clipped.
    loss : {"squared-dice", "dice", "l1", "l2", "ssim"}
        What training minimises; see `lungpatch.networks.losses`.
    epochs : int
        Maximum number of passes over the training patches.
    patience : int
        Training stops after this many epochs in a row without a lower validation loss.
    batch_size : int
        Number of patches per training step.
    learning_rate : float
        Learning rate of Adam, above 0.
    device : {"auto", "cpu", "cuda", "mps"}
        Where to train and to run; ``"auto"`` is the first of CUDA, MPS and CPU that is available.
    precision : {"float32", "bfloat16"}
        What the fitted network computes in.

    See Also
    --------
    UNet : The same network with skip connections.
    PCA : The best linear reconstruction.
    identity_shortcut : Measures how much of an opacity a model copies.

    References
    ----------
    .. [1] Nagamura, Tokunaga, Okita, "Pneumonia detection using anomaly detection by U-net".

    Examples
    --------
    >>> from lungpatch.models import Autoencoder
    >>> Autoencoder(base_channels=2, epochs=3).patch_size
    32
    """

    _skips: ClassVar[bool] = False
