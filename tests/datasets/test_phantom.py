import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from lungpatch.datasets.phantom import PhantomCase, phantom_chest, phantom_cohort, save_cohort
from lungpatch.synthesis import OPACITY_KINDS

SIZE = 192
EXPECTED = Path(__file__).with_name("phantoms.json")


def blocks(pixels):
    """Means over 8 x 8 blocks, which say what is where."""
    side = pixels.shape[0] // 8
    return pixels.astype(np.float64).reshape(8, side, 8, side).mean(axis=(1, 3))


@pytest.mark.parametrize("kind", [None, *OPACITY_KINDS])
def test_a_seed_shows_the_same_patient_in_every_version(kind):
    """Other values mean that results on phantoms, such as the demo's, change: write them anew."""
    expected = json.loads(EXPECTED.read_text(encoding="utf-8"))[kind or "normal"]
    case = phantom_chest(sorted(OPACITY_KINDS).index(kind) if kind else 9, size=96, opacity=kind)
    for name, pixels in (
        ("image", case.image.pixels),
        ("lungs", case.lungs),
        ("opacity", case.opacity),
    ):
        np.testing.assert_allclose(blocks(pixels), expected[name], atol=2e-4, err_msg=name)


@pytest.mark.parametrize("seed", range(12))
def test_normal_chest_is_a_plausible_image(seed):
    case = phantom_chest(seed, size=SIZE)
    assert isinstance(case, PhantomCase)
    pixels, lungs = case.image.pixels, case.lungs

    assert pixels.shape == lungs.shape == case.opacity.shape == (SIZE, SIZE)
    assert pixels.dtype == np.float32
    assert lungs.dtype == case.opacity.dtype == np.bool_
    assert case.kind == "normal"
    assert not case.opacity.any()

    # Two lungs, one a side, of about one size, that take a chest image's usual fraction.
    _, count = ndimage.label(lungs)
    assert count == 2
    assert 0.12 < lungs.mean() < 0.45
    columns = np.nonzero(lungs)[1]
    middle = (columns.min() + columns.max()) / 2
    assert 0.35 < (columns < middle).mean() < 0.65

    # Lungs are dark, what lies between them is bright.
    labels, _ = ndimage.label(lungs)
    rows = np.nonzero(lungs)[0]
    row = int(np.quantile(rows, 0.5))
    inner = [np.flatnonzero(labels[row] == side) for side in (1, 2)]
    first, second = sorted(inner, key=lambda columns: columns.mean())
    mediastinum = pixels[row - 5 : row + 5, first.max() + 4 : second.min() - 3]
    assert np.median(pixels[lungs]) + 0.1 < np.median(mediastinum)


@pytest.mark.parametrize("kind", OPACITY_KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_opacity_lies_in_the_lungs_and_is_brighter_than_the_same_normal_lung(kind, seed):
    normal = phantom_chest(seed, size=SIZE)
    abnormal = phantom_chest(seed, size=SIZE, opacity=kind)

    np.testing.assert_array_equal(abnormal.lungs, normal.lungs)
    assert abnormal.kind == kind
    assert abnormal.opacity.any()
    assert not (abnormal.opacity & ~abnormal.lungs).any()
    risen = abnormal.image.pixels - normal.image.pixels
    assert risen[abnormal.opacity].mean() > 0.02
    # Elsewhere only scattered rays change, and less of them.
    far = ~ndimage.binary_dilation(abnormal.opacity, iterations=20) & ~abnormal.lungs
    assert np.abs(risen[far]).mean() < 0.25 * risen[abnormal.opacity].mean()


def test_same_seed_same_image_and_other_seed_other_patient():
    first = phantom_chest(5, size=64, opacity="patchy")
    again = phantom_chest(5, size=64, opacity="patchy")
    other = phantom_chest(6, size=64, opacity="patchy")
    np.testing.assert_array_equal(first.image.pixels, again.image.pixels)
    np.testing.assert_array_equal(first.opacity, again.opacity)
    assert (first.lungs != other.lungs).any()


def test_generator_gives_another_patient_each_call():
    rng = np.random.default_rng(0)
    first, second = phantom_chest(rng, size=64), phantom_chest(rng, size=64)
    assert (first.lungs != second.lungs).any()
    np.testing.assert_array_equal(
        first.image.pixels, phantom_chest(np.random.default_rng(0), size=64).image.pixels
    )


def test_anatomy_does_not_depend_on_size():
    small = phantom_chest(3, size=128)
    large = phantom_chest(3, size=256)
    shrunk = large.lungs.reshape(128, 2, 128, 2).mean(axis=(1, 3)) >= 0.5
    assert (shrunk != small.lungs).mean() < 0.01
    coarse = large.image.pixels.reshape(128, 2, 128, 2).mean(axis=(1, 3))
    difference = ndimage.gaussian_filter(coarse - small.image.pixels, 3)[16:-16, 16:-16]
    assert np.abs(difference).mean() < 0.03


@pytest.mark.parametrize("kind", [None, "lobar"])
def test_images_of_unusual_sizes(kind):
    for size in (64, 65, 99):
        case = phantom_chest(1, size=size, opacity=kind)
        assert case.image.shape == (size, size)
        assert case.lungs.any()


def test_wrong_settings_are_named():
    with pytest.raises(ValueError, match="at least 64"):
        phantom_chest(0, size=10)
    with pytest.raises(ValueError, match="'mass'"):
        phantom_chest(0, size=64, opacity="mass")


def test_cases_of_a_cohort_do_not_depend_on_its_size():
    small = list(phantom_cohort(2, 2, seed=1, size=64))
    large = list(phantom_cohort(3, len(OPACITY_KINDS) + 1, seed=1, size=64))
    assert [case.kind for case in large] == ["normal"] * 3 + [*OPACITY_KINDS, OPACITY_KINDS[0]]
    assert len({case.patient for case in large}) == 4 + len(OPACITY_KINDS)
    by_patient = {case.patient: case for case in large}
    for case in small:
        twin = by_patient[case.patient]
        np.testing.assert_array_equal(case.image.pixels, twin.image.pixels)
        np.testing.assert_array_equal(case.opacity, twin.opacity)
    lungs = {case.lungs.tobytes() for case in large}
    assert len(lungs) == len(large)  # no patient twice


def test_patients_differ_in_exposure_and_lung_size():
    cases = list(phantom_cohort(12, 0, seed=2, size=64))
    greys = [np.median(case.image.pixels[case.lungs]) for case in cases]
    areas = [case.lungs.mean() for case in cases]
    assert np.ptp(greys) > 0.08
    assert max(areas) > 1.2 * min(areas)


def test_saved_cohort_reads_back(tmp_path):
    cases = list(phantom_cohort(1, 2, seed=4, size=64))
    save_cohort(cases, tmp_path)
    save_cohort(cases, tmp_path)  # replaces
    assert len(list((tmp_path / "normal").iterdir())) == 1
    assert len(list((tmp_path / "opacity").iterdir())) == 2
    for case in cases:
        group = "normal" if case.kind == "normal" else "opacity"
        saved_image = np.asarray(Image.open(tmp_path / group / f"{case.patient}.png"))
        assert saved_image.dtype == np.uint8
        assert np.abs(saved_image / 255 - case.image.pixels).max() <= 0.5 / 255 + 1e-6
        for name, mask in (("lungs", case.lungs), ("opacity", case.opacity)):
            saved = np.asarray(Image.open(tmp_path / "masks" / name / f"{case.patient}.png"))
            np.testing.assert_array_equal(saved, mask * np.uint8(255))
    assert not list(tmp_path.rglob("*.part"))
