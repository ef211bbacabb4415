"""The one training loop."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Sized
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

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
"""Share of all steps that the running mean of the weights looks back on."""


Batch = TypeVar("Batch", bound=Sized)
_Yielded = TypeVar("_Yielded", covariant=True)


class _BatchSource(Protocol[_Yielded]):
    """What is learnt from, batch by batch: of a `PatchSource`, as much as training needs."""

    def __len__(self) -> int:
        """Return the number of examples."""
        ...

    def batches(self, size: int, *, rng: np.random.Generator | None = None) -> Iterator[_Yielded]:
        """Yield every example once, ``size`` at a time; shuffled by ``rng``."""
        ...


def train(
    network: nn.Module,
    source: _BatchSource[Batch],
    *,
    loss_of: Callable[[Batch], Tensor],
    validation: _BatchSource[Batch] | None = None,
    epochs: int,
    patience: int,
    batch_size: int,
    learning_rate: float,
    device: torch.device,
    rng: np.random.Generator,
    on_epoch: EpochCallback | None = None,
    schedule: Schedule = "constant",
) -> TrainingHistory:
    """Train a network by Adam and leave the weights of its best epoch in it.

    The best epoch is that of the lowest validation loss. Without ``validation`` nothing tells
    when to stop: all epochs are run, and the best is that of the lowest training loss. Ctrl-C
    ends the training; the best weights so far are kept, or, within the first epoch, the current
    ones.

    Parameters
    ----------
    network : torch.nn.Module
        Changed in place; moved to ``device`` and left there in evaluation mode.
    source : PatchSource
        Normal patches, shuffled anew for every epoch.
    loss_of : callable
        From a batch, such as a `PatchBatch` of normal patches, to the mean loss over it, a scalar
        on ``device``. The network is in training mode while it learns.
    validation : PatchSource, optional
        Normal patches of other images.
    epochs : int
        At most so many passes over ``source``.
    patience : int
        Stop after so many epochs in a row without a lower validation loss.
    batch_size : int
    learning_rate : float
        Of Adam [1]_, whose other constants are PyTorch's and the source's.
    device : torch.device
    rng : numpy.random.Generator
        Orders the patches.
    on_epoch : callable, optional
        Called as ``on_epoch(epoch, epochs, figures)`` after every epoch.
    schedule : {"constant", "one-cycle"}
        ``one-cycle``: the learning rate rises to ``learning_rate`` over the first twentieth of
        the steps and falls to nothing by a cosine [2]_, with weight decay as AdamW does it, and
        it is the running mean of the weights [3]_ that is validated and kept.

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
    .. [1] D. P. Kingma, J. Ba. Adam: a method for stochastic optimization. ICLR 2015.
       arXiv:1412.6980
    .. [2] L. N. Smith, N. Topin. Super-convergence: very fast training of neural networks using
       large learning rates. 2017. arXiv:1708.07120
    .. [3] B. T. Polyak, A. B. Juditsky. Acceleration of stochastic approximation by averaging.
       SIAM Journal on Control and Optimization 30 (1992); here as an exponential mean.

    Examples
    --------
    >>> from lungpatch.containers import PatchBatch
    >>> from lungpatch.networks.torch_adapter import patches_to_tensor
    >>> from lungpatch.pipeline.patch_store import PatchStore
    >>> rng = np.random.default_rng(0)
    >>> patches = PatchBatch(
    ...     pixels=rng.random((64, 8, 8), dtype=np.float32), corners=np.zeros((64, 2), np.int64),
    ...     lung=np.ones((64, 8, 8), bool), image_shape=(32, 32), image_id="a")
    >>> network = nn.Conv2d(1, 1, 3, padding=1)
    >>> with PatchStore(8) as store:
    ...     store.add(patches)
    ...     def loss_of(batch):
    ...         x = patches_to_tensor(batch.pixels, torch.device("cpu"))
    ...         return (network(x) - x).abs().mean()
    ...     train(network, store, loss_of=loss_of, epochs=2, patience=1, batch_size=16,
    ...           learning_rate=0.01, device=torch.device("cpu"), rng=rng)
    TrainingHistory(2 epochs, best 2, finished, ... s)
    """
    start = time.perf_counter()
    for name, patches in (("training", source), ("validation", validation)):
        if patches is not None and len(patches) == 0:
            raise InsufficientDataError(f"there are no {name} patches: give normal lungs")
    place(network, device)
    optimiser: torch.optim.Optimizer
    rates: torch.optim.lr_scheduler.LRScheduler | None = None
    averaged: AveragedModel | None = None
    if schedule == "constant":
        optimiser = torch.optim.Adam(network.parameters(), lr=learning_rate)
    else:
        optimiser = torch.optim.AdamW(network.parameters(), lr=learning_rate)
        total_steps = epochs * math.ceil(len(source) / batch_size)
        rates = torch.optim.lr_scheduler.OneCycleLR(
            optimiser,
            learning_rate,
            total_steps=total_steps,
            pct_start=0.05,
            cycle_momentum=False,
        )
        averaged = AveragedModel(
            network, avg_fn=_running_mean(MEAN_FRACTION * total_steps), use_buffers=True
        )
    history: list[dict[str, float]] = []
    best_loss, best_epoch = math.inf, None
    best_weights: dict[str, Tensor] | None = None
    stopped: Literal["finished", "early", "interrupted"] = "finished"

    def mean_loss(patches: _BatchSource[Batch], *, learn: bool) -> float:
        network.train(learn)
        # Summed on the device: asking for each batch's loss would make a GPU wait for us.
        total = torch.zeros((), device=device)
        with torch.set_grad_enabled(learn):
            for batch in patches.batches(batch_size, rng=rng if learn else None):
                loss = loss_of(batch)
                if learn:
                    optimiser.zero_grad()
                    loss.backward()  # type: ignore[no-untyped-call]
                    optimiser.step()
                    if rates is not None and averaged is not None:
                        rates.step()
                        averaged.update_parameters(network)
                total += loss.detach() * len(batch)
        return total.item() / len(patches)

    try:
        with reproducible():
            for epoch in range(1, epochs + 1):
                figures = {"train_loss": mean_loss(source, learn=True)}
                current = _copied(network)
                if averaged is not None:
                    network.load_state_dict(averaged.module.state_dict())
                if validation is not None:
                    figures["validation_loss"] = mean_loss(validation, learn=False)
                _check_finite(figures, epoch, epochs, learning_rate)
                judged = figures["train_loss" if validation is None else "validation_loss"]
                history.append(figures)
                if judged < best_loss:
                    weights = _copied(network)
                    # At once, so that Ctrl-C finds either the old best or the new.
                    best_loss, best_epoch, best_weights = judged, epoch, weights
                network.load_state_dict(current)
                if on_epoch is not None:
                    on_epoch(epoch, epochs, figures)
                waited = epoch - (best_epoch or epoch)
                if validation is not None and waited >= patience and epoch < epochs:
                    stopped = "early"
                    break
    except KeyboardInterrupt:
        stopped = "interrupted"
        kept = "the current weights" if best_epoch is None else f"the weights of epoch {best_epoch}"
        logger.warning("training interrupted in epoch %d; kept %s", len(history) + 1, kept)
    if best_weights is not None:
        network.load_state_dict(best_weights)
    network.eval()
    return TrainingHistory(
        epochs=tuple(history),
        best_epoch=best_epoch,
        stopped=stopped,
        seconds=time.perf_counter() - start,
    )


def _running_mean(window: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """Return the update of an exponential mean over a number of steps, or as many as there were."""

    def updated(mean: Tensor, weights: Tensor, steps: Tensor | int) -> Tensor:
        return mean + (weights - mean) / max(1.0, min(int(steps) + 1, window))

    return updated


def _copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def _check_finite(figures: dict[str, float], epoch: int, epochs: int, learning_rate: float) -> None:
    for name, value in figures.items():
        if not math.isfinite(value):
            raise ConfigurationError(
                f"{name} became {value} in epoch {epoch} of {epochs}: lower learning_rate (now "
                f"{learning_rate:g}) or take another loss"
            )
