"""Each check of a scorer, and each of all components, is failed by a scorer made for it."""

from __future__ import annotations

import json
import warnings

import attrs
import numpy as np
import pytest
from faults import Faults

import lungpatch
from lungpatch.containers import PatchScores
from lungpatch.errors import ConfigurationError
from lungpatch.testing import CHECKS, check_scorer

FAULTS = Faults()


@attrs.define(kw_only=True, eq=False)
class GoodScorer:
    region: str = "lung"

    def error(self, patches, reconstruction):
        return np.abs(reconstruction.target - reconstruction.expected).mean(axis=1)

    def values(self, error, support):
        return np.array([e[s].mean() for e, s in zip(error, support, strict=True)], np.float64)

    def score(self, patches, reconstruction):
        error = self.error(patches, reconstruction)
        return PatchScores(
            values=self.values(error, patches.lung), support=patches.lung, error_maps=error
        )


@FAULTS.breaks("loads_by_name", "write @attrs.define(kw_only=True, eq=False)")
class NoAttrsClass:
    def score(self, patches, reconstruction):
        return GoodScorer().score(patches, reconstruction)


@FAULTS.breaks("declared_as_attrs_class", "Add kw_only=True")
@attrs.define(eq=False)
class SettingByPosition(GoodScorer):
    gain: float = 1.0


@FAULTS.breaks("settings_round_trip", "attrs.field(init=False)")
@attrs.define(kw_only=True, eq=False)
class DoublesItsSetting(GoodScorer):
    gain: float = 1.0

    def __attrs_post_init__(self):
        self.gain *= 2.0


@FAULTS.breaks("parameters_can_be_changed", "get_params(deep=False) names ['region']")
@attrs.define(kw_only=True, eq=False)
class HidesASetting(GoodScorer, lungpatch.Component):
    gain: float = 1.0

    def get_params(self, deep=True):
        return {"region": self.region}


@FAULTS.breaks("parameters_can_be_changed", "End it with: return self")
@attrs.define(kw_only=True, eq=False)
class SetsWithoutReturning(GoodScorer, lungpatch.Component):
    def set_params(self, **params):
        lungpatch.Component.set_params(self, **params)


@FAULTS.breaks("parameters_can_be_changed", "set_params does not set region")
@attrs.define(kw_only=True, eq=False)
class SetsNothing(GoodScorer, lungpatch.Component):
    def set_params(self, **params):
        if "region" not in params:
            raise ConfigurationError("no such setting")
        return self


@FAULTS.breaks("parameters_can_be_changed", "Refuse names that are no setting")
@attrs.define(kw_only=True, eq=False)
class SetsAnything(GoodScorer, lungpatch.Component):
    def set_params(self, **params):
        known = {name: value for name, value in params.items() if name == "region"}
        return lungpatch.Component.set_params(self, **known)


@FAULTS.breaks("parameters_can_be_changed", "It raised AttributeError")
@attrs.define(kw_only=True, eq=False)
class OnlyGets(GoodScorer):
    def get_params(self, deep=True):
        return {"region": self.region}


@FAULTS.breaks("parameters_can_be_changed", "the class changes weights")
@attrs.define(kw_only=True, eq=False)
class CopiesItsSetting(GoodScorer, lungpatch.Component):
    weights: tuple[float, ...] = attrs.field(
        default=(0.5, 1.5), converter=lambda weights: (*weights,)
    )


@FAULTS.breaks("readable_repr", "let attrs write the repr")
@attrs.define(kw_only=True, eq=False, repr=False)
class DefaultRepr(GoodScorer):
    def __repr__(self):
        return object.__repr__(self)


@FAULTS.breaks("returns_patch_scores", "return lungpatch.PatchScores(values=")
@attrs.define(kw_only=True, eq=False)
class ReturnsArray(GoodScorer):
    def score(self, patches, reconstruction):
        return GoodScorer().score(patches, reconstruction).values


@FAULTS.breaks("higher_is_more_anomalous", "1 minus a similarity")
@attrs.define(kw_only=True, eq=False)
class Similarity(GoodScorer):
    def values(self, error, support):
        return 1.0 - GoodScorer().values(error, support)


@FAULTS.breaks("every_channel_counts", "Noise in channel 1 alone does not change")
@attrs.define(kw_only=True, eq=False)
class ReadsFirstChannel(GoodScorer):
    def error(self, patches, reconstruction):
        return np.abs(reconstruction.target - reconstruction.expected)[:, 0]


