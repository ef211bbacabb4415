import numpy as np
import pytest
from skimage.metrics import structural_similarity

from lungpatch.containers import PatchBatch, Reconstruction
from lungpatch.errors import ConfigurationError
from lungpatch.scorers.ssim import SSIMScorer


def batch(pixels, lung=None):
    count = len(pixels)
    return PatchBatch(
        pixels=pixels,
        corners=np.zeros((count, 2), np.int64),
        lung=np.ones(pixels.shape, bool) if lung is None else lung,
        image_shape=(64, 64),
        image_id="image",
    )


def pair(target, expected):
    return Reconstruction(target=target[:, None], expected=expected[:, None])


def cases(side):
    """Noise, a slight change, two flat patches that hardly differ, and an edge."""
    rng = np.random.default_rng(0)
    target = rng.random((4, side, side), dtype=np.float32)
    expected = np.clip(target + rng.normal(0, 0.05, target.shape), 0, 1).astype(np.float32)
    expected[1] = rng.random((side, side), dtype=np.float32)
    target[2], expected[2] = 0.5, 0.501
    target[3] = np.arange(side) > side / 2
    expected[3] = np.arange(side) > side / 2 + 1
    return target, expected


@pytest.mark.parametrize("side", [11, 16, 32, 33])
@pytest.mark.parametrize("sample_covariance", [True, False])
@pytest.mark.parametrize(
    "window",
    [
        {"gaussian_weights": True},
        {"gaussian_weights": True, "sigma": 0.8},
        {"gaussian_weights": False, "win_size": 7},
        {"gaussian_weights": False, "win_size": 11},
    ],
)
def test_equal_to_scikit_image_in_mean_and_map(side, sample_covariance, window):
    target, expected = cases(side)
    scorer = SSIMScorer(use_sample_covariance=sample_covariance, region="patch", **window)
    scores = scorer.score(batch(target), pair(target, expected))
    for i in range(len(target)):
        mean, full = structural_similarity(
            target[i].astype(np.float64),
            expected[i].astype(np.float64),
            data_range=1.0,
            use_sample_covariance=sample_covariance,
            full=True,
            **window,
        )
        assert scores.values[i] == pytest.approx(1 - mean, abs=1e-9)
        np.testing.assert_allclose(scores.error_maps[i], 1 - full, atol=1e-6)


def test_within_tolerance_of_scikit_image_in_float32():
    target, expected = cases(32)
    scores = SSIMScorer(region="patch").score(batch(target), pair(target, expected))
    reference = [
        1
        - structural_similarity(
            a, b, data_range=1.0, gaussian_weights=True, use_sample_covariance=False
        )
        for a, b in zip(target, expected, strict=True)
    ]
    np.testing.assert_allclose(scores.values, reference, atol=1e-5)


def test_the_mean_is_over_lung_pixels_whose_window_fits_the_patch():
    target, expected = cases(32)
    lung = np.random.default_rng(1).random(target.shape) < 0.4
    scores = SSIMScorer().score(batch(target, lung), pair(target, expected))
    fits = np.zeros((32, 32), bool)
    fits[5:-5, 5:-5] = True
    np.testing.assert_array_equal(scores.support, lung & fits)
    for i in range(len(target)):
        _, full = structural_similarity(
            target[i].astype(np.float64),
            expected[i].astype(np.float64),
            data_range=1.0,
            gaussian_weights=True,
            use_sample_covariance=False,
            full=True,
        )
        assert scores.values[i] == pytest.approx(1 - full[lung[i] & fits].mean(), abs=1e-9)


def test_a_patch_full_of_lung_scores_as_the_whole_patch():
    target, expected = cases(32)
    lung, patch = (
        SSIMScorer(region=region).score(batch(target), pair(target, expected)).values
        for region in ("lung", "patch")
    )
    np.testing.assert_array_equal(lung, patch)


def test_lung_in_the_margin_only_is_scored_there():
    target, expected = cases(32)
    lung = np.zeros(target.shape, bool)
    lung[:, :3] = True
    scores = SSIMScorer().score(batch(target, lung), pair(target, expected))
    np.testing.assert_array_equal(scores.support, lung)
    np.testing.assert_allclose(scores.values, scores.error_maps[:, :3].mean(axis=(1, 2)), rtol=1e-5)


def test_equal_patches_score_0_and_inverted_ones_more_than_1():
    target, _ = cases(32)
    target = target[:1]
    scorer = SSIMScorer()
    assert scorer.score(batch(target), pair(target, target)).values[0] == pytest.approx(
        0, abs=1e-12
    )
    assert scorer.score(batch(target), pair(target, 1 - target)).values[0] > 1


def test_channels_are_averaged():
    target, expected = cases(32)
    both = Reconstruction(
        target=np.stack([target, target], axis=1), expected=np.stack([expected, target], axis=1)
    )
    scorer = SSIMScorer()
    np.testing.assert_allclose(
        scorer.score(batch(target), both).values,
        scorer.score(batch(target), pair(target, expected)).values / 2,
        atol=1e-12,
    )


def test_no_patches_give_no_scores():
    empty = np.zeros((0, 16, 16), np.float32)
    assert len(SSIMScorer().score(batch(empty), pair(empty, empty))) == 0


def test_a_window_larger_than_the_patch_is_refused():
    small = np.zeros((1, 8, 8), np.float32)
    with pytest.raises(ConfigurationError, match=r"11 pixels.*only 8.*sigma"):
        SSIMScorer().score(batch(small), pair(small, small))


def test_a_patch_without_lung_is_an_error():
    target, expected = cases(32)
    with pytest.raises(ConfigurationError, match="4 of 4"):
        SSIMScorer().score(batch(target, np.zeros(target.shape, bool)), pair(target, expected))


def test_the_smallest_window():
    target, expected = cases(16)
    scores = SSIMScorer(gaussian_weights=False, win_size=3, region="patch").score(
        batch(target), pair(target, expected)
    )
    reference = structural_similarity(
        target[0], expected[0], data_range=1.0, win_size=3, use_sample_covariance=False
    )
    assert scores.values[0] == pytest.approx(1 - reference, abs=1e-5)


@pytest.mark.parametrize("settings", [{"win_size": 8}, {"win_size": 1}, {"sigma": 0.0}])
def test_settings_out_of_range_are_refused_by_name(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        SSIMScorer(**settings)
