"""The scorer of feature maps, against scikit-image and worked by hand."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.transform import resize

from lungpatch.containers import PatchBatch, Reconstruction
from lungpatch.scorers.feature import FeatureScorer


def batch(side, lung=None):
    lung = np.ones((1, side, side), bool) if lung is None else lung
    return PatchBatch(
        pixels=np.zeros((1, side, side), np.float32),
        corners=np.zeros((1, 2), np.int64),
        lung=lung,
        image_shape=(side, side),
        image_id="a",
    )


def reconstruction(target, expected=None):
    target = np.asarray(target, np.float32)[None]
    expected = np.zeros_like(target) if expected is None else np.asarray(expected, np.float32)[None]
    return Reconstruction(target=target, expected=expected)


def test_distance_is_the_norm_over_channels():
    target = np.zeros((2, 4, 4))
    target[:, 1, 2] = 3.0, -4.0
    scores = FeatureScorer(top_fraction=1 / 16).score(batch(4), reconstruction(target))
    assert scores.values.tolist() == [5.0]
    assert scores.error_maps[0, 1, 2] == 5.0


def test_excess_keeps_its_sign():
    target = np.zeros((2, 4, 4))
    target[:, 0, 0], target[:, 3, 3] = (2.0, 4.0), (-2.0, -4.0)
    scores = FeatureScorer(difference="excess", top_fraction=1.0).score(
        batch(4), reconstruction(target)
    )
    assert scores.error_maps[0, 0, 0] == 3.0
    assert scores.error_maps[0, 3, 3] == -3.0
    assert scores.values.tolist() == [0.0]


def test_maps_are_enlarged_as_scikit_image_does():
    target = np.random.default_rng(0).random((1, 4, 4))
    scores = FeatureScorer(difference="excess").score(batch(16), reconstruction(target))
    expected = resize(target[0], (16, 16), order=1, mode="edge", anti_aliasing=False)
    np.testing.assert_allclose(scores.error_maps[0], expected, atol=1e-6)


def test_only_lung_counts():
    lung = np.zeros((1, 4, 4), bool)
    lung[0, :2] = True
    target = np.zeros((1, 4, 4))
    target[0, 0, 0], target[0, 3, 3] = 1.0, 100.0
    scores = FeatureScorer(top_fraction=1 / 8).score(batch(4, lung), reconstruction(target))
    assert scores.values.tolist() == [1.0]


def test_smoothing_does_not_leak_in_from_outside():
    lung = np.zeros((1, 16, 16), bool)
    lung[0, :8] = True
    target = np.where(lung, 1.0, 1000.0)
    scores = FeatureScorer(difference="excess", smoothing=0.2, top_fraction=1.0).score(
        batch(16, lung), reconstruction(target)
    )
    np.testing.assert_allclose(scores.error_maps[lung], 1.0, rtol=1e-6)


def test_smoothing_is_a_gaussian():
    target = np.random.default_rng(1).random((1, 32, 32))
    scores = FeatureScorer(difference="excess", smoothing=2 / 32).score(
        batch(32), reconstruction(target)
    )
    middle = np.s_[10:22, 10:22]
    expected = ndimage.gaussian_filter(target[0], 2.0)[middle]
    np.testing.assert_allclose(scores.error_maps[0][middle], expected, rtol=1e-4)


def test_the_score_is_the_mean_of_the_highest():
    target = np.arange(16.0).reshape(1, 4, 4)
    for fraction, expected in ((1.0, 7.5), (0.25, 13.5), (0.2, 14.0), (0.03, 15.0), (1e-6, 15.0)):
        scorer = FeatureScorer(difference="excess", top_fraction=fraction)
        scores = scorer.score(batch(4), reconstruction(target))
        assert scores.values.tolist() == [expected]
    assert FeatureScorer().top_fraction == 0.1


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1), (2, 8)])
def test_maps_of_any_shape_are_enlarged(shape):
    target = np.random.default_rng(0).random((1, *shape))
    scores = FeatureScorer(difference="excess").score(batch(8), reconstruction(target))
    expected = resize(target[0], (8, 8), order=1, mode="edge", anti_aliasing=False)
    np.testing.assert_allclose(scores.error_maps[0], expected, atol=1e-6)


def test_patches_are_smoothed_one_by_one():
    rng = np.random.default_rng(0)
    targets = rng.random((3, 1, 16, 16), dtype=np.float32)
    patches = PatchBatch(
        pixels=np.zeros((3, 16, 16), np.float32),
        corners=np.zeros((3, 2), np.int64),
        lung=rng.random((3, 16, 16)) < 0.7,
        image_shape=(16, 16),
        image_id="a",
    )
    scorer = FeatureScorer(difference="excess", smoothing=0.1)
    together = scorer.score(patches, Reconstruction(target=targets, expected=0 * targets))
    for i in range(3):
        alone = scorer.score(patches[i : i + 1], reconstruction(targets[i]))
        np.testing.assert_allclose(together.error_maps[i], alone.error_maps[0], rtol=1e-6)
        assert together.values[i] == pytest.approx(alone.values[0], rel=1e-9)


@pytest.mark.parametrize(
    "setting",
    [{"top_fraction": 0.0}, {"top_fraction": 1.1}, {"smoothing": -1.0}, {"difference": "x"}],
)
def test_wrong_settings_are_refused(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        FeatureScorer(**setting)
