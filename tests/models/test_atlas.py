"""The atlas, against z-scores worked out place by place; and what all feature models do in fit."""

import attrs
import numpy as np
import pytest

from lungpatch.containers import PatchBatch, TrainingHistory
from lungpatch.errors import ConfigurationError
from lungpatch.features.fixed import FixedExtractor
from lungpatch.features.statistics import StatisticsExtractor
from lungpatch.models.atlas import AtlasModel
from lungpatch.pipeline.patch_store import PatchStore
from lungpatch.scorers.feature import FeatureScorer

SIDE = 4
PIXELS = StatisticsExtractor(statistics=("grey",), scales=(1e-3,), grid=SIDE)
"""Every pixel is a place."""


def batch_of(pixels, lung=None):
    pixels = np.asarray(pixels, np.float32)
    return PatchBatch(
        pixels=pixels,
        corners=np.zeros((len(pixels), 2), np.int64),
        lung=np.ones(pixels.shape, bool) if lung is None else lung,
        image_shape=(SIDE, SIDE),
        image_id="a",
    )


def fitted(batch, **settings):
    model = AtlasModel(patch_size=SIDE, **{"extractor": PIXELS} | settings)
    with PatchStore(SIDE) as store:
        store.add(batch)
        model.fit(store, rng=np.random.default_rng(0))
    return model


def test_z_scores_by_place():
    rng = np.random.default_rng(0)
    normal, tested = rng.random((9, SIDE, SIDE)), rng.random((2, SIDE, SIDE))
    found = fitted(batch_of(normal)).reconstruct(batch_of(tested))
    expected = (tested - normal.mean(axis=0)) / normal.std(axis=0)
    np.testing.assert_allclose(found.target[:, 0], expected, rtol=1e-3, atol=1e-4)
    assert not found.expected.any()


def test_brighter_than_usual_scores_higher():
    normal = 0.3 + 0.1 * np.random.default_rng(0).random((9, SIDE, SIDE))
    model = fitted(batch_of(normal))
    dark, usual, bright = normal[:1] - 0.2, normal[:1], normal[:1] + 0.2
    tested = batch_of(np.concatenate([dark, usual, bright]))
    scores = FeatureScorer(difference="excess").score(tested, model.reconstruct(tested))
    assert scores.values[0] < scores.values[1] < scores.values[2]


def test_only_images_whose_place_is_lung_count():
    pixels = np.random.default_rng(0).random((8, SIDE, SIDE))
    lung = np.ones(pixels.shape, bool)
    lung[:4, 0, 0] = lung[1:, 3, 3] = False
    model = fitted(batch_of(pixels, lung))
    state = model.state()
    np.testing.assert_allclose(state["mean"][0, 0, 0], pixels[4:, 0, 0].mean(), rtol=1e-5)
    np.testing.assert_allclose(state["spread"][0, 0, 0], pixels[4:, 0, 0].std(), rtol=1e-5)
    # In one image of eight is too seldom: the nearest place's are taken.
    assert state["mean"][0, 3, 3] in (state["mean"][0, 3, 2], state["mean"][0, 2, 3])


def test_cells_that_are_half_lung_count():
    pixels = np.random.default_rng(0).random((4, 2 * SIDE, 2 * SIDE))
    lung = np.ones(pixels.shape, bool)
    lung[:, 0, :2] = False  # half of the first cell
    lung[:, :2, 2:4] = False
    lung[:, 0, 2] = True  # a quarter of the second
    model = AtlasModel(patch_size=2 * SIDE, extractor=PIXELS)
    with PatchStore(2 * SIDE) as store:
        store.add(batch_of(pixels, lung))
        history = model.fit(store, rng=np.random.default_rng(0))
    assert history.epochs[-1]["known_cells"] == SIDE * SIDE - 1


