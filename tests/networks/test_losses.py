import attrs
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.metrics import structural_similarity

from lungpatch.errors import ConfigurationError
from lungpatch.networks.losses import LOSSES, check_loss_name, dice, l1, l2, squared_dice, ssim

greys = st.floats(0.05, 1)
patches = hnp.arrays(np.float64, (2, 1, 4, 4), elements=greys)


def _random(count=3, side=16, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 1, side, side, generator=generator, dtype=dtype)


def _constant(value, count=1, side=4):
    return torch.full((count, 1, side, side), value, dtype=torch.float64)


def test_values_by_hand():
    target, expected = _constant(0.5), _constant(0.25)
    # 2 * 16 * 0.125 / (16 * 0.75) = 1/3 and 2 * 0.125 / (0.25 + 0.0625) = 0.8
    assert dice(expected, target).item() == pytest.approx(-np.log(1 / 3), abs=1e-6)
    assert squared_dice(expected, target).item() == pytest.approx(-np.log(0.8), abs=1e-6)
    assert l1(expected, target).item() == pytest.approx(0.25)
    assert l2(expected, target).item() == pytest.approx(0.0625)
    # Constant patches have no variance, so SSIM is its luminance term.
    big_target, big_expected = _constant(0.5, side=11), _constant(0.25, side=11)
    luminance = (2 * 0.5 * 0.25 + 0.01**2) / (0.25 + 0.0625 + 0.01**2)
    assert ssim(big_expected, big_target).item() == pytest.approx(1 - luminance)


@given(target=patches, expected=patches)
def test_plain_losses_equal_numpy_and_are_symmetric(target, expected):
    both = torch.from_numpy(expected), torch.from_numpy(target)
    assert l1(*both).item() == pytest.approx(np.abs(expected - target).mean())
    assert l2(*both).item() == pytest.approx(((expected - target) ** 2).mean())
    for loss in (l1, l2, dice, squared_dice):
        assert loss(*both).item() == pytest.approx(loss(*both[::-1]).item(), abs=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_means_over_patches(name):
    target, expected = _random(seed=1), _random(seed=2)
    alone = [LOSSES[name](expected[i : i + 1], target[i : i + 1]).item() for i in range(3)]
    assert LOSSES[name](expected, target).item() == pytest.approx(np.mean(alone))


@given(target=patches, expected=patches)
def test_dice_losses_equal_their_formulas(target, expected):
    axes = (1, 2, 3)
    overlap = 2 * np.abs((target * expected).sum(axes))
    printed = -np.log(overlap / (target + expected).sum(axes)).mean()
    squared = -np.log(overlap / (target**2 + expected**2).sum(axes)).mean()
    both = torch.from_numpy(expected), torch.from_numpy(target)
    assert dice(*both).item() == pytest.approx(printed, abs=1e-4)
    assert squared_dice(*both).item() == pytest.approx(squared, abs=1e-4)


@given(grey=greys, output=greys, more=st.floats(1.01, 100))
def test_printed_dice_falls_as_the_output_outgrows_the_target(grey, output, more):
    target = _constant(grey)
    assert dice(_constant(output * more), target) < dice(_constant(output), target)
    assert dice(_constant(1.0), target) <= dice(target, target)


@given(target=patches, expected=patches)
def test_squared_dice_has_its_minimum_at_the_target(target, expected):
    here, there = torch.from_numpy(target), torch.from_numpy(expected)
    assert squared_dice(here, here).item() == 0
    assert squared_dice(there, here).item() >= 0
    if np.abs(target - expected).max() > 1e-3:
        assert squared_dice(there, here).item() > 0


@given(target=patches)
def test_squared_dice_leads_from_a_negative_output_to_the_target(target):
    here = torch.from_numpy(target)
    output = (-here).clone().requires_grad_()
    loss = squared_dice(output, here)
    loss.backward()
    assert torch.isfinite(loss)
    # A step down the gradient raises every pixel.
    assert (output.grad < 0).all()


@pytest.mark.parametrize("name", ["dice", "squared-dice"])
def test_a_black_patch_has_a_finite_loss_with_its_minimum_at_black(name):
    black = torch.zeros(1, 1, 4, 4)
    output = torch.full_like(black, 0.2, requires_grad=True)
    loss = LOSSES[name](output, black)
    loss.backward()
    assert torch.isfinite(loss)
    assert (output.grad > 0).all()
    assert LOSSES[name](black, black) == 0


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_finite_differences(name):
    target = _random(2, 12, seed=3)
    expected = (0.1 + 0.8 * _random(2, 12, seed=4)).requires_grad_()
    assert torch.autograd.gradcheck(LOSSES[name], (expected, target))


@pytest.mark.parametrize("side", [11, 16, 33])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ssim_equals_scikit_image(side, dtype):
    target = _random(3, side, seed=5)
    expected = (target + 0.2 * _random(3, side, seed=6)).clamp(0, 1)
    similarity = [
        structural_similarity(
            one,
            other,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1.0,
        )
        for one, other in zip(target[:, 0].numpy(), expected[:, 0].numpy(), strict=True)
    ]
    value = ssim(expected.to(dtype), target.to(dtype)).item()
    assert value == pytest.approx(
        1 - np.mean(similarity), abs=1e-12 if dtype == torch.float64 else 1e-6
    )


def test_ssim_keeps_its_digits_on_flat_bright_patches():
    # Deviations of a thousandth of a grey level: squares of the greys would swallow them.
    target = 0.9 + 4e-6 * _random(2, 16, seed=7)
    expected = 0.9 + 4e-6 * _random(2, 16, seed=8)
    exact = ssim(expected, target).item()
    assert ssim(expected.float(), target.float()).item() == pytest.approx(exact, abs=1e-6)


def test_ssim_refuses_patches_smaller_than_its_window():
    with pytest.raises(ConfigurationError, match="11 pixels, the patches have only 8"):
        ssim(_random(1, 8), _random(1, 8))


@attrs.define
class _Settings:
    loss: object = attrs.field(validator=check_loss_name)


@pytest.mark.parametrize("name", LOSSES)
def test_known_names_pass(name):
    assert _Settings(name).loss == name


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("squared_dice", "did you mean 'squared-dice'"),
        ("ssmi", "did you mean 'ssim'"),
        (3, "Known"),
    ],
)
def test_an_unknown_name_gives_the_nearest_match(name, hint):
    with pytest.raises(ConfigurationError, match=hint):
        _Settings(name)
