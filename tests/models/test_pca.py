import attrs
import numpy as np
import pytest
from sklearn import decomposition

from lungpatch.containers import PatchBatch
from lungpatch.errors import ConfigurationError, InsufficientDataError, NotFittedError
from lungpatch.models import pca
from lungpatch.models.pca import PCA
from lungpatch.pipeline.patch_store import PatchStore
from lungpatch.protocols import ReconstructionModel


def _patches(count, *, side=6, seed=0, directions=None):
    """Noise, or patches that vary in a few directions only."""
    rng = np.random.default_rng(seed)
    pixels = rng.random((count, side, side))
    if directions is not None:
        pixels = np.tensordot(
            rng.random((count, directions)), rng.random((directions, side, side)), 1
        )
        pixels /= pixels.max()
    return PatchBatch(
        pixels=pixels.astype(np.float32),
        corners=np.zeros((count, 2), np.int64),
        lung=np.ones((count, side, side), bool),
        image_shape=(2 * side, 2 * side),
        image_id="noise",
    )


def _fit(model, patches, **options):
    with PatchStore(model.patch_size) as source:
        for part in patches.split(50):
            source.add(part)
        return model.fit(source, rng=np.random.default_rng(0), **options)


@pytest.mark.parametrize(
    ("count", "side", "n_components"),
    [(200, 6, 10), (200, 6, 36), (20, 8, 5), (20, 8, 19), (36, 6, 7), (2, 3, 1)],
    ids=["covariance", "all", "gram", "gram-all", "square", "fewest"],
)
def test_it_equals_scikit_learn(count, side, n_components):
    patches, new = _patches(count, side=side), _patches(30, side=side, seed=1)
    model = PCA(patch_size=side, n_components=n_components)
    history = _fit(model, patches)
    reference = decomposition.PCA(n_components, svd_solver="full").fit(
        patches.pixels.reshape(count, -1).astype(np.float64)
    )
    flat = new.pixels.reshape(30, -1).astype(np.float64)
    expected = reference.inverse_transform(reference.transform(flat))
    result = model.reconstruct(new)
    np.testing.assert_allclose(result.expected.reshape(30, -1), expected, atol=2e-5)
    np.testing.assert_array_equal(result.target[:, 0], new.pixels)
    (figures,) = history.epochs
    assert figures["explained_variance"] == pytest.approx(
        reference.explained_variance_ratio_.sum(), abs=1e-9
    )
    own = model.reconstruct(patches)
    error = np.square(own.expected - own.target).mean()
    assert figures["train_loss"] == pytest.approx(error, rel=1e-5, abs=1e-9)
    assert (history.best_epoch, history.stopped) == (None, "finished")


def test_whole_images_are_the_eigenlung_case():
    patches = _patches(60, side=256, directions=20)
    model = PCA(patch_size=256, n_components=20)
    history = _fit(model, patches)
    result = model.reconstruct(patches[:5])
    np.testing.assert_allclose(result.expected, result.target, atol=1e-4)
    assert history.epochs[0]["explained_variance"] == pytest.approx(1)
    np.testing.assert_allclose(model.components_ @ model.components_.T, np.eye(20), atol=1e-4)


def test_a_random_choice_bounds_the_memory():
    patches = _patches(300)
    model = PCA(patch_size=6, n_components=4, max_patches=100)
    _fit(model, patches)
    again = attrs.evolve(model)
    _fit(again, patches)
    np.testing.assert_array_equal(model.components_, again.components_)
    # A choice over all images, not the first patches.
    first = PCA(patch_size=6, n_components=4)
    _fit(first, patches[:100])
    assert not np.allclose(model.mean_, first.mean_)
    np.testing.assert_allclose(model.mean_, patches.pixels.mean(axis=0).ravel(), atol=0.15)


def test_validation_is_reported():
    patches, other = _patches(200), _patches(50, seed=2)
    model = PCA(patch_size=6, n_components=4)
    calls = []
    with PatchStore(6) as validation:
        validation.add(other)
        history = _fit(model, patches, validation=validation, on_epoch=lambda *c: calls.append(c))
    result = model.reconstruct(other)
    assert history.epochs[0]["validation_loss"] == pytest.approx(
        np.square(result.expected - result.target).mean(), rel=1e-4
    )
    assert calls == [(1, 1, history.epochs[0])]


