"""The crop around the lungs: where it lies, how it is resampled, which grey levels it has."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.exposure import equalize_adapthist

from lungpatch import ChestImage, LungCropSampler, LungMask
from lungpatch.errors import ConfigurationError, InvalidMaskError


def lung_box(shape, box):
    """A mask that is one half-open box."""
    mask = np.zeros(shape, bool)
    mask[box[0] : box[2], box[1] : box[3]] = True
    return mask


def crop(pixels, mask, **settings):
    """The batch of an image and a mask, grey levels unchanged unless asked for."""
    sampler = LungCropSampler(**{"intensity": "image", "margin": 0.0, **settings})
    image = ChestImage(pixels=np.asarray(pixels, np.float32), image_id="chest")
    return sampler.sample(image, LungMask(pixels=mask))


def noise(shape, seed=0):
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def triangles(extent, side):
    """Weights (side, extent) of bilinear resampling; a smaller result averages over more pixels."""
    scale = extent / side
    centres = (np.arange(side)[:, None] + 0.5) * scale
    away = np.abs(np.arange(extent) + 0.5 - centres) / max(scale, 1.0)
    weights = np.maximum(1.0 - away, 0.0)
    return weights / weights.sum(axis=1, keepdims=True)


def resampled(pixels, corner, extent, side):
    """The box of the image in ``side`` x ``side``, 0 beyond the image: the slow way."""
    box = np.zeros(extent)
    for row in range(extent[0]):
        for column in range(extent[1]):
            r, c = row + corner[0], column + corner[1]
            if 0 <= r < pixels.shape[0] and 0 <= c < pixels.shape[1]:
                box[row, column] = pixels[r, c]
    return triangles(extent[0], side) @ box @ triangles(extent[1], side).T


def stretched(values, reference):
    black, white = np.percentile(reference, [2, 98])
    return np.clip((values - black) / (white - black), 0, 1)


# --------------------------------------------------------------------------------- position


@pytest.mark.parametrize(
    ("margin", "corner", "extent"),
    [
        (0.0, (10, 5), (20, 40)),
        (0.1, (8, 1), (24, 48)),  # 2 rows and 4 columns on every side
        (0.06, (9, 3), (22, 44)),  # 1.2 and 2.4
        (0.04, (9, 3), (22, 44)),  # 0.8 and 1.6
        (1.0, (-10, -35), (60, 120)),
    ],
)
def test_the_box_of_the_lungs_grows_by_the_margin_on_every_side(margin, corner, extent):
    mask = lung_box((50, 70), (10, 5, 30, 45))
    batch = crop(noise((50, 70)), mask, patch_size=16, margin=margin)
    assert batch.corners.tolist() == [list(corner)]
    assert batch.extents.tolist() == [list(extent)]
    assert batch.pixels.shape == batch.lung.shape == (1, 16, 16)
    assert batch.image_shape == (50, 70)
    assert batch.image_id == "chest"


def test_the_box_is_around_both_lungs():
    mask = lung_box((40, 40), (10, 4, 20, 9)) | lung_box((40, 40), (12, 30, 25, 33))
    batch = crop(noise((40, 40)), mask, patch_size=8)
    assert batch.corners.tolist() == [[10, 4]]
    assert batch.extents.tolist() == [[15, 29]]


def test_a_box_of_the_patch_size_is_copied():
    pixels, mask = noise((40, 60)), lung_box((40, 60), (7, 21, 23, 37))
    mask[9, 30] = False
    batch = crop(pixels, mask, patch_size=16)
    np.testing.assert_array_equal(batch.pixels[0], pixels[7:23, 21:37])
    np.testing.assert_array_equal(batch.lung[0], mask[7:23, 21:37])


@pytest.mark.parametrize(
    ("box", "inside"),
    [
        ((0, 12, 10, 22), (slice(5, 20), slice(0, 20))),  # 5 rows above the image
        ((30, 12, 40, 22), (slice(0, 15), slice(0, 20))),  # 5 rows below
        ((12, 0, 22, 10), (slice(0, 20), slice(5, 20))),  # 5 columns before
        ((12, 50, 22, 60), (slice(0, 20), slice(0, 15))),  # 5 columns behind
    ],
)
def test_beyond_the_image_it_is_black_and_no_lung(box, inside):
    pixels = 0.25 + 0.5 * noise((40, 60))
    batch = crop(pixels, lung_box((40, 60), box), patch_size=20, margin=0.5)
    (corner,), (patch,) = batch.corners, batch.pixels
    rows, columns = inside
    top, left = corner[0] + rows.start, corner[1] + columns.start
    height, width = rows.stop - rows.start, columns.stop - columns.start
    np.testing.assert_array_equal(patch[inside], pixels[top : top + height, left : left + width])
    outside = np.ones((20, 20), bool)
    outside[inside] = False
    assert (patch[outside] == 0).all()
    assert not batch.lung[0][outside].any()
    assert batch.lung[0].sum() == 100


# ------------------------------------------------------------------------------- resampling


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    data=st.data(),
    side=st.integers(8, 24),
    margin=st.floats(0, 1),
)
def test_resampling_is_bilinear_and_antialiased(shape, data, side, margin):
    height, width = shape
    row = data.draw(st.integers(0, height - 1))
    column = data.draw(st.integers(0, width - 1))
    box = (
        row,
        column,
        data.draw(st.integers(row + 1, height)),
        data.draw(st.integers(column + 1, width)),
    )
    pixels, mask = noise(shape), lung_box(shape, box)
    batch = crop(pixels, mask, patch_size=side, margin=margin)
    (corner,), (extent,) = batch.corners, batch.extents
    np.testing.assert_allclose(batch.pixels[0], resampled(pixels, corner, extent, side), atol=1e-5)
    lung = resampled(mask, corner, extent, side)
    clear = np.abs(lung - 0.5) > 1e-5
    np.testing.assert_array_equal(batch.lung[0][clear], (lung > 0.5)[clear])


def test_a_pixel_is_lung_if_more_than_half_of_it_is():
    mask = np.zeros((32, 32), bool)
    mask[[0, 31], [0, 31]] = True  # the box of the lungs is the image
    mask[8:16, 8:16] = True
    batch = crop(noise((32, 32)), mask, patch_size=8)
    expected = np.zeros((8, 8), bool)
    expected[2:4, 2:4] = True
    np.testing.assert_array_equal(batch.lung[0], expected)


def test_a_pixel_that_is_half_lung_is_none():
    mask = np.zeros((16, 16), bool)
    mask[:, 9:] = True  # begins in the middle of a pixel of the patch
    mask[0, 0] = True
    batch = crop(noise((16, 16)), mask, patch_size=8)
    np.testing.assert_array_equal(batch.lung[0, 4:], [[False] * 5 + [True] * 3] * 4)


def test_a_pixel_of_the_image_is_found_again_by_the_documented_rule():
    mask = lung_box((30, 40), (6, 10, 18, 34))
    for row, column in [(6, 10), (6, 33), (17, 10), (11, 20), (17, 33)]:
        pixels = np.zeros((30, 40), np.float32)
        pixels[row, column] = 1.0
        (patch,) = crop(pixels, mask, patch_size=48, margin=0.0).pixels
        found = np.argwhere(patch == patch.max()).mean(axis=0)
        # floor((r + 1/2) P / n): four and two rows or columns of the patch per pixel.
        assert (row - 6) * 4 <= found[0] < (row - 5) * 4
        assert (column - 10) * 2 <= found[1] < (column - 9) * 2


def test_values_stay_in_range():
    pixels = np.ones((20, 20), np.float32)
    batch = crop(pixels, lung_box((20, 20), (0, 0, 20, 20)), patch_size=37, margin=0.3)
    assert batch.pixels.dtype == np.float32
    assert batch.pixels.min() == 0.0
    assert batch.pixels.max() == 1.0


# ------------------------------------------------------------------------------- grey levels


@pytest.fixture
def chest():
    """Dark lungs in a bright body with a marker, all noisy; the lungs' box is 64 x 64."""
    rng = np.random.default_rng(1)
    mask = lung_box((80, 96), (8, 16, 72, 40)) | lung_box((80, 96), (8, 60, 72, 80))
    pixels = rng.uniform(0.6, 0.8, mask.shape)
    pixels[mask] = rng.uniform(0.2, 0.4, mask.sum())
    pixels[8:20, 44:56] = 1.0
    return pixels.astype(np.float32), mask


