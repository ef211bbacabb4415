"""The Gaussian of each place, against scipy's Mahalanobis distance and scikit-learn's shrinkage."""

import itertools

import attrs
import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import oas

from lungpatch.containers import PatchBatch
from lungpatch.errors import ConfigurationError
from lungpatch.features.fixed import FixedExtractor
from lungpatch.features.statistics import StatisticsExtractor
from lungpatch.models.gaussian import GaussianModel, shrunk_covariance
from lungpatch.pipeline.patch_store import PatchStore
from lungpatch.plugins.registry import Registry

SIDE = 8
GRID = 4


@attrs.define(kw_only=True, eq=False)
class Blocks(FixedExtractor):
    """The four pixels of each of 4 x 4 places, on very different scales, and a constant."""

    def extract(self, patches):
        blocks = patches.pixels.reshape(-1, GRID, 2, GRID, 2).transpose(0, 2, 4, 1, 3)
        scales = np.array([1, 10, 100, 1e-3], np.float32)[:, None, None]
        return blocks.reshape(-1, 4, GRID, GRID) * scales


def batch_of(count, seed, lung=None):
    rng = np.random.default_rng(seed)
    return PatchBatch(
        pixels=rng.random((count, SIDE, SIDE), dtype=np.float32),
        corners=np.zeros((count, 2), np.int64),
        lung=np.ones((count, SIDE, SIDE), bool) if lung is None else lung,
        image_shape=(SIDE, SIDE),
        image_id="a",
    )


def fitted(batch, **settings):
    model = GaussianModel(patch_size=SIDE, extractor=Blocks(), **settings)
    with PatchStore(SIDE) as store:
        store.add(batch)
        history = model.fit(store, rng=np.random.default_rng(0))
    return model, history


def distances(model, batch):
    found = model.reconstruct(batch)
    assert not found.expected.any()
    return np.linalg.norm(found.target, axis=1)


def expected_distances(normal, tested, lung=None):
    """By scikit-learn and scipy, in units of each channel."""
    known, asked = (Blocks().extract(b).astype(np.float64) for b in (normal, tested))
    unit = known.std(axis=(0, 2, 3))[:, None, None]
    known, asked = known / unit, asked / unit
    wanted = np.empty((len(tested), GRID, GRID))
    for row, column in itertools.product(range(GRID), repeat=2):
        samples = known[:, :, row, column]
        covariance, _ = oas(samples)
        inverse = np.linalg.inv(covariance + 1e-6 * np.eye(4))
        for number, feature in enumerate(asked[:, :, row, column]):
            wanted[number, row, column] = mahalanobis(feature, samples.mean(axis=0), inverse)
    return wanted


@pytest.mark.parametrize("count", [3, 40])
def test_norm_of_the_target_is_the_mahalanobis_distance(count):
    normal, tested = batch_of(count, 1), batch_of(5, 2)
    model, _ = fitted(normal)
    np.testing.assert_allclose(
        distances(model, tested), expected_distances(normal, tested), rtol=2e-3
    )


@pytest.mark.parametrize(("n", "p"), [(3, 10), (20, 10), (500, 2)])
def test_shrinkage_is_that_of_scikit_learn(n, p):
    samples = np.random.default_rng(0).normal(size=(n, p)) * np.arange(1, p + 1)
    mean, covariance, shrinkage = shrunk_covariance(samples)
    wanted, wanted_shrinkage = oas(samples)
    np.testing.assert_allclose(mean, samples.mean(axis=0))
    np.testing.assert_allclose(covariance, wanted, rtol=1e-9, atol=1e-12)
    assert shrinkage == pytest.approx(wanted_shrinkage)


def test_samples_that_are_all_alike_have_no_covariance():
    _, covariance, shrinkage = shrunk_covariance(np.ones((3, 2)))
    assert (covariance == 0).all()
    assert shrinkage == 1.0


def test_whitened_normal_features_are_uncorrelated():
    normal = batch_of(2000, 1)
    model, _ = fitted(normal, max_patches=2000)
    white = model.reconstruct(normal).target[:, :, 1, 2]
    # Shrunk to the identity as they are independent, so chance correlation stays: 1/sqrt(2000).
    np.testing.assert_allclose(np.cov(white.T), np.eye(4), atol=0.05)


