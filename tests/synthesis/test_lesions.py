import numpy as np
import pytest
from drawn_lungs import IMAGE, LUNGS, OTHER, summary

from lungpatch.datasets.phantom import phantom_chest
from lungpatch.errors import ConfigurationError, InvalidMaskError
from lungpatch.synthesis import OPACITY_KINDS, RECIPES, LesionSynthesiser, lesions
from lungpatch.synthesis.lesions import as_recipes


@pytest.fixture(scope="module")
def chests():
    return [phantom_chest(seed, size=128) for seed in range(2)]


def paint(chests, synthesiser, seed):
    normal, other = (chest.image.pixels for chest in chests)
    return synthesiser.paint(normal, chests[0].lungs, np.random.default_rng(seed), other=other)


def test_recipes_are_all_opacities_and_pastes():
    assert set(RECIPES) == {*OPACITY_KINDS, "foreign", "poisson"}


@pytest.mark.parametrize("recipe", RECIPES)
def test_each_recipe_changes_what_it_marks(chests, recipe):
    synthesiser = LesionSynthesiser(recipes=(recipe,), normal_fraction=0.0, max_lesions=1)
    marked = 0
    for seed in range(12):
        lesion = paint(chests, synthesiser, seed)
        assert lesion.recipes == (recipe,)
        assert lesion.pixels.dtype == lesion.alpha.dtype == np.float32
        assert lesion.pixels.min() >= 0
        assert lesion.pixels.max() <= 1
        assert lesion.alpha.min() >= 0
        assert lesion.alpha.max() <= 1
        assert not lesion.alpha[~chests[0].lungs].any()
        marked += lesion.alpha.any()
        if recipe in OPACITY_KINDS:
            change = lesion.pixels - chests[0].image.pixels
            assert change.min() >= 0
            assert (change[lesion.alpha > 0] > 0.015).all()
    assert marked >= 10


def test_opacities_leave_no_step_at_the_lungs_border(chests):
    # A step as high as the opacity itself would reveal the lesion by the mask, not by the lung.
    lungs = chests[0].lungs
    synthesiser = LesionSynthesiser(recipes=("veil",), normal_fraction=0.0, max_lesions=1)
    lesion = paint(chests, synthesiser, 0)
    change = lesion.pixels - chests[0].image.pixels
    across = np.abs(np.diff(change, axis=1))[lungs[:, 1:] ^ lungs[:, :-1]]
    assert np.median(across) < 0.25 * change.max()
    assert change[~lungs].max() > 0


def test_fraction_of_normal_images_and_number_of_lesions(chests):
    synthesiser = LesionSynthesiser(recipes=("nodular",), normal_fraction=0.4, max_lesions=3)
    counts = [len(paint(chests, synthesiser, seed).recipes) for seed in range(200)]
    assert 0.3 < np.mean(np.array(counts) == 0) < 0.5
    assert set(counts) == {0, 1, 2, 3}
    normal = paint(chests, LesionSynthesiser(normal_fraction=1.0), 0)
    np.testing.assert_array_equal(normal.pixels, chests[0].image.pixels)
    assert not normal.alpha.any()
    assert repr(normal) == "SyntheticLesion(128x128, normal)"


