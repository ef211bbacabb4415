"""The one training loop, for all networks."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Sized
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, Self, TypeVar

import attrs
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from lungpatch.containers import TrainingHistory
from lungpatch.errors import ConfigurationError, InsufficientDataError
from lungpatch.networks.checkpoints import Checkpoint, CheckpointFile, next_checkpoint_file
from lungpatch.networks.torch_adapter import place, reproducible

if TYPE_CHECKING:
    from lungpatch.protocols import EpochCallback

logger = logging.getLogger(__name__)

Schedule = Literal["constant", "one-cycle"]

MEAN_FRACTION = 0.05
"""Fraction of all steps that the running mean of the weights covers."""

WARM_UP_FRACTION = 0.05
"""Fraction of all steps in which the learning rate of a one-cycle schedule rises."""

Generator = np.random.Generator | torch.Generator

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
        a scalar on the device. The network is in training mode while its weights are updated. If
        it draws random numbers, its attribute ``generators`` lists what it draws from, for
        checkpoints.
    settings : TrainingSettings
        Adam is that of [1]_ with PyTorch's defaults, the one-cycle schedule that of [2]_, and the
        running mean of the weights an exponential form of [3]_.
    rng : numpy.random.Generator
        Orders the patches. A ``loss_of`` that draws at random has to draw from it too, so that a
        checkpoint holds all randomness.
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
    start, epochs = time.perf_counter(), settings.epochs
    for name, patches in (("training", source), ("validation", validation)):
        if patches is not None and len(patches) == 0:
            raise InsufficientDataError(f"there are no {name} patches: give normal lungs")
    place(network, settings.device)
    loop = _Loop(network, loss_of, settings, rng, len(source))
    file = next_checkpoint_file()
    progress = _restored(file, loop) or _Progress()
    try:
        with reproducible(settings.device):
            while progress.stopped is None:
                epoch = len(progress.history) + 1
                metrics = {"train_loss": loop.train_epoch(source)}
                current = _copied(network)
                loop.load_averaged_weights()
                if validation is not None:
                    metrics["validation_loss"] = loop.validate(validation)
                _check_finite(metrics, epoch, settings)
                # One assignment, so that Ctrl-C finds either the old state or the new one.
                progress = progress.after(metrics, network, settings, validation is not None)
                network.load_state_dict(current)
                if file.is_due or progress.stopped is not None:
                    file.write(_checkpoint(progress, loop))
                if on_epoch is not None:
                    on_epoch(epoch, epochs, metrics)
    except KeyboardInterrupt:
        best = progress.best.epoch
        kept = "the current weights" if best is None else f"the weights of epoch {best}"
        logger.warning("training interrupted in epoch %d; kept %s", len(progress.history) + 1, kept)
    if progress.best.weights is not None:
        network.load_state_dict(progress.best.weights)
    network.eval()
    return TrainingHistory(
        epochs=progress.history,
        best_epoch=progress.best.epoch,
        stopped=progress.stopped or "interrupted",
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
        self.generators: tuple[Generator, ...] = (rng, *getattr(loss_of, "generators", ()))
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
            return self._mean_loss(patches, rng=self.rng, step=self._step)

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
        step: Callable[[Tensor], None] | None = None,
    ) -> float:
        # Summed on the device: asking for the loss of each batch would make a GPU wait.
        total = torch.zeros((), device=self.settings.device)
        for batch in patches.batches(self.settings.batch_size, rng=rng):
            loss = self.loss_of(batch)
            if step is not None:
                step(loss)
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


@attrs.frozen
class _Progress:
    """How far a training is: its epochs so far, the best of them, and why it ended."""

    history: tuple[dict[str, float], ...] = ()
    best: _Best = attrs.field(factory=_Best)
    stopped: Literal["finished", "early"] | None = None

    def after(
        self,
        metrics: dict[str, float],
        network: nn.Module,
        settings: TrainingSettings,
        stops_early: bool,
    ) -> _Progress:
        """Return the progress after one more epoch, with the weights to keep in the network."""
        epoch = len(self.history) + 1
        best = self.best.or_better(epoch, metrics, network)
        stopped: Literal["finished", "early"] | None = None
        if epoch == settings.epochs:
            stopped = "finished"
        elif stops_early and epoch - (best.epoch or epoch) >= settings.patience:
            stopped = "early"
        return _Progress((*self.history, metrics), best, stopped)


def _checkpoint(progress: _Progress, loop: _Loop[Batch]) -> Checkpoint:
    tensors = {f"network.{name}": tensor for name, tensor in loop.network.state_dict().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in (progress.best.weights or {}).items()}
    optimiser = loop.optimiser.state_dict()
    for index, state in optimiser["state"].items():
        tensors |= {f"optimiser.{index}.{name}": tensor for name, tensor in state.items()}
    if loop.averaged is not None:
        averaged = loop.averaged.state_dict()
        tensors |= {f"averaged.{name}": tensor for name, tensor in averaged.items()}
    states = [_generator_state(generator) for generator in loop.generators]
    tensors |= {f"generator.{i}": s for i, s in enumerate(states) if isinstance(s, Tensor)}
    return Checkpoint(
        tensors=tensors,
        values={
            "history": list(progress.history),
            "best_loss": progress.best.loss,
            "best_epoch": progress.best.epoch,
            "stopped": progress.stopped,
            "groups": optimiser["param_groups"],
            "rates": None if loop.rates is None else loop.rates.state_dict(),
            "generators": [None if isinstance(s, Tensor) else s for s in states],
        },
    )


def _generator_state(generator: Generator) -> Tensor | dict[str, Any]:
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    return dict(generator.bit_generator.state)


def _restored(file: CheckpointFile, loop: _Loop[Batch]) -> _Progress | None:
    """Put a checkpoint, if there is one, into the loop; return the progress that it holds."""
    checkpoint = file.read()
    if checkpoint is None:
        return None
    values = checkpoint.values

    def part(name: str) -> dict[str, Tensor]:
        start = f"{name}."
        device = loop.settings.device
        return {
            key.removeprefix(start): tensor.to(device)
            for key, tensor in checkpoint.tensors.items()
            if key.startswith(start)
        }

    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in part("optimiser").items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = tensor
    loop.network.load_state_dict(part("network"))
    loop.optimiser.load_state_dict({"state": state, "param_groups": values["groups"]})
    if loop.rates is not None and loop.averaged is not None:
        loop.rates.load_state_dict(values["rates"])
        loop.averaged.load_state_dict(part("averaged"))
    for number, generator in enumerate(loop.generators):
        if isinstance(generator, torch.Generator):
            generator.set_state(checkpoint.tensors[f"generator.{number}"])
        else:
            generator.bit_generator.state = values["generators"][number]
    weights = None if values["best_epoch"] is None else part("best")
    best = _Best(values["best_loss"], values["best_epoch"], weights)
    return _Progress(tuple(values["history"]), best, values["stopped"])


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
