from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from scipy import ndimage

from lungpatch.containers.lung_coordinates import (
    LEFT,
    RIGHT,
    LungBorders,
    LungFrame,
    LungSides,
    lung_zone,
    split_lungs,
)
from lungpatch.datasets.phantom import phantom_chest
from lungpatch.errors import ConfigurationError, InvalidMaskError

DATA = Path(
    os.environ.get("LUNGPATCH_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
)
HEIGHT, WIDTH = 300, 320

Shape = tuple[int, int]


def drawn_lungs(row: np.ndarray, column: np.ndarray, *, gap: float = 6.0) -> np.ndarray:
    """Two lungs of different size, as a function of position: apices up, bases hollow."""

    def lung(away: np.ndarray, height: float, width: float) -> np.ndarray:
        narrowing = 1 - 0.35 * np.clip((row + 20) / height, -1, 0) ** 2
        inside = (row / height) ** 2 + ((away - width - gap) / (width * narrowing)) ** 2 < 1
        return inside & (row < 0.8 * height - 0.004 * (away - width - gap) ** 2)

    return lung(-column, 70.0, 33.0) | lung(column, 66.0, 28.0)


def two_lungs(matrix: np.ndarray, shape: Shape = (HEIGHT, WIDTH), gap: float = 6.0) -> np.ndarray:
    """The drawn lungs, moved by an affine map about the middle of the image."""
    middle = (np.array(shape) - 1) / 2
    positions = np.stack(np.indices(shape)).reshape(2, -1) - middle[:, None]
    row, column = np.linalg.solve(matrix, positions)
    return drawn_lungs(row, column, gap=gap).reshape(shape)


def rotation(degrees: float) -> np.ndarray:
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cosine, -sine], [sine, cosine]])


