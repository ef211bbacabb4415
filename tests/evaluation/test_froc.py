import numpy as np
import pytest

from lungpatch.evaluation.cases import boxes_mask
from lungpatch.evaluation.froc import (
    MIN_AREA,
    N_THRESHOLDS,
    BoxCounts,
    boxes_above,
    candidate_thresholds,
    count_boxes,
    froc_curve,
    froc_statistics,
    holds,
    iou,
)


def test_iou_by_hand():
    box = np.array([[0, 0, 10, 10]])
    others = np.array([[0, 0, 10, 10], [0, 5, 10, 15], [10, 0, 20, 10], [20, 20, 30, 30]])
    assert iou(box, others) == pytest.approx(np.array([[1, 1 / 3, 0, 0]]))
    assert iou(box, others[:0]).shape == (1, 0)


def test_iou_is_that_of_masks():
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 20, (2, 12, 2))
    boxes = np.concatenate([corners, corners + rng.integers(1, 20, corners.shape)], axis=2)
    found = iou(*boxes)
    for one in range(12):
        for other in range(12):
            a, b = (
                boxes_mask(boxes[0, one][None], (40, 40)),
                boxes_mask(boxes[1, other][None], (40, 40)),
            )
            assert found[one, other] == pytest.approx((a & b).sum() / (a | b).sum())


def test_tiny_regions_get_no_box(flat_map):
    heatmap = flat_map()
    heatmap[0, : MIN_AREA - 1] = 1.0
    heatmap[10, :MIN_AREA] = 1.0
    heatmap[10, 7] = 3.0
    boxes, peaks = boxes_above(heatmap, 0.5)
    assert boxes.tolist() == [[10, 0, 11, MIN_AREA]]
    assert peaks.tolist() == [[10, 7]]


@pytest.fixture
def three_images(make_case, flat_map):
    """Two lesions, one hit with score 5; a false box with score 3; one with 4 in a normal image."""
    abnormal = make_case(0, boxes=[(0, 0, 20, 20), (100, 100, 120, 120)])
    normal = make_case(1, kind="read-normal")
    other = make_case(2, kind="normal", boxes=[(50, 50, 60, 60)])
    first, second, third = flat_map(), flat_map(), flat_map()
    first[0:20, 0:10] = 5.0
    first[200:220, 200:220] = 3.0
    second[50:60, 50:60] = 4.0
    third[50:60, 50:60] = 9.0
    return [abnormal, normal, other], [first, second, third]


def test_counts_by_hand(three_images):
    cases, heatmaps = three_images
    images = np.array([True, True, False])
    counts = count_boxes(cases, heatmaps, np.array([2.5, 3.5, 4.5, 5.5]), images=images)
    assert counts.lesions.tolist() == [2, 0, 0]
    assert counts.hits.tolist() == [[1, 1, 1, 0], [0] * 4, [0] * 4]
    assert counts.false.tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [0] * 4]
    assert counts.overlap.tolist() == [[0.5, 0.5, 0.5, 0.0], [0] * 4, [0] * 4]

    sensitivity, false = froc_curve(counts, images[None].astype(float))
    assert sensitivity.tolist() == [[0.5, 0.5, 0.5, 0.0]]
    assert false.tolist() == [[1.0, 0.5, 0.0, 0.0]]
    statistics = froc_statistics(counts, images)
    ones = np.ones((1, 3))
    assert statistics["sensitivity at 0.25"](ones).tolist() == [0.5]
    assert statistics["mean sensitivity"](ones).tolist() == [0.5]
    assert statistics["best box IoU"](ones).tolist() == [0.25]  # the other lesion counts 0


def test_more_false_boxes_allow_more_hits():
    counts = BoxCounts(
        lesions=np.array([4.0]),
        hits=np.array([[4.0, 3.0, 1.0]]),
        false=np.array([[5.0, 2.0, 0.0]]),
        overlap=np.zeros((1, 3)),
    )
    statistics = froc_statistics(counts, np.array([True]))
    found = [statistics[f"sensitivity at {rate}"](np.ones((1, 1)))[0] for rate in (0.25, 1, 2, 4)]
    assert found == [0.25, 0.25, 0.75, 0.75]


