import numpy as np
import pytest
import torch
from torch import nn

from lungpatch._utils.devices import choose_device
from lungpatch.containers import PatchBatch
from lungpatch.errors import ConfigurationError, InsufficientDataError
from lungpatch.networks.training import TrainingSettings, train
from lungpatch.pipeline.patch_store import PatchStore

CPU = torch.device("cpu")


def _store(count, *, level=None, seed=0):
    """Patches of noise, or of one grey level."""
    store = PatchStore(4)
    pixels = np.random.default_rng(seed).random((count, 4, 4), dtype=np.float32)
    if level is not None:
        pixels[:] = level
    store.add(
        PatchBatch(
            pixels=pixels,
            corners=np.zeros((count, 2), np.int64),
            lung=np.ones((count, 4, 4), bool),
            image_shape=(8, 8),
            image_id="image",
        )
    )
    return store


class _Level(nn.Module):
    """Is trained to one grey level."""

    def __init__(self, start=0.0):
        super().__init__()
        self.level = nn.Parameter(torch.tensor(start))


def _loss(network, batch):
    return (torch.tensor(batch.pixels) - network.level).square().mean()


def _train(network, source, *, loss_of=None, validation=None, on_epoch=None, **changed):
    settings = {"epochs": 5, "patience": 2, "batch_size": 8, "learning_rate": 0.01, "device": CPU}
    return train(
        network,
        source,
        loss_of=loss_of or (lambda batch: _loss(network, batch)),
        settings=TrainingSettings(**settings | changed),
        rng=np.random.default_rng(0),
        validation=validation,
        on_epoch=on_epoch,
    )


def test_the_best_epoch_is_kept():
    network = _Level()
    with _store(80, level=0.5) as source, _store(8, level=0.5) as validation:
        history = _train(network, source, validation=validation, epochs=40, patience=40)
    assert history.stopped == "finished"
    assert len(history.epochs) == 40
    losses = [figures["validation_loss"] for figures in history.epochs]
    assert history.best_epoch == 1 + int(np.argmin(losses))
    # The weights are those of that epoch.
    assert (network.level.item() - 0.5) ** 2 == pytest.approx(min(losses), rel=1e-3, abs=1e-9)
    assert network.level.item() == pytest.approx(0.5, abs=0.01)
    assert not network.training


def test_it_stops_early_and_goes_back_to_the_best_weights():
    # The validation patches' level is passed on the way to that of the training patches.
    network = _Level()
    seen = []
    with _store(80, level=0.8) as source, _store(8, level=0.3) as validation:
        history = _train(
            network,
            source,
            validation=validation,
            epochs=50,
            patience=3,
            on_epoch=lambda *_: seen.append(network.level.item()),
        )
    assert history.stopped == "early"
    assert len(history.epochs) == history.best_epoch + 3
    assert network.level.item() == seen[history.best_epoch - 1]


def test_without_validation_all_epochs_run_and_the_lowest_training_loss_decides():
    network = _Level()
    factors = [3.0, 2.0, 1.0, 5.0, 4.0]
    levels = []

    def loss_of(batch):
        return _loss(network, batch) * factors[len(levels)]

    with _store(8, level=0.5) as source:
        history = _train(
            network,
            source,
            loss_of=loss_of,
            patience=1,
            on_epoch=lambda *_: levels.append(network.level.item()),
        )
    assert history.stopped == "finished"
    assert all(set(figures) == {"train_loss"} for figures in history.epochs)
    assert (len(history.epochs), history.best_epoch) == (5, 3)
    assert network.level.item() == levels[2]


def test_losses_weigh_every_patch_alike():
    # 8 + 2 patches: a mean over batches would weigh the last two four times too much.
    network = _Level()
    with _store(10, seed=1) as source:
        pixels = next(source.batches(10)).pixels
        history = _train(network, source, epochs=1, learning_rate=1e-12)
    assert history.epochs[0]["train_loss"] == pytest.approx(np.mean(pixels**2), rel=1e-5)


def test_every_epoch_is_reported():
    calls = []
    with _store(8) as source, _store(8) as validation:
        history = _train(
            _Level(),
            source,
            validation=validation,
            epochs=3,
            patience=3,
            on_epoch=lambda *call: calls.append(call),
        )
    assert [call[:2] for call in calls] == [(1, 3), (2, 3), (3, 3)]
    assert [dict(call[2]) for call in calls] == list(history.epochs)
    assert set(history.epochs[0]) == {"train_loss", "validation_loss"}


def test_ctrl_c_keeps_the_best_weights_so_far():
    network = _Level()
    levels = []

    def stop(epoch, _epochs, _figures):
        levels.append(network.level.item())
        if epoch == 3:
            raise KeyboardInterrupt

    with _store(80, level=0.8) as source, _store(8, level=0.1) as validation:
        history = _train(
            network, source, validation=validation, epochs=9, patience=9, on_epoch=stop
        )
    assert history.stopped == "interrupted"
    assert len(history.epochs) == 3
    assert history.best_epoch == 1
    assert network.level.item() == levels[0] != levels[2]
    assert not network.training


def test_ctrl_c_within_an_epoch_keeps_the_best_weights_so_far():
    network = _Level()
    levels = []
    steps = 0

    def loss_of(batch):
        nonlocal steps
        steps += 1
        if steps == 15:  # in the second epoch of ten steps
            raise KeyboardInterrupt
        return _loss(network, batch)

    with _store(80, level=0.8) as source:
        history = _train(
            network,
            source,
            loss_of=loss_of,
            on_epoch=lambda *_: levels.append(network.level.item()),
        )
    assert (history.stopped, history.best_epoch, len(history.epochs)) == ("interrupted", 1, 1)
    assert network.level.item() == levels[0]


def test_ctrl_c_in_the_first_epoch_keeps_the_current_weights():
    network = _Level()
    steps = 0

    def loss_of(batch):
        nonlocal steps
        steps += 1
        if steps == 5:
            raise KeyboardInterrupt
        return _loss(network, batch)

    with _store(80, level=0.8) as source:
        history = _train(network, source, loss_of=loss_of)
    assert (history.stopped, history.best_epoch, history.epochs) == ("interrupted", None, ())
    assert network.level.item() > 0


def test_a_nan_loss_says_when_and_what_to_try():
    network = _Level()
    epoch = 1

    def count(*_):
        nonlocal epoch
        epoch += 1

    def loss_of(batch):
        return _loss(network, batch) * (float("nan") if epoch == 2 else 1)

    with (
        _store(16) as source,
        pytest.raises(ConfigurationError, match=r"nan in epoch 2 of 5: lower learning_rate .*0.01"),
    ):
        _train(network, source, loss_of=loss_of, on_epoch=count)


def test_no_patches_is_an_error():
    with _store(0) as nothing, _store(8) as some:
        with pytest.raises(InsufficientDataError, match="no training patches"):
            _train(_Level(), nothing)
        with pytest.raises(InsufficientDataError, match="no validation patches"):
            _train(_Level(), some, validation=nothing)


@pytest.mark.parametrize(
    ("cuda", "mps", "chosen"),
    [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_is_the_fastest_device_there_is(monkeypatch, cuda, mps, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert choose_device("auto").type == chosen
    assert choose_device("cpu").type == "cpu"


def test_an_absent_device_says_what_there_is(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(ConfigurationError, match="no 'cuda' here, only mps, cpu"):
        choose_device("cuda")
