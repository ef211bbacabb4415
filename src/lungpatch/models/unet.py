"""The paper's U-Net, used as an autoencoder."""

from __future__ import annotations

from typing import ClassVar

import attrs

from lungpatch._utils.component import plain_errors
from lungpatch.models.convolutional import ConvolutionalModel


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class UNet(ConvolutionalModel):
    """The paper's U-Net, trained to return the normal patch it is given.

    Zero-padded 3x3 convolutions; max-pooling halves the size and doubles the channels,
    32 -> 16 -> 8; pixel replication doubles the size and halves the channels, 8 -> 16 -> 32; skip
    connections concatenate encoder features into the decoder. What the paper leaves open is ours:
    two convolutions a level, ReLU, the 16 channels, the output, and everything about the training
    but Adam and the loss. An epoch of 10,000 patches takes some 10 s on two CPU cores.

    Parameters
    ----------
    patch_size : int
        Side P of the patches in pixels, a multiple of 4.
    base_channels : int
        Channels at the full size, at least 1; twice and four times as many below.
    output : {"sigmoid", "linear"}
        What follows the last convolution. Values are clipped nowhere.
    loss : {"squared-dice", "dice", "l1", "l2", "ssim"}
        See `lungpatch.networks.losses`. The paper prints ``"dice"``, which has its optimum at
        white, not at the input.
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

    Notes
    -----
    Skip connections hand the input on to the output, so that such a network easily learns to copy
    whatever it is given, opacities too: see `lungpatch.models.diagnostics`.

    Source: Nagamura, Tokunaga, Okita, "Pneumonia Detection Using Anomaly Detection by U-net",
    section 3.6 and figure 6; after O. Ronneberger, P. Fischer, T. Brox, "U-Net: convolutional
    networks for biomedical image segmentation", MICCAI 2015, arXiv:1505.04597.

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch.containers import PatchBatch
    >>> from lungpatch.pipeline.patch_store import PatchStore
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
