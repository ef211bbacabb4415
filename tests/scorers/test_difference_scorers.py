import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungpatch.containers import PatchBatch, Reconstruction
from lungpatch.errors import ConfigurationError
from lungpatch.scorers.l2 import L2Scorer
from lungpatch.scorers.sad import SADScorer


def batch(pixels, lung=None):
    count = len(pixels)
    return PatchBatch(
        pixels=pixels,
        corners=np.zeros((count, 2), np.int64),
        lung=np.ones(pixels.shape, bool) if lung is None else lung,
        image_shape=(64, 64),
        image_id="image",
    )


def random_case(count=6, side=9, seed=0):
    rng = np.random.default_rng(seed)
    target, expected = rng.random((2, count, side, side), dtype=np.float32)
    lung = rng.random((count, side, side)) < 0.5
    lung[:, 0, 0] = True
    patches = batch(target, lung)
    return patches, Reconstruction(target=target[:, None], expected=expected[:, None])


def by_hand(patches, reconstruction, power, region):
    """Grey levels, one patch and one pixel at a time."""
    values = []
    for i in range(len(patches)):
        errors = []
        for row in range(patches.patch_size):
            for column in range(patches.patch_size):
                if region == "patch" or patches.lung[i, row, column]:
                    a = float(reconstruction.target[i, 0, row, column]) * 255
                    b = float(reconstruction.expected[i, 0, row, column]) * 255
                    errors.append(abs(a - b) ** power)
        values.append(errors)
    return values


@pytest.mark.parametrize("region", ["lung", "patch"])
@given(seed=st.integers(0, 1000), count=st.integers(1, 4), side=st.integers(1, 6))
def test_scores_equal_the_formula(region, seed, count, side):
    patches, reconstruction = random_case(count, side, seed)
    absolute = by_hand(patches, reconstruction, 1, region)
    squared = by_hand(patches, reconstruction, 2, region)
    for scorer, expected in (
        (SADScorer(region=region), [np.mean(e) for e in absolute]),
        (SADScorer(region=region, reduction="sum"), [np.sum(e) for e in absolute]),
        (L2Scorer(region=region), [np.mean(e) for e in squared]),
    ):
        scores = scorer.score(patches, reconstruction)
        np.testing.assert_allclose(scores.values, expected, rtol=1e-12)


@pytest.mark.parametrize("scorer", [SADScorer(), L2Scorer()])
def test_error_maps_and_support_explain_the_score(scorer):
    patches, reconstruction = random_case()
    scores = scorer.score(patches, reconstruction)
    np.testing.assert_array_equal(scores.support, patches.lung)
    assert scores.values.dtype == np.float64
    assert scores.error_maps.dtype == np.float32
    assert scores.error_maps.shape == patches.pixels.shape
    for value, error, support in zip(scores.values, scores.error_maps, scores.support, strict=True):
        assert value == pytest.approx(error[support].mean(), rel=1e-5)


@pytest.mark.parametrize("scorer", [SADScorer(), L2Scorer()])
def test_pixels_outside_the_lung_do_not_count(scorer):
    patches, reconstruction = random_case()
    changed = np.where(patches.lung[:, None], reconstruction.expected, 0.5)
    other = Reconstruction(target=reconstruction.target, expected=changed.astype(np.float32))
    np.testing.assert_array_equal(
        scorer.score(patches, reconstruction).values, scorer.score(patches, other).values
    )


def test_a_sum_of_small_differences_keeps_its_digits():
    side = 512
    target = np.full((1, 1, side, side), 0.5, np.float32)
    expected = np.full((1, 1, side, side), 0.5 + 1e-4, np.float32)
    exact = (float(expected[0, 0, 0, 0]) - 0.5) * 255 * side**2
    scores = SADScorer(reduction="sum").score(
        batch(target[:, 0]), Reconstruction(target=target, expected=expected)
    )
    assert scores.values[0] == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("scorer", [SADScorer(), L2Scorer()])
def test_channels_are_averaged(scorer):
    patches, one = random_case()
    both = Reconstruction(
        target=np.concatenate([one.target, one.target], axis=1),
        expected=np.concatenate([one.expected, one.target], axis=1),
    )
    np.testing.assert_allclose(
        scorer.score(patches, both).values, scorer.score(patches, one).values / 2
    )


@pytest.mark.parametrize("scorer", [SADScorer(), L2Scorer()])
def test_no_patches_give_no_scores(scorer):
    empty = np.zeros((0, 8, 8), np.float32)
    scores = scorer.score(
        batch(empty), Reconstruction(target=empty[:, None], expected=empty[:, None])
    )
    assert scores.values.shape == (0,)
    assert scores.error_maps.shape == (0, 8, 8)


@pytest.mark.parametrize("scorer", [SADScorer(), L2Scorer()])
def test_a_patch_without_lung_is_an_error_that_says_what_to_do(scorer):
    patches, reconstruction = random_case()
    lung = patches.lung.copy()
    lung[2] = False
    with pytest.raises(ConfigurationError, match=r"1 of 6 .*min_lung_fraction > 0.*region='patch'"):
        scorer.score(batch(patches.pixels, lung), reconstruction)


@pytest.mark.parametrize("scorer", [SADScorer(), L2Scorer()])
def test_maps_of_another_size_are_refused(scorer):
    patches, _ = random_case(side=8)
    small = np.zeros((6, 3, 4, 4), np.float32)
    with pytest.raises(ConfigurationError, match=r"4x4.*8x8"):
        scorer.score(patches, Reconstruction(target=small, expected=small))


@pytest.mark.parametrize("scorer", [SADScorer(), L2Scorer()])
def test_a_reconstruction_of_another_batch_is_refused(scorer):
    patches, reconstruction = random_case()
    with pytest.raises(ConfigurationError, match="6 patches.*2"):
        scorer.score(patches, reconstruction[:2])


@pytest.mark.parametrize(
    ("scorer", "settings"),
    [
        (SADScorer, {"reduction": "max"}),
        (SADScorer, {"region": "heart"}),
        (L2Scorer, {"region": "heart"}),
    ],
)
def test_unknown_settings_are_refused(scorer, settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        scorer(**settings)
