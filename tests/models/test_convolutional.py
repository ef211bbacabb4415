import attrs
import numpy as np
import pytest
import torch
from torch import nn

from lungpatch._utils.devices import CPU_CHUNK_PIXELS
from lungpatch.containers import PatchBatch
from lungpatch.errors import ConfigurationError, InsufficientDataError, NotFittedError
from lungpatch.models.autoencoder import Autoencoder
from lungpatch.models.convolutional import PatchNetwork
from lungpatch.models.unet import UNet
from lungpatch.networks.losses import LOSSES
from lungpatch.pipeline.patch_store import PatchStore
from lungpatch.protocols import ReconstructionModel

KINDS = (UNet, Autoencoder)


def _patches(count, *, side=16, seed=0):
    """Patches of smooth waves."""
    rng = np.random.default_rng(seed)
    places = np.arange(side) / side
    rows, columns, phase = rng.uniform(0, 4, (3, count, 1, 1))
    waves = np.sin(rows * places[:, None] + columns * places + phase)
    return PatchBatch(
        pixels=(0.5 + 0.3 * waves).astype(np.float32),
        corners=np.zeros((count, 2), np.int64),
        lung=np.ones((count, side, side), bool),
        image_shape=(64, 64),
        image_id="waves",
    )


def _fit(model, *, count=96, rng_seed=0, validate=True, **options):
    with PatchStore(model.patch_size) as source, PatchStore(model.patch_size) as validation:
        source.add(_patches(count, side=model.patch_size, seed=1))
        validation.add(_patches(24, side=model.patch_size, seed=2))
        return model.fit(
            source,
            validation=validation if validate else None,
            rng=np.random.default_rng(rng_seed),
            **options,
        )


def _small(kind, **changed):
    settings = {
        "patch_size": 16,
        "base_channels": 4,
        "epochs": 2,
        "batch_size": 16,
        "device": "cpu",
    }
    return kind(**settings | changed)


@pytest.fixture(scope="module", params=KINDS)
def fitted(request):
    model = _small(request.param)
    _fit(model)
    return model


@pytest.mark.parametrize("skips", [True, False])
def test_the_network_is_that_of_figure_6(skips):
    network = PatchNetwork(base_channels=16, skips=skips, output="sigmoid")
    shapes = []
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    for layer in convolutions:
        layer.register_forward_hook(lambda _, i, o: shapes.append((i[0].shape[1], *o.shape[1:3])))
    assert network(torch.zeros(1, 1, 32, 32)).shape == (1, 1, 32, 32)
    joined = 2 if skips else 1
    # (channels in, channels out, size), from the input to the output.
    assert shapes == [
        (1, 16, 32),
        (16, 16, 32),
        (16, 32, 16),
        (32, 32, 16),
        (32, 64, 8),
        (64, 64, 8),
        (64, 32, 16),
        (joined * 32, 32, 16),
        (32, 16, 32),
        (joined * 16, 16, 32),
        (16, 1, 32),
    ]
    for layer in convolutions:
        assert layer.kernel_size == (3, 3)
        assert layer.padding == (1, 1)
        assert layer.padding_mode == "zeros"


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_to_reconstruct(kind):
    model = _small(kind, epochs=12, learning_rate=3e-3)
    history = _fit(model)
    losses = [figures["validation_loss"] for figures in history.epochs]
    assert losses[-1] < 0.25 * losses[0]
    new = _patches(40, seed=3)
    result = model.reconstruct(new)
    np.testing.assert_array_equal(result.target[:, 0], new.pixels)
    # Far better than the mean patch does.
    error = np.abs(result.expected - result.target).mean()
    assert error < 0.5 * np.abs(new.pixels - new.pixels.mean(axis=0)).mean()


def test_printed_dice_brightens_everything_and_squared_dice_does_not():
    new = _patches(40, seed=3)
    brightness = {}
    for loss in ("dice", "squared-dice"):
        model = _small(UNet, loss=loss, epochs=8, learning_rate=3e-3)
        _fit(model)
        brightness[loss] = model.reconstruct(new).expected.mean()
    assert brightness["dice"] > 0.9
    assert brightness["squared-dice"] == pytest.approx(new.pixels.mean(), abs=0.1)