def test_a_patch_without_lung_among_others_is_left_out():
    pixels = np.random.default_rng(0).random((5, SIDE, SIDE))
    lung = np.ones(pixels.shape, bool)
    lung[2] = False
    state = fitted(batch_of(pixels, lung)).state()
    others = fitted(batch_of(np.delete(pixels, 2, axis=0))).state()
    np.testing.assert_allclose(state["mean"], others["mean"], rtol=1e-6)


def test_a_whole_batch_without_lung_is_left_out():
    pixels = np.random.default_rng(0).random((20, SIDE, SIDE))
    lung = np.ones(pixels.shape, bool)
    lung[8:] = False
    state, others = fitted(batch_of(pixels, lung)).state(), fitted(batch_of(pixels[:8])).state()
    np.testing.assert_allclose(state["mean"], others["mean"], rtol=1e-6)


def test_a_place_that_never_varies_is_not_divided_by_nothing():
    normal = np.random.default_rng(0).random((9, SIDE, SIDE))
    normal[:, 1, 1] = 0.5
    state = fitted(batch_of(normal)).state()
    assert state["spread"][0, 1, 1] == pytest.approx(0.05 * normal.std(), rel=1e-3)
    assert np.isfinite(fitted(batch_of(np.full((3, SIDE, SIDE), 0.5))).state()["spread"]).all()


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state["spread"].fill(0),
        lambda state: state.update(mean=state["mean"][0], spread=state["spread"][0]),
        lambda state: state.pop("mean"),
    ],
)
def test_states_that_cannot_be(change):
    state = fitted(batch_of(np.random.default_rng(0).random((3, SIDE, SIDE)))).state()
    change(state)
    with pytest.raises(ConfigurationError):
        AtlasModel(patch_size=SIDE, extractor=PIXELS).load_state(state)


@attrs.define(kw_only=True, eq=False)
class Learner(FixedExtractor):
    """Learns the mean grey in two epochs, and takes it off."""

    stop: str = "finished"

    mean_: float = attrs.field(init=False, default=0.0)

    def fit(self, source, *, validation=None, rng, on_epoch=None):
        self.mean_ = float(np.mean([batch.pixels.mean() for batch in source.batches(100)]))
        epochs = () if self.stop == "interrupted" else ({"loss": 2.0}, {"loss": 1.0})
        for epoch, figures in enumerate(epochs, start=1):
            if on_epoch is not None:
                on_epoch(epoch, 2, figures)
        return TrainingHistory(epochs=epochs, best_epoch=2, stopped=self.stop, seconds=1.0)

    def extract(self, patches):
        return patches.pixels[:, None] - np.float32(self.mean_)

    def state(self):
        return {"mean": np.array(self.mean_)}

    def load_state(self, state):
        self.mean_ = float(state["mean"])


def test_an_extractor_that_learns_is_fitted_first_and_saved():
    normal = batch_of(np.random.default_rng(0).random((5, SIDE, SIDE)))
    model = AtlasModel(patch_size=SIDE, extractor=Learner())
    calls = []
    with PatchStore(SIDE) as store:
        store.add(normal)
        history = model.fit(
            store,
            rng=np.random.default_rng(0),
            on_epoch=lambda *call: calls.append(call[:2]),
        )
    assert calls == [(1, 3), (2, 3), (3, 3)]
    assert [set(figures) for figures in history.epochs] == [{"loss"}, {"loss"}, {"known_cells"}]
    assert history.best_epoch == 2
    state = model.state()
    assert state["extractor.mean"] == pytest.approx(normal.pixels.mean())
    again = AtlasModel(patch_size=SIDE, extractor=Learner())
    again.load_state(state)
    np.testing.assert_array_equal(
        again.reconstruct(normal).target, model.reconstruct(normal).target
    )


def test_an_extractor_interrupted_before_it_learnt_anything():
    model = AtlasModel(patch_size=SIDE, extractor=Learner(stop="interrupted"))
    with PatchStore(SIDE) as store:
        store.add(batch_of(np.zeros((2, SIDE, SIDE))))
        with pytest.raises(KeyboardInterrupt):
            model.fit(store, rng=np.random.default_rng(0))
