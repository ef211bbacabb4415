"""Each check of a thresholder is failed by a thresholder made for it."""

from __future__ import annotations

from typing import ClassVar

import attrs
import numpy as np
import pytest
from faults import Faults

from lungpatch.errors import ConfigurationError, InsufficientDataError, NotFittedError
from lungpatch.testing import CHECKS, check_thresholder
from lungpatch.testing.common_checks import COMMON_CHECKS

FAULTS = Faults()


@attrs.define(kw_only=True, eq=False)
class GoodThresholder:
    uses_labels: ClassVar[bool] = False

    _fitted: float | None = attrs.field(init=False, default=None, repr=False)

    @property
    def min_scores(self):
        return 1

    @property
    def threshold_(self):
        if self._fitted is None:
            raise NotFittedError("no threshold yet: call fit(pred_scores)")
        return self._fitted

    def checked(self, pred_scores):
        scores = np.asarray(pred_scores, np.float64)
        if not np.isfinite(scores).all():
            raise ConfigurationError("NaN")
        if not scores.size:
            raise InsufficientDataError("no scores")
        return scores

    def find(self, scores, labels):
        return float(np.median(scores))

    def fit(self, pred_scores, gt_labels=None):
        self._fitted = self.find(self.checked(pred_scores), gt_labels)
        return self


@FAULTS.breaks("says_whether_it_uses_labels", "uses_labels: ClassVar[bool]")
@attrs.define(kw_only=True, eq=False)
class LabelsAsSetting(GoodThresholder):
    uses_labels: bool = False


@FAULTS.breaks("min_scores_is_positive", "smallest number of scores that fit accepts")
@attrs.define(kw_only=True, eq=False)
class NeedsNoScores(GoodThresholder):
    @property
    def min_scores(self):
        return 0


@FAULTS.breaks("min_scores_is_positive", "Make it a property that returns an int")
@attrs.define(kw_only=True, eq=False)
class CountsAfterFit(GoodThresholder):
    @property
    def min_scores(self):
        return 1 + 0 * int(self.threshold_)


@FAULTS.breaks("not_fitted_before_fit", "call fit(pred_scores)")
@attrs.define(kw_only=True, eq=False)
class NoneBeforeFit(GoodThresholder):
    @property
    def threshold_(self):
        return self._fitted


@FAULTS.breaks("not_fitted_before_fit", "It raised AttributeError")
@attrs.define(kw_only=True, eq=False)
class AttributeErrorBeforeFit(GoodThresholder):
    @property
    def threshold_(self):
        if self._fitted is None:
            raise AttributeError("threshold_")
        return self._fitted


@FAULTS.breaks("fit_returns_itself", "return self")
@attrs.define(kw_only=True, eq=False)
class ReturnsNothing(GoodThresholder):
    def fit(self, pred_scores, gt_labels=None):
        GoodThresholder.fit(self, pred_scores, gt_labels)


@FAULTS.breaks("threshold_is_finite_float", "Return float(threshold)")
@attrs.define(kw_only=True, eq=False)
class NumpyFloat(GoodThresholder):
    def find(self, scores, labels):
        return np.float32(np.median(scores))


@FAULTS.breaks("scores_above_are_anomalous", "lowest of the classes")
@attrs.define(kw_only=True, eq=False)
class BelowAll(GoodThresholder):
    def find(self, scores, labels):
        return float(scores.min()) - 1.0


@FAULTS.breaks("scores_above_are_anomalous", "Label True is anomalous")
@attrs.define(kw_only=True, eq=False)
class LabelsUpsideDown(GoodThresholder):
    uses_labels: ClassVar[bool] = True

    def find(self, scores, labels):
        return float(scores[np.asarray(labels)].max())


@FAULTS.breaks("nan_is_refused", "ConfigurationError if not finite")
@attrs.define(kw_only=True, eq=False)
class LeavesOutNaN(GoodThresholder):
    def checked(self, pred_scores):
        scores = np.asarray(pred_scores, np.float64)
        return GoodThresholder().checked(scores[np.isfinite(scores)])


