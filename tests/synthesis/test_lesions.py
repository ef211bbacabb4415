import numpy as np
import pytest

from lungpatch.datasets.phantom import phantom_chest
from lungpatch.synthesis import OPACITY_KINDS, RECIPES, LesionSynthesiser
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


def test_same_seed_same_lesion(chests):
    one, other = (paint(chests, LesionSynthesiser(normal_fraction=0.0), 5) for _ in range(2))
    np.testing.assert_array_equal(one.pixels, other.pixels)
    np.testing.assert_array_equal(one.alpha, other.alpha)


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="recipes"):
        LesionSynthesiser(recipes=("mass",))
    with pytest.raises(ValueError, match="recipes"):
        LesionSynthesiser(recipes=())
    with pytest.raises(ValueError, match="normal_fraction"):
        LesionSynthesiser(normal_fraction=1.5)


def test_recipes_may_come_as_a_list_as_toml_gives_them():
    assert as_recipes(["veil"]) == ("veil",)
    assert LesionSynthesiser(recipes=["veil", "lobar"]).recipes == ("veil", "lobar")
