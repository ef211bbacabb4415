"""Each check of a segmenter is failed by a segmenter made for it."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from faults import Faults

from lungpatch.containers import LungMask
from lungpatch.testing import CHECKS, check_segmenter
from lungpatch.testing.common_checks import COMMON_CHECKS

FAULTS = Faults()


@attrs.define(kw_only=True, eq=False)
class GoodSegmenter:
    def mask(self, pixels):
        return pixels < pixels.mean() - 0.01

    def segment(self, image):
        return LungMask(pixels=self.mask(image.pixels))


@FAULTS.breaks("returns_lung_mask", "return lungpatch.LungMask")
@attrs.define(kw_only=True, eq=False)
class ReturnsArray(GoodSegmenter):
    def segment(self, image):
        return self.mask(image.pixels)


@FAULTS.breaks("mask_has_image_shape", "rows first")
@attrs.define(kw_only=True, eq=False)
class MaskOfNetworkSize(GoodSegmenter):
    def mask(self, pixels):
        return GoodSegmenter().mask(np.resize(pixels, (256, 256)))


@FAULTS.breaks("lungless_image_is_no_error", "IndexError: ")
@attrs.define(kw_only=True, eq=False)
class NeedsLungs(GoodSegmenter):
    def mask(self, pixels):
        mask = GoodSegmenter().mask(pixels)
        first = np.flatnonzero(mask)[0]
        assert first >= 0
        return mask


@FAULTS.breaks("lungless_image_gives_empty_mask", "Return a mask of False")
@attrs.define(kw_only=True, eq=False)
class WholeWhereNone(GoodSegmenter):
    def mask(self, pixels):
        mask = GoodSegmenter().mask(pixels)
        return mask if mask.any() else ~mask


@FAULTS.breaks("inputs_unchanged", "Work on a copy")
@attrs.define(kw_only=True, eq=False)
class WorksInPlace(GoodSegmenter):
    def segment(self, image):
        mask = self.mask(image.pixels)
        image.pixels.base[:] = 0.0
        return LungMask(pixels=mask)


@FAULTS.breaks("deterministic", "Keep nothing of an image")
@attrs.define(kw_only=True, eq=False)
class RemembersGrey(GoodSegmenter):
    mean_: float | None = attrs.field(init=False, default=None)

    def mask(self, pixels):
        mean = pixels.mean()
        mask = pixels < (mean if self.mean_ is None else self.mean_ - 0.1) - 0.01
        if np.ptp(pixels):
            self.mean_ = mean
            return mask
        return np.zeros_like(mask)


@FAULTS.breaks("global_random_state_kept", "numpy.random.Generator")
@attrs.define(kw_only=True, eq=False)
class SeedsTorch(GoodSegmenter):
    def mask(self, pixels):
        torch = pytest.importorskip("torch")
        torch.manual_seed(0)
        return GoodSegmenter().mask(pixels)


def test_good_segmenter_passes():
    report = check_segmenter(GoodSegmenter()).raise_on_failure()
    assert {result.status for result in report} == {"passed"}


def test_every_check_has_a_segmenter_that_fails_it():
    # Those of all kinds are proved with scorers.
    common = len(COMMON_CHECKS)
    assert CHECKS["segmenter"][:common] == COMMON_CHECKS
    assert FAULTS.checks == [check.name for check in CHECKS["segmenter"][common:]]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_broken_segmenter_fails_its_check_only(fault):
    report = check_segmenter(fault.component_class())
    assert [result.name for result in report.wrong] == [fault.check], report
    assert fault.advice in report.wrong[0].message
