"""Each check of a model is failed by a model made for it."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from faults import Faults

from lungpatch.containers import Reconstruction, TrainingHistory
from lungpatch.errors import ConfigurationError, NotFittedError
from lungpatch.testing import CHECKS, check_model
from lungpatch.testing.common_checks import COMMON_CHECKS

FAULTS = Faults()


@attrs.define(kw_only=True, eq=False)
class GoodModel:
    """Expects the mean of random normal patches, brought to the patch's grey."""

    patch_size: int = 8

    mean_: np.ndarray | None = attrs.field(init=False, default=None, repr=False)
    gain_: np.ndarray | None = attrs.field(init=False, default=None, repr=False)

    def fitted(self):
        if self.mean_ is None:
            raise NotFittedError("not fitted yet: call fit(source, rng=...)")
        return self.mean_

    def draw(self, rng):
        return rng.random()

    def fit(self, source, *, validation=None, rng, on_epoch=None):
        pixels = np.concatenate([batch.pixels for batch in source.batches(10)])
        weights = 1.0 + self.draw(rng) * np.linspace(0, 1, len(pixels))
        self.mean_ = np.average(pixels, axis=0, weights=weights)
        self.gain_ = np.array([0.5])
        metrics = {"train_loss": 0.0}
        if on_epoch is not None:
            on_epoch(1, 1, metrics)
        return TrainingHistory(epochs=(metrics,), best_epoch=1, stopped="finished", seconds=0.0)

    def expect(self, pixels):
        return self.fitted() + self.gain_ * pixels.mean(axis=(1, 2), keepdims=True)

    def reconstruct(self, patches):
        expected = self.expect(patches.pixels)[:, None]
        return Reconstruction(target=patches.pixels[:, None], expected=expected)

    def state(self):
        return {"mean": self.fitted(), "gain": self.gain_}

    def load_state(self, state):
        shapes = {name: array.shape for name, array in state.items()}
        if shapes != {"mean": (self.patch_size,) * 2, "gain": (1,)}:
            raise ConfigurationError(f"does not fit: {shapes}")
        self.mean_, self.gain_ = state["mean"], state["gain"]


@FAULTS.breaks("patch_size_is_positive", "an int from 1 on")
@attrs.define(kw_only=True, eq=False)
class SizeAsPair(GoodModel):
    patch_size: tuple[int, int] = (8, 8)


@FAULTS.breaks("not_fitted_before_fit", "reconstruct gave a result")
@attrs.define(kw_only=True, eq=False)
class BlackBeforeFit(GoodModel):
    def reconstruct(self, patches):
        if self.mean_ is None:
            target = patches.pixels[:, None]
            return Reconstruction(target=target, expected=np.zeros_like(target))
        return GoodModel.reconstruct(self, patches)


@FAULTS.breaks("not_fitted_before_fit", "state raised TypeError")
@attrs.define(kw_only=True, eq=False)
class StateBeforeFit(GoodModel):
    def state(self):
        return {"mean": self.mean_ + 0.0, "gain": self.gain_}


@FAULTS.breaks("fit_returns_history", "return lungpatch.TrainingHistory")
@attrs.define(kw_only=True, eq=False)
class ReturnsItself(GoodModel):
    def fit(self, source, **options):
        GoodModel.fit(self, source, **options)
        return self


@FAULTS.breaks("returns_reconstruction", "return lungpatch.Reconstruction")
@attrs.define(kw_only=True, eq=False)
class ReturnsArray(GoodModel):
    def reconstruct(self, patches):
        return self.expect(patches.pixels)


@FAULTS.breaks("returns_reconstruction", "target holds NaN")
@attrs.define(kw_only=True, eq=False)
class NaNTarget(GoodModel):
    def reconstruct(self, patches):
        found = GoodModel.reconstruct(self, patches)
        return attrs.evolve(found, target=found.target * np.nan)


@FAULTS.breaks("takes_validation_patches", "take and ignore them")
@attrs.define(kw_only=True, eq=False)
class NoValidation(GoodModel):
    def fit(self, source, *, validation=None, **options):
        if validation is not None:
            raise NotImplementedError
        return GoodModel.fit(self, source, **options)


@FAULTS.breaks("on_epoch_is_called", "(epoch, epochs) = [(0, 1)]")
@attrs.define(kw_only=True, eq=False)
class CountsFromZero(GoodModel):
    def fit(self, source, *, on_epoch=None, **options):
        if on_epoch is not None:
            on_epoch(0, 1, {})
        return GoodModel.fit(self, source, **options)


@FAULTS.breaks("on_epoch_is_called", "for each entry of TrainingHistory.epochs")
@attrs.define(kw_only=True, eq=False)
class NeverCalls(GoodModel):
    def fit(self, source, *, on_epoch=None, **options):
        return GoodModel.fit(self, source, **options)


@FAULTS.breaks("order_kept", "Do not sort")
@attrs.define(kw_only=True, eq=False)
class AddsPositionInBatch(GoodModel):
    def expect(self, pixels):
        # Of two kinds by turns, so that the split of the check shows nothing.
        return GoodModel.expect(self, pixels) + np.arange(len(pixels))[:, None, None] % 2