def _loss_of(model, patches):
    result = model.reconstruct(patches)
    both = (torch.from_numpy(array.copy()) for array in (result.expected, result.target))
    return LOSSES[model.loss](*both).item()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("output", ["sigmoid", "linear"])
def test_training_lowers_the_loss_that_was_asked_for(loss, output):
    model = _small(UNet, loss=loss, output=output, epochs=6, learning_rate=3e-3)
    new = _patches(40, seed=3)
    model.network_ = model._new_network(seed=0)
    untrained = _loss_of(model, new)
    history = _fit(model)
    trained = _loss_of(model, new)
    # What is reported for other patches of the same kind is the same loss.
    assert history.epochs[history.best_epoch - 1]["validation_loss"] == pytest.approx(
        trained, abs=0.1
    )
    # The printed Dice loss of a perfect reconstruction is not 0 but that of white patches.
    target = torch.from_numpy(new.pixels[:, None].copy())
    least = LOSSES[loss](torch.ones_like(target), target).item()
    best = least if loss == "dice" else 0.0
    assert trained - best < 0.5 * (untrained - best)


@pytest.mark.parametrize("side", [4, 12, 20])
def test_any_multiple_of_4_will_do(side):
    model = _small(UNet, patch_size=side, epochs=1)
    _fit(model, count=16)
    assert model.reconstruct(_patches(3, side=side)).expected.shape == (3, 1, side, side)


def test_order_is_kept_across_chunks(fitted):
    chunk = CPU_CHUNK_PIXELS // 16**2
    many = _patches(chunk + 5, seed=4)
    expected = fitted.reconstruct(many).expected
    assert expected.dtype == np.float32
    for index in (0, chunk - 1, chunk, chunk + 4):
        alone = fitted.reconstruct(many[index : index + 1]).expected[0]
        np.testing.assert_allclose(expected[index], alone, atol=1e-5)


def test_no_patches_is_no_problem(fitted):
    result = fitted.reconstruct(_patches(1)[:0])
    assert result.target.shape == result.expected.shape == (0, 1, 16, 16)


def test_strided_patches_give_the_same(fitted):
    image = np.random.default_rng(0).random((64, 64), dtype=np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(image, (16, 16))[::16, ::16]
    views = attrs.evolve(_patches(16), pixels=windows.reshape(-1, 16, 16).transpose(0, 2, 1))
    copies = attrs.evolve(views, pixels=np.ascontiguousarray(views.pixels))
    np.testing.assert_array_equal(
        fitted.reconstruct(views).expected, fitted.reconstruct(copies).expected
    )


def test_sigmoid_output_lies_between_black_and_white(fitted):
    expected = fitted.reconstruct(_patches(20)).expected
    assert expected.min() >= 0
    assert expected.max() <= 1


def test_same_seed_same_result_whatever_torchs_global_state():
    states = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        model = _small(UNet)
        history = _fit(model)
        states.append((model.state(), history.epochs))
    (one, one_epochs), (other, other_epochs) = states
    assert one_epochs == other_epochs
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])
    third = _small(UNet)
    _fit(third, rng_seed=5)
    assert any(not np.array_equal(one[name], third.state()[name]) for name in one)


def test_torchs_and_numpys_global_state_are_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - it is the global state we look at
    model = _small(UNet, epochs=1)
    _fit(model)
    model.load_state(model.state())
    model.reconstruct(_patches(3))
    assert torch.equal(torch.rand(4), expected)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_a_loaded_state_gives_equal_bits(fitted):
    patches = _patches(70, seed=6)
    other = attrs.evolve(fitted)
    assert other.network_ is None
    # As after safetensors: arrays of their own, read-only, in another order.
    state = {name: array.copy() for name, array in reversed(fitted.state().items())}
    for array in state.values():
        array.flags.writeable = False
        assert array.dtype == np.float32
        assert array.flags.c_contiguous
    other.load_state(state)
    np.testing.assert_array_equal(
        other.reconstruct(patches).expected, fitted.reconstruct(patches).expected
    )


