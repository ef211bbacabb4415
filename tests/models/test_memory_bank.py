"""The memory bank, against scikit-learn's nearest neighbours and brute force."""

import itertools

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from lungpatch.containers import PatchBatch
from lungpatch.errors import ConfigurationError, InsufficientDataError
from lungpatch.features.fixed import FixedExtractor
from lungpatch.models.memory_bank import MemoryBankModel, _nearest, _nearest_nearby, coreset
from lungpatch.pipeline.patch_store import PatchStore
from lungpatch.plugins.registry import Registry
from lungpatch.scorers.feature import FeatureScorer

SIDE = 12
GRID = 6


@attrs.define(kw_only=True, eq=False)
class Blocks(FixedExtractor):
    """The four pixels of each of 6 x 6 places, on very different scales."""

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
    model = MemoryBankModel(
        patch_size=SIDE,
        extractor=Blocks(),
        **{"neighbourhood": 1, "coreset_fraction": 1.0} | settings,
    )
    with PatchStore(SIDE) as store:
        store.add(batch)
        model.fit(store, rng=np.random.default_rng(0))
    return model


def features_of(batch, mean, unit):
    standard = (Blocks().extract(batch).transpose(0, 2, 3, 1) - mean) / unit
    return standard / np.linalg.norm(standard, axis=-1, keepdims=True)


def moments_of(normal):
    values = Blocks().extract(normal)
    return values.mean(axis=(0, 2, 3)), values.std(axis=(0, 2, 3))


def distances_of(model, batch):
    found = model.reconstruct(batch)
    return np.linalg.norm(found.target - found.expected, axis=1)


