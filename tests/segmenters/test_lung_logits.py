from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage
from skimage.measure import euler_number

from lungpatch.segmenters.lung_logits import (
    euler_numbers,
    lungs_from_logits,
    two_solid_components,
)


@settings(max_examples=60, deadline=None)
@given(
    logits=arrays.arrays(
        np.float32, st.tuples(*[st.integers(4, 12)] * 2), elements=st.floats(-4, 4, width=16)
    ),
    shape=st.tuples(*[st.integers(4, 40)] * 2),
)
def test_any_output_of_the_network_becomes_at_most_two_solid_components(logits, shape):
    mask = lungs_from_logits(logits, shape)
    assert mask.shape == shape
    assert ndimage.label(mask)[1] <= 2
    np.testing.assert_array_equal(ndimage.binary_fill_holes(mask), mask)


def test_small_bits_go_and_holes_are_filled():
    mask = np.zeros((40, 40), bool)
    mask[5:35, 4:16] = mask[5:35, 24:36] = True
    solid = mask.copy()
    mask[15:20, 8:12] = False
    mask[0:2, 18:20] = True
    np.testing.assert_array_equal(two_solid_components(mask), solid)


@given(arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_euler_numbers_are_those_of_scikit_image(mask):
    by_sides, by_corners = (euler_number(mask, connectivity=c) for c in (1, 2))
    assert euler_numbers(mask) == (by_sides, by_corners)