def test_a_state_is_a_copy(fitted):
    before = fitted.reconstruct(_patches(2)).expected
    state = fitted.state()
    for array in state.values():
        array[...] = 0
    np.testing.assert_array_equal(fitted.reconstruct(_patches(2)).expected, before)


def test_a_state_that_does_not_fit_changes_nothing(fitted):
    before = fitted.reconstruct(_patches(2)).expected
    good = fitted.state()
    first = "head.weight"
    lacking = {name: array for name, array in good.items() if name != first}
    for bad, message in [
        (lacking, "'head.weight' is missing"),
        (good | {"surplus": np.zeros(1)}, "'surplus' is unknown"),
        (good | {first: good[first][:, :2]}, r"'head.weight' is float32 \(1, 2, 3, 3\), not"),
        (good | {first: good[first].astype(np.float64)}, "'head.weight' is float64"),
        ({}, "and 19 more"),
    ]:
        with pytest.raises(ConfigurationError, match=message):
            fitted.load_state({name: np.zeros_like(a) for name, a in bad.items()})
    np.testing.assert_array_equal(fitted.reconstruct(_patches(2)).expected, before)


def test_the_two_kinds_do_not_load_each_other(fitted):
    other = _small(Autoencoder if isinstance(fitted, UNet) else UNet)
    with pytest.raises(ConfigurationError, match="does not fit"):
        other.load_state(fitted.state())


@pytest.mark.parametrize("kind", KINDS)
def test_use_before_fit_names_the_call_to_make(kind):
    model = _small(kind)
    assert isinstance(model, ReconstructionModel)
    with pytest.raises(NotFittedError, match=f"{kind.__name__} is not fitted: call fit"):
        model.reconstruct(_patches(1))
    with pytest.raises(NotFittedError, match="call fit"):
        model.state()


def test_patches_of_another_size_are_refused(fitted):
    with pytest.raises(ConfigurationError, match="takes patches of 16 pixels, got 8"):
        fitted.reconstruct(_patches(1, side=8))
    with PatchStore(8) as store, pytest.raises(ConfigurationError, match="of 16 pixels, got 8"):
        _small(UNet).fit(store, rng=np.random.default_rng(0))


def test_no_training_patches_is_an_error_and_leaves_the_model_unfitted():
    model = _small(UNet)
    with PatchStore(16) as store, pytest.raises(InsufficientDataError):
        model.fit(store, rng=np.random.default_rng(0))
    assert model.network_ is None


def test_a_diverging_loss_is_an_error():
    model = _small(UNet, loss="l2", output="linear", learning_rate=1e30)
    with pytest.raises(ConfigurationError, match="lower learning_rate"):
        _fit(model, count=32)


def test_ctrl_c_leaves_a_usable_model():
    model = _small(UNet, epochs=9)

    def stop(*_):
        raise KeyboardInterrupt

    history = _fit(model, on_epoch=stop)
    assert (history.stopped, history.best_epoch) == ("interrupted", 1)
    assert len(model.reconstruct(_patches(3))) == 3


def test_without_validation_it_trains_on():
    history = _fit(_small(UNet), validate=False)
    assert len(history.epochs) == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patch_size": 30}, "multiple of 4"),
        ({"patch_size": 0}, "multiple of 4"),
        ({"patch_size": 32.0}, "int"),
        ({"base_channels": 0}, ">= 1"),
        ({"loss": "squared"}, "did you mean 'squared-dice'"),
        ({"loss": "ssim", "patch_size": 8}, "at least 11, got 8"),
        ({"epochs": 0}, ">= 1"),
        ({"patience": 0}, ">= 1"),
        ({"batch_size": 0}, ">= 1"),
        ({"learning_rate": 0.0}, "> 0"),
        ({"device": "gpu"}, "'auto', 'cpu', 'cuda', 'mps'"),
        ({"output": "tanh"}, "'sigmoid', 'linear'"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises((TypeError, ValueError), match=message):
        UNet(**settings)


def test_an_absent_device_is_an_error_when_it_is_needed(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigurationError, match="no 'cuda' here"):
        _fit(_small(UNet, device="cuda"))