def test_global_search_is_that_of_scikit_learn():
    normal, tested = batch_of(7, 1), batch_of(4, 2)
    model = fitted(normal, search="global")
    known, asked = (features_of(part, *moments_of(normal)) for part in (normal, tested))
    neighbours = NearestNeighbors(n_neighbors=1).fit(known.reshape(-1, 4))
    distance, _ = neighbours.kneighbors(asked.reshape(-1, 4))
    np.testing.assert_allclose(
        distances_of(model, tested), distance.reshape(4, GRID, GRID), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize(("radius", "reach"), [(0.0, 0), (1 / 6, 1), (0.5, 3), (1.0, 6)])
def test_local_search_is_that_of_scikit_learn_among_nearby_places(radius, reach):
    normal, tested = batch_of(3, 1), batch_of(5, 2)
    model = fitted(normal, search="local", radius=radius)
    known, asked = (features_of(part, *moments_of(normal)) for part in (normal, tested))
    found = distances_of(model, tested)
    for row, column in itertools.product(range(GRID), repeat=2):
        nearby = known[
            :, max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1
        ]
        neighbours = NearestNeighbors(n_neighbors=1).fit(nearby.reshape(-1, 4))
        distance, _ = neighbours.kneighbors(asked[:, row, column])
        np.testing.assert_allclose(found[:, row, column], distance[:, 0], rtol=1e-3, atol=1e-4)


def test_the_scorers_distance_is_that_to_the_nearest():
    normal, tested = batch_of(3, 1), batch_of(2, 2)
    model = fitted(normal)
    scores = FeatureScorer(top_fraction=1e-6).score(tested, model.reconstruct(tested))
    highest = distances_of(model, tested).max(axis=(1, 2))
    # The scorer interpolates between places, which takes a little off the peaks.
    assert (scores.values <= highest * (1 + 1e-6)).all()
    assert (scores.values >= 0.5 * highest).all()


def test_normal_features_are_expected_as_they_are():
    normal = batch_of(3, 1)
    np.testing.assert_allclose(distances_of(fitted(normal), normal), 0.0, atol=1e-5)


def test_neighbourhood_averages_places():
    normal = batch_of(3, 1)
    model = fitted(normal, neighbourhood=3)
    state = model.state()
    averaged = Blocks().extract(normal)[:, :, 1:4, 2:5].mean(axis=(2, 3))
    standard = (averaged - state["mean"]) / state["unit"]
    direction = standard / np.linalg.norm(standard, axis=1, keepdims=True)
    found = model.reconstruct(normal).target[:, :, 2, 3]
    np.testing.assert_allclose(found, direction, rtol=1e-3, atol=1e-4)


def test_how_strongly_channels_respond_does_not_matter():
    normal, tested = batch_of(3, 1), batch_of(2, 2)
    model = fitted(normal)
    mean = np.float32(0.5)
    weaker = attrs.evolve(tested, pixels=mean + np.float32(0.1) * (tested.pixels - mean))
    model.load_state(model.state() | {"mean": np.array([0.5, 5, 50, 5e-4], np.float32)})
    np.testing.assert_allclose(
        model.reconstruct(weaker).target, model.reconstruct(tested).target, rtol=1e-3, atol=1e-3
    )


def test_only_lung_is_remembered_and_other_places_look_at_the_nearest():
    lung = np.zeros((4, SIDE, SIDE), bool)
    lung[:, :, :4] = True
    normal = batch_of(4, 1, lung)
    model = fitted(normal, radius=0.0)
    assert set(model.state()["cells"] % GRID) == {0, 1}
    mean, unit = model.state()["mean"], model.state()["unit"]
    np.testing.assert_allclose(unit, Blocks().extract(normal)[..., :2].std(axis=(0, 2, 3)), 1e-5)
    known = features_of(normal, mean, unit)
    expected = model.reconstruct(batch_of(1, 2)).expected[0, :, 3, 5]
    assert np.isclose(known[:, 3, 1], expected, rtol=1e-5).all(axis=1).any()


def test_a_channel_that_never_varies_does_no_harm():
    normal, tested = batch_of(4, 1), batch_of(2, 2)
    flat = attrs.evolve(normal, pixels=np.full(normal.pixels.shape, 0.5, np.float32))
    found = fitted(flat).reconstruct(tested)
    # All normal features are their mean, so they have no direction.
    np.testing.assert_allclose(np.linalg.norm(found.target, axis=1), 1.0, rtol=1e-5)
    assert not found.expected.any()


@pytest.mark.parametrize("search", ["local", "global"])
def test_at_least_one_feature_is_kept(search):
    model = fitted(batch_of(3, 1), search=search, coreset_fraction=1e-6)
    assert len(model.state()["bank"]) == (GRID * GRID if search == "local" else 1)


def random_vectors(shape, seed):
    """Vectors of all lengths, 0 included."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(*shape, 3)) * rng.integers(0, 3, (*shape, 1))
    return vectors.astype(np.float32)


def test_the_nearest_of_vectors_of_any_length():
    queries, bank = random_vectors((40,), 0), random_vectors((9,), 1)
    distance = np.linalg.norm(queries[:, None] - bank, axis=2)
    found = np.linalg.norm(queries - _nearest(queries, bank), axis=1)
    np.testing.assert_allclose(found, distance.min(axis=1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("reach", [(0, 0), (1, 0), (0, 2), (2, 1), (9, 9)])
def test_the_nearest_nearby_on_a_grid_that_is_not_square(reach):
    height, width = 3, 5
    queries = random_vectors((4, height, width), 0)
    # Some cells hold several vectors, the last row none.
    cells = np.random.default_rng(1).integers(0, 2 * width, 40)
    bank = random_vectors((len(cells),), 2)
    filled = np.unique(cells)
    found = _nearest_nearby(queries, bank, cells, reach)
    for row, column in itertools.product(range(height), range(width)):
        rows = range(max(0, row - reach[0]), min(height, row + reach[0] + 1))
        columns = range(max(0, column - reach[1]), min(width, column + reach[1] + 1))
        taken = set()
        for there in itertools.product(rows, columns):
            # A cell without vectors stands for the nearest that has some.
            rows_of, columns_of = np.divmod(filled, width)
            squares = (rows_of - there[0]) ** 2 + (columns_of - there[1]) ** 2
            taken |= {int(cell) for cell in filled[squares == squares.min()]}
        nearby = bank[np.isin(cells, list(taken))]
        distance = np.linalg.norm(queries[:, row, column, None] - nearby, axis=2).min(axis=1)
        reached = np.linalg.norm(queries[:, row, column] - found[:, row, column], axis=1)
        # Of several nearest cells only one stands for it, which may not hold the nearest vector.
        assert (reached >= distance - 1e-4).all()
        if all(row * width + column in filled for row, column in itertools.product(rows, columns)):
            np.testing.assert_allclose(reached, distance, rtol=1e-4, atol=1e-4)


def test_no_lung_at_all():
    with pytest.raises(InsufficientDataError, match="no cell of the 2 patches is normal lung"):
        fitted(batch_of(2, 1, np.zeros((2, SIDE, SIDE), bool)))


@pytest.mark.parametrize("search", ["local", "global"])
def test_a_tenth_is_kept(search):
    model = fitted(batch_of(20, 1), search=search, coreset_fraction=0.1)
    assert len(model.state()["bank"]) == 2 * GRID * GRID
    if search == "local":
        assert (np.bincount(model.state()["cells"]) == 2).all()


@pytest.mark.parametrize("max_patches", [1, 4, 7, 8, 9, 16, 17, 20, 21])
def test_a_choice_of_patches_where_there_are_more(max_patches):
    model = fitted(batch_of(20, 1), max_patches=max_patches)
    assert len(model.state()["bank"]) == min(max_patches, 20) * GRID * GRID


def test_other_features_than_learnt_are_refused():
    model = fitted(batch_of(3, 1))
    state = model.state() | {"shape": np.array([12, 3])}
    model.load_state(state)
    with pytest.raises(ConfigurationError, match="was fitted to features of shape"):
        model.reconstruct(batch_of(1, 2))


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state["cells"].fill(99),
        lambda state: state["cells"].put(0, GRID * GRID),
        lambda state: state["cells"].put(0, -1),
        lambda state: state.update(cells=state["cells"][:0], bank=state["bank"][:0]),
        lambda state: state["cells"].fill(-1),
        lambda state: state.update(unit=np.float32(1)),
        lambda state: state.update(surprise=np.zeros(1)),
        lambda state: state.update({"extractor.surprise": np.zeros(1)}),
    ],
)
def test_states_that_cannot_be(change):
    state = fitted(batch_of(3, 1)).state()
    change(state)
    with pytest.raises(ConfigurationError):
        MemoryBankModel(patch_size=SIDE, extractor=Blocks()).load_state(state)


@pytest.mark.parametrize(
    "wrong",
    [
        {"neighbourhood": 2},
        {"coreset_fraction": 0.0},
        {"coreset_fraction": 1.5},
        {"neighbourhood": 0},
        {"neighbourhood": -1},
        {"radius": 1.5},
        {"search": "near"},
        {"patch_size": 0},
        {"max_patches": 0},
    ],
)
def test_refused_settings(wrong):
    with pytest.raises(ConfigurationError, match="model 'memory-bank'"):
        Registry(plugins=[]).create("model", "memory-bank", wrong)


def test_something_else_than_an_extractor_is_refused():
    with pytest.raises(ConfigurationError, match="MemoryBankModel: 'extractor' must be"):
        MemoryBankModel(extractor="statistics")


def brute_force_greedy(points, count, first):
    chosen = [first]
    while len(chosen) < count:
        distance = np.linalg.norm(points[:, None] - points[chosen], axis=2).min(axis=1)
        chosen.append(int(distance.argmax()))
    return chosen


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 9), p=st.integers(1, 3), data=st.data())
@settings(max_examples=60, deadline=None)
def test_coreset_is_greedy_and_at_most_twice_as_wide_as_the_best(seed, n, p, data):
    points = np.random.default_rng(seed).normal(size=(n, p))
    count = data.draw(st.integers(1, min(n, 4)))
    chosen = coreset(points, count, np.random.default_rng(seed))
    assert chosen.tolist() == brute_force_greedy(points, count, chosen[0])

    def width(centres):
        return np.linalg.norm(points[:, None] - points[list(centres)], axis=2).min(axis=1).max()

    best = min(width(centres) for centres in itertools.combinations(range(n), count))
    assert width(chosen) <= 2 * best + 1e-9