WINDOW = np.s_[8:72, 16:80]


def test_image_leaves_grey_levels_alone(chest):
    pixels, mask = chest
    batch = crop(pixels, mask, patch_size=64, intensity="image")
    np.testing.assert_array_equal(batch.pixels[0], pixels[WINDOW])


def test_crop_stretches_between_percentiles_of_the_patch(chest):
    pixels, mask = chest
    (patch,) = crop(pixels, mask, patch_size=64, intensity="crop").pixels
    window = pixels[WINDOW].astype(float)
    np.testing.assert_allclose(patch, stretched(window, window), atol=1e-6)
    # Two in a hundred pixels are clipped at the dark end, and more at the white one.
    assert 0.019 < (patch == 0).mean() < 0.021
    assert (patch == 1).mean() > 0.02


def test_lung_stretches_between_percentiles_of_lung_alone(chest):
    pixels, mask = chest
    (patch,) = crop(pixels, mask, patch_size=64, intensity="lung").pixels
    window, lung = pixels[WINDOW].astype(float), mask[WINDOW]
    np.testing.assert_allclose(patch, stretched(window, window[lung]), atol=1e-6)
    assert (patch[~lung] == 1).all()
    assert 0.019 < (patch[lung] == 0).mean() < 0.021
    assert 0.019 < (patch[lung] == 1).mean() < 0.021


def test_percentiles_are_those_of_the_patch_not_of_the_image(chest):
    pixels, mask = chest
    inside = crop(pixels, mask, patch_size=64, intensity="crop").pixels
    pixels = pixels.copy()
    pixels[:8], pixels[72:] = 0.0, 1.0
    np.testing.assert_array_equal(
        crop(pixels, mask, patch_size=64, intensity="crop").pixels, inside
    )