@FAULTS.breaks("every_channel_counts", "Noise in channel 8 alone does not change")
@attrs.define(kw_only=True, eq=False)
class ForgetsLastChannel(GoodScorer):
    def error(self, patches, reconstruction):
        difference = np.abs(reconstruction.target - reconstruction.expected)
        return difference[:, : max(1, difference.shape[1] - 1)].mean(axis=1)


@FAULTS.breaks("every_channel_counts", "raise lungpatch.errors.ConfigurationError")
@attrs.define(kw_only=True, eq=False)
class FailsOnChannels(GoodScorer):
    def error(self, patches, reconstruction):
        shape = patches.pixels.shape
        return np.abs(reconstruction.target - reconstruction.expected).reshape(shape)


@FAULTS.breaks("every_channel_counts", "Reduce over all axes but the first")
@attrs.define(kw_only=True, eq=False)
class ScoresChannelsAsPatches(GoodScorer):
    def score(self, patches, reconstruction):
        error = np.abs(reconstruction.target - reconstruction.expected)
        channels = error.shape[1]
        support = np.repeat(patches.lung, channels, axis=0)
        error = error.reshape(-1, *error.shape[2:])
        return PatchScores(values=self.values(error, support), support=support)


@FAULTS.breaks("support_has_shape_of_patches", "support=patches.lung")
@attrs.define(kw_only=True, eq=False)
class SmallerSupport(GoodScorer):
    def score(self, patches, reconstruction):
        values = GoodScorer().score(patches, reconstruction).values
        return PatchScores(values=values, support=np.ones((len(patches), 4, 4), bool))


@FAULTS.breaks("support_is_not_empty", "Set it where pixels counted")
@attrs.define(kw_only=True, eq=False)
class NoSupport(GoodScorer):
    def score(self, patches, reconstruction):
        values = GoodScorer().score(patches, reconstruction).values
        return PatchScores(values=values, support=np.zeros_like(patches.lung))


@FAULTS.breaks("region_lung_means_lung", "support=patches.lung")
@attrs.define(kw_only=True, eq=False)
class ScoresWholePatch(GoodScorer):
    def score(self, patches, reconstruction):
        values = GoodScorer().score(patches, reconstruction).values
        return PatchScores(values=values, support=np.ones_like(patches.lung))


@FAULTS.breaks("error_maps_are_finite", "Give every pixel of support an error")
@attrs.define(kw_only=True, eq=False)
class NaNInMap(GoodScorer):
    def score(self, patches, reconstruction):
        scores = GoodScorer().score(patches, reconstruction)
        return attrs.evolve(scores, error_maps=np.full(patches.pixels.shape, np.nan, np.float32))


@FAULTS.breaks("order_kept", "Do not sort")
@attrs.define(kw_only=True, eq=False)
class AddsPositionInBatch(GoodScorer):
    def values(self, error, support):
        # Of two kinds by turns, so that the split of the check shows nothing.
        return GoodScorer().values(error, support) + np.arange(len(error)) % 2


@FAULTS.breaks("batch_may_be_split", "Normalise by no mean")
@attrs.define(kw_only=True, eq=False)
class DividesByDeviation(GoodScorer):
    def values(self, error, support):
        return GoodScorer().values(error, support) / (error.max() + 1e-3) ** 0.5


@FAULTS.breaks("inputs_unchanged", "Work on a copy")
@attrs.define(kw_only=True, eq=False)
class WorksInPlace(GoodScorer):
    def error(self, patches, reconstruction):
        error = GoodScorer().error(patches, reconstruction)
        pixels = patches.pixels.base if patches.pixels.base is not None else patches.pixels
        pixels.flags.writeable = True
        pixels *= 0.5
        return error


@FAULTS.breaks("deterministic", "draw nothing at random")
@attrs.define(kw_only=True, eq=False)
class AddsNoise(GoodScorer):
    def values(self, error, support):
        noise = np.random.default_rng().random()
        return GoodScorer().values(error, support) * (1.0 + 1e-6 * noise)


@FAULTS.breaks("global_random_state_kept", "numpy.random.Generator")
@attrs.define(kw_only=True, eq=False)
class SeedsNumpy(GoodScorer):
    def values(self, error, support):
        np.random.seed(0)  # noqa: NPY002
        return GoodScorer().values(error, support)


