from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

import lungpatch
from lungpatch import PatchBatch, Reconstruction
from lungpatch.errors import ConfigurationError
from lungpatch.testing import parametrize_checks
from lungpatch_gms.gms import GMSScorer

EXAMPLE = Path(__file__).parents[1] / "example.toml"


@parametrize_checks("scorer", GMSScorer(), GMSScorer(constant=0.01))
def test_contract(check):
    check()


def batch(pixels):
    return PatchBatch(
        pixels=pixels,
        corners=np.zeros((len(pixels), 2), np.int64),
        lung=np.ones(pixels.shape, bool),
        image_shape=pixels.shape[1:],
        image_id="a",
    )


def test_a_ramp_by_hand():
    # Steps of 0.1 and 0.3 per column. Prewitt's gradient spans two columns: 0.2 and 0.6.
    ramp = np.tile(np.arange(8, dtype=np.float32), (1, 8, 1))
    target, expected = 0.1 * ramp, 0.3 * ramp
    patches = batch(target)
    scores = GMSScorer(constant=0.0026).score(
        patches, Reconstruction(target=target[:, None], expected=expected[:, None])
    )
    by_hand = 1 - (2 * 0.2 * 0.6 + 0.0026) / (0.2**2 + 0.6**2 + 0.0026)
    np.testing.assert_allclose(scores.error_maps[0, 3, 3], by_hand, rtol=1e-5)


def test_equals_the_formula_with_scipys_prewitt():
    rng = np.random.default_rng(0)
    target, expected = rng.random((2, 3, 16, 16), dtype=np.float32)
    scores = GMSScorer().score(
        batch(target), Reconstruction(target=target[:, None], expected=expected[:, None])
    )
    for i in range(3):
        one, two = (
            np.hypot(ndimage.prewitt(x.astype(float), 0), ndimage.prewitt(x.astype(float), 1)) / 3
            for x in (target[i], expected[i])
        )
        similarity = (2 * one * two + 0.0026) / (one**2 + two**2 + 0.0026)
        np.testing.assert_allclose(scores.values[i], 1 - similarity.mean(), rtol=1e-6)


def test_brightness_does_not_matter():
    target = np.random.default_rng(1).random((2, 16, 16), dtype=np.float32) * 0.5
    brighter = Reconstruction(target=target[:, None], expected=target[:, None] + 0.25)
    np.testing.assert_allclose(GMSScorer().score(batch(target), brighter).values, 0, atol=1e-6)


def test_features_are_refused():
    target = np.zeros((2, 5, 4, 4), np.float32)
    with pytest.raises(ConfigurationError, match="reconstructs pixels"):
        GMSScorer().score(
            batch(np.zeros((2, 8, 8), np.float32)), Reconstruction(target=target, expected=target)
        )


def test_found_by_name_once_installed():
    assert isinstance(lungpatch.load_config(EXAMPLE).scorer, GMSScorer)
