import subprocess
import sys

import numpy as np
import pytest
from drawn_lungs import IMAGE, LUNGS, summary
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lungpatch.errors import InvalidMaskError
from lungpatch.synthesis import (
    OPACITY_KINDS,
    blend_opacity,
    opacity_alpha,
    smooth_noise,
    smoothstep,
)
from lungpatch.synthesis.opacities import check_lung

KINDS = st.sampled_from(OPACITY_KINDS)
SEEDS = st.integers(0, 2**32 - 1)
MASKS = hnp.arrays(
    np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24)
).filter(np.any)


def two_lungs():
    rows, columns = np.mgrid[:200, :200]
    return (np.hypot((rows - 100) / 80, (columns - 55) / 35) < 1) | (
        np.hypot((rows - 100) / 80, (columns - 145) / 35) < 1
    )


@settings(max_examples=150, deadline=None)
@given(MASKS, SEEDS, KINDS)
def test_any_mask_gets_an_opacity_within_it(mask, seed, kind):
    alpha = opacity_alpha(mask, np.random.default_rng(seed), kind=kind)
    assert alpha.shape == mask.shape
    assert alpha.dtype == np.float32
    assert np.isfinite(alpha).all()
    assert alpha.min() >= 0
    assert alpha.max() <= 1
    assert alpha.max() >= 0.29
    assert not alpha[~mask].any()
    again = opacity_alpha(mask, np.random.default_rng(seed), kind=kind)
    np.testing.assert_array_equal(alpha, again)


@pytest.mark.parametrize("kind", OPACITY_KINDS)
def test_patch_that_is_all_lung(kind):
    patch = np.ones((32, 32), bool)
    drawn = [opacity_alpha(patch, np.random.default_rng(seed), kind=kind) for seed in range(30)]
    assert min((alpha > 0.1).sum() for alpha in drawn) >= 10
    assert not np.array_equal(drawn[0], drawn[1])


def test_kinds_look_as_they_are_called():
    lungs = two_lungs()

    def mean_alpha(kind):
        alphas = [opacity_alpha(lungs, np.random.default_rng(s), kind=kind) for s in range(40)]
        return np.mean(alphas, axis=0)

    effusion = mean_alpha("effusion")
    assert effusion[150:][lungs[150:]].mean() > 3 * effusion[:100][lungs[:100]].mean()
    # The meniscus: higher at the outer wall, on both sides.
    assert effusion[110:140, 25:40].mean() > effusion[110:140, 70:85].mean()
    assert effusion[110:140, 160:175].mean() > effusion[110:140, 115:130].mean()

    fraction = {
        kind: np.mean(
            [
                (opacity_alpha(lungs, np.random.default_rng(s), kind=kind) > 0.1).sum()
                for s in range(40)
            ]
        )
        / lungs.sum()
        for kind in OPACITY_KINDS
    }
    assert fraction["nodular"] < fraction["patchy"] < fraction["veil"]
    assert fraction["nodular"] < fraction["lobar"] < fraction["veil"]


DRAWN = {
    "lobar": (0.07281, 47.68, 44.5, 0.3191),
    "patchy": (0.02545, 42.4, 44.09, 0.3284),
    "effusion": (0.1107, 60.33, 41.56, 0.7638),
    "nodular": (0.01565, 42.42, 52.03, 0.2516),
    "veil": (0.09653, 46.17, 44.42, 0.3516),
    "ground-glass": (0.04307, 40.35, 48.83, 0.3363),
    "interstitial": (0.1008, 44.58, 44.28, 0.4911),
}


@pytest.mark.parametrize("kind", OPACITY_KINDS)
def test_what_models_were_trained_on_does_not_change(kind):
    drawn = [opacity_alpha(LUNGS, np.random.default_rng(s), kind=kind) for s in range(6)]
    assert summary(sum(drawn) / 6) == pytest.approx(DRAWN[kind], rel=5e-3)


def test_blended_images_do_not_change():
    alpha = np.where(LUNGS, 0.8, 0).astype(np.float32)
    rises = [
        blend_opacity(IMAGE, alpha, np.random.default_rng(seed), strength=0.7) - IMAGE
        for seed in range(6)
    ]
    assert summary(sum(rises) / 6) == pytest.approx((0.1616, 45.43, 39.66, 0.4651), rel=5e-3)


def test_nothing_happens_at_strength_0_and_all_is_white_at_1():
    ones = np.ones((64, 64), np.float32)
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(blend_opacity(0.5 * ones, ones, rng, strength=0), 0.5 * ones)
    assert np.median(blend_opacity(0.5 * ones, ones, rng, strength=1)) > 0.95


def test_debris_is_no_lung():
    mask = LUNGS.copy()
    mask[90:94, 2:6] = True
    for seed in range(20):
        alpha = opacity_alpha(mask, np.random.default_rng(seed), kind="veil")
        assert not alpha[90:94, 2:6].any()


def test_lungs_are_chosen_by_their_area():
    large, small = np.zeros((2, 60, 60), bool)
    large[5:55, 5:35] = small[5:25, 45:55] = True
    hits = np.zeros(2, int)
    for seed in range(200):
        alpha = opacity_alpha(large | small, np.random.default_rng(seed), kind="lobar")
        hits += bool(alpha[large].any()), bool(alpha[small].any())
    # One lung in nine of ten; of the area 15 of 17 are in the large one, then both.
    assert 0.84 < hits[0] / 200 < 0.96
    assert 0.13 < hits[1] / 200 < 0.3