def test_good_scorer_passes():
    report = check_scorer(GoodScorer()).raise_on_failure()
    assert {result.status for result in report} == {"passed"}


def test_a_scorer_with_parameters_passes_and_is_cloned_by_scikit_learn():
    clone = pytest.importorskip("sklearn.base").clone

    @attrs.define(kw_only=True, eq=False)
    class WithParameters(GoodScorer, lungpatch.Component):
        gain: float = 1.0

    assert check_scorer(WithParameters(gain=2.0)).ok
    assert clone(WithParameters(gain=2.0)).gain == 2.0


def test_what_the_kit_says_of_clones_is_what_scikit_learn_does():
    clone = pytest.importorskip("sklearn.base").clone
    with pytest.raises(RuntimeError, match="weights"):
        clone(CopiesItsSetting())


def test_a_scorer_that_refuses_channels_passes():
    @attrs.define(kw_only=True, eq=False)
    class PixelsOnly(GoodScorer):
        def error(self, patches, reconstruction):
            if reconstruction.target.shape[1] != 1:
                raise ConfigurationError("this scorer compares pixels: one channel only")
            return np.abs(reconstruction.target - reconstruction.expected)[:, 0]

    assert check_scorer(PixelsOnly()).ok


def test_a_scorer_that_needs_patches_passes():
    @attrs.define(kw_only=True, eq=False)
    class DividesByCount(GoodScorer):
        def values(self, error, support):
            assert 1 / len(error)  # raises for a batch of length 0
            return GoodScorer().values(error, support)

    assert check_scorer(DividesByCount()).ok


def test_every_check_has_a_scorer_that_fails_it():
    assert FAULTS.checks == [check.name for check in CHECKS["scorer"]]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_broken_scorer_fails_its_check_only(fault):
    report = check_scorer(fault.component_class())
    assert [result.name for result in report.wrong] == [fault.check], report
    assert fault.advice in report.wrong[0].message


@pytest.mark.parametrize(
    ("setting", "message"),
    [(np.zeros(3), "settings are numbers"), (float("nan"), "not JSON compliant")],
)
def test_settings_that_json_cannot_hold(setting, message):
    @attrs.define(kw_only=True, eq=False)
    class Odd(GoodScorer):
        odd: object = attrs.field(default=setting, repr=False)

    report = check_scorer(Odd())
    assert [result.name for result in report.wrong] == ["settings_round_trip"]
    assert message in report.wrong[0].message


def test_comparing_by_value_is_refused():
    @attrs.define(kw_only=True)
    class ByValue(GoodScorer):
        pass

    report = check_scorer(ByValue())
    assert [result.name for result in report.wrong] == ["declared_as_attrs_class"]
    assert "Add eq=False" in report.wrong[0].message


def test_in_place_work_on_a_tensor_is_found():
    torch = pytest.importorskip("torch")

    @attrs.define(kw_only=True, eq=False)
    class InPlaceTensor(GoodScorer):
        def error(self, patches, reconstruction):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that the array is not writable
                target = torch.from_numpy(reconstruction.target)
            return target.sub_(torch.tensor(reconstruction.expected)).abs_().numpy()[:, 0].copy()

    report = check_scorer(InPlaceTensor())
    assert "inputs_unchanged" in {result.name for result in report.wrong}


def test_the_component_itself_is_left_alone():
    @attrs.define(kw_only=True, eq=False)
    class Counts(GoodScorer):
        calls_: int = attrs.field(init=False, default=0, repr=False)

        def error(self, patches, reconstruction):
            self.calls_ += 1
            return GoodScorer().error(patches, reconstruction)

    scorer = Counts()
    assert check_scorer(scorer).ok
    assert scorer.calls_ == 0


def test_report_is_data():
    rows = [attrs.asdict(result) for result in check_scorer(FAULTS.of("order_kept")())]
    assert json.loads(json.dumps(rows)) == rows
    assert sum(row["status"] == "passed" for row in rows) == len(rows) - 1


def test_a_repr_that_fails_is_reported():
    @attrs.define(kw_only=True, eq=False, repr=False)
    class FailingRepr(GoodScorer):
        def __repr__(self):
            raise RuntimeError("no repr")

    report = check_scorer(FailingRepr())
    assert [result.name for result in report.wrong] == ["readable_repr"]
    assert repr(report).startswith("FailingRepr(...): 17 checks, 16 passed, 1 failed")
