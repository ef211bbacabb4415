import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lungpatch.evaluation.cases import GRID_SIZE
from lungpatch.evaluation.shares import (
    energy_share,
    highest_lung,
    overlap,
    point_hit,
    share_above,
)

ONE = np.ones((1, 1))
SEEDS = st.integers(0, 2**16)


def halves():
    """Lungs in the left half of the image."""
    lungs = np.zeros((GRID_SIZE, GRID_SIZE), bool)
    lungs[:, : GRID_SIZE // 2] = True
    return lungs


def test_energy_is_what_exceeds_the_median_of_the_lungs(make_case, flat_map):
    # 256 x 128 lung pixels; 64 x 64 are marked, half of them outside the lungs.
    case = make_case(boxes=[(0, 96, 64, 160)], lungs=halves())
    heatmap = flat_map() - 3
    heatmap[:10, 120:140] += 2  # 10 x 8 lung pixels are marked and exceed the median by 2
    heatmap[200:210, :10] += 6  # 100 pixels exceed it by 6, unmarked
    heatmap[:, 200:] += 50  # outside the lungs
    assert energy_share(heatmap, case) == pytest.approx(160 / (160 + 600))


def test_equal_scores_have_the_share_of_chance(make_case, flat_map):
    case = make_case(boxes=[(0, 0, 64, 64)])
    assert energy_share(flat_map(), case) == pytest.approx(1 / 16)
    assert np.isnan(energy_share(flat_map(), make_case()))  # nothing is marked


@settings(max_examples=20)
@given(SEEDS, st.floats(0.1, 10), st.floats(-5, 5))
def test_the_unit_of_scores_does_not_matter(make_case, seed, factor, offset):
    rng = np.random.default_rng(seed)
    case = make_case(boxes=[(0, 0, 128, 100)], lungs=halves())
    heatmap = rng.normal(size=case.lungs.shape).astype(np.float32)
    changed = (factor * heatmap + offset).astype(np.float32)
    assert energy_share(changed, case) == pytest.approx(energy_share(heatmap, case), abs=1e-3)
    assert 0 <= energy_share(heatmap, case) <= 1


def test_share_above_is_the_precision_of_all_pixels_together(make_case, flat_map):
    cases = [make_case(0, boxes=[(0, 0, 64, 64)]), make_case(1, boxes=[(0, 0, 64, 64)])]
    cases.append(make_case(2))  # nothing is marked
    heatmaps = [flat_map() for _ in range(3)]
    heatmaps[0][:8, :8] = 2  # 64 pixels, all marked
    heatmaps[1][60:68, :16] = 2  # 128 pixels, half of them marked
    heatmaps[2][:] = 2  # ignored
    share = share_above(cases, heatmaps, 1.0)
    weights = np.array([[1.0, 1, 1], [1, 0, 1], [0, 3, 0]])
    assert share(weights) == pytest.approx([128 / 192, 1, 0.5])
    assert np.isnan(share_above(cases, heatmaps, 2.0)(weights)).all()  # none is above


def test_overlap_of_masks_by_hand():
    one, other = np.zeros((2, 4, 4), bool)
    one[:2], other[1:3] = True, True
    assert overlap(one, other) == pytest.approx(4 / 12)
    assert overlap(one, one) == 1
    assert np.isnan(overlap(~one & one, np.zeros((4, 4), bool)))


@settings(max_examples=20)
@given(SEEDS, st.integers(0, 500))
def test_the_highest_lung_pixels_are_the_highest(make_case, seed, n_pixels):
    case = make_case(lungs=halves())
    heatmap = np.random.default_rng(seed).normal(size=case.lungs.shape).astype(np.float32)
    mask = highest_lung(heatmap, case, n_pixels)
    assert mask.sum() == n_pixels
    assert not (mask & ~case.lungs).any()
    rest = heatmap[case.lungs & ~mask]
    assert (heatmap[mask] >= rest.max()).all()


def test_a_point_hits_what_is_marked_even_outside_the_lungs(make_case):
    case = make_case(boxes=[(10, 200, 20, 220)], lungs=halves())
    assert [point_hit(point, case) for point in ((10.0, 200.4), (9.4, 200.0), (19.4, 219.0))] == [
        1.0,
        0.0,
        1.0,
    ]
