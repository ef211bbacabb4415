"""Boxes at a tolerated rate: how many of exchangeable normal maps have one."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungpatch.containers import AnomalyMap
from lungpatch.pipeline.localisation import localise, region_score
from lungpatch.thresholders import ConformalThresholder

SHAPE = (40, 40)  # of whose pixels a region has at least two
seeds = st.integers(0, 2**32 - 1)


def as_map(heatmap):
    return AnomalyMap(heatmap=np.asarray(heatmap, dtype=np.float32))


def draw_map(rng):
    """Few high pixels, of few whole numbers, so that many are equal; some are not scored."""
    heatmap = rng.poisson(rng.uniform(0.01, 1), SHAPE).astype(np.float32)
    heatmap[rng.random(SHAPE) < 0.1] = np.nan
    return as_map(heatmap)


@given(seeds, st.integers(-1, 7), st.sampled_from([0.0, 0.5]))
def test_a_map_has_a_region_exactly_below_its_region_score(seed, level, half):
    one = draw_map(np.random.default_rng(seed))
    found = localise(one, level + half)
    assert (len(found.boxes) > 0) == (region_score(one) > level + half)


@given(seeds, st.integers(10, 30), st.sampled_from([0.1, 0.2, 0.35]))
def test_of_normal_maps_at_most_the_rate_has_a_box(seed, count, rate):
    """Each map against all others: what proves the rate, since any of them could be the new one."""
    rng = np.random.default_rng(seed)
    maps = [draw_map(rng) for _ in range(count)]
    scores = [region_score(one) for one in maps]
    with_box = 0
    for index, one in enumerate(maps):
        others = scores[:index] + scores[index + 1 :]
        threshold = ConformalThresholder(alpha=rate).fit(others).threshold_
        found = localise(one, threshold, calibration_scores=others)
        with_box += len(found.boxes) > 0
        assert (found.box_p_values <= rate).any() == (len(found.boxes) > 0)
        as_high = sum(other >= scores[index] for other in others)
        if len(found.boxes):  # the p-value of the highest box is that of the map
            assert found.box_p_values.min() == pytest.approx((1 + as_high) / len(maps))
    assert with_box <= math.floor(rate * len(maps) + 1e-9)


def test_the_threshold_is_no_higher_than_the_rate_needs():
    """Of 20 different maps at rate 0.2, exactly four have a box."""
    maps = [as_map(np.full(SHAPE, level)) for level in range(20)]
    scores = [region_score(one) for one in maps]
    count = 0
    for index, one in enumerate(maps):
        others = scores[:index] + scores[index + 1 :]
        threshold = ConformalThresholder(alpha=0.2).fit(others).threshold_
        count += len(localise(one, threshold).boxes)
    assert count == 4


@pytest.mark.parametrize(("n_pixels", "level"), [(1, 1.0), (2, 5.0)])
def test_single_high_pixels_are_no_region(n_pixels, level):
    heatmap = np.zeros(SHAPE, dtype=np.float32)
    heatmap[10:12, 10] = 1.0
    heatmap[30, 30 : 30 + n_pixels] = 5.0
    assert region_score(as_map(heatmap)) == level
    assert len(localise(as_map(heatmap), 0.5).boxes) == n_pixels
