"""What the lung network takes, computed without torch, is what torch computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F  # noqa: N812

from lungpatch.networks import lung_network
from lungpatch.networks.lung_input import interpolate, network_input

SIDES = st.integers(1, 90)


def in_torch(pixels):
    return torch.from_numpy(pixels)[None, None]


@given(height=SIDES, width=SIDES, new_height=SIDES, new_width=SIDES, seed=st.integers(0, 9))
def test_interpolation_is_that_of_torch(height, width, new_height, new_width, seed):
    image = np.random.default_rng(seed).random((height, width), dtype=np.float32)
    shape = (new_height, new_width)
    expected = F.interpolate(in_torch(image), size=shape, mode="bilinear", align_corners=False)
    np.testing.assert_allclose(interpolate(image, shape), expected[0, 0], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("before", "after"), [((128, 128), (2001, 1499)), ((2000, 2500), (1000, 1250))]
)
def test_interpolation_of_large_images_is_that_of_torch(before, after):
    image = np.random.default_rng(0).random(before, dtype=np.float32)
    expected = F.interpolate(in_torch(image), size=after, mode="bilinear", align_corners=False)
    np.testing.assert_allclose(interpolate(image, after), expected[0, 0], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "shape", [(256, 256), (512, 512), (512, 451), (1301, 777), (100, 640), (3, 5)]
)
def test_input_is_that_of_the_network_in_torch(shape):
    pixels = np.random.default_rng(0).random(shape, dtype=np.float32)
    expected = lung_network.network_input(in_torch(pixels))[0, 0]
    np.testing.assert_allclose(network_input(pixels), expected, rtol=0, atol=1e-5)


def test_one_grey_level_becomes_0_and_pixels_may_be_read_only():
    pixels = np.full((300, 400), 0.3, np.float32)
    pixels.flags.writeable = False
    np.testing.assert_allclose(network_input(pixels), 0.0, atol=1e-2)
