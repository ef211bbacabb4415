import numpy as np
import pytest
from scipy import stats

from lungpatch.containers import ChestImage, LungMask
from lungpatch.errors import ConfigurationError, InvalidImageError
from lungpatch.samplers.random_patches import RandomSampler


@pytest.fixture
def image():
    pixels = np.random.default_rng(0).random((40, 50), dtype=np.float32)
    return ChestImage(pixels=pixels, image_id="image")


@pytest.fixture
def lungs(image):
    pixels = np.zeros(image.shape, bool)
    pixels[5:35, 10:45] = True
    return LungMask(pixels=pixels)


def sample(sampler, image, lungs, seed=0):
    return sampler.sample(image, lungs, rng=np.random.default_rng(seed))


def test_patches_are_slices_and_hold_enough_lung(image, lungs):
    batch = sample(RandomSampler(patch_size=8, n_patches=50, min_lung_fraction=0.7), image, lungs)
    assert len(batch) == 50
    assert (batch.lung.mean(axis=(1, 2)) >= 0.7).all()
    for patch, (row, column) in zip(batch.pixels, batch.corners, strict=True):
        np.testing.assert_array_equal(patch, image.pixels[row : row + 8, column : column + 8])


def test_no_place_is_drawn_twice_while_there_are_enough(image, lungs):
    positions = (30 - 8 + 1) * (35 - 8 + 1)
    batch = sample(RandomSampler(patch_size=8, n_patches=positions), image, lungs)
    assert len(np.unique(batch.corners, axis=0)) == positions


def test_fewer_positions_than_patches_are_drawn_again(image):
    pixels = np.zeros(image.shape, bool)
    pixels[3:11, 4:13] = True  # two positions for a patch of 8x8
    batch = sample(RandomSampler(patch_size=8, n_patches=20), image, LungMask(pixels=pixels))
    assert len(batch) == 20
    assert {tuple(c) for c in batch.corners.tolist()} == {(3, 4), (3, 5)}


def test_every_place_is_equally_likely(image, lungs):
    sampler = RandomSampler(patch_size=28, n_patches=1)
    rng = np.random.default_rng(0)
    drawn = [tuple(sampler.sample(image, lungs, rng=rng).corners[0]) for _ in range(2400)]
    positions, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(positions) == 3 * 8
    assert stats.chisquare(counts).pvalue > 0.001


def test_the_generator_decides(image, lungs):
    sampler = RandomSampler(patch_size=8, n_patches=10)
    first, again, other = (sample(sampler, image, lungs, seed).corners for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_no_lungs_give_no_patches(image):
    empty = LungMask(pixels=np.zeros(image.shape, bool))
    assert len(sample(RandomSampler(patch_size=8), image, empty)) == 0


def test_a_missing_generator_is_an_error(image, lungs):
    with pytest.raises(ConfigurationError, match="default_rng"):
        RandomSampler(patch_size=8).sample(image, lungs)


def test_too_large_a_patch_is_refused(image, lungs):
    with pytest.raises(InvalidImageError, match=r"41x41.*40x50"):
        sample(RandomSampler(patch_size=41), image, lungs)


def test_every_position_can_be_drawn_up_to_the_last_row_and_column():
    image = ChestImage(pixels=np.zeros((12, 17), np.float32), image_id="a")
    lungs = LungMask(pixels=np.ones(image.shape, bool))
    sampler = RandomSampler(patch_size=8, n_patches=5 * 10)
    corners = sampler.sample(image, lungs, rng=np.random.default_rng(0)).corners
    expected = np.argwhere(np.ones((5, 10)))
    np.testing.assert_array_equal(np.unique(corners, axis=0), expected)


def test_patches_that_are_partly_lung_are_drawn_if_allowed():
    image = ChestImage(pixels=np.zeros((12, 17), np.float32), image_id="a")
    lungs = LungMask(pixels=np.zeros(image.shape, bool))
    rng = np.random.default_rng(0)
    some = RandomSampler(patch_size=8, n_patches=5, min_lung_fraction=0.0)
    assert len(some.sample(image, lungs, rng=rng)) == 5
    assert len(RandomSampler(patch_size=8).sample(image, lungs, rng=rng)) == 0
    assert RandomSampler().n_patches == 64
