import copy

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from lungpatch.errors import ConfigurationError, InvalidMaskError
from lungpatch.reference.classifier import TwoClassCNN
from lungpatch.reference.gradcam import LungAttention, grad_cam, lung_attention, mass_inside


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(0)
    labels = np.arange(24) % 2 == 1
    images = rng.random((24, 16, 16), dtype=np.float32)
    images[labels, 4:8, 4:8] = 1.0
    model = TwoClassCNN(image_size=16, epochs=20, batch_size=8, learning_rate=0.01, device="cpu")
    model.fit(images, labels, rng=rng)
    return model, images


def test_grad_cam_is_what_its_equations_say(model):
    model, images = model
    network = model.network_.eval()
    assert len(set(model.predict_proba(images[:6]) > 0.5)) == 2
    for image, cam in zip(images[:6], grad_cam(model, images[:6]), strict=True):
        x = torch.from_numpy(image)[None, None]
        x = F.max_pool2d(network.first(x), 2)
        x = F.max_pool2d(network.second(x), 2)
        x = F.max_pool2d(network.third(x), 2)
        maps = network.normalise(x).detach().requires_grad_()
        log_odds = network.output(F.relu(network.hidden(maps.flatten(1))))[0, 0]
        (gradient,) = torch.autograd.grad(log_odds.abs(), maps)  # of the predicted class
        weights = gradient[0].mean(dim=(1, 2))  # equation 1
        coarse = F.relu((weights[:, None, None] * maps[0]).sum(dim=0))  # equation 2
        wide = F.interpolate(coarse[None, None], (16, 16), mode="bilinear")[0, 0]
        expected = (wide / wide.max() if wide.max() > 0 else wide).detach().numpy()
        np.testing.assert_allclose(cam, expected, atol=1e-5)


def test_grad_cam_does_not_see_what_batch_normalisation_takes_away(model):
    model, images = model
    found = []
    # Maps above 0 everywhere, by as much as their mean is higher: the network stays the same.
    for offset in (20.0, 40.0):
        shifted = copy.deepcopy(model)
        with torch.no_grad():
            shifted.network_.third[0].bias += offset
            shifted.network_.normalise.running_mean += offset
        found.append((shifted.predict_proba(images), grad_cam(shifted, images)))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)
    assert (found[0][1] > 0).any()


def test_grad_cam_lies_between_0_and_1(model):
    model, images = model
    cams = grad_cam(model, images)
    assert cams.shape == images.shape
    assert cams.min() >= 0
    assert cams.max() <= 1


def test_grad_cam_of_no_image(model):
    assert grad_cam(model[0], np.empty((0, 16, 16), np.float32)).shape == (0, 16, 16)


def test_mass_inside_by_hand():
    cams = np.array([[[3.0, 1.0], [0.0, 4.0]]])
    masks = np.array([[[True, True], [False, False]]])
    assert mass_inside(cams, masks).tolist() == [0.5]


def test_mass_of_an_even_map_is_the_fraction_of_the_lungs():
    masks = np.random.default_rng(1).random((5, 8, 8)) < 0.3
    np.testing.assert_allclose(mass_inside(np.ones((5, 8, 8)), masks), masks.mean(axis=(1, 2)))


def test_attention_counts_what_it_leaves_out():
    cams = np.array([[[1.0, 0.0]], [[0.0, 1.0]], [[0.0, 0.0]], [[1.0, 1.0]]])
    masks = np.array([[[True, False]], [[True, False]], [[True, False]], [[False, False]]])
    assert lung_attention(cams, masks) == LungAttention(
        fraction=0.5, chance=0.5, n_images=2, n_above_chance=1, n_empty=1, n_without_lungs=1
    )


def test_maps_and_masks_must_fit():
    with pytest.raises(InvalidMaskError, match="one mask per map"):
        mass_inside(np.ones((1, 2, 2)), np.ones((1, 3, 3), bool))
    with pytest.raises(ConfigurationError, match="at least 0"):
        mass_inside(-np.ones((1, 2, 2)), np.ones((1, 2, 2), bool))
