"""The paper's U-Net, used as an autoencoder."""

from __future__ import annotations

from typing import ClassVar

import attrs

from lungpatch._utils.component import plain_errors
from lungpatch.models.convolutional import ConvolutionalModel


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class UNet(ConvolutionalModel):
    """The paper's U-Net, trained to return the normal patch it is given.

    As in the paper [1]_, it is made of zero-padded 3x3 convolutions; max-pooling halves the size
    and doubles the channels, 32 -> 16 -> 8; pixel replication doubles the size and halves the
    channels, 8 -> 16 -> 32; skip connections concatenate encoder features into the decoder [2]_. An
    epoch of 10,000 patches takes about 10 s on two CPU cores.

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
        What training minimises; see `lungpatch.networks.losses`. The paper prints ``"dice"``,
        whose optimum is white and not the input.
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
    Autoencoder : The same network without skip connections.
    PCA : The best linear reconstruction.
    identity_shortcut : Measures how much of an opacity a model copies.

    Notes
    -----
    Skip connections pass the input on to the output, so such a network easily copies whatever it
    is given, opacities too; `identity_shortcut` measures it.

    The paper does not give the number of convolutions per level (here two), the activation (ReLU),
    the number of channels (16), the output, or anything about the training but Adam and the loss.

    References
    ----------
    .. [1] Nagamura, Tokunaga, Okita, "Pneumonia detection using anomaly detection by U-net",
       section 3.6 and figure 6.
    .. [2] O. Ronneberger, P. Fischer, T. Brox, "U-Net: convolutional networks for biomedical image
       segmentation", MICCAI 2015. arXiv:1505.04597

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch.containers import PatchBatch
    >>> from lungpatch.models import UNet
    >>> from lungpatch.pipeline import PatchStore
    >>> rng = np.random.default_rng(0)
    >>> patches = PatchBatch(
    ...     pixels=rng.random((64, 8, 8), dtype=np.float32), corners=np.zeros((64, 2), np.int64),
    ...     lung=np.ones((64, 8, 8), bool), image_shape=(32, 32), image_id="a")
    >>> model = UNet(patch_size=8, base_channels=2, epochs=2, device="cpu")
    >>> with PatchStore(8) as store:
    ...     store.add(patches)
    ...     model.fit(store, rng=rng)
    TrainingHistory(2 epochs, best 2, finished, ... s)
    >>> model.reconstruct(patches)
    Reconstruction(64 patches, 1 channel of 8x8)
    """

    _skips: ClassVar[bool] = True