def test_a_random_choice_of_channels():
    model, _ = fitted(batch_of(10, 1), n_channels=2)
    state = model.state()
    assert len(set(state["channels"])) == 2
    assert model.reconstruct(batch_of(3, 2)).target.shape == (3, 2, GRID, GRID)


def test_places_that_are_seldom_lung_take_the_nearest_gaussian():
    lung = np.zeros((8, SIDE, SIDE), bool)
    lung[:, :, :4] = True
    lung[0] = True
    normal = batch_of(8, 1, lung)
    model, history = fitted(normal)
    assert history.epochs[-1]["known_cells"] == 2 * GRID
    flat = batch_of(1, 2)
    pixels = flat.pixels.copy()
    pixels[0, 2:4, 6:8] = pixels[0, 2:4, 2:4]
    target = model.reconstruct(attrs.evolve(flat, pixels=pixels)).target[0]
    np.testing.assert_allclose(target[:, 1, 3], target[:, 1, 1], rtol=1e-5)


def test_a_channel_that_never_varies_does_no_harm():
    normal = attrs.evolve(batch_of(6, 1), pixels=np.full((6, SIDE, SIDE), 0.5, np.float32))
    model, _ = fitted(normal)
    assert np.isfinite(distances(model, batch_of(2, 2))).all()


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state["channels"].fill(99),
        lambda state: state["channels"].fill(-1),
        lambda state: state["known"].fill(False),
        lambda state: state.update(known=np.zeros(3, bool)),
        lambda state: state.update(mean=state["mean"][:-1]),
        lambda state: state["channels"].put(0, 4),
        lambda state: state["channels"].put(0, -1),
        lambda state: state.pop("known"),
        lambda state: state.pop("channels"),
        lambda state: state.update(channels=state["channels"][None]),
        lambda state: state.update(channels=np.int64(0)),
        lambda state: state.update(known=np.True_),
        lambda state: state.update(whitening=state["whitening"][:, :-1]),
        lambda state: state.update(whitening=np.repeat(state["whitening"], 2, axis=1)),
    ],
)
def test_states_that_cannot_be(change):
    model = GaussianModel(patch_size=SIDE, extractor=Blocks())
    state = fitted(batch_of(4, 1))[0].state()
    change(state)
    with pytest.raises(ConfigurationError, match="state"):
        model.load_state(state)
    assert model.fitted_ is None


@pytest.mark.parametrize("n_channels", [1, 3, 4])
def test_a_state_comes_back(n_channels):
    model, _ = fitted(batch_of(4, 1), n_channels=n_channels)
    other = GaussianModel(patch_size=SIDE, extractor=Blocks())
    other.load_state(model.state())
    tested = batch_of(2, 2)
    np.testing.assert_array_equal(
        other.reconstruct(tested).target, model.reconstruct(tested).target
    )


def test_features_of_another_number_than_cells():
    extractor = StatisticsExtractor(statistics=("grey", "deviation"), scales=(0.1,), grid=GRID)
    model = GaussianModel(patch_size=SIDE, extractor=extractor)
    with PatchStore(SIDE) as store:
        store.add(batch_of(6, 1))
        model.fit(store, rng=np.random.default_rng(0))
    assert model.state()["n_features"] == 2
    assert model.reconstruct(batch_of(3, 2)).target.shape == (3, 2, GRID, GRID)


def test_the_history_holds_the_mean_shrinkage():
    normal = batch_of(12, 1)
    _, history = fitted(normal)
    features = Blocks().extract(normal).astype(np.float64)
    features /= features.std(axis=(0, 2, 3))[:, None, None]
    cells = itertools.product(range(GRID), repeat=2)
    expected = np.mean([oas(features[:, :, row, column])[1] for row, column in cells])
    assert history.epochs[-1] == {
        "known_cells": GRID * GRID,
        "shrinkage": pytest.approx(expected, rel=1e-3),
    }


def test_refused_settings():
    with pytest.raises(ConfigurationError, match="'n_channels' must be >= 1"):
        Registry(plugins=[]).create("model", "gaussian", {"n_channels": 0})


def test_patches_of_another_size():
    model, _ = fitted(batch_of(4, 1))
    with PatchStore(4) as store, pytest.raises(ConfigurationError, match="takes patches of 8"):
        model.fit(store, rng=np.random.default_rng(0))