PAINTED = {
    "ground-glass": ((0.01018, 47.14, 28.29, 0.08986), (0.0557, 48.61, 27.18, 0.4678)),
    "lobar": ((0.0262, 49.82, 34.48, 0.1331), (0.1182, 51.45, 33.61, 0.4969)),
    "patchy": ((0.01294, 45.75, 41.95, 0.1122), (0.05814, 46.69, 40.34, 0.4901)),
    "effusion": ((0.04026, 60.6, 37.65, 0.258), (0.1414, 60.2, 36.43, 0.8333)),
    "nodular": ((0.00439, 50.94, 31.19, 0.08726), (0.02512, 49.89, 31.7, 0.3607)),
    "veil": ((0.04192, 45.06, 37.63, 0.1535), (0.1903, 45.98, 38.25, 0.6925)),
    "interstitial": ((0.02174, 46.16, 36.53, 0.09578), (0.113, 47.23, 35.27, 0.5796)),
    "foreign": ((0.00432, 42.75, 48.4, 0.1394), (0.03821, 45.16, 47.27, 0.5)),
    "poisson": ((0.007254, 46, 44.62, 0.1857), (0.06942, 47.49, 44.72, 0.5)),
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_models_were_trained_on_does_not_change(recipe):
    synthesiser = LesionSynthesiser(recipes=(recipe,), normal_fraction=0.0, max_lesions=2)
    lesions = [
        synthesiser.paint(IMAGE, LUNGS, np.random.default_rng(seed), other=OTHER)
        for seed in range(6)
    ]
    change = sum(lesion.pixels - IMAGE for lesion in lesions) / 6
    alpha = sum(lesion.alpha for lesion in lesions) / 6
    assert summary(change) == pytest.approx(PAINTED[recipe][0], rel=5e-3)
    assert summary(alpha) == pytest.approx(PAINTED[recipe][1], rel=5e-3)


def test_recipes_are_drawn_with_equal_chances_each_time_they_are_named():
    synthesiser = LesionSynthesiser(
        recipes=("nodular", "veil", "nodular", "nodular"), normal_fraction=0.0, max_lesions=1
    )
    drawn = [
        synthesiser.paint(IMAGE, LUNGS, np.random.default_rng(seed), other=OTHER).recipes
        for seed in range(200)
    ]
    assert 0.65 < drawn.count(("nodular",)) / 200 < 0.85


def test_a_lung_without_surroundings_gets_lesions_too():
    everywhere = np.ones(LUNGS.shape, bool)
    synthesiser = LesionSynthesiser(recipes=("veil",), normal_fraction=0.0, max_lesions=1)
    for seed in range(10):
        lesion = synthesiser.paint(
            np.full(LUNGS.shape, 0.3, np.float32),
            everywhere,
            np.random.default_rng(seed),
            other=OTHER,
        )
        assert np.isfinite(lesion.pixels).all()
        assert lesion.alpha.max() > 0.1


class Ends:
    """A generator whose numbers are always the last (or first) of their range, without noise."""

    def __init__(self, *, last, tissue=True):
        self.last, self.tissue = last, tissue

    def uniform(self, low, high):
        return high if self.last else low

    def random(self):
        return 0.0 if self.tissue else 0.99

    def standard_normal(self, shape, dtype):
        return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("outside", "last", "expected"),
    [
        # lung of grey level 0.2; all of the way to soft tissue, 0.1 above that of the image
        (0.5, True, 0.6),
        (0.95, True, 1.0),
        (0.0, True, 0.3),  # no tissue is darker
        (None, True, 0.9),  # nothing but lung: 0.8 is taken for soft tissue
        # a quarter of the way to 0.15 below it
        (0.5, False, 0.2 + 0.25 * (0.35 - 0.2)),
        (None, False, 0.2 + 0.25 * (0.65 - 0.2)),
        (0.3, False, 0.2 + 0.25 * (0.3 - 0.2)),
        (0.0, False, 0.2 + 0.25 * (0.3 - 0.2)),
    ],
)
def test_soft_tissue_is_reached_by_hand(monkeypatch, outside, last, expected):
    lung = np.zeros((64, 64), bool)
    lung[8:56, 8:56] = True
    pixels = np.full(lung.shape, outside or 0.0, np.float32)
    pixels[lung] = 0.2
    if outside is None:
        lung[:], pixels[:] = True, 0.2
    monkeypatch.setattr(lesions, "opacity_alpha", lambda *_, **__: lung.astype(np.float32))
    changed, alpha = lesions._opacify(pixels, lung, Ends(last=last), "lobar")
    assert changed[32, 32] == pytest.approx(expected, abs=1e-4)
    assert alpha[32, 32] == pytest.approx(1.0 if last else 0.5, abs=1e-4)


@pytest.mark.parametrize(("last", "expected"), [(True, 0.2 + 0.5 * 0.8), (False, 0.2 + 0.05 * 0.8)])
def test_added_brightness_by_hand(monkeypatch, last, expected):
    lung = np.ones((64, 64), bool)
    monkeypatch.setattr(lesions, "opacity_alpha", lambda *_, **__: lung.astype(np.float32))
    pixels = np.full(lung.shape, 0.2, np.float32)
    changed, _ = lesions._opacify(pixels, lung, Ends(last=last, tissue=False), "lobar")
    assert changed[32, 32] == pytest.approx(expected, abs=1e-4)


def test_an_empty_mask_is_refused():
    for recipe in RECIPES:
        synthesiser = LesionSynthesiser(recipes=(recipe,), normal_fraction=0.0)
        with pytest.raises(InvalidMaskError, match="empty"):
            synthesiser.paint(IMAGE, LUNGS & False, np.random.default_rng(0), other=OTHER)


def test_same_seed_same_lesion(chests):
    one, other = (paint(chests, LesionSynthesiser(normal_fraction=0.0), 5) for _ in range(2))
    np.testing.assert_array_equal(one.pixels, other.pixels)
    np.testing.assert_array_equal(one.alpha, other.alpha)


def test_wrong_settings_are_refused():
    with pytest.raises(ConfigurationError, match="recipes"):
        LesionSynthesiser(recipes=("mass",))
    with pytest.raises(ConfigurationError, match="recipes"):
        LesionSynthesiser(recipes=())
    for wrong in (-0.1, 1.1):
        with pytest.raises(ConfigurationError, match="normal_fraction"):
            LesionSynthesiser(normal_fraction=wrong)
    with pytest.raises(ConfigurationError, match="max_lesions"):
        LesionSynthesiser(max_lesions=0)
    assert LesionSynthesiser(normal_fraction=0, max_lesions=1).max_lesions == 1


def test_by_default_a_quarter_stays_normal_and_others_get_up_to_two_lesions():
    counts = [
        len(LesionSynthesiser().paint(IMAGE, LUNGS, np.random.default_rng(n), other=OTHER).recipes)
        for n in range(300)
    ]
    assert set(counts) == {0, 1, 2}
    assert 0.18 < counts.count(0) / 300 < 0.32


def test_recipes_may_come_as_a_list_as_toml_gives_them():
    assert as_recipes(["veil"]) == ("veil",)
    assert LesionSynthesiser(recipes=["veil", "lobar"]).recipes == ("veil", "lobar")
