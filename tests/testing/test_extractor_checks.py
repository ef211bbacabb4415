"""Each check of an extractor is failed by an extractor made for it."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from faults import Faults

from lungpatch.containers import TrainingHistory
from lungpatch.errors import ConfigurationError, NotFittedError
from lungpatch.testing import CHECKS, check_extractor
from lungpatch.testing.common_checks import COMMON_CHECKS

FAULTS = Faults()


@attrs.define(kw_only=True, eq=False)
class GoodExtractor:
    """Grey of the four quarters, and its difference from that of random normal patches."""

    mean_: np.ndarray | None = attrs.field(init=False, default=None, repr=False)
    gain_: np.ndarray | None = attrs.field(init=False, default=None, repr=False)

    def fitted(self):
        if self.mean_ is None:
            raise NotFittedError("not fitted yet: call fit(source, rng=...)")
        return self.mean_

    def draw(self, rng):
        return rng.random()

    def quarters(self, pixels):
        half = pixels.shape[-1] // 2
        return pixels.reshape(len(pixels), 2, half, 2, half).mean(axis=(2, 4))

    def fit(self, source, *, validation=None, rng, on_epoch=None):
        quarters = self.quarters(np.concatenate([batch.pixels for batch in source.batches(10)]))
        weights = 1.0 + self.draw(rng) * np.linspace(0, 1, len(quarters))
        self.mean_ = np.average(quarters, axis=0, weights=weights)
        self.gain_ = np.array([0.5])
        metrics = {"train_loss": 0.0}
        if on_epoch is not None:
            on_epoch(1, 1, metrics)
        return TrainingHistory(epochs=(metrics,), best_epoch=1, stopped="finished", seconds=0.0)

    def describe(self, pixels):
        quarters = self.quarters(pixels)
        return np.stack([quarters, self.gain_ * (quarters - self.fitted())], axis=1)

    def extract(self, patches):
        self.fitted()
        return self.describe(patches.pixels).astype(np.float32)

    def state(self):
        return {"mean": self.fitted(), "gain": self.gain_}

    def load_state(self, state):
        shapes = {name: array.shape for name, array in state.items()}
        if shapes != {"mean": (2, 2), "gain": (1,)}:
            raise ConfigurationError(f"does not fit: {shapes}")
        self.mean_, self.gain_ = state["mean"], state["gain"]


@FAULTS.breaks("says_that_it_is_not_fitted", "It raised TypeError")
@attrs.define(kw_only=True, eq=False)
class SubtractsNone(GoodExtractor):
    def fitted(self):
        return self.mean_ + 0.0


@FAULTS.breaks("says_that_it_is_not_fitted", "call fit(source, rng=...)")
@attrs.define(kw_only=True, eq=False)
class SaysNotWhatToDo(GoodExtractor):
    def fitted(self):
        if self.mean_ is None:
            raise NotFittedError("not ready")
        return self.mean_


@FAULTS.breaks("fit_returns_history", "return lungpatch.TrainingHistory")
@attrs.define(kw_only=True, eq=False)
class ReturnsItself(GoodExtractor):
    def fit(self, source, **options):
        GoodExtractor.fit(self, source, **options)
        return self


@FAULTS.breaks("returns_feature_maps", "numpy array of float32")
@attrs.define(kw_only=True, eq=False)
class ReturnsFloat64(GoodExtractor):
    def extract(self, patches):
        self.fitted()
        return self.describe(patches.pixels).astype(np.float64)


@FAULTS.breaks("returns_feature_maps", "It returned Tensor")
@attrs.define(kw_only=True, eq=False)
class ReturnsTensor(GoodExtractor):
    def extract(self, patches):
        torch = pytest.importorskip("torch")
        return torch.from_numpy(GoodExtractor.extract(self, patches))


@FAULTS.breaks("returns_feature_maps", "Return (N, channels, rows, columns)")
@attrs.define(kw_only=True, eq=False)
class PooledAway(GoodExtractor):
    def extract(self, patches):
        return GoodExtractor.extract(self, patches).mean(axis=(2, 3))


@FAULTS.breaks("returns_feature_maps", "division by 0")
@attrs.define(kw_only=True, eq=False)
class DividesByZero(GoodExtractor):
    def describe(self, pixels):
        described = GoodExtractor.describe(self, pixels)
        with np.errstate(divide="ignore"):
            return described / np.float32(0.0)


@FAULTS.breaks("takes_validation_patches", "take and ignore them")
@attrs.define(kw_only=True, eq=False)
class NoValidation(GoodExtractor):
    def fit(self, source, *, validation=None, **options):
        if validation is not None:
            raise NotImplementedError
        return GoodExtractor.fit(self, source, **options)


@FAULTS.breaks("on_epoch_is_called", "(epoch, epochs) = [(0, 1)]")
@attrs.define(kw_only=True, eq=False)
class CountsFromZero(GoodExtractor):
    def fit(self, source, *, on_epoch=None, **options):
        if on_epoch is not None:
            on_epoch(0, 1, {})
        return GoodExtractor.fit(self, source, **options)


@FAULTS.breaks("on_epoch_is_called", "for each entry of TrainingHistory.epochs")
@attrs.define(kw_only=True, eq=False)
class NeverCalls(GoodExtractor):
    def fit(self, source, *, on_epoch=None, **options):
        return GoodExtractor.fit(self, source, **options)


@FAULTS.breaks("order_kept", "Do not sort")
@attrs.define(kw_only=True, eq=False)
class AddsPositionInBatch(GoodExtractor):
    def describe(self, pixels):
        # Of two kinds by turns, so that the split of the check shows nothing.
        parity = np.arange(len(pixels))[:, None, None, None] % 2
        return GoodExtractor.describe(self, pixels) + parity


@FAULTS.breaks("batch_may_be_split", "network.eval()")
@attrs.define(kw_only=True, eq=False)
class MeanOfBatch(GoodExtractor):
    def describe(self, pixels):
        return GoodExtractor.describe(self, pixels) + pixels.mean()


@FAULTS.breaks("inputs_unchanged", "Work on a copy")
@attrs.define(kw_only=True, eq=False)
class WorksInPlace(GoodExtractor):
    def extract(self, patches):
        found = GoodExtractor.extract(self, patches)
        pixels = patches.pixels.base
        if pixels is not None and pixels.flags.writeable:
            pixels[:] = 0.0
        return found


@FAULTS.breaks("fit_follows_rng", "Draw from rng only")
@attrs.define(kw_only=True, eq=False)
class OwnGenerator(GoodExtractor):
    def draw(self, rng):
        return np.random.default_rng().random()


@FAULTS.breaks("deterministic", "ends dropout")
@attrs.define(kw_only=True, eq=False)
class Dropout(GoodExtractor):
    calls_: int = attrs.field(init=False, default=0)

    def describe(self, pixels):
        self.calls_ += 1
        # Not at the first call, and little: other checks compare first calls, or with a tolerance.
        drop = 0.0 if self.calls_ % 2 else 1e-6
        return GoodExtractor.describe(self, pixels) + drop


@FAULTS.breaks("global_random_state_kept", "torch.random.fork_rng()")
@attrs.define(kw_only=True, eq=False)
class SeedsTorch(GoodExtractor):
    def draw(self, rng):
        torch = pytest.importorskip("torch")
        torch.manual_seed(int(rng.integers(100)))
        return 0.5


@FAULTS.breaks("state_round_trip", "all that was fitted")
@attrs.define(kw_only=True, eq=False)
class ForgetsGain(GoodExtractor):
    def load_state(self, state):
        GoodExtractor.load_state(self, state)
        self.gain_ = np.array([0.4])


@FAULTS.breaks("wrong_state_is_refused", "Compare names, shapes and dtypes")
@attrs.define(kw_only=True, eq=False)
class TakesAnything(GoodExtractor):
    def load_state(self, state):
        self.mean_, self.gain_ = state["mean"], state.get("gain")


@FAULTS.breaks(
    "wrong_state_is_refused", "It raised RuntimeError for a state where 'gain' is missing"
)
@attrs.define(kw_only=True, eq=False)
class RefusesAsTorchDoes(GoodExtractor):
    def load_state(self, state):
        try:
            GoodExtractor.load_state(self, state)
        except ConfigurationError as error:
            raise RuntimeError("Missing key(s)") from error


@FAULTS.breaks("refused_state_changes_nothing", "before taking over any")
@attrs.define(kw_only=True, eq=False)
class TakesHalf(GoodExtractor):
    def load_state(self, state):
        self.mean_ = state["mean"]
        GoodExtractor.load_state(self, state)


@FAULTS.breaks("readable_repr_after_fit", "Give fitted fields repr=False")
@attrs.define(kw_only=True, eq=False)
class ShowsMean(GoodExtractor):
    mean_: np.ndarray | None = attrs.field(init=False, default=None)


def test_good_extractor_passes():
    report = check_extractor(GoodExtractor()).raise_on_failure()
    assert {result.status for result in report} == {"passed"}


def test_every_check_has_an_extractor_that_fails_it():
    # Those of all kinds are proved with scorers.
    common = len(COMMON_CHECKS)
    assert CHECKS["extractor"][:common] == COMMON_CHECKS
    assert FAULTS.checks == [check.name for check in CHECKS["extractor"][common:]]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_broken_extractor_fails_its_check_only(fault):
    report = check_extractor(fault.component_class())
    assert [result.name for result in report.wrong] == [fault.check], report
    assert fault.advice in report.wrong[0].message


def test_what_needs_a_failed_check_is_not_run():
    report = check_extractor(FAULTS.of("returns_feature_maps")())
    statuses = {result.name: result.status for result in report}
    assert statuses["order_kept"] == "not run"
    assert statuses["fit_returns_history"] == "passed"


def test_an_extractor_that_needs_patches_passes():
    @attrs.define(kw_only=True, eq=False)
    class NeedsPatches(GoodExtractor):
        def describe(self, pixels):
            assert pixels.max() <= 1.0  # raises for a batch of length 0
            return GoodExtractor.describe(self, pixels)

    assert check_extractor(NeedsPatches()).ok


def test_an_extractor_with_a_patch_size_is_checked_on_such_patches():
    @attrs.define(kw_only=True, eq=False)
    class Sized(GoodExtractor):
        patch_size: int = 8

        def extract(self, patches):
            assert patches.patch_size == self.patch_size
            return GoodExtractor.extract(self, patches)

    assert check_extractor(Sized()).ok


def test_an_extractor_without_training_passes():
    @attrs.define(kw_only=True, eq=False)
    class Ready(GoodExtractor):
        def fit(self, source, **options):
            return TrainingHistory(epochs=(), best_epoch=None, stopped="finished", seconds=0.0)

        def extract(self, patches):
            return self.quarters(patches.pixels)[:, None].astype(np.float32)

        def state(self):
            return {}

        def load_state(self, state):
            if state:
                raise ConfigurationError("has no state")

    assert check_extractor(Ready()).ok