@FAULTS.breaks("min_scores_suffice", "Raise min_scores")
@attrs.define(kw_only=True, eq=False)
class NeedsTen(GoodThresholder):
    def checked(self, pred_scores):
        if len(pred_scores) < 10:
            raise InsufficientDataError("needs 10 scores")
        return GoodThresholder().checked(pred_scores)


@FAULTS.breaks("too_few_scores_refused", "or lower min_scores")
@attrs.define(kw_only=True, eq=False)
class SaysTen(GoodThresholder):
    @property
    def min_scores(self):
        return 10


@FAULTS.breaks("refit_forgets", "this call only")
@attrs.define(kw_only=True, eq=False)
class RunningMean(GoodThresholder):
    def find(self, scores, labels):
        new = float(np.median(scores))
        return new if self._fitted is None else (new + self._fitted) / 2


@FAULTS.breaks("inputs_unchanged", "Sort a copy")
@attrs.define(kw_only=True, eq=False)
class SortsInPlace(GoodThresholder):
    def find(self, scores, labels):
        scores.sort()
        return float(scores[scores.size // 2])


@FAULTS.breaks("takes_lists", "Begin with scores = np.asarray")
@attrs.define(kw_only=True, eq=False)
class ArraysOnly(GoodThresholder):
    def fit(self, pred_scores, gt_labels=None):
        assert pred_scores.ndim == 1
        return GoodThresholder.fit(self, pred_scores, gt_labels)


@FAULTS.breaks("deterministic", "a fixed seed")
@attrs.define(kw_only=True, eq=False)
class Bootstraps(GoodThresholder):
    def find(self, scores, labels):
        return float(np.median(scores)) * (1.0 + 1e-9 * np.random.default_rng().random())


@FAULTS.breaks("global_random_state_kept", "numpy.random.Generator")
@attrs.define(kw_only=True, eq=False)
class SeedsNumpy(GoodThresholder):
    def find(self, scores, labels):
        np.random.seed(0)  # noqa: NPY002
        return float(np.median(scores))


@FAULTS.breaks("readable_repr_after_fit", "Give fitted fields repr=False")
@attrs.define(kw_only=True, eq=False)
class ShowsScores(GoodThresholder):
    scores_: np.ndarray | None = attrs.field(init=False, default=None)

    def find(self, scores, labels):
        self.scores_ = scores
        return float(np.median(scores))


def test_good_thresholder_passes():
    report = check_thresholder(GoodThresholder()).raise_on_failure()
    assert {result.status for result in report} == {"passed"}


def test_every_check_has_a_thresholder_that_fails_it():
    # Those of all kinds are proved with scorers.
    common = len(COMMON_CHECKS)
    assert CHECKS["thresholder"][:common] == COMMON_CHECKS
    assert FAULTS.checks == [check.name for check in CHECKS["thresholder"][common:]]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_broken_thresholder_fails_its_check_only(fault):
    report = check_thresholder(fault.component_class())
    assert [result.name for result in report.wrong] == [fault.check], report
    assert fault.advice in report.wrong[0].message


def test_min_scores_is_part_of_the_contract():
    @attrs.define(kw_only=True, eq=False)
    class Without:
        uses_labels: ClassVar[bool] = False
        threshold_: float = attrs.field(init=False, default=0.0)

        def fit(self, pred_scores, gt_labels=None):
            return self

    report = check_thresholder(Without())
    assert [result.name for result in report.wrong] == ["loads_by_name"]
    assert "it lacks min_scores" in report.wrong[0].message


def test_a_fitted_thresholder_is_recognised():
    report = check_thresholder(GoodThresholder().fit([1.0, 2.0]))
    assert [result.name for result in report.wrong] == ["not_fitted_before_fit"]
    assert "check one that was not fitted" in report.wrong[0].message
