import json

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import rgb2lab

from lungpatch.containers.colours import COLOUR_TABLE, ColourScale
from lungpatch.errors import InsufficientDataError

SCALE = ColourScale(low=1.0, high=5.0)
finite = st.floats(-1e6, 1e6)


def test_nothing_is_painted_at_or_below_low_nor_where_nothing_was_scored():
    rgba = SCALE.to_rgba(np.array([-np.inf, -5.0, 1.0, np.nan]))
    assert not rgba.any()


def test_the_radiograph_shows_through_the_hottest_colour():
    rgba = SCALE.to_rgba([5.0, 50.0, np.inf])
    assert (rgba == rgba[0]).all()
    assert 128 < rgba[0, 3] < 255


def test_colours_are_ordered_by_lightness():
    colours = SCALE.to_rgba(np.linspace(1.01, 5.0, 200))[:, :3]
    lightness = rgb2lab(colours[None] / 255.0)[0, :, 0]
    steps = np.diff(lightness)
    assert (steps > -0.2).all()
    assert lightness[-1] - lightness[0] > 60
    assert (np.diff(lightness[::20]) > 3).all()


def test_opacity_never_falls_as_the_score_rises():
    opacity = SCALE.to_rgba(np.linspace(0, 6, 500))[:, 3].astype(int)
    assert (np.diff(opacity) >= 0).all()


def test_a_score_has_the_same_colour_in_every_image():
    alone = SCALE.to_rgba(np.array([[3.7]]))
    among = SCALE.to_rgba(np.array([[3.7, 100.0, -2.0, np.nan]]))
    assert (alone[0, 0] == among[0, 0]).all()


def test_painting_equals_blending_by_hand():
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (5, 7), dtype=np.uint8)
    scores = rng.uniform(0, 6, (5, 7))
    scores[0] = np.nan
    painted = SCALE.paint(grey, scores)
    rgba = SCALE.to_rgba(scores).astype(float)
    alpha = rgba[..., 3:] / 255
    expected = alpha * rgba[..., :3] + (1 - alpha) * grey[..., None]
    assert painted.dtype == np.uint8
    np.testing.assert_allclose(painted, expected, atol=0.51)
    assert (painted[0] == grey[0][:, None]).all()


def test_a_score_has_the_nearest_of_256_even_steps():
    steps = np.arange(256)
    for off in (-0.4, 0.0, 0.4):
        np.testing.assert_array_equal(SCALE.to_index(1.0 + 4.0 * (steps + off) / 255), steps)
    np.testing.assert_array_equal(SCALE.to_index([[np.nan, -9.0, 9.0]]), [[0, 0, 255]])
    np.testing.assert_array_equal(COLOUR_TABLE[steps], SCALE.to_rgba(np.linspace(1.0, 5.0, 256)))


def test_the_bar_shows_what_is_painted():
    bar = SCALE.bar(5)
    scores = np.linspace(1.0, 5.0, 5)[None]
    np.testing.assert_array_equal(bar[None], SCALE.paint(np.full((1, 5), 120, np.uint8), scores))


def test_the_normal_99th_percentile_is_in_the_middle():
    normal = np.random.default_rng(0).gamma(4.0, size=(50, 40))
    normal[0] = np.nan
    scale = ColourScale.from_normal(normal, threshold=2.0)
    known = normal[1:]
    assert scale.low == pytest.approx(np.median(known))
    assert (scale.low + scale.high) / 2 == pytest.approx(np.percentile(known, 99))


def test_a_higher_threshold_is_in_the_middle_instead():
    scale = ColourScale.from_normal(np.arange(101.0), threshold=150.0)
    assert (scale.low + scale.high) / 2 == 150.0


@pytest.mark.parametrize("value", [0.0, 3.0, -2.0, 1e-300, 1e12])
@pytest.mark.parametrize("above", [0.0, -1.0])
def test_equal_normal_scores_still_give_a_scale(value, above):
    scale = ColourScale.from_normal(np.full(10, value), threshold=value + above)
    assert scale.low == value < scale.high
    assert not scale.to_rgba(value).any()


@given(st.lists(finite, min_size=1, max_size=30), finite)
def test_any_normal_scores_give_a_scale(values, threshold):
    scale = ColourScale.from_normal(values, threshold)
    assert scale.low < scale.high
    assert threshold < scale.high
    assert not scale.to_rgba(scale.low).any()


@pytest.mark.parametrize("values", [[], [np.nan, np.nan]])
def test_no_normal_score_is_an_error_of_ours(values):
    with pytest.raises(InsufficientDataError, match="normal"):
        ColourScale.from_normal(values, 1.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"low": 1.0, "high": 1.0}, "below high"),
        ({"low": 2.0, "high": 1.0}, "below high"),
        ({"low": np.nan, "high": 1.0}, "low must be a finite"),
        ({"low": 0.0, "high": np.inf}, "high must be a finite"),
    ],
)
def test_impossible_scales_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ColourScale(**settings)


def test_a_scale_survives_json():
    scale = ColourScale.from_normal(np.arange(7.0), np.float64(5.1))
    assert ColourScale(**json.loads(json.dumps(attrs.asdict(scale)))) == scale
