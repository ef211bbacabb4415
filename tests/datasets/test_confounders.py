import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

import lungpatch
from lungpatch.containers import ChestImage, LungMask
from lungpatch.datasets.confounders import (
    CONFOUNDER_KINDS,
    OVER_LUNGS,
    PaintedConfounder,
    paint_confounder,
)
from lungpatch.datasets.phantom import phantom_chest, phantom_cohort
from lungpatch.errors import ConfigurationError, InvalidMaskError
from lungpatch.io.folders import find_images
from lungpatch.pipeline import pipeline_settings
from lungpatch.pipeline.configuration import build_pipeline
from lungpatch.segmenters.unet import UNetSegmenter

DATA = Path(
    os.environ.get("LUNGPATCH_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data")
)
CHEST = phantom_chest(3, size=160)
OUTSIDE = [kind for kind in CONFOUNDER_KINDS if kind not in OVER_LUNGS]
seeds = st.integers(0, 2**32 - 1)


def paint(kind, seed=0, *, image=CHEST.image, lungs=CHEST.lungs) -> PaintedConfounder:
    return paint_confounder(image, LungMask(pixels=lungs), kind, np.random.default_rng(seed))


# ---------------------------------------------------------------------------------- painting


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
@pytest.mark.parametrize("kind", CONFOUNDER_KINDS)
def test_the_image_is_changed_in_the_mask_and_nowhere_else(kind, seed):
    painted = paint(kind, seed)
    changed = painted.image.pixels != CHEST.image.pixels
    assert not changed[~painted.mask].any()
    # White on white is no change.
    assert changed.sum() > 0.5 * painted.mask.sum() > 0
    assert painted.image.pixels.dtype == np.float32
    assert painted.image.image_id == CHEST.image.image_id


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
@pytest.mark.parametrize("kind", OUTSIDE)
def test_labels_borders_and_arms_never_touch_the_lungs(kind, seed):
    assert not (paint(kind, seed).mask & CHEST.lungs).any()


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
@pytest.mark.parametrize("kind", sorted(OVER_LUNGS))
def test_devices_lie_partly_over_the_lungs(kind, seed):
    mask = paint(kind, seed).mask
    assert (mask & CHEST.lungs).any()
    assert (mask & ~CHEST.lungs).any()
    # They are bright, and small beside the lungs.
    assert mask.sum() < 0.4 * CHEST.lungs.sum()
    assert (paint(kind, seed).image.pixels >= CHEST.image.pixels)[mask].mean() > 0.95


@pytest.mark.parametrize("kind", CONFOUNDER_KINDS)
def test_one_seed_paints_one_object(kind):
    one, same, other = paint(kind, 1), paint(kind, 1), paint(kind, 2)
    np.testing.assert_array_equal(one.image.pixels, same.image.pixels)
    np.testing.assert_array_equal(one.mask, same.mask)
    assert (one.mask != other.mask).any()


@pytest.mark.parametrize("kind", CONFOUNDER_KINDS)
def test_an_object_is_as_large_on_a_finer_image(kind):
    fractions = []
    for times in (2, 4):  # letters have at least 8 pixels, too many for the smallest images
        lungs = np.kron(CHEST.lungs, np.ones((times, times))) > 0
        image = ChestImage(pixels=np.full(lungs.shape, 0.5, np.float32), image_id="grey")
        masks = [paint(kind, seed, image=image, lungs=lungs).mask for seed in range(4)]
        fractions.append(np.mean(masks))
    assert fractions[1] == pytest.approx(fractions[0], rel=0.2)


def test_a_collimator_edge_is_black_and_reaches_the_border():
    painted = paint("collimation")
    assert painted.image.pixels[painted.mask].max() < CHEST.image.pixels.max()
    assert np.median(painted.image.pixels[painted.mask]) < 0.03
    labels, count = ndimage.label(~painted.mask)
    assert count == 1
    assert labels[CHEST.lungs].all()


def test_arms_brighten_what_is_beside_the_lungs():
    painted = paint("arms")
    assert (painted.image.pixels >= CHEST.image.pixels).all()
    columns = np.flatnonzero(CHEST.lungs.any(axis=0))
    beside = np.flatnonzero(painted.mask.any(axis=0))
    assert (beside < columns[0]).any()
    assert (beside > columns[-1]).any()


def test_a_pacemaker_is_mostly_on_the_patients_left():
    middle = np.nonzero(CHEST.lungs)[1].mean()
    left = [np.nonzero(paint("pacemaker", seed).mask)[1].mean() > middle for seed in range(40)]
    assert 0.75 <= np.mean(left) < 1.0


