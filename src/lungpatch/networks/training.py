"""The one training loop, for all networks."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Sized
from typing import TYPE_CHECKING, Generic, Literal, Protocol, Self, TypeVar

import attrs
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from lungpatch.containers import TrainingHistory
from lungpatch.errors import ConfigurationError, InsufficientDataError
from lungpatch.networks.torch_adapter import place, reproducible

if TYPE_CHECKING:
    import numpy as np

    from lungpatch.protocols import EpochCallback

logger = logging.getLogger(__name__)

Schedule = Literal["constant", "one-cycle"]

MEAN_FRACTION = 0.05
"""Fraction of all steps that the running mean of the weights covers."""

WARM_UP_FRACTION = 0.05
"""Fraction of all steps in which the learning rate of a one-cycle schedule rises."""

Batch = TypeVar("Batch", bound=Sized)
_Yielded = TypeVar("_Yielded", covariant=True)


class _BatchSource(Protocol[_Yielded]):
    """What a network is trained on, batch by batch: as much of a `PatchSource` as that needs."""

    def __len__(self) -> int:
        """Return the number of examples."""
        ...

    def batches(self, size: int, *, rng: np.random.Generator | None = None) -> Iterator[_Yielded]:
        """Yield every example once, ``size`` at a time; shuffled by ``rng``."""
        ...


@attrs.frozen(kw_only=True)
class TrainingSettings:
    """How long, in which steps and where a network is trained.

    Parameters
    ----------
    epochs : int
        Maximum number of passes over the training patches.
    patience : int
        Training stops after this many epochs in a row without a lower validation loss.
    batch_size : int
        Number of patches per step.
    learning_rate : float
        Of Adam; the highest one of a one-cycle schedule.
    device : torch.device
    schedule : {"constant", "one-cycle"}
        ``one-cycle``: the learning rate rises to ``learning_rate`` over the first twentieth of
        the steps and falls to zero along a cosine, weight decay is that of AdamW, and the running
        mean of the weights is what is validated and kept.

    Examples
    --------
    >>> TrainingSettings(epochs=2, patience=1, batch_size=16, learning_rate=0.01,
    ...                  device=torch.device("cpu")).schedule
    'constant'
    """

    epochs: int
    patience: int
    batch_size: int
    learning_rate: float
    device: torch.device
    schedule: Schedule = "constant"


def train(
    network: nn.Module,
    source: _BatchSource[Batch],
    *,
    loss_of: Callable[[Batch], Tensor],
    settings: TrainingSettings,
    rng: np.random.Generator,
    validation: _BatchSource[Batch] | None = None,
    on_epoch: EpochCallback | None = None,
) -> TrainingHistory:
    """Train a network with Adam and leave the weights of its best epoch in it.

    The best epoch is the one of the lowest validation loss. Without ``validation`` there is no
    early stopping: all epochs are run, and the best is the one of the lowest training loss. Ctrl-C
    ends the training; the best weights so far are kept or, within the first epoch, the current
    ones.

    Parameters
    ----------
    network : torch.nn.Module
        Changed in place; moved to the device and left there in evaluation mode.
    source : PatchSource
        Normal patches, shuffled anew in every epoch.
    loss_of : callable
        Takes a batch, such as a `PatchBatch` of normal patches, and returns the mean loss over it,
        a scalar on the device. The network is in training mode while its weights are updated.
    settings : TrainingSettings
        Adam is that of [1]_ with PyTorch's defaults, the one-cycle schedule that of [2]_, and the
        running mean of the weights an exponential form of [3]_.
    rng : numpy.random.Generator
        Orders the patches.
    validation : PatchSource, optional
        Normal patches of other images.
    on_epoch : callable, optional
        Called as ``on_epoch(epoch, epochs, metrics)`` after every epoch.

    Returns
    -------
    TrainingHistory
        With ``train_loss`` (averaged while the weights changed) and ``validation_loss`` of each
        epoch.

    Raises
    ------
    InsufficientDataError
        If ``source`` or ``validation`` holds no patch.
    ConfigurationError
        If a loss becomes NaN or infinite.

    References
    ----------
    .. [1] D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.
       arXiv:1412.6980
    .. [2] L. N. Smith, N. Topin, "Super-convergence: very fast training of neural networks using
       large learning rates", 2017. arXiv:1708.07120
    .. [3] B. T. Polyak, A. B. Juditsky, "Acceleration of stochastic approximation by averaging",
       SIAM Journal on Control and Optimization 30, 1992.

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch.containers import PatchBatch
    >>> from lungpatch.networks.torch_adapter import patches_to_tensor
    >>> from lungpatch.pipeline import PatchStore
    >>> cpu, rng = torch.device("cpu"), np.random.default_rng(0)
    >>> patches = PatchBatch(
    ...     pixels=rng.random((64, 8, 8), dtype=np.float32), corners=np.zeros((64, 2), np.int64),
    ...     lung=np.ones((64, 8, 8), bool), image_shape=(32, 32), image_id="a")
    >>> network = nn.Conv2d(1, 1, 3, padding=1)
    >>> def loss_of(batch):
    ...     x = patches_to_tensor(batch.pixels, cpu)
    ...     return (network(x) - x).abs().mean()
    >>> settings = TrainingSettings(
    ...     epochs=2, patience=1, batch_size=16, learning_rate=0.01, device=cpu)
    >>> with PatchStore(8) as store:
    ...     store.add(patches)
    ...     train(network, store, loss_of=loss_of, settings=settings, rng=rng)
    TrainingHistory(2 epochs, best 2, finished, ... s)
    """
    start = time.perf_counter()
    for name, patches in (("training", source), ("validation", validation)):
        if patches is not None and len(patches) == 0:
            raise InsufficientDataError(f"there are no {name} patches: give normal lungs")
    place(network, settings.device)
    loop = _Loop(network, loss_of, settings, rng, len(source))
    best = _Best()
    history: list[dict[str, float]] = []
    stopped: Literal["finished", "early", "interrupted"] = "finished"
    try:
        with reproducible(settings.device):
            for epoch in range(1, settings.epochs + 1):
                metrics = {"train_loss": loop.train_epoch(source)}
                current = _copied(network)
                loop.load_averaged_weights()
                if validation is not None:
                    metrics["validation_loss"] = loop.validate(validation)
                _check_finite(metrics, epoch, settings)
                history.append(metrics)
                # One assignment, so that Ctrl-C finds either the old best or the new one.
                best = best.or_better(epoch, metrics, network)
                network.load_state_dict(current)
                if on_epoch is not None:
                    on_epoch(epoch, settings.epochs, metrics)
                if validation is not None and epoch < settings.epochs:
                    if epoch - (best.epoch or epoch) >= settings.patience:
                        stopped = "early"
                        break
    except KeyboardInterrupt:
        stopped = "interrupted"
        kept = "the current weights" if best.epoch is None else f"the weights of epoch {best.epoch}"
        logger.warning("training interrupted in epoch %d; kept %s", len(history) + 1, kept)
    if best.weights is not None:
        network.load_state_dict(best.weights)
    network.eval()
    return TrainingHistory(
        epochs=tuple(history),
        best_epoch=best.epoch,
        stopped=stopped,
        seconds=time.perf_counter() - start,
    )


class _Loop(Generic[Batch]):
    """The passes over the patches, and the optimiser that they share."""

    def __init__(
        self,
        network: nn.Module,
        loss_of: Callable[[Batch], Tensor],
        settings: TrainingSettings,
        rng: np.random.Generator,
        n_patches: int,
    ) -> None:
        self.network, self.loss_of, self.settings, self.rng = network, loss_of, settings, rng
        self.optimiser: torch.optim.Optimizer
        self.rates: torch.optim.lr_scheduler.LRScheduler | None = None
        self.averaged: AveragedModel | None = None
        if settings.schedule == "constant":
            self.optimiser = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
            return
        total_steps = settings.epochs * math.ceil(n_patches / settings.batch_size)
        self.optimiser = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate)
        self.rates = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser,
            settings.learning_rate,
            total_steps=total_steps,
            pct_start=WARM_UP_FRACTION,
            cycle_momentum=False,
        )
        self.averaged = AveragedModel(
            network, avg_fn=_running_mean(MEAN_FRACTION * total_steps), use_buffers=True
        )

    def train_epoch(self, patches: _BatchSource[Batch]) -> float:
        """Update the weights on every batch once; return the mean loss on the way."""
        self.network.train()
        with torch.enable_grad():
            return self._mean_loss(patches, rng=self.rng, after=self._step)

    def validate(self, patches: _BatchSource[Batch]) -> float:
        """Return the mean loss."""
        self.network.eval()
        with torch.no_grad():
            return self._mean_loss(patches)

    def load_averaged_weights(self) -> None:
        """Put the running mean of the weights, where there is one, into the network."""
        if self.averaged is not None:
            self.network.load_state_dict(self.averaged.module.state_dict())

    def _mean_loss(
        self,
        patches: _BatchSource[Batch],
        *,
        rng: np.random.Generator | None = None,
        after: Callable[[Tensor], None] = lambda loss: None,
    ) -> float:
        # Summed on the device: asking for the loss of each batch would make a GPU wait.
        total = torch.zeros((), device=self.settings.device)
        for batch in patches.batches(self.settings.batch_size, rng=rng):
            loss = self.loss_of(batch)
            after(loss)
            total += loss.detach() * len(batch)
        return total.item() / len(patches)

    def _step(self, loss: Tensor) -> None:
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        if self.rates is not None and self.averaged is not None:
            self.rates.step()
            self.averaged.update_parameters(self.network)


@attrs.frozen
class _Best:
    """The epoch of the lowest loss so far, and its weights."""

    loss: float = math.inf
    epoch: int | None = None
    weights: dict[str, Tensor] | None = None

    def or_better(self, epoch: int, metrics: dict[str, float], network: nn.Module) -> Self:
        """Return this epoch, with the weights in the network, if its loss is lower."""
        loss = metrics.get("validation_loss", metrics["train_loss"])
        return type(self)(loss, epoch, _copied(network)) if loss < self.loss else self


def _running_mean(window: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """Return the update of an exponential mean over ``window`` steps, or the steps so far."""

    def updated(mean: Tensor, weights: Tensor, steps: Tensor | int) -> Tensor:
        return mean + (weights - mean) / max(1.0, min(int(steps) + 1, window))

    return updated


def _copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def _check_finite(metrics: dict[str, float], epoch: int, settings: TrainingSettings) -> None:
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise ConfigurationError(
                f"{name} became {value} in epoch {epoch} of {settings.epochs}: lower learning_rate "
                f"(now {settings.learning_rate:g}) or take another loss"
            )
