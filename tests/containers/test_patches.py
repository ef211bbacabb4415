"""Batches of patches: what fits together, slicing, splitting, joining."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lungpatch import PatchBatch


def batch(count=5, side=4, seed=0, **changes):
    """A batch whose every patch, corner, mask and extent is another."""
    rng = np.random.default_rng(seed)
    fields = {
        "pixels": rng.random((count, side, side), dtype=np.float32),
        "corners": rng.integers(0, 20, (count, 2)),
        "lung": rng.random((count, side, side)) < 0.5,
        "image_shape": (32, 40),
        "image_id": "chest",
        "extents": rng.integers(1, 9, (count, 2)),
    }
    return PatchBatch(**fields | changes)


def assert_same(first, second):
    for name in ("pixels", "corners", "lung", "extents"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_a_batch_says_how_many_and_how_large():
    patches = batch(count=5, side=4)
    assert len(patches) == 5
    assert patches.patch_size == 4
    assert repr(patches) == "PatchBatch('chest', 5 patches of 4x4 in 32x40)"


def test_patches_are_cut_out_as_they_are_by_default():
    pixels = np.zeros((3, 6, 6), np.float32)
    patches = PatchBatch(
        pixels=pixels,
        corners=np.zeros((3, 2), np.int64),
        lung=np.zeros(pixels.shape, bool),
        image_shape=(8, 8),
        image_id="a",
    )
    assert patches.extents.tolist() == [[6, 6]] * 3


def test_a_batch_may_be_empty():
    empty = batch(count=0)
    assert len(empty) == 0
    assert empty.patch_size == 4
    assert list(empty.split(3)) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pixels": np.zeros((5, 4), np.float32)}, "pixels must have 3 axes"),
        ({"pixels": np.zeros((5, 4, 3), np.float32)}, "must be square"),
        ({"lung": np.zeros((5, 4), bool)}, "lung must have 3 axes"),
        ({"lung": np.zeros((4, 4, 4), bool)}, r"lung \(4, 4, 4\) and pixels \(5, 4, 4\)"),
        ({"corners": np.zeros((4, 2), int)}, r"corners \(4, 2\) do not fit 5 patches"),
        ({"corners": np.zeros((5, 3), int)}, r"corners \(5, 3\) do not fit"),
        ({"corners": np.zeros(5, int)}, "corners must have 2 axes"),
        ({"extents": np.ones((6, 2), int)}, r"extents \(6, 2\) do not fit 5 patches"),
        ({"extents": np.ones((5, 1), int)}, r"extents \(5, 1\) do not fit"),
        ({"extents": np.array([[4, 4]] * 4 + [[4, 0]])}, "extents must be at least 1"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        batch(**changes)


def test_an_extent_of_one_pixel_is_allowed():
    assert batch(extents=np.ones((5, 2), int)).extents.tolist() == [[1, 1]] * 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"corners": np.zeros((5, 2))}, "expected an array of int64, got float64"),
        ({"lung": np.zeros((5, 4, 4), np.uint8)}, "expected an array of bool, got uint8"),
    ],
)
def test_arrays_of_another_kind_are_refused(changes, message):
    with pytest.raises(TypeError, match=message):
        batch(**changes)


@pytest.mark.parametrize(
    "index",
    [slice(1, 4), slice(None, None, -1), np.array([3, 0, 3]), np.array([True, False] * 2 + [True])],
    ids=["slice", "backwards", "indices", "mask"],
)
def test_an_index_takes_the_same_patches_of_every_array(index):
    patches = batch()
    taken = patches[index]
    for name in ("pixels", "corners", "lung", "extents"):
        np.testing.assert_array_equal(getattr(taken, name), getattr(patches, name)[index])
    assert taken.image_shape == (32, 40)
    assert taken.image_id == "chest"


@given(count=st.integers(0, 12), size=st.integers(1, 15))
def test_pieces_join_to_the_whole(count, size):
    patches = batch(count=count)
    pieces = list(patches.split(size))
    assert [len(piece) for piece in pieces[:-1]] == [size] * (len(pieces) - 1)
    assert sum(map(len, pieces)) == count
    if pieces:
        assert 1 <= len(pieces[-1]) <= size
        assert_same(PatchBatch.concatenate(pieces), patches)


def test_joining_keeps_the_order_of_batches():
    first, second = batch(count=2, seed=1), batch(count=3, seed=2)
    joined = PatchBatch.concatenate([first, second])
    assert_same(joined[:2], first)
    assert_same(joined[2:], second)
    assert joined.image_shape == (32, 40)
    assert joined.image_id == "2 images"


def test_a_single_batch_is_joined_to_itself():
    patches = batch()
    assert PatchBatch.concatenate([patches]) is patches


def test_images_of_different_shapes_are_not_joined():
    with pytest.raises(ValueError, match=r"different shapes.*\(32, 40\)"):
        PatchBatch.concatenate([batch(), batch(image_shape=(40, 32))])


def test_a_notebook_shows_lung_brighter_than_the_rest():
    lung = np.zeros((1, 64, 64), bool)
    lung[0, :32] = True
    png = batch(
        count=1,
        pixels=np.full((1, 64, 64), 0.8, np.float32),
        lung=lung,
        corners=np.zeros((1, 2), int),
        extents=np.full((1, 2), 64),
    )._repr_png_()
    shown = np.asarray(Image.open(io.BytesIO(png)).convert("L"))
    assert shown[8:28, 20:50].min() > shown[40:60, 20:50].max() > 0


def test_arrays_cannot_be_written_to():
    patches = batch()
    for name in ("pixels", "corners", "lung", "extents"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(patches, name)[0] = 0