@FAULTS.breaks("batch_may_be_split", "network.eval()")
@attrs.define(kw_only=True, eq=False)
class MeanOfBatch(GoodModel):
    def expect(self, pixels):
        return GoodModel.expect(self, pixels) + pixels.mean()


@FAULTS.breaks("inputs_unchanged", "Work on a copy")
@attrs.define(kw_only=True, eq=False)
class WorksInPlace(GoodModel):
    def reconstruct(self, patches):
        found = GoodModel.reconstruct(self, patches)
        found = attrs.evolve(found, target=found.target.copy())
        pixels = patches.pixels.base
        if pixels is not None and pixels.flags.writeable:
            pixels[:] = 0.0
        return found


@FAULTS.breaks("fit_follows_rng", "Draw from rng only")
@attrs.define(kw_only=True, eq=False)
class OwnGenerator(GoodModel):
    def draw(self, rng):
        return np.random.default_rng().random()


@FAULTS.breaks("deterministic", "ends dropout")
@attrs.define(kw_only=True, eq=False)
class Dropout(GoodModel):
    calls_: int = attrs.field(init=False, default=0)

    def expect(self, pixels):
        self.calls_ += 1
        # Not at the first call, and little: other checks compare first calls, or with a tolerance.
        drop = 0.0 if self.calls_ % 2 else 1e-6
        return GoodModel.expect(self, pixels) + drop


@FAULTS.breaks("global_random_state_kept", "torch.random.fork_rng()")
@attrs.define(kw_only=True, eq=False)
class SeedsTorch(GoodModel):
    def draw(self, rng):
        torch = pytest.importorskip("torch")
        torch.manual_seed(int(rng.integers(100)))
        return 0.5


@FAULTS.breaks("state_round_trip", "all that was fitted")
@attrs.define(kw_only=True, eq=False)
class ForgetsGain(GoodModel):
    def load_state(self, state):
        GoodModel.load_state(self, state)
        self.gain_ = np.array([0.4])


@FAULTS.breaks("wrong_state_is_refused", "Compare names, shapes and dtypes")
@attrs.define(kw_only=True, eq=False)
class TakesAnything(GoodModel):
    def load_state(self, state):
        self.mean_, self.gain_ = state["mean"], state.get("gain")


@FAULTS.breaks(
    "wrong_state_is_refused", "It raised RuntimeError for a state where 'gain' is missing"
)
@attrs.define(kw_only=True, eq=False)
class RefusesAsTorchDoes(GoodModel):
    def load_state(self, state):
        try:
            GoodModel.load_state(self, state)
        except ConfigurationError as error:
            raise RuntimeError("Missing key(s)") from error


@FAULTS.breaks("refused_state_changes_nothing", "before taking over any")
@attrs.define(kw_only=True, eq=False)
class TakesHalf(GoodModel):
    def load_state(self, state):
        self.mean_ = state["mean"]
        GoodModel.load_state(self, state)


@FAULTS.breaks("readable_repr_after_fit", "Give fitted fields repr=False")
@attrs.define(kw_only=True, eq=False)
class ShowsMean(GoodModel):
    mean_: np.ndarray | None = attrs.field(init=False, default=None)


def test_good_model_passes():
    report = check_model(GoodModel()).raise_on_failure()
    assert {result.status for result in report} == {"passed"}


def test_every_check_has_a_model_that_fails_it():
    # Those of all kinds are proved with scorers.
    common = len(COMMON_CHECKS)
    assert CHECKS["model"][:common] == COMMON_CHECKS
    assert FAULTS.checks == [check.name for check in CHECKS["model"][common:]]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_broken_model_fails_its_check_only(fault):
    report = check_model(fault.component_class())
    assert [result.name for result in report.wrong] == [fault.check], report
    assert fault.advice in report.wrong[0].message


def test_what_needs_a_failed_check_is_not_run():
    report = check_model(FAULTS.of("returns_reconstruction")())
    statuses = {result.name: result.status for result in report}
    assert statuses["order_kept"] == "not run"
    assert statuses["fit_returns_history"] == "passed"


def test_large_values_are_compared_on_their_own_scale():
    @attrs.define(kw_only=True, eq=False)
    class Large(GoodModel):
        def expect(self, pixels):
            # float32 of this size has no decimals: rounding must not look like a fault.
            return (1e6 * GoodModel.expect(self, pixels)).astype(np.float32)

    assert check_model(Large()).ok


def test_a_model_that_needs_patches_passes():
    @attrs.define(kw_only=True, eq=False)
    class NeedsPatches(GoodModel):
        def expect(self, pixels):
            assert pixels.max() <= 1.0  # raises for a batch of length 0
            return GoodModel.expect(self, pixels)

    assert check_model(NeedsPatches()).ok


def test_a_model_of_features_passes():
    @attrs.define(kw_only=True, eq=False)
    class Features(GoodModel):
        def reconstruct(self, patches):
            self.fitted()
            means = patches.pixels.reshape(len(patches), 2, 4, 2, 4).mean(axis=(2, 4))
            target = np.stack([means, means**2, np.sqrt(means)], axis=1)
            return Reconstruction(target=target, expected=np.zeros_like(target))

    assert check_model(Features()).ok
