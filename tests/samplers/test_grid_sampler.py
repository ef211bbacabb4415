import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.util import view_as_windows

from lungpatch.containers import ChestImage, LungMask
from lungpatch.errors import InvalidImageError, InvalidMaskError
from lungpatch.samplers.grid import GridSampler


def random_image(height, width, seed=0):
    pixels = np.random.default_rng(seed).random((height, width), dtype=np.float32)
    return ChestImage(pixels=pixels, image_id="image")


def all_lung(image):
    return LungMask(pixels=np.ones(image.shape, bool))


geometries = st.tuples(
    st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 45)
).filter(lambda g: g[2] <= min(g[0], g[1]))


@given(geometries)
def test_patches_are_slices_of_the_image_and_of_the_mask(geometry):
    height, width, side, stride = geometry
    image = random_image(height, width)
    lungs = LungMask(pixels=image.pixels > 0.3)
    batch = GridSampler(patch_size=side, stride=stride, min_lung_fraction=0).sample(image, lungs)
    assert len(batch) > 0
    for i, (row, column) in enumerate(batch.corners):
        window = np.s_[row : row + side, column : column + side]
        np.testing.assert_array_equal(batch.pixels[i], image.pixels[window])
        np.testing.assert_array_equal(batch.lung[i], lungs.pixels[window])


@given(geometries)
def test_grid_starts_at_0_and_ends_flush_with_the_border(geometry):
    height, width, side, stride = geometry
    image = random_image(height, width)
    corners = GridSampler(patch_size=side, stride=stride).sample(image, all_lung(image)).corners
    for axis, length in enumerate((height, width)):
        starts = np.unique(corners[:, axis])
        assert starts[0] == 0
        assert starts[-1] + side == length
        assert (np.diff(starts)[:-1] == stride).all()
        assert (np.diff(starts) <= stride).all()
    assert len(np.unique(corners, axis=0)) == len(corners)


@given(geometries)
def test_every_pixel_is_covered_where_the_stride_is_at_most_a_patch(geometry):
    height, width, side, stride = geometry
    image = random_image(height, width)
    batch = GridSampler(patch_size=side, stride=min(stride, side)).sample(image, all_lung(image))
    covered = np.zeros(image.shape, bool)
    for row, column in batch.corners:
        covered[row : row + side, column : column + side] = True
    assert covered.all()


@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 4), st.integers(0, 4))
def test_a_fitting_grid_equals_view_as_windows(side, stride, rows, columns):
    image = random_image(side + rows * stride, side + columns * stride)
    batch = GridSampler(patch_size=side, stride=stride).sample(image, all_lung(image))
    windows = view_as_windows(image.pixels, (side, side), stride)
    np.testing.assert_array_equal(batch.pixels, windows.reshape(-1, side, side))


@given(geometries, st.floats(0, 1), st.integers(0, 99))
def test_kept_are_exactly_the_patches_with_enough_lung(geometry, fraction, seed):
    height, width, side, stride = geometry
    image = random_image(height, width, seed)
    lungs = LungMask(pixels=image.pixels > 0.4)
    exhaustive = GridSampler(patch_size=side, stride=stride, min_lung_fraction=0)
    strict = GridSampler(patch_size=side, stride=stride, min_lung_fraction=fraction)
    every = exhaustive.sample(image, lungs)
    kept = every[every.lung.mean(axis=(1, 2)) >= fraction]
    np.testing.assert_array_equal(strict.sample(image, lungs).corners, kept.corners)


@pytest.mark.parametrize("side", [3, 7, 10, 31, 32])
def test_a_patch_full_of_lung_passes_a_fraction_of_one(side):
    image = random_image(40, 40)
    one_hole = np.ones(image.shape, bool)
    one_hole[0, 0] = False
    sampler = GridSampler(patch_size=side, stride=side, min_lung_fraction=1.0)
    full = sampler.sample(image, all_lung(image))
    holed = sampler.sample(image, LungMask(pixels=one_hole))
    assert len(holed) == len(full) - 1
    assert [0, 0] not in holed.corners.tolist()


def test_a_fraction_written_as_a_decimal_is_met_exactly():
    # 7 pixels of 100 are 0.07, though 0.07 * 100 is above 7 in floating point.
    lung = np.zeros((10, 10), bool)
    lung[0, :7] = True
    sampler = GridSampler(patch_size=10, stride=10, min_lung_fraction=0.07)
    assert len(sampler.sample(random_image(10, 10), LungMask(pixels=lung))) == 1


def test_a_patch_may_be_the_whole_image():
    image = random_image(32, 32)
    batch = GridSampler(patch_size=32, stride=20).sample(image, all_lung(image))
    np.testing.assert_array_equal(batch.pixels, image.pixels[None])
    assert batch.corners.tolist() == [[0, 0]]


def test_no_lungs_give_no_patches_and_the_exhaustive_rule_gives_all():
    image = random_image(64, 64)
    empty = LungMask(pixels=np.zeros(image.shape, bool))
    nothing = GridSampler().sample(image, empty)
    assert len(nothing) == 0
    assert nothing.pixels.shape == (0, 32, 32)
    assert len(GridSampler(min_lung_fraction=0).sample(image, empty)) == 9


def test_the_patches_are_copies():
    pixels = np.zeros((32, 32), np.float32)
    image = ChestImage(pixels=pixels, image_id="a")
    batch = GridSampler(patch_size=32).sample(image, all_lung(image))
    pixels[:] = 1
    assert batch.pixels.max() == 0


def test_too_large_a_patch_is_refused_with_both_sizes():
    image = random_image(20, 50)
    with pytest.raises(InvalidImageError, match=r"image: .*32x32.*20x50"):
        GridSampler(patch_size=32).sample(image, all_lung(image))


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(InvalidMaskError, match=r"\(40, 41\).*\(40, 40\)"):
        GridSampler().sample(random_image(40, 40), LungMask(pixels=np.ones((40, 41), bool)))


@pytest.mark.parametrize(
    "settings",
    [
        {"patch_size": 0},
        {"patch_size": 3.5},
        {"stride": 0},
        {"min_lung_fraction": 1.1},
        {"min_lung_fraction": -0.1},
        {"min_lung_fraction": float("nan")},
        {"min_lung_fraction": "1"},
    ],
)
def test_settings_out_of_range_are_refused_by_name(settings):
    with pytest.raises((ValueError, TypeError), match=next(iter(settings))):
        GridSampler(**settings)


def test_a_patch_knows_its_image():
    image = random_image(20, 50)
    batch = GridSampler(patch_size=10).sample(image, all_lung(image))
    assert batch.image_shape == (20, 50)
    assert batch.image_id == "image"


def test_a_transposed_mask_is_refused():
    with pytest.raises(InvalidMaskError, match=r"\(50, 20\)"):
        GridSampler(patch_size=10).sample(
            random_image(20, 50), LungMask(pixels=np.ones((50, 20), bool))
        )


def test_large_patches_full_of_lung_are_counted_right():
    image = random_image(300, 300)
    assert len(GridSampler(patch_size=256, stride=44).sample(image, all_lung(image))) == 4


def test_the_defaults_are_those_of_the_paper():
    sampler = GridSampler()
    assert (sampler.patch_size, sampler.stride, sampler.min_lung_fraction) == (32, 20, 1.0)