def test_without_lesions_there_is_no_sensitivity():
    counts = BoxCounts(
        lesions=np.zeros(1), hits=np.zeros((1, 2)), false=np.ones((1, 2)), overlap=np.zeros((1, 2))
    )
    statistics = froc_statistics(counts, np.array([True]))
    assert all(np.isnan(each(np.ones((1, 1)))[0]) for each in statistics.values())


def test_thresholds_of_maps_without_scores():
    assert candidate_thresholds([np.full((4, 4), np.nan, np.float32)]).size == 0
    thresholds = candidate_thresholds([np.arange(100, dtype=np.float32).reshape(10, 10)])
    assert (np.diff(thresholds) > 0).all()
    assert thresholds[0] >= 49


def test_a_score_at_the_threshold_is_not_above_it(flat_map):
    heatmap = flat_map()
    heatmap[20:40, 30:60] = 2.0
    assert boxes_above(heatmap, 2.0)[0].tolist() == []
    boxes, peaks = boxes_above(heatmap, 1.999)
    assert boxes.tolist() == [[20, 30, 40, 60]]
    assert peaks.tolist() == [[20, 30]]  # the first of equal ones
    heatmap[20:40, 60:70] = np.nan
    assert boxes_above(heatmap, 1.0)[0].tolist() == [[20, 30, 40, 60]]


def test_each_region_has_its_own_maximum(flat_map):
    heatmap = flat_map()
    heatmap[0:20, 0:10] = 1.0
    heatmap[5:30, 12:20] = 2.0
    heatmap[7, 3], heatmap[29, 19] = 1.5, 2.5
    boxes, peaks = boxes_above(heatmap, 0.5)
    assert boxes.tolist() == [[0, 0, 20, 10], [5, 12, 30, 20]]
    assert peaks.tolist() == [[7, 3], [29, 19]]


@pytest.mark.parametrize(
    ("point", "hit"),
    [
        ((10, 20), True),
        ((19, 39), True),
        ((20, 39), False),
        ((19, 40), False),
        ((9, 20), False),
        ((10, 19), False),
        ((30, 15), False),
        ((15, 10), False),
    ],
)
def test_a_box_hits_if_its_maximum_is_in_the_half_open_true_box(make_case, flat_map, point, hit):
    case = make_case(boxes=[(10, 20, 20, 40)])
    heatmap = flat_map()
    row, column = point
    heatmap[max(row - 8, 0) : row + 8, max(column - 8, 0) : column + 8] = 1.0
    heatmap[point] = 2.0
    counts = count_boxes([case], [heatmap], np.array([0.5]), images=np.array([True]))
    assert (counts.hits[0, 0], counts.false[0, 0]) == ((1, 0) if hit else (0, 1))


def test_one_box_can_hit_two_lesions_and_two_boxes_hit_one(make_case, flat_map):
    overlapping = make_case(boxes=[(0, 0, 30, 30), (10, 10, 60, 60)])
    assert len(overlapping.boxes) == 2
    heatmap = flat_map()
    heatmap[15:25, 15:25] = 1.0
    counts = count_boxes([overlapping], [heatmap], np.array([0.5]), images=np.array([True]))
    assert (counts.lesions[0], counts.hits[0, 0], counts.false[0, 0]) == (2, 2, 0)
    assert counts.overlap[0, 0] == pytest.approx(100 / 900 + 100 / 2500)
    one = make_case(boxes=[(0, 0, 60, 60)])
    heatmap[40:50, 40:52] = 1.0
    counts = count_boxes([one], [heatmap], np.array([0.5]), images=np.array([True]))
    assert (counts.lesions[0], counts.hits[0, 0], counts.false[0, 0]) == (1, 1, 0)
    assert counts.overlap[0, 0] == pytest.approx(120 / 3600)  # of the better one