@pytest.mark.parametrize("kind", CONFOUNDER_KINDS)
@pytest.mark.parametrize("side", [slice(None, 80), slice(80, None)])
def test_one_lung_and_an_image_that_is_not_square(kind, side):
    lungs = np.zeros((160, 220), bool)
    lungs[:, 20:180][:, side] = CHEST.lungs[:, side]
    image = ChestImage(pixels=np.pad(CHEST.image.pixels, ((0, 0), (20, 40))), image_id="wide")
    painted = paint(kind, image=image, lungs=lungs)
    assert painted.mask.shape == (160, 220)
    assert painted.mask.any()
    assert kind in OVER_LUNGS or not (painted.mask & lungs).any()


def test_what_cannot_be_painted_is_refused():
    with pytest.raises(ConfigurationError, match="unknown kind of confounder 'ring'; use one of"):
        paint("ring")
    with pytest.raises(InvalidMaskError, match="phantom: the lung mask is empty"):
        paint("marker", lungs=np.zeros_like(CHEST.lungs))
    with pytest.raises(InvalidMaskError, match="not of the image's shape"):
        paint("marker", lungs=CHEST.lungs[:-1])


@pytest.mark.parametrize("kind", OUTSIDE)
def test_lungs_that_fill_the_image_leave_no_room(kind):
    with pytest.raises(InvalidMaskError, match="no room for a confounder"):
        paint(kind, lungs=np.ones_like(CHEST.lungs))


# ----------------------------------------------------------------------------- what detectors do


class KnownLungs:
    """A segmenter that knows the lungs, so that only what comes after it is tested."""

    def __init__(self):
        self.lungs = {}

    def segment(self, image: ChestImage) -> LungMask:
        return LungMask(pixels=self.lungs[image.image_id])


@pytest.fixture(scope="module")
def knowing(fitted):
    """The fast pipeline, fitted with known lungs, on images of the size of its grid."""
    pipeline = build_pipeline(pipeline_settings(fitted), origin="test")
    pipeline.segmenter = KnownLungs()
    chests = list(phantom_cohort(12, 0, seed=3, size=pipeline.grid_size))
    pipeline.segmenter.lungs |= {chest.patient: chest.lungs for chest in chests}
    return pipeline.fit([chest.image for chest in chests])


@pytest.mark.parametrize("kind", CONFOUNDER_KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_scores_change_near_the_object_only_and_never_outside_the_lungs(knowing, kind, seed):
    chest = phantom_chest(seed, size=knowing.grid_size)
    knowing.segmenter.lungs["phantom"] = chest.lungs
    painted = paint(kind, seed, image=chest.image, lungs=chest.lungs)
    before, after = knowing.detect(chest.image), knowing.detect(painted.image)
    assert np.isnan(after.native_heatmap[~chest.lungs]).all()
    for row0, col0, row1, col1 in after.native_boxes:
        assert chest.lungs[row0:row1, col0:col1].any()
    assert not (after.localisation.pred_mask & ~chest.lungs).any()
    # A pixel shares patches of 16 x 16 pixels with pixels at most 15 rows and columns away.
    reach = ndimage.maximum_filter(painted.mask, size=2 * 15 + 1)
    assert kind in OVER_LUNGS or (chest.lungs & ~reach).any()
    np.testing.assert_array_equal(before.native_heatmap[~reach], after.native_heatmap[~reach])
    assert (painted.image.pixels != chest.image.pixels).any()


def lungs_before_and_after(image, kind, seed):
    """The segmenter's lungs without and with an object, and the object."""
    segmenter = UNetSegmenter()
    before = segmenter.segment(image)
    painted = paint_confounder(image, before, kind, np.random.default_rng(seed))
    return before.pixels, segmenter.segment(painted.image).pixels, painted.mask


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


@pytest.mark.parametrize("kind", OUTSIDE)
def test_the_lungs_of_a_phantom_are_found_beside_an_object(kind):
    for seed in range(3):
        image = phantom_chest(seed, size=256).image
        before, after, mask = lungs_before_and_after(image, kind, seed)
        assert dice(before, after) > 0.97
        assert (after & mask).sum() < 0.01 * mask.sum()


@pytest.mark.skipif(not (DATA / "cxr").is_dir(), reason=f"no real images in {DATA}")
@pytest.mark.parametrize("kind", OUTSIDE)
def test_the_lungs_of_real_images_are_found_beside_an_object(kind):
    # Every 60th image; values for more of them come from benchmarks/confounders.py.
    results = [
        lungs_before_and_after(lungpatch.read_image(path), kind, seed)
        for seed, path in enumerate(find_images(DATA / "cxr" / "normal")[::60])
    ]
    assert len(results) >= 4
    assert np.mean([dice(before, after) for before, after, _ in results]) > 0.97
    assert np.mean([(after & mask).sum() / mask.sum() for _, after, mask in results]) < 0.01


def test_representation_of_a_painted_image():
    painted = paint("text")
    size = f"{painted.mask.mean():.1%}"
    assert repr(painted) == f"PaintedConfounder('phantom', text, {size} of the image)"
