import numpy as np
import pytest

from lungpatch.evaluation.froc import (
    MIN_AREA,
    BoxCounts,
    boxes_above,
    candidate_thresholds,
    count_boxes,
    froc_curve,
    froc_statistics,
    iou,
)


def test_iou_by_hand():
    box = np.array([[0, 0, 10, 10]])
    others = np.array([[0, 0, 10, 10], [0, 5, 10, 15], [10, 0, 20, 10], [20, 20, 30, 30]])
    assert iou(box, others) == pytest.approx(np.array([[1, 1 / 3, 0, 0]]))
    assert iou(box, others[:0]).shape == (1, 0)


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
    other = make_case(2, kind="normal")
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
    assert counts.overlap[0].tolist() == [0.5, 0.5, 0.5, 0.0]

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
