"""Base of `unet` and `autoencoder`: the paper's network, with or without skip connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import attrs
import torch
from attrs import validators
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from lungpatch._utils.component import plain_errors
from lungpatch.containers import PatchBatch, Reconstruction, TrainingHistory
from lungpatch.errors import ConfigurationError
from lungpatch.networks.losses import LOSSES, SSIM_WINDOW, check_loss_name
from lungpatch.networks.network_model import NetworkModel, at_least_1
from lungpatch.networks.torch_adapter import patches_to_tensor
from lungpatch.networks.training import train

if TYPE_CHECKING:
    import numpy as np

    from lungpatch.protocols import EpochCallback, PatchSource

Output = Literal["sigmoid", "linear"]
OUTPUTS: tuple[Output, ...] = ("sigmoid", "linear")


class PatchNetwork(nn.Module):
    """The network of the paper's figure 6, with skip connections or without.

    Each level has two 3x3 convolutions, zero padded, each followed by a ReLU; max-pooling halves
    the size while the channels double, 32 -> 16 -> 8; pixel-replicating up-sampling doubles the
    size while the channels halve, 8 -> 16 -> 32. A skip connection concatenates the encoder's
    features of the same size between the two convolutions of a decoder level.

    Weights are initialised for ReLUs by equation 10 of [1]_: with PyTorch's default, smaller
    weights, the signal fades on its way through eleven layers, and the autoencoder can get stuck
    at a constant output.

    Parameters
    ----------
    base_channels : int
        Channels at the full size.
    skips : bool
        True for the U-Net, False for the autoencoder.
    output : {"sigmoid", "linear"}
        What follows the last convolution.

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers: surpassing human-level
       performance on ImageNet classification", ICCV 2015. arXiv:1502.01852

    Examples
    --------
    >>> network = PatchNetwork(base_channels=4, skips=True, output="sigmoid")
    >>> network(torch.zeros(2, 1, 32, 32)).shape
    torch.Size([2, 1, 32, 32])
    """

    def __init__(self, *, base_channels: int, skips: bool, output: Output) -> None:
        super().__init__()
        full, half, quarter = base_channels, 2 * base_channels, 4 * base_channels
        joined = 2 if skips else 1
        self.skips = skips
        self.output = output
        self.encode_full = nn.Sequential(_convolution(1, full), _convolution(full, full))
        self.encode_half = nn.Sequential(_convolution(full, half), _convolution(half, half))
        self.bottom = nn.Sequential(_convolution(half, quarter), _convolution(quarter, quarter))
        self.rise_half = _convolution(quarter, half)
        self.decode_half = _convolution(joined * half, half)
        self.rise_full = _convolution(half, full)
        self.decode_full = _convolution(joined * full, full)
        self.head = nn.Conv2d(full, 1, 3, padding=1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, patches: Tensor) -> Tensor:
        """Reconstruct patches.

        Parameters
        ----------
        patches : Tensor, float32, (N, 1, P, P)
            P a multiple of 4.

        Returns
        -------
        Tensor, float32, (N, 1, P, P)
        """
        full = self.encode_full(patches)
        half = self.encode_half(F.max_pool2d(full, 2))
        features = self.bottom(F.max_pool2d(half, 2))
        features = self.rise_half(F.interpolate(features, scale_factor=2.0, mode="nearest"))
        features = self.decode_half(self._join(features, half))
        features = self.rise_full(F.interpolate(features, scale_factor=2.0, mode="nearest"))
        features = self.decode_full(self._join(features, full))
        grey: Tensor = self.head(features)
        return torch.sigmoid(grey) if self.output == "sigmoid" else grey

    def _join(self, features: Tensor, skipped: Tensor) -> Tensor:
        return torch.cat([features, skipped], dim=1) if self.skips else features


def _convolution(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 3, padding=1), nn.ReLU(inplace=True))


def _multiple_of_4(_: Any, attribute: attrs.Attribute[Any], value: int) -> None:
    if value < 4 or value % 4:
        raise ValueError(
            f"{attribute.name} must be a multiple of 4, at least 4 (it is halved twice), got "
            f"{value}"
        )


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class ConvolutionalModel(NetworkModel):
    """A `PatchNetwork` that is trained to return the normal patch it is given.

    `UNet` and `Autoencoder` are the two kinds, and document the settings.
    """

    patch_size: int = attrs.field(
        default=32, validator=[validators.instance_of(int), _multiple_of_4]
    )
    base_channels: int = attrs.field(default=16, validator=at_least_1())
    output: Output = attrs.field(default="sigmoid", validator=validators.in_(OUTPUTS))
    loss: str = attrs.field(default="squared-dice", validator=check_loss_name)
    _skips: ClassVar[bool]

    def __attrs_post_init__(self) -> None:
        if self.loss == "ssim" and self.patch_size < SSIM_WINDOW:
            raise ConfigurationError(
                f"loss 'ssim' needs a patch_size of at least {SSIM_WINDOW}, got {self.patch_size}"
            )

    def fit(
        self,
        source: PatchSource,
        *,
        validation: PatchSource | None = None,
        rng: np.random.Generator,
        on_epoch: EpochCallback | None = None,
    ) -> TrainingHistory:
        """Train on normal patches; see `lungpatch.networks.training.train`.

        Parameters
        ----------
        source : PatchSource
            Normal patches of P x P pixels.
        validation : PatchSource, optional
            Normal patches of other images. They say when to stop and which weights to keep;
            without them all epochs are run and the lowest training loss decides.
        rng : numpy.random.Generator
            First weights and order of the patches.
        on_epoch : callable, optional
            Called as ``on_epoch(epoch, epochs, metrics)`` after every epoch.

        Returns
        -------
        TrainingHistory
            With ``train_loss`` and ``validation_loss`` of each epoch.

        Raises
        ------
        ConfigurationError
            If the patches have another size, the device is absent, or the loss becomes NaN.
        InsufficientDataError
            If there are no patches.
        """
        for patches in (source, validation):
            if patches is not None:
                self._check_size(patches.patch_size)
        settings = self._training_settings()
        network = self._new_network(seed=int(rng.integers(2**63)))
        loss = LOSSES[self.loss]

        def loss_of(batch: PatchBatch) -> Tensor:
            pixels = patches_to_tensor(batch.pixels, settings.device)
            return loss(network(pixels), pixels)

        history = train(
            network,
            source,
            loss_of=loss_of,
            settings=settings,
            rng=rng,
            validation=validation,
            on_epoch=on_epoch,
        )
        self.network_ = network
        return history

    def reconstruct(self, patches: PatchBatch) -> Reconstruction:
        """Return the patches as the network reconstructs them.

        Parameters
        ----------
        patches : PatchBatch
            N patches of P x P pixels; N may be 0.

        Returns
        -------
        Reconstruction
            ``target`` is the patches themselves; ``expected``, float32 (N, 1, P, P), lies in
            [0, 1] for ``output="sigmoid"``, anywhere for ``"linear"``.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ConfigurationError
            If the patches have another size, or the device is absent.
        """
        expected = self._run(
            patches,
            lambda network, part, device: network(patches_to_tensor(part.pixels, device)),
        )
        return Reconstruction(target=patches.pixels[:, None], expected=expected)

    def _build(self) -> PatchNetwork:
        return PatchNetwork(base_channels=self.base_channels, skips=self._skips, output=self.output)
