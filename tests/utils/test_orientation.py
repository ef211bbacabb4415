"""Turns: there and back, for arrays and boxes."""

import itertools

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from lungpatch._utils.orientation import Turn, turn_of

TURNS = [Turn(*steps) for steps in itertools.product((False, True), repeat=3)]


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("shape", [(4, 7), (7, 4), (5, 5), (4, 7, 3)])
def test_undo_inverts_apply(turn, shape):
    stored = np.arange(np.prod(shape)).reshape(shape)
    displayed = turn.apply(stored)
    assert displayed.shape[:2] == (shape[1::-1] if turn.exchanged else shape[:2])
    np.testing.assert_array_equal(turn.undo(displayed), stored)


@given(
    turn=st.sampled_from(TURNS),
    shape=st.tuples(st.integers(2, 9), st.integers(2, 9)),
    data=st.data(),
)
def test_boxes_hold_the_pixels_that_masks_hold(turn, shape, data):
    row0, col0 = data.draw(st.integers(0, shape[0] - 1)), data.draw(st.integers(0, shape[1] - 1))
    row1 = data.draw(st.integers(row0 + 1, shape[0]))
    col1 = data.draw(st.integers(col0 + 1, shape[1]))
    displayed = np.zeros(shape, bool)
    displayed[row0:row1, col0:col1] = True
    ((top, left, bottom, right),) = turn.undo_boxes(np.array([[row0, col0, row1, col1]]), shape)
    stored = np.zeros_like(turn.undo(displayed))
    stored[top:bottom, left:right] = True
    np.testing.assert_array_equal(stored, turn.undo(displayed))


def test_no_boxes():
    for turn in TURNS:
        assert turn.undo_boxes(np.zeros((0, 4), np.int64), (4, 7)).shape == (0, 4)


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        ("LF", Turn()),
        ("RF", Turn(left_to_right=True)),
        ("LH", Turn(top_to_bottom=True)),
        ("FR", Turn(exchanged=True, left_to_right=True)),
        ("HL", Turn(exchanged=True, top_to_bottom=True)),
        ("AF", Turn()),
        ("LL", Turn()),
    ],
)
def test_turns_of_orientations(orientation, expected):
    assert turn_of(tuple(orientation))[0] == expected
