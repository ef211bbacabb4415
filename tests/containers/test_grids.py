import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lungpatch.containers import LungMask
from lungpatch.containers.grids import boxes_to_native_grid, to_native_grid

side = st.integers(1, 60)
exact = settings(deadline=None, derandomize=True, max_examples=200)


def rectangle(draw, shape):
    """A mask of one rectangle, and its box."""
    height, width = shape
    row0 = draw(st.integers(0, height - 1))
    col0 = draw(st.integers(0, width - 1))
    row1 = draw(st.integers(row0 + 1, height))
    col1 = draw(st.integers(col0 + 1, width))
    mask = np.zeros(shape, bool)
    mask[row0:row1, col0:col1] = True
    return mask, np.array([[row0, col0, row1, col1]])


@exact
@given(st.data(), st.tuples(side, side), st.tuples(side, side))
def test_native_pixel_takes_the_value_of_the_model_pixel_that_holds_its_centre(data, model, native):
    array = np.arange(model[0] * model[1]).reshape(model)
    converted = to_native_grid(array, native)
    assert converted.shape == native
    row = data.draw(st.integers(0, native[0] - 1))
    column = data.draw(st.integers(0, native[1] - 1))
    # Centre (r + 1/2) of n native rows lies at (r + 1/2) m / n of m model rows.
    expected = array[
        int((2 * row + 1) * model[0] // (2 * native[0])),
        int((2 * column + 1) * model[1] // (2 * native[1])),
    ]
    assert converted[row, column] == expected


@exact
@given(st.data(), st.tuples(side, side), st.tuples(side, side))
def test_box_of_a_mask_is_the_box_of_its_native_pixels(data, model, native):
    mask, box = rectangle(data.draw, model)
    converted = LungMask(pixels=to_native_grid(mask, native))
    [native_box] = boxes_to_native_grid(box, model, native)
    if converted.bounding_box is not None:
        assert tuple(native_box) == converted.bounding_box
    else:  # too small in native pixels to be seen
        assert native[0] < model[0] or native[1] < model[1]


@exact
@given(st.data(), st.tuples(side, side), st.tuples(side, side))
def test_boxes_are_never_empty_and_stay_inside(data, model, native):
    _, box = rectangle(data.draw, model)
    [(row0, col0, row1, col1)] = boxes_to_native_grid(box, model, native)
    assert 0 <= row0 < row1 <= native[0]
    assert 0 <= col0 < col1 <= native[1]


@exact
@given(st.data(), side, side)
def test_box_without_native_pixels_becomes_the_nearest_one(data, model, native):
    start = data.draw(st.integers(0, model - 1))
    stop = data.draw(st.integers(start + 1, model))
    [(row0, _, row1, _)] = boxes_to_native_grid(
        np.array([[start, 0, stop, 1]]), (model, 1), (native, 1)
    )
    centres = (np.arange(native) + 0.5) * model / native
    inside = (centres >= start) & (centres < stop)
    if inside.any():
        np.testing.assert_array_equal(np.flatnonzero(inside), np.arange(row0, row1))
    else:
        distance = np.abs(centres - (start + stop) / 2)
        assert row1 == row0 + 1
        assert distance[row0] == pytest.approx(distance.min())


@exact
@given(st.tuples(side, side))
def test_same_size_changes_nothing(shape):
    array = np.arange(shape[0] * shape[1]).reshape(shape)
    np.testing.assert_array_equal(to_native_grid(array, shape), array)
    boxes = np.array([[0, 0, shape[0], shape[1]], [shape[0] - 1, shape[1] - 1, *shape]])
    np.testing.assert_array_equal(boxes_to_native_grid(boxes, shape, shape), boxes)


@exact
@given(st.tuples(side, side), st.tuples(side, side))
def test_the_whole_model_grid_is_the_whole_image(model, native):
    whole = boxes_to_native_grid(np.array([[0, 0, *model]]), model, native)
    np.testing.assert_array_equal(whole, [[0, 0, *native]])


def test_nan_and_dtype_are_kept():
    heatmap = np.array([[np.nan, 2.5]], np.float32)
    native = to_native_grid(heatmap, (3, 4))
    assert native.dtype == np.float32
    np.testing.assert_array_equal(native, [[np.nan, np.nan, 2.5, 2.5]] * 3)


def test_every_whole_factor_repeats_pixels():
    array = np.random.default_rng(0).random((5, 7))
    np.testing.assert_array_equal(to_native_grid(array, (15, 28)), np.kron(array, np.ones((3, 4))))


def test_several_boxes_and_none():
    boxes = np.array([[0, 0, 1, 1], [1, 1, 2, 2]])
    np.testing.assert_array_equal(
        boxes_to_native_grid(boxes, (2, 2), (4, 6)), [[0, 0, 2, 3], [2, 3, 4, 6]]
    )
    none = boxes_to_native_grid(np.empty((0, 4), np.int64), (2, 2), (4, 6))
    assert none.shape == (0, 4)
    assert none.dtype == np.int64


def test_large_sizes_are_exact():
    # Where floating point would round the wrong way, and where 32 bits would not do.
    for native, model in ((9_999, 256), (60_000, 40_000)):
        index = to_native_grid(np.arange(model)[:, None], (native, 1))[:, 0]
        expected = [(2 * row + 1) * model // (2 * native) for row in range(native)]
        np.testing.assert_array_equal(index, expected)