@pytest.mark.parametrize(
    ("patches", "n_components", "message"),
    [
        (_patches(5), 5, "5 patches of 6x6 pixels vary in at most 4"),
        (_patches(100), 37, "at most 36"),
        (_patches(1)[:0], 1, "0 patches .* at most 0"),
        (_patches(100, directions=3), 8, "100 patches vary in 3 directions only"),
        (_patches(20, directions=3), 8, "20 patches vary in 3 directions only"),
    ],
)
def test_more_components_than_directions_is_an_error(patches, n_components, message):
    model = PCA(patch_size=6, n_components=n_components)
    with pytest.raises(InsufficientDataError, match=message):
        _fit(model, patches)
    assert model.mean_ is None


def test_a_loaded_state_gives_equal_bits():
    model = PCA(patch_size=6, n_components=4)
    _fit(model, _patches(100))
    other = attrs.evolve(model)
    other.load_state(model.state())
    new = _patches(40, seed=3)
    np.testing.assert_array_equal(other.reconstruct(new).expected, model.reconstruct(new).expected)
    with pytest.raises(ConfigurationError, match=r"'mean' is float32 \(35,\)"):
        other.load_state(model.state() | {"mean": np.zeros(35, np.float32)})
    with pytest.raises(ConfigurationError, match="'components' is missing"):
        other.load_state({"mean": model.mean_})


def test_no_patches_is_no_problem():
    model = PCA(patch_size=6, n_components=4)
    _fit(model, _patches(100))
    assert model.reconstruct(_patches(1)[:0]).expected.shape == (0, 1, 6, 6)


@pytest.mark.parametrize(("count", "side"), [(40, 5), (12, 8)], ids=["covariance", "gram"])
@pytest.mark.parametrize("values", [1, 7, 100, 2**20])
def test_the_size_of_the_pieces_changes_nothing(monkeypatch, count, side, values):
    patches, new = _patches(count, side=side), _patches(9, side=side, seed=1)
    reference = decomposition.PCA(5, svd_solver="full").fit(
        patches.pixels.reshape(count, -1).astype(np.float64)
    )
    monkeypatch.setattr(pca, "_CHUNK_VALUES", values)
    model = PCA(patch_size=side, n_components=5)
    with PatchStore(side) as validation:
        validation.add(new)
        history = _fit(model, patches, validation=validation)
    flat = new.pixels.reshape(9, -1)
    expected = reference.inverse_transform(reference.transform(flat))
    found = model.reconstruct(new).expected.reshape(9, -1)
    np.testing.assert_allclose(found, expected, atol=2e-5)
    assert history.epochs[0]["validation_loss"] == pytest.approx(
        np.square(expected - flat).mean(), rel=1e-3
    )


def test_a_choice_over_several_pieces(monkeypatch):
    monkeypatch.setattr(pca, "_CHUNK_VALUES", 36 * 7)
    patches = _patches(60)
    model = PCA(patch_size=6, n_components=2, max_patches=23)
    _fit(model, patches)
    with PatchStore(6) as store:
        for part in patches.split(50):
            store.add(part)
        drawn = list(store.batches(7, rng=np.random.default_rng(0)))
    chosen = PatchBatch.concatenate(drawn).pixels[:23]
    np.testing.assert_allclose(model.mean_, chosen.mean(axis=0).ravel(), rtol=1e-5)


def test_patches_of_one_pixel():
    patches = _patches(10, side=1)
    model = PCA(patch_size=1, n_components=1)
    _fit(model, patches)
    np.testing.assert_allclose(model.reconstruct(patches).expected, patches.pixels[:, None], 1e-5)


def test_what_is_fitted_is_no_setting():
    with pytest.raises(TypeError, match="mean_"):
        PCA(mean_=np.zeros(4))
    model = PCA(patch_size=6, n_components=2)
    _fit(model, _patches(10))
    assert repr(model) == "PCA(patch_size=6, n_components=2, max_patches=20000)"
    assert repr(PCA()) == "PCA(patch_size=32, n_components=16, max_patches=20000)"


def test_misuse_is_explained():
    model = PCA(patch_size=6)
    assert isinstance(model, ReconstructionModel)
    with pytest.raises(NotFittedError, match="call fit"):
        model.reconstruct(_patches(1))
    with pytest.raises(NotFittedError, match="call fit"):
        model.state()
    with PatchStore(8) as store, pytest.raises(ConfigurationError, match="of 6 pixels, got 8"):
        model.fit(store, rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_components": 0}, ">= 1"),
        ({"n_components": 0.9}, "int"),
        ({"max_patches": 1}, ">= 2"),
        ({"patch_size": 0}, ">= 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises((TypeError, ValueError), match=message):
        PCA(**settings)
