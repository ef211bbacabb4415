import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from skimage.measure import label, regionprops

from lungpatch.containers import AnomalyMap, PatchBatch, PatchScores
from lungpatch.pipeline.localisation import build_anomaly_map, label_regions, localise


def _scored(corners, side, shape, values, support=None, error_maps=None):
    count = len(corners)
    support = np.ones((count, side, side), bool) if support is None else support
    patches = PatchBatch(
        pixels=np.zeros((count, side, side), np.float32),
        corners=np.asarray(corners).reshape(-1, 2),
        lung=support,
        image_shape=shape,
        image_id="test",
    )
    return patches, PatchScores(
        values=np.asarray(values, float), support=support, error_maps=error_maps
    )


def test_two_overlapping_patches_by_hand():
    patches, scores = _scored([(0, 0), (0, 1)], 2, (2, 4), [1.0, 3.0])
    heat = build_anomaly_map(patches, scores).heatmap
    np.testing.assert_array_equal(heat, [[1, 2, 3, np.nan]] * 2)


def test_no_patches_leave_everything_unscored():
    patches, scores = _scored(np.empty((0, 2), int), 2, (3, 3), [])
    result = build_anomaly_map(patches, scores)
    assert np.isnan(result.heatmap).all()
    assert result.coverage == 0
    assert len(localise(result, 0.0).boxes) == 0


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_equals_a_plain_loop(data):
    side, height, width = 3, 7, 9
    count = data.draw(st.integers(1, 6))
    corners = [
        (data.draw(st.integers(0, height - side)), data.draw(st.integers(0, width - side)))
        for _ in range(count)
    ]
    values = data.draw(npst.arrays(float, count, elements=st.floats(0, 10)))
    support = data.draw(npst.arrays(bool, (count, side, side)))
    kind = data.draw(st.sampled_from(["mean", "hann"]))
    patches, scores = _scored(corners, side, (height, width), values, support)

    # The Hann window of side + 2 samples without its zero ends: sin^2(pi k / (side + 1)).
    profile = np.sin(np.pi * np.arange(1, side + 1) / (side + 1)) ** 2
    window = np.outer(profile, profile) if kind == "hann" else np.ones((side, side))
    total, weight = np.zeros((height, width)), np.zeros((height, width))
    for (row, column), value, inside in zip(corners, values, support, strict=True):
        place = np.s_[row : row + side, column : column + side]
        total[place] += window * inside * value
        weight[place] += window * inside
    with np.errstate(invalid="ignore"):
        expected = total / weight
    heat = build_anomaly_map(patches, scores, weights=kind).heatmap
    np.testing.assert_allclose(heat, expected, rtol=1e-5, atol=1e-6)


def test_pixel_detail_keeps_the_errors_of_pixels():
    errors = np.arange(4, dtype=np.float32).reshape(1, 2, 2)
    patches, scores = _scored([(0, 0)], 2, (2, 2), [9.0], error_maps=errors)
    np.testing.assert_array_equal(
        build_anomaly_map(patches, scores, detail="pixel").heatmap, errors[0]
    )


def test_pixel_detail_needs_error_maps():
    patches, scores = _scored([(0, 0)], 2, (2, 2), [9.0])
    with pytest.raises(ValueError, match="error maps"):
        build_anomaly_map(patches, scores, detail="pixel")


@settings(max_examples=50, deadline=None)
@given(npst.arrays(np.float32, (8, 9), elements=st.sampled_from([0.0, 1.0, 2.0, 3.0, np.nan])))
def test_boxes_are_those_of_scikit_image(heat):
    found = localise(AnomalyMap(heatmap=heat), 1.5)
    with np.errstate(invalid="ignore"):
        mask = heat > 1.5
    regions = regionprops(label(mask, connectivity=2), np.nan_to_num(heat))
    expected = {(*region.bbox, float(region.intensity_max)) for region in regions}
    assert {
        (*box, score)
        for box, score in zip(found.boxes.tolist(), found.box_scores.tolist(), strict=True)
    } == expected
    assert (np.diff(found.box_scores) <= 0).all()
    np.testing.assert_array_equal(found.pred_mask, mask)


def test_regions_connect_by_a_corner_too():
    labels, windows = label_regions(np.array([[1, 0, 0, 1], [0, 1, 0, 0]], bool))
    assert labels.tolist() == [[1, 0, 0, 2], [0, 1, 0, 0]]
    assert windows == [(slice(0, 2), slice(0, 2)), (slice(0, 1), slice(3, 4))]
    assert label_regions(np.zeros((2, 3), bool))[1] == []


@given(
    corners=st.lists(st.tuples(st.integers(-4, 8), st.integers(-4, 9)), min_size=1, max_size=4),
    data=st.data(),
)
def test_patches_that_overhang_the_border_paint_what_is_inside(corners, data):
    side, shape = 3, (7, 8)
    values = data.draw(st.lists(st.integers(1, 50), min_size=len(corners), max_size=len(corners)))
    total, count = np.zeros(shape), np.zeros(shape)
    for (top, left), value in zip(corners, values, strict=True):
        for row in range(top, top + side):
            for column in range(left, left + side):
                if 0 <= row < shape[0] and 0 <= column < shape[1]:
                    total[row, column] += value
                    count[row, column] += 1
    with np.errstate(invalid="ignore"):
        expected = (total / count).astype(np.float32)
    patches, scores = _scored(corners, side, shape, values)
    np.testing.assert_allclose(build_anomaly_map(patches, scores).heatmap, expected, rtol=1e-6)


@pytest.mark.parametrize("corner", [(-1, -1), (-1, 3), (3, -1), (5, 6), (-1, 6), (5, -1), (2, 6)])
def test_a_patch_over_a_corner_leaves_the_opposite_border_alone(corner):
    patches, scores = _scored([corner], 3, (7, 8), [5.0])
    scored = build_anomaly_map(patches, scores).scored
    rows, columns = np.nonzero(scored)
    assert rows.min() >= corner[0]
    assert rows.max() < corner[0] + 3
    assert columns.min() >= corner[1]
    assert columns.max() < corner[1] + 3
