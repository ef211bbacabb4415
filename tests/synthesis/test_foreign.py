import numpy as np
import pytest
from drawn_lungs import IMAGE, LUNGS, OTHER, summary
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse.linalg import spsolve

from lungpatch.errors import InvalidMaskError
from lungpatch.synthesis import paste_foreign
from lungpatch.synthesis.foreign import _poisson_blend


def images(seed, shape=(48, 40)):
    rng = np.random.default_rng(seed)
    return rng, rng.random(shape, dtype=np.float32), rng.random(shape, dtype=np.float32)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["mix", "poisson"]))
def test_only_lung_changes_and_alpha_says_where(seed, blend):
    rng, image, other = images(seed)
    lung = np.zeros(image.shape, bool)
    lung[5:40, 4:18] = lung[8:30, 22:36] = True
    changed, alpha = paste_foreign(image, lung, other, rng, blend=blend)
    assert changed.dtype == alpha.dtype == np.float32
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert alpha.min() >= 0
    assert alpha.max() <= 1
    np.testing.assert_array_equal(changed[~lung], image[~lung])
    assert not alpha[~lung].any()
    assert (changed != image).any()
    # Where the grey changed much, smoothing does not hide it.
    strong = np.abs(changed - image) > 0.5
    assert (alpha[strong] > 0).all()


def test_same_seed_same_piece():
    rng, image, other = images(3)
    lung = np.ones(image.shape, bool)
    first = paste_foreign(image, lung, other, np.random.default_rng(7))
    again = paste_foreign(image, lung, other, np.random.default_rng(7))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    del rng


def test_poisson_blending_equals_a_sparse_solver():
    _, around, piece = images(1, (9, 7))
    blended = _poisson_blend(around, piece)
    # The discrete Poisson equation, written out pixel by pixel.
    height, width = around.shape
    matrix = sparse.lil_matrix((height * width, height * width))
    right = np.zeros(height * width)
    for row in range(height):
        for column in range(width):
            k = row * width + column
            matrix[k, k] = 1.0
            if row in (0, height - 1) or column in (0, width - 1):
                right[k] = around[row, column]
                continue
            matrix[k, k] = -4.0
            right[k] = -4.0 * piece[row, column]
            for down, across in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                matrix[k, (row + down) * width + column + across] = 1.0
                right[k] += piece[row + down, column + across]
    expected = spsolve(matrix.tocsr(), right).reshape(height, width)
    np.testing.assert_allclose(blended, expected, atol=1e-9)


@pytest.mark.parametrize("blend", ["mix", "poisson"])
def test_a_piece_of_the_same_grey_changes_nothing(blend):
    flat = np.full((48, 40), 0.4, np.float32)
    lung = np.ones(flat.shape, bool)
    for seed in range(5):
        changed, alpha = paste_foreign(flat, lung, flat, np.random.default_rng(seed), blend=blend)
        np.testing.assert_allclose(changed, flat, atol=1e-6)
        assert not alpha.any()


def test_a_mixed_piece_lies_between_the_two_images():
    dark, bright = np.full((2, 48, 40), [[[0.2]], [[0.8]]], np.float32)
    lung = np.ones(dark.shape, bool)
    peaks = []
    for seed in range(60):
        changed, alpha = paste_foreign(dark, lung, bright, np.random.default_rng(seed))
        peaks.append((changed.max() - 0.2) / 0.6)
        assert changed.min() >= 0.2
        # Nothing but the piece itself changes, which is no wider than two fifths and 4 pixels.
        rows, columns = np.nonzero(changed > dark)
        assert np.ptp(rows) < 0.4 * 48 + 4
        assert np.ptp(columns) < 0.4 * 40 + 4
        # Fully anomalous from a tenth of the scale on, unseen below a fiftieth.
        assert alpha.max() == 1.0
        assert alpha[alpha > 0].min() >= 0.2
    assert min(peaks) > 0.2
    assert max(peaks) > 0.9


def test_pieces_come_from_nearby_in_the_image_or_its_mirror_image():
    dark = np.zeros((48, 40), np.float32)
    lung = np.ones(dark.shape, bool)
    for first, last in ((0, 10), (30, 40)):
        other = np.zeros(dark.shape, np.float32)
        other[12:24, first:last] = 1.0
        here = np.zeros(dark.shape, bool)
        for seed in range(200):
            changed, _ = paste_foreign(dark, lung, other, np.random.default_rng(seed))
            here |= changed > 0
        # From at most a quarter of the side away.
        assert not here[36:].any()
        assert here[:, :20].any()
        assert here[:, 20:].any()


def test_a_piece_too_thin_for_an_inside_is_all_border():
    around, piece = np.random.default_rng(0).random((2, 2, 5), dtype=np.float32)
    np.testing.assert_array_equal(_poisson_blend(around, piece), around)


def test_a_piece_of_three_rows_has_an_inside():
    around, piece = np.random.default_rng(0).random((2, 3, 5), dtype=np.float32)
    blended = _poisson_blend(around, piece)
    np.testing.assert_allclose(blended[[0, -1]], around[[0, -1]], atol=1e-6)
    assert (np.abs(blended[1, 1:-1] - around[1, 1:-1]) > 1e-3).any()


def test_pieces_reach_the_first_row_and_column():
    dark, bright = np.zeros((2, 24, 20), np.float32)
    bright[:] = 1.0
    lung = np.zeros(dark.shape, bool)
    lung[:3, :3] = True
    changed = [
        paste_foreign(dark, lung, bright, np.random.default_rng(seed))[0] for seed in range(100)
    ]
    # Soft edges are 0 at a piece's first row; the second shows that it began in the image's first.
    assert max(image[1].max() for image in changed) > 0.15
    assert max(image[:, 1].max() for image in changed) > 0.15


PASTED = {
    "mix": ((0.0065052, 46.314, 36.629, 0.087824), (0.035506, 45.007, 38.067, 1 / 3)),
    "poisson": ((0.015596, 44.488, 39.847, 0.14045), (0.05727, 44.117, 40.339, 1 / 3)),
}


@pytest.mark.parametrize("blend", ["mix", "poisson"])
def test_what_models_were_trained_on_does_not_change(blend):
    pasted = [
        paste_foreign(IMAGE, LUNGS, OTHER, np.random.default_rng(seed), blend=blend)
        for seed in range(12)
    ]
    change = sum(np.abs(changed - IMAGE) for changed, _ in pasted) / 12
    alpha = sum(alpha for _, alpha in pasted) / 12
    assert summary(change) == pytest.approx(PASTED[blend][0], rel=1e-3)
    assert summary(alpha) == pytest.approx(PASTED[blend][1], rel=1e-3)


def test_empty_mask():
    rng, image, other = images(0)
    with pytest.raises(InvalidMaskError, match="empty"):
        paste_foreign(image, np.zeros(image.shape, bool), other, rng)