def at(field: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """The field (2, H, W) between its pixels, NaN beside what it does not know, (2, N)."""
    known = ndimage.map_coordinates(np.isfinite(field[0]).astype(float), positions, order=1)
    values = [ndimage.map_coordinates(np.nan_to_num(part), positions, order=1) for part in field]
    return np.where(known > 0.999, values, np.nan)


def assert_follows(matrix: np.ndarray, *, gap: float = 6.0, misplaced: float = 0.0) -> None:
    """Corresponding pixels of the lungs and of the moved lungs have the same coordinates."""
    frame = LungFrame.from_mask(two_lungs(np.eye(2), gap=gap))
    moved = LungFrame.from_mask(two_lungs(matrix, gap=gap))
    rows, columns = np.nonzero(frame.side)
    middle = (np.array([HEIGHT, WIDTH]) - 1)[:, None] / 2
    positions = matrix @ (np.stack([rows, columns]) - middle) + middle
    nearest = np.clip(np.rint(positions).astype(int), 0, [[HEIGHT - 1], [WIDTH - 1]])
    there = moved.side[tuple(nearest)]
    wrong = (there != 0) & (there != frame.side[rows, columns])
    assert wrong.mean() <= misplaced
    away = np.abs(at(moved.coordinates(), positions) - frame.coordinates()[:, rows, columns])
    away = away[:, ~wrong & np.isfinite(away[0])]
    assert away.shape[1] > 0.9 * len(rows)
    # The narrow tips hold few pixels a level, so that a pixel is much of v there.
    assert np.quantile(away[0], 0.99) < 0.02
    assert np.quantile(away[1], 0.98) < 0.06
    assert np.median(away, axis=1).max() < 0.01


@settings(max_examples=25, deadline=None)
@given(
    degrees=st.floats(-20, 20),
    scales=st.tuples(st.floats(0.7, 1.3), st.floats(0.7, 1.3)),
    shears=st.tuples(st.floats(-0.2, 0.2), st.floats(-0.2, 0.2)),
)
def test_affine_changes_of_the_image_move_the_frame_with_it(degrees, scales, shears):
    shear = np.array([[1.0, shears[0]], [shears[1], 1.0]])
    assert_follows(rotation(degrees) @ np.diag(scales) @ shear)


@pytest.mark.parametrize("degrees", [-15, 0, 10])
def test_lungs_that_touch_are_cut_apart_and_move_alike(degrees):
    touching = two_lungs(rotation(degrees), gap=-2.0)
    assert ndimage.label(touching)[1] == 1
    apart = split_lungs(touching)
    for side, column in (("right", -1), ("left", 1)):
        alone = getattr(apart, side)
        middle = ndimage.center_of_mass(alone)
        assert (middle[1] - (WIDTH - 1) / 2) * column > 20
        assert 0.35 < alone.sum() / touching.sum() < 0.65
    assert_follows(rotation(degrees), gap=-2.0, misplaced=0.01)


@settings(max_examples=25, deadline=None)
@given(shift=st.tuples(st.integers(-40, 40), st.integers(-40, 40)))
def test_shifts_move_the_frame_exactly(shift):
    mask = two_lungs(rotation(5))
    expected = np.roll(LungFrame.from_mask(mask).coordinates(), shift, axis=(1, 2))
    got = LungFrame.from_mask(np.roll(mask, shift, axis=(0, 1))).coordinates()
    np.testing.assert_allclose(got, expected, atol=2e-3)


@pytest.mark.parametrize("degrees", [0, 12])
def test_a_mirrored_image_swaps_the_sides_and_keeps_the_coordinates(degrees):
    mask = two_lungs(rotation(degrees))
    frame, mirrored = LungFrame.from_mask(mask), LungFrame.from_mask(mask[:, ::-1])
    np.testing.assert_array_equal(mirrored.side[:, ::-1] == LEFT, frame.side == RIGHT)
    np.testing.assert_array_equal(mirrored.side[:, ::-1] == RIGHT, frame.side == LEFT)
    back = mirrored.coordinates()[:, :, ::-1]
    np.testing.assert_allclose(back[0], frame.coordinates()[0], atol=2e-3)
    assert np.nanquantile(np.abs(back[1] - frame.coordinates()[1]), 0.99) < 0.02
    assert mirrored.slope == pytest.approx(-frame.slope, abs=5e-3)


def test_tilt_is_that_of_the_rotation():
    upright = np.arctan(LungFrame.from_mask(two_lungs(rotation(0))).slope)
    for degrees in (-25, -5, 10, 25):
        # A positive slope falls to the right, a positive rotation rises there.
        tilt = np.arctan(LungFrame.from_mask(two_lungs(rotation(degrees))).slope)
        assert np.degrees(upright - tilt) == pytest.approx(degrees, abs=1.5)


def test_rows_and_borders_of_rectangles_by_hand():
    mask = np.zeros((40, 60), bool)
    mask[10:30, 5:15] = mask[10:30, 30:50] = True
    frame = LungFrame.from_mask(mask)
    u, v = frame.coordinates()
    middle = slice(12, 28)
    depth = (np.arange(12, 28) - 9.5) / 20
    np.testing.assert_allclose(u[middle, 5:15], np.repeat(depth[:, None], 10, 1), atol=1e-3)
    inward = (14.5 - np.arange(5, 15)) / 10
    np.testing.assert_allclose(v[middle, 5:15], np.repeat(inward[None], 16, 0), atol=1e-3)
    outward = (np.arange(30, 50) - 29.5) / 20
    np.testing.assert_allclose(v[middle, 30:50], np.repeat(outward[None], 16, 0), atol=1e-3)
    assert (frame.side[mask & (np.arange(60) < 20)] == RIGHT).all()
    assert (frame.side[mask & (np.arange(60) > 20)] == LEFT).all()


@settings(max_examples=150, deadline=None)
@given(mask=arrays.arrays(bool, st.tuples(st.integers(1, 14), st.integers(1, 14))))
def test_any_mask_has_a_frame_that_can_be_inverted(mask):
    sides = split_lungs(mask)
    np.testing.assert_array_equal(sides.right ^ sides.left, mask)
    frame = LungFrame.from_mask(mask)
    coordinates = frame.coordinates()
    assert coordinates.dtype == np.float32
    assert coordinates.shape == (2, *mask.shape)
    np.testing.assert_array_equal(np.isnan(coordinates), np.stack([~mask, ~mask]))
    inside = coordinates[:, mask]
    assert ((inside > -1e-6) & (inside < 1 + 1e-6)).all()
    for name, number in (("right", RIGHT), ("left", LEFT)):
        np.testing.assert_array_equal(frame.side == number, getattr(sides, name))
        rows, columns = np.nonzero(frame.side == number)
        if len(rows):
            row, column = frame.locate(name, *coordinates[:, rows, columns])
            np.testing.assert_allclose(row, rows, atol=1e-3)
            np.testing.assert_allclose(column, columns, atol=1e-3)


def test_an_empty_mask_has_a_frame_without_lungs():
    frame = LungFrame.from_mask(np.zeros((20, 30), bool))
    assert frame.right is None
    assert frame.left is None
    assert not frame.side.any()
    assert np.isnan(frame.coordinates()).all()
    assert repr(frame) == "LungFrame(20x30, no lung, tilted 0.0 degrees)"
    with pytest.raises(InvalidMaskError, match="no left lung"):
        frame.locate("left", 0.5, 0.5)


@pytest.mark.parametrize(("side", "start"), [("right", 10), ("left", 110)])
def test_one_lung_is_named_by_the_half_of_the_image_it_lies_in(side, start):
    mask = np.zeros((100, 160), bool)
    mask[20:80, start : start + 35] = two_lungs(np.eye(2) * 0.5, (100, 160))[20:80, 40:75]
    frame = LungFrame.from_mask(mask)
    assert getattr(split_lungs(mask), side).sum() == mask.sum() > 0
    assert repr(frame) == f"LungFrame(100x160, {side} lung, tilted 0.0 degrees)"
    medial = mask & (frame.coordinates()[1] < 0.1)
    assert (ndimage.center_of_mass(medial)[1] > start + 17) == (side == "right")


def test_bits_beside_the_lungs_go_with_the_side_they_lie_on():
    mask = two_lungs(np.eye(2))
    mask[20:24, 20:24] = mask[200:204, 300:304] = True
    sides = split_lungs(mask)
    assert sides.right[22, 22]
    assert sides.left[202, 302]


def test_a_lung_in_two_pieces_stays_on_its_side():
    mask = two_lungs(np.eye(2))
    whole = split_lungs(mask)
    mask[140:150, :160] = False
    assert ndimage.label(mask)[1] == 3
    np.testing.assert_array_equal(split_lungs(mask).right, whole.right & mask)
    assert np.isfinite(LungFrame.from_mask(mask).coordinates()[:, mask]).all()


def test_a_side_is_right_or_left():
    with pytest.raises(ConfigurationError, match="side must be 'right' or 'left', got 'Left'"):
        LungFrame.from_mask(two_lungs(np.eye(2))).locate("Left", 0.5, 0.5)


def test_zones_are_thirds_from_apex_to_base():
    assert [lung_zone(u) for u in (0.0, 0.33, 0.34, 0.66, 0.67, 1.0)] == [
        *["upper"] * 2,
        *["middle"] * 2,
        *["lower"] * 2,
    ]


@pytest.mark.parametrize(
    "mask", [np.zeros((3, 4, 1), bool), np.zeros((3, 4)), np.eye(3, dtype=int)]
)
def test_what_is_no_mask_is_refused(mask):
    with pytest.raises(InvalidMaskError, match=r"array of bool with shape \(H, W\), got"):
        LungFrame.from_mask(mask)


@pytest.mark.skipif(not (DATA / "lungs").is_dir(), reason=f"no lung masks in {DATA / 'lungs'}")
def test_real_lungs_keep_their_coordinates_when_the_image_is_turned():
    rng = np.random.default_rng(0)
    for path in sorted((DATA / "lungs" / "mask").glob("*.png"))[::12]:
        mask = np.asarray(Image.open(path))[::2, ::2] > 127
        frame = LungFrame.from_mask(mask)
        assert frame.right is not None
        assert frame.left is not None
        matrix = rotation(rng.uniform(-12, 12)) * rng.uniform(0.9, 1.2)
        shape = tuple(int(1.6 * side) for side in mask.shape)
        old, new = (np.array(mask.shape) - 1) / 2, (np.array(shape) - 1) / 2
        inverse = np.linalg.inv(matrix)
        turned = ndimage.affine_transform(
            mask.astype(np.float32), inverse, old - inverse @ new, shape, order=1
        )
        positions = np.stack(np.nonzero(mask))
        there = matrix @ (positions - old[:, None]) + new[:, None]
        moved = LungFrame.from_mask(turned > 0.5)
        away = np.abs(
            at(moved.coordinates(), there) - frame.coordinates()[:, positions[0], positions[1]]
        )
        assert np.nanquantile(away[0], 0.99) < 0.01, path.name
        assert np.nanquantile(away[1], 0.95) < 0.03, path.name
        sides = moved.side[tuple(np.rint(there).astype(int))]
        assert ((sides == 0) | (sides == frame.side[positions[0], positions[1]])).all(), path.name


def test_sides_and_borders_of_two_rectangles():
    mask = np.zeros((30, 50), bool)
    mask[5:25, 5:15] = mask[5:25, 30:45] = True
    sides, frame = split_lungs(mask), LungFrame.from_mask(mask)
    assert isinstance(sides, LungSides)
    np.testing.assert_array_equal(sides.right | sides.left, mask)
    assert not (sides.right & sides.left).any()
    assert isinstance(frame.left, LungBorders)
    # Borders run half a pixel outside the outermost centres; medial is towards the middle.
    medial, lateral = frame.left.at(np.array([0.1, 0.5, 0.9]))
    np.testing.assert_allclose(medial, 29.5)
    np.testing.assert_allclose(lateral, 44.5)
    medial, lateral = frame.right.at(np.array([0.5]))
    np.testing.assert_allclose([medial[0], lateral[0]], [14.5, 4.5])


def test_some_pixels_have_the_coordinates_that_they_have_among_all():
    lungs = phantom_chest(0, size=128).lungs
    frame = LungFrame.from_mask(lungs)
    pixels = np.array([0, *np.flatnonzero(lungs)[[700, 5, 5, 2000]], lungs.size - 1])
    expected = frame.coordinates().reshape(2, -1)[:, pixels]
    np.testing.assert_array_equal(frame.coordinates_at(pixels), expected)
    assert np.isnan(expected).any(axis=0).tolist() == [True, False, False, False, False, True]