def test_lobar_opacity_stays_in_one_lung_as_a_rule_and_reaches_its_edge():
    lungs = two_lungs()
    left, right = lungs.copy(), lungs.copy()
    left[:, 100:], right[:, :100] = False, False
    one_sided = 0
    for seed in range(30):
        alpha = opacity_alpha(lungs, np.random.default_rng(seed), kind="lobar")
        sides = [bool(alpha[side].any()) for side in (left, right)]
        one_sided += sum(sides) == 1
        # At the top or the bottom of that lung, the outermost lung pixels are opacified.
        edge = alpha[[21, 179]]
        assert (edge > 0.2).any()
    assert one_sided >= 20


def test_unnamed_kind_is_drawn_by_the_generator():
    lungs = two_lungs()
    first = opacity_alpha(lungs, np.random.default_rng(0))
    np.testing.assert_array_equal(first, opacity_alpha(lungs, np.random.default_rng(0)))


def test_global_random_state_is_not_touched():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    rng = np.random.default_rng(0)
    blend_opacity(
        np.full((32, 32), 0.4, np.float32), opacity_alpha(np.ones((32, 32), bool), rng), rng
    )
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_bad_masks_and_kinds_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(InvalidMaskError, match="empty"):
        opacity_alpha(np.zeros((8, 8), bool), rng)
    with pytest.raises(InvalidMaskError, match="bool"):
        opacity_alpha(np.ones((8, 8), np.uint8), rng)
    with pytest.raises(InvalidMaskError, match="shape"):
        opacity_alpha(np.ones((1, 8, 8), bool), rng)
    with pytest.raises(ValueError, match="'mass'.*lobar"):
        opacity_alpha(np.ones((8, 8), bool), rng, kind="mass")


@settings(max_examples=100, deadline=None)
@given(
    hnp.arrays(np.float32, (16, 12), elements=st.floats(0, 1, width=32)),
    SEEDS,
    KINDS,
    st.floats(0, 1),
)
def test_blending_brightens_and_stays_in_range(pixels, seed, kind, strength):
    rng = np.random.default_rng(seed)
    lung = np.zeros(pixels.shape, bool)
    lung[3:, 2:9] = True
    alpha = opacity_alpha(lung, rng, kind=kind)
    blended = blend_opacity(pixels, alpha, rng, strength=strength)
    assert blended.dtype == np.float32
    assert blended.max() <= 1
    assert (blended >= pixels).all()
    np.testing.assert_array_equal(blended[~lung], pixels[~lung])


def test_blending_follows_its_formula():
    pixels = np.full((256, 256), 0.45, np.float32)
    blended = blend_opacity(pixels, np.ones_like(pixels), np.random.default_rng(0))
    # Mottle has mean 1 and a standard deviation of 15 %.
    rise = (blended - 0.45) / (0.5 * 0.55)
    assert rise.mean() == pytest.approx(1, abs=0.01)
    assert rise.std() == pytest.approx(0.15, abs=0.01)


def test_blending_refuses_what_does_not_fit():
    rng = np.random.default_rng(0)
    ones = np.ones((4, 4), np.float32)
    with pytest.raises(ValueError, match="one shape"):
        blend_opacity(ones, ones[:2], rng)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        blend_opacity(ones, ones, rng, strength=2)


@pytest.mark.parametrize("scale", [1.0, 3.0, 8.0])
def test_smooth_noise_has_unit_variance_and_the_scale_asked_for(scale):
    rng = np.random.default_rng(0)
    fields = np.stack([smooth_noise((64, 80), rng, scale=scale) for _ in range(400)])
    np.testing.assert_allclose(fields.mean(axis=0), 0, atol=0.3)
    np.testing.assert_allclose(fields.std(axis=0), 1, atol=0.25)
    # Gaussians of standard deviation s correlate as exp(-d^2 / 4 s^2) at distance d.
    step = int(scale)
    correlation = (fields[:, 30, 20] * fields[:, 30, 20 + step]).mean()
    assert correlation == pytest.approx(np.exp(-((step / scale) ** 2) / 4), abs=0.15)


@pytest.mark.parametrize("shape", [(5, 90), (90, 5)])
def test_smooth_noise_is_as_smooth_along_both_axes(shape):
    rng = np.random.default_rng(0)
    fields = np.stack([smooth_noise(shape, rng, scale=4.0) for _ in range(60)])
    assert fields.shape == (60, *shape)
    steps = [np.diff(fields, axis=axis).std() for axis in (1, 2)]
    # Of Gaussian correlation with s = 4: the difference of neighbours has variance 2 (1 - r).
    expected = np.sqrt(2 * (1 - np.exp(-1 / 64)))
    np.testing.assert_allclose(steps, expected, rtol=0.15)


def test_smoothstep_is_flat_at_both_ends():
    t = np.linspace(-1, 2, 301)
    y = smoothstep(t)
    assert (np.diff(y) >= 0).all()
    np.testing.assert_allclose(y[t < 0], 0)
    np.testing.assert_allclose(y[t > 1], 1)


def test_import_brings_neither_torch_nor_scikit_image():
    code = (
        "import sys, lungpatch.synthesis, lungpatch.datasets.phantom as p; "
        "p.phantom_chest(0, size=64, opacity='lobar'); "
        "sys.exit('torch' in sys.modules or 'skimage' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("mask", "message"),
    [(np.zeros((4, 4), bool), "empty"), (np.ones((4, 4)), "bool"), (np.ones(4, bool), "shape")],
)
def test_check_lung_refuses_what_is_no_lung(mask, message):
    with pytest.raises(InvalidMaskError, match=message):
        check_lung(mask)