def test_thresholds_go_from_the_median_to_the_highest_scores():
    thresholds = candidate_thresholds(
        [np.arange(5001, dtype=np.float32)[None], np.arange(5001, 10001, dtype=np.float32)[None]]
    )
    assert thresholds.size == N_THRESHOLDS
    assert thresholds[[0, -1]] == pytest.approx([5000.0, 9995.0])
    assert thresholds[1] == pytest.approx(10000 * (1 - 0.5 * 0.001 ** (1 / 59)))


def test_rates_count_images_as_often_as_they_are_drawn():
    counts = BoxCounts(
        lesions=np.array([2.0, 0.0, 4.0]),
        hits=np.array([[2.0, 1.0], [0.0, 0.0], [3.0, 0.0]]),
        false=np.array([[1.0, 0.0], [2.0, 1.0], [9.0, 9.0]]),
        overlap=np.array([[1.2, 0.9], [0.0, 0.0], [4.0, 4.0]]),
    )
    images = np.array([True, True, False])
    weights = np.array([[1.0, 1.0, 1.0], [1.0, 3.0, 1.0], [0.0, 1.0, 5.0]])
    sensitivity, false = froc_curve(counts, weights * images)
    assert sensitivity[:2].tolist() == [[1.0, 0.5], [1.0, 0.5]]
    assert np.isnan(sensitivity[2]).all()
    assert false.tolist() == [[1.5, 0.5], [7 / 4, 3 / 4], [2.0, 1.0]]
    statistics = froc_statistics(counts, images)
    found = {name: statistic(weights[:2]).tolist() for name, statistic in statistics.items()}
    assert found == {
        "sensitivity at 0.25": [0.0, 0.0],
        "sensitivity at 0.5": [0.5, 0.0],
        "sensitivity at 1": [0.5, 0.5],
        "sensitivity at 2": [1.0, 1.0],
        "sensitivity at 4": [1.0, 1.0],
        "mean sensitivity": [pytest.approx(0.6), pytest.approx(0.5)],
        "best box IoU": [pytest.approx(0.6), pytest.approx(0.6)],
    }
    assert np.isnan(statistics["best box IoU"](weights[2:]))[0]


def test_without_any_box_sensitivity_is_zero_if_there_are_lesions():
    counts = BoxCounts(
        lesions=np.array([1.0]),
        hits=np.empty((1, 0)),
        false=np.empty((1, 0)),
        overlap=np.empty((1, 0)),
    )
    statistics = froc_statistics(counts, np.array([True]))
    assert [float(each(np.ones((1, 1)))[0]) for each in statistics.values()] == [0.0] * 7
    assert np.isnan(statistics["sensitivity at 1"](np.zeros((1, 1))))[0]


def test_the_maximum_of_a_region_lies_in_it_and_not_only_in_its_box(flat_map):
    heatmap = flat_map()
    heatmap[10:40, 10:14] = 1.0  # an L, with another region in its box
    heatmap[36:40, 10:40] = 1.0
    heatmap[39, 30] = 1.5
    heatmap[10:20, 20:32] = 5.0
    boxes, peaks = boxes_above(heatmap, 0.5)
    assert boxes.tolist() == [[10, 10, 40, 40], [10, 20, 20, 32]]
    assert peaks.tolist() == [[39, 30], [10, 20]]


def test_a_box_holds_its_first_row_and_column_but_not_those_after_its_last():
    boxes = np.array([[2, 3, 5, 7]])
    points = np.array([[2, 3], [4, 6], [5, 6], [4, 7], [1, 3], [2, 2]])
    assert holds(boxes, points).tolist() == [[True, True, False, False, False, False]]
    assert holds(boxes, np.empty((0, 2), np.int64)).shape == (1, 0)
