"""Features of the packaged lung network, against the network itself."""

import attrs
import numpy as np
import pytest
import torch
from torch.nn import functional

from lungpatch.containers import PatchBatch
from lungpatch.errors import ConfigurationError
from lungpatch.features.lung_encoder import LungEncoder
from lungpatch.networks.compact_unet import standardise
from lungpatch.networks.lung_network import load_lung_network


def crops(count=3, side=64):
    rng = np.random.default_rng(0)
    return PatchBatch(
        pixels=rng.random((count, side, side), dtype=np.float32),
        corners=np.zeros((count, 2), np.int64),
        lung=np.ones((count, side, side), bool),
        image_shape=(side, side),
        image_id="a",
    )


def test_they_are_the_levels_of_the_network_on_one_grid():
    patches = crops()
    found = LungEncoder(grid=4, device="cpu").extract(patches)
    images = standardise(torch.tensor(patches.pixels)[:, None])
    with torch.inference_mode():
        levels = load_lung_network(torch.device("cpu")).encode(images)
    # 32, 16, 8 and 4 places are averaged, 2 interpolated.
    expected = [functional.adaptive_avg_pool2d(level, 4) for level in levels[:4]]
    expected.append(functional.interpolate(levels[4], size=(4, 4), mode="bilinear"))
    np.testing.assert_allclose(found, torch.cat(expected, dim=1).numpy(), rtol=1e-4, atol=1e-5)


def test_exposure_does_not_matter():
    patches = crops()
    darker = attrs.evolve(patches, pixels=np.float32(0.1) + np.float32(0.5) * patches.pixels)
    encoder = LungEncoder(grid=8, device="cpu")
    np.testing.assert_allclose(
        encoder.extract(darker), encoder.extract(patches), rtol=1e-3, atol=1e-4
    )


def test_the_network_of_the_segmenter_is_left_as_it_is():
    network = load_lung_network(torch.device("cpu"))
    before = [(weight, weight.data_ptr()) for weight in network.parameters()]
    LungEncoder(device="cpu").extract(crops())
    assert not any(module._forward_hooks for module in network.modules())
    assert [(weight, weight.data_ptr()) for weight in network.parameters()] == before


@pytest.mark.parametrize("levels", [(), (5,), ("2",)])
def test_wrong_levels(levels):
    with pytest.raises(ValueError, match="levels"):
        LungEncoder(levels=levels)


def test_a_state_of_other_weights_is_refused():
    encoder = LungEncoder(device="cpu")
    state = encoder.state()
    encoder.load_state(state)
    with pytest.raises(ConfigurationError, match="other weights"):
        encoder.load_state({name: array + 1 for name, array in state.items()})
