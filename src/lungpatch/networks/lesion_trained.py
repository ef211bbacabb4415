"""Networks trained on lesions painted into normal lungs: base of two models and an extractor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import numpy as np
import torch
from attrs import validators
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from lungpatch._utils.component import plain_errors
from lungpatch.containers.cells import mean_over_cells
from lungpatch.errors import ConfigurationError
from lungpatch.networks.compact_unet import CHANNELS, CompactUNet, resize, standardise
from lungpatch.networks.lesion_painting import LesionPainter, LesionSettings, PaintedBatch
from lungpatch.networks.network_model import NetworkModel, at_least_1
from lungpatch.networks.torch_adapter import mixed_precision, patches_to_tensor
from lungpatch.networks.training import train

if TYPE_CHECKING:
    from lungpatch.containers import FloatImage, PatchBatch, TrainingHistory
    from lungpatch.networks.training import Generator
    from lungpatch.protocols import EpochCallback, PatchSource


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class LesionTrainedNetwork(LesionSettings, NetworkModel):
    """A `CompactUNet` that takes an image, its mirror image and its lungs.

    It is trained on normal patches into which lesions are painted. The models
    `SyntheticLesionModel` and `RepairModel` and the extractor `LesionEncoder` are its three kinds,
    and document the settings.

    See Also
    --------
    SyntheticLesionModel : Returns evidence of a lesion.
    RepairModel : Returns the image without the lesion.
    LesionEncoder : Returns features.
    """

    patch_size: int = attrs.field(default=256, validator=at_least_1())
    shrink: int = attrs.field(default=1, validator=at_least_1())
    channels: tuple[int, ...] = attrs.field(
        default=CHANNELS,
        converter=tuple,
        validator=[
            validators.min_len(5),
            validators.max_len(5),
            validators.deep_iterable(validators.and_(*at_least_1())),
        ],
    )
    epochs: int = attrs.field(default=60, validator=at_least_1())
    patience: int = attrs.field(default=60, validator=at_least_1())
    batch_size: int = attrs.field(default=8, validator=at_least_1())
    learning_rate: float = attrs.field(
        default=3e-3, validator=[validators.instance_of(float), validators.gt(0.0)]
    )

    def __attrs_post_init__(self) -> None:
        if self.patch_size % (32 * self.shrink):
            raise ConfigurationError(
                f"{type(self).__name__}: patch_size must be a multiple of {32 * self.shrink}, that "
                f"is of 32 times shrink (it is halved five times), got {self.patch_size}"
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
            Normal patches of other images; lesions painted into them decide which epoch is best.
        rng : numpy.random.Generator
            Draws the first weights, the order of the patches, lesions and augmentation.
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
        settings = self._training_settings("one-cycle")
        network = self._new_network(seed=int(rng.integers(2**63)))
        painter = LesionPainter(network, self._synthesiser(), settings.device, rng.spawn(1)[0])
        history = train(
            network,
            source,
            loss_of=_PaintedLoss(self, network, painter, settings.device),
            settings=settings,
            rng=rng,
            validation=validation,
            on_epoch=on_epoch,
        )
        self.network_ = network
        return history

    def _loss(self, output: Tensor, painted: PaintedBatch) -> Tensor:
        """Return the mean loss over a batch, given the output of the network for it."""
        raise NotImplementedError

    def _outputs(self, patches: PatchBatch) -> FloatImage:
        """Return the network's output for patches, (N, 1, p/2, p/2) for the shrunk side p.

        It is the mean over the patches and their mirror images.
        """

        def output_of(network: nn.Module, part: PatchBatch, device: torch.device) -> Tensor:
            images = self._network_input(part, device)
            both: Tensor = network(torch.cat([images, images.flip(3)]))
            output, mirrored = both.chunk(2)
            return (output + mirrored.flip(3)) / 2

        return self._run(patches, output_of)

    def _network_input(self, patches: PatchBatch, device: torch.device) -> Tensor:
        small = self._shrunk(patches)
        return network_input(
            patches_to_tensor(small.pixels, device),
            patches_to_tensor(small.lung.astype(np.float32), device),
        )

    def _shrunk(self, patches: PatchBatch) -> PatchBatch:
        if self.shrink == 1:
            return patches
        side = patches.patch_size // self.shrink
        pixels, lung = (
            mean_over_cells(maps, (side, side)) for maps in (patches.pixels, patches.lung)
        )
        return attrs.evolve(patches, pixels=pixels.astype(np.float32), lung=lung >= 0.5)

    def _build(self) -> CompactUNet:
        return CompactUNet(channels_in=3, channels=self.channels)


@attrs.frozen(eq=False)
class _PaintedLoss:
    """The loss of a network over a batch, after lesions were painted into it."""

    model: LesionTrainedNetwork
    network: nn.Module
    painter: LesionPainter
    device: torch.device

    @property
    def generators(self) -> tuple[Generator, ...]:
        return self.painter.generators

    def __call__(self, batch: PatchBatch) -> Tensor:
        painted = self.painter(self.model._shrunk(batch))
        with mixed_precision(self.device):
            output = self.network(network_input(painted.images, painted.lung))
        return self.model._loss(output.float(), painted)


def network_input(images: Tensor, lung: Tensor) -> Tensor:
    """Stack images, their mirror images and their lungs.

    Parameters
    ----------
    images, lung : Tensor, float32, (N, 1, P, P)
        Grey levels; 1 within the lungs, 0 elsewhere.

    Returns
    -------
    Tensor, float32, (N, 3, P, P)

    Examples
    --------
    >>> network_input(torch.rand(2, 1, 32, 32), torch.ones(2, 1, 32, 32)).shape
    torch.Size([2, 3, 32, 32])
    """
    images = standardise(images)
    return torch.cat([images, images.flip(3), 2.0 * lung - 1.0], dim=1)


def lesion_loss(logits: Tensor, alpha: Tensor, lung: Tensor) -> Tensor:
    """Return binary cross-entropy plus 1 - Dice within the lungs, at the logits' resolution.

    Parameters
    ----------
    logits : Tensor, float32, (N, 1, h, w)
    alpha, lung : Tensor, float32, (N, 1, P, P)
        How anomalous each pixel is, in [0, 1]; 1 within the lungs, 0 elsewhere.

    Returns
    -------
    Tensor, float32, ()

    Examples
    --------
    >>> import torch
    >>> alpha = torch.zeros(1, 1, 4, 4)
    >>> alpha[..., :2] = 1.0
    >>> sure = torch.where(alpha > 0, 20.0, -20.0)
    >>> round(lesion_loss(sure, alpha, torch.ones(1, 1, 4, 4)).item(), 6)
    0.0
    """
    shape = logits.shape[2:]
    lung = resize(lung, shape)
    target = resize(alpha, shape) * lung
    entropy = F.binary_cross_entropy_with_logits(logits, target, weight=lung, reduction="sum")
    found = logits.sigmoid() * lung
    total = (found + target).sum((1, 2, 3))
    dice = (2.0 * (found * target).sum((1, 2, 3)) + 1.0) / (total + 1.0)
    return entropy / lung.sum().clamp_min(1.0) + 1.0 - dice.mean()
