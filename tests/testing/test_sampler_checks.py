"""Each check of a sampler is failed by a sampler made for it."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from faults import Faults

from lungpatch.containers import PatchBatch
from lungpatch.errors import ConfigurationError
from lungpatch.testing import CHECKS, check_sampler
from lungpatch.testing.common_checks import COMMON_CHECKS

FAULTS = Faults()


@attrs.define(kw_only=True, eq=False)
class GoodSampler:
    patch_size: int = 16

    def corners(self, image, rng):
        return rng.integers(0, np.array(image.shape) - self.patch_size + 1, (20, 2))

    def sample(self, image, lungs, *, rng=None):
        if rng is None:
            raise ConfigurationError("pass rng")
        return self.cut(image, lungs, self.corners(image, rng))

    def cut(self, image, lungs, corners):
        size = self.patch_size
        rows = (corners[:, 0, None] + np.arange(size))[:, :, None]
        columns = (corners[:, 1, None] + np.arange(size))[:, None, :]
        return PatchBatch(
            pixels=image.pixels[rows, columns],
            corners=corners,
            lung=lungs.pixels[rows, columns],
            image_shape=image.shape,
            image_id=image.image_id,
        )


@FAULTS.breaks("patch_size_is_positive", "an int from 1 on")
@attrs.define(kw_only=True, eq=False)
class FloatSize(GoodSampler):
    patch_size: float = 16.0


@FAULTS.breaks("returns_patch_batch", "return lungpatch.PatchBatch")
@attrs.define(kw_only=True, eq=False)
class ReturnsArray(GoodSampler):
    def cut(self, image, lungs, corners):
        return GoodSampler().cut(image, lungs, corners).pixels


@FAULTS.breaks("patches_have_patch_size", "Cut pixels of shape")
@attrs.define(kw_only=True, eq=False)
class SmallerPatches(GoodSampler):
    def cut(self, image, lungs, corners):
        return GoodSampler(patch_size=15).cut(image, lungs, corners)


@FAULTS.breaks("batch_names_its_image", "image_shape=image.shape")
@attrs.define(kw_only=True, eq=False)
class OtherName(GoodSampler):
    def cut(self, image, lungs, corners):
        return attrs.evolve(GoodSampler().cut(image, lungs, corners), image_id="image")


@FAULTS.breaks("corners_inside_image", "first pixel (row, column)")
@attrs.define(kw_only=True, eq=False)
class OneOutside(GoodSampler):
    def cut(self, image, lungs, corners):
        batch = GoodSampler().cut(image, lungs, corners)
        moved = batch.corners.copy()
        moved[0] = image.shape
        return attrs.evolve(batch, corners=moved)


@FAULTS.breaks("pixels_are_cut_at_corners", "change no value")
@attrs.define(kw_only=True, eq=False)
class Brightens(GoodSampler):
    def cut(self, image, lungs, corners):
        batch = GoodSampler().cut(image, lungs, corners)
        return attrs.evolve(batch, pixels=batch.pixels**0.9)


@FAULTS.breaks("lung_is_cut_at_corners", "change no value")
@attrs.define(kw_only=True, eq=False)
class CallsAllLung(GoodSampler):
    def cut(self, image, lungs, corners):
        batch = GoodSampler().cut(image, lungs, corners)
        return attrs.evolve(batch, lung=np.ones_like(batch.lung))


@attrs.define(kw_only=True, eq=False)
class HalvedImage(GoodSampler):
    """The whole image at half its size: resampled, and right."""

    patch_size: int = 64

    def corners(self, image, rng):
        return np.zeros((1, 2), np.int64)

    def cut(self, image, lungs, corners):
        nearest = [(np.arange(self.patch_size) * n) // self.patch_size for n in image.shape]
        return PatchBatch(
            pixels=image.pixels[np.ix_(*nearest)][None],
            corners=corners,
            extents=np.array([image.shape]),
            lung=lungs.pixels[np.ix_(*nearest)][None],
            image_shape=image.shape,
            image_id=image.image_id,
        )


@FAULTS.breaks("resampled_pixels_show_their_box", "row floor((r + 1/2) P / rows)")
@attrs.define(kw_only=True, eq=False)
class UpsideDown(HalvedImage):
    def cut(self, image, lungs, corners):
        batch = HalvedImage().cut(image, lungs, corners)
        return attrs.evolve(batch, pixels=batch.pixels[:, ::-1])


@FAULTS.breaks("resampled_lung_shows_its_box", "% of its pixels say otherwise")
@attrs.define(kw_only=True, eq=False)
class LungElsewhere(HalvedImage):
    def cut(self, image, lungs, corners):
        batch = HalvedImage().cut(image, lungs, corners)
        return attrs.evolve(batch, lung=~batch.lung)


@FAULTS.breaks("takes_any_shape", "rows and columns from image.shape separately")
@attrs.define(kw_only=True, eq=False)
class SquareOnly(GoodSampler):
    def corners(self, image, rng):
        if image.shape[0] != image.shape[1]:
            raise ValueError("square images only")
        return GoodSampler().corners(image, rng)


@FAULTS.breaks("takes_tiny_lungs", "Return pixels of shape (0, patch_size, patch_size)")
@attrs.define(kw_only=True, eq=False)
class StacksNothing(GoodSampler):
    def cut(self, image, lungs, corners):
        batch = GoodSampler().cut(image, lungs, corners)
        found = np.stack([lung for lung in batch.lung if lungs.pixels.sum() > 1])
        assert len(found) == len(batch)
        return batch


@FAULTS.breaks("inputs_unchanged", "Work on a copy")
@attrs.define(kw_only=True, eq=False)
class WorksInPlace(GoodSampler):
    def cut(self, image, lungs, corners):
        batch = GoodSampler().cut(image, lungs, corners)
        mask = lungs.pixels.base
        if mask is not None:
            mask[:] = False
        return batch


@FAULTS.breaks("deterministic", "Draw from the rng that is passed")
@attrs.define(kw_only=True, eq=False)
class OwnGenerator(GoodSampler):
    def corners(self, image, rng):
        return GoodSampler().corners(image, np.random.default_rng())


@FAULTS.breaks("rng_moves_on", "Draw from rng itself")
@attrs.define(kw_only=True, eq=False)
class StartsOver(GoodSampler):
    def corners(self, image, rng):
        return GoodSampler().corners(image, np.random.default_rng(rng.bit_generator.seed_seq))


@FAULTS.breaks("without_rng", "where rng is None")
@attrs.define(kw_only=True, eq=False)
class DrawsWithoutRng(GoodSampler):
    def sample(self, image, lungs, *, rng=None):
        return GoodSampler().sample(image, lungs, rng=rng or np.random.default_rng())


@FAULTS.breaks("global_random_state_kept", "numpy.random.Generator")
@attrs.define(kw_only=True, eq=False)
class SeedsNumpy(GoodSampler):
    def corners(self, image, rng):
        np.random.seed(0)  # noqa: NPY002
        return GoodSampler().corners(image, rng)


@pytest.mark.parametrize("sampler", [GoodSampler(), HalvedImage()])
def test_good_sampler_passes(sampler):
    report = check_sampler(sampler).raise_on_failure()
    assert {result.status for result in report} == {"passed"}


def test_every_check_has_a_sampler_that_fails_it():
    # Those of all kinds are proved with scorers.
    common = len(COMMON_CHECKS)
    assert CHECKS["sampler"][:common] == COMMON_CHECKS
    assert FAULTS.checks == [check.name for check in CHECKS["sampler"][common:]]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_broken_sampler_fails_its_check_only(fault):
    report = check_sampler(fault.component_class())
    assert [result.name for result in report.wrong] == [fault.check], report
    assert fault.advice in report.wrong[0].message


@pytest.mark.parametrize("patch_size", [1, 200, 300])
def test_patches_of_any_size(patch_size):
    assert check_sampler(GoodSampler(patch_size=patch_size)).ok