def test_clahe_equalises_the_stretched_patch(chest):
    pixels, mask = chest
    (patch,) = crop(pixels, mask, patch_size=64, intensity="clahe").pixels
    window = pixels[WINDOW].astype(np.float32)
    expected = np.clip(equalize_adapthist(stretched(window, window)), 0, 1)
    np.testing.assert_allclose(patch, expected, atol=1e-4)
    assert patch.dtype == np.float32
    assert np.abs(patch - stretched(window, window)).max() > 0.05


def test_crop_is_the_default(chest):
    pixels, mask = chest
    image = ChestImage(pixels=pixels, image_id="a")
    by_default = LungCropSampler(patch_size=64, margin=0.0).sample(image, LungMask(pixels=mask))
    asked = crop(pixels, mask, patch_size=64, intensity="crop")
    np.testing.assert_array_equal(by_default.pixels, asked.pixels)
    assert LungCropSampler().patch_size == 256
    assert LungCropSampler().margin == 0.06


@pytest.mark.parametrize("intensity", ["crop", "lung", "clahe"])
@pytest.mark.parametrize("spread", [0.0, 3e-7])
def test_one_grey_level_is_left_as_it_is(intensity, spread):
    pixels = (0.5 + spread * noise((24, 24))).astype(np.float32)
    mask = lung_box((24, 24), (4, 4, 20, 20))
    (patch,) = crop(pixels, mask, patch_size=16, intensity=intensity).pixels
    np.testing.assert_array_equal(patch, pixels[4:20, 4:20])


@pytest.mark.parametrize("intensity", ["crop", "lung"])
def test_little_contrast_is_stretched_all_the_same(intensity):
    pixels = (0.5 + 1e-4 * noise((24, 24))).astype(np.float32)
    mask = lung_box((24, 24), (4, 4, 20, 20))
    (patch,) = crop(pixels, mask, patch_size=16, intensity=intensity).pixels
    assert patch.min() == 0.0
    assert patch.max() == 1.0
    assert 0.4 < patch.mean() < 0.6


def test_one_grey_level_in_the_lung_is_enough_to_leave_it_as_it_is():
    pixels, mask = noise((24, 24)), lung_box((24, 24), (4, 4, 20, 20))
    mask[:, 10:14] = False
    pixels[mask] = 0.5
    by_lung = crop(pixels, mask, patch_size=16, intensity="lung")
    np.testing.assert_array_equal(by_lung.pixels[0], pixels[4:20, 4:20])
    by_crop = crop(pixels, mask, patch_size=16, intensity="crop")
    assert not np.array_equal(by_crop.pixels[0], pixels[4:20, 4:20])


def test_lungs_too_sparse_for_the_patch_are_measured_like_the_whole():
    pixels, mask = noise((64, 64)), np.zeros((64, 64), bool)
    mask[::7, ::7] = True
    by_lung = crop(pixels, mask, patch_size=8, intensity="lung")
    assert not by_lung.lung.any()
    by_crop = crop(pixels, mask, patch_size=8, intensity="crop")
    np.testing.assert_array_equal(by_lung.pixels, by_crop.pixels)


# --------------------------------------------------------------------------------- contract


def test_without_lungs_there_is_no_patch():
    batch = crop(noise((30, 40)), np.zeros((30, 40), bool), patch_size=16)
    assert len(batch) == 0
    assert batch.pixels.shape == batch.lung.shape == (0, 16, 16)
    assert batch.corners.shape == batch.extents.shape == (0, 2)
    assert batch.image_shape == (30, 40)
    assert batch.image_id == "chest"


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(InvalidMaskError, match=r"chest: .*\(30, 41\).*\(30, 40\)"):
        crop(noise((30, 40)), np.ones((30, 41), bool))


def test_an_image_smaller_than_the_patch_is_enlarged():
    batch = crop(noise((5, 6)), np.ones((5, 6), bool), patch_size=64)
    assert batch.pixels.shape == (1, 64, 64)
    assert batch.lung.all()
    assert batch.extents.tolist() == [[5, 6]]


def test_nothing_is_random():
    image = ChestImage(pixels=noise((30, 40)), image_id="a")
    lungs = LungMask(pixels=lung_box((30, 40), (3, 4, 20, 30)))
    sampler = LungCropSampler(patch_size=16)
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    np.testing.assert_array_equal(
        sampler.sample(image, lungs, rng=rng).pixels, sampler.sample(image, lungs).pixels
    )
    assert rng.bit_generator.state == before


@pytest.mark.parametrize(
    "settings",
    [
        {"patch_size": 7},
        {"patch_size": 64.0},
        {"margin": -0.01},
        {"margin": 1.01},
        {"margin": "0.1"},
        {"intensity": "window"},
    ],
)
def test_settings_out_of_range_are_refused_by_name(settings):
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        LungCropSampler(**settings)


def test_settings_at_the_ends_of_their_range_are_taken():
    assert LungCropSampler(patch_size=8, margin=0).patch_size == 8
    assert LungCropSampler(margin=1).margin == 1
