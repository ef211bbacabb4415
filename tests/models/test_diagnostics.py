import json

import numpy as np
import pytest

from lungpatch.containers import PatchBatch, Reconstruction
from lungpatch.errors import InsufficientDataError
from lungpatch.models.diagnostics import IdentityShortcut, identity_shortcut
from lungpatch.pipeline.patch_store import PatchStore

LEVELS = np.linspace(0.1, 0.6, 40, dtype=np.float32)


def _store(pixels):
    count, side, _ = pixels.shape
    store = PatchStore(side)
    store.add(
        PatchBatch(
            pixels=pixels,
            corners=np.arange(2 * count).reshape(count, 2),
            lung=np.ones(pixels.shape, bool),
            image_shape=(64, 64),
            image_id="normal",
        )
    )
    return store


@pytest.fixture
def source():
    rng = np.random.default_rng(0)
    pixels = LEVELS[:, None, None] + 0.05 * rng.random((40, 16, 16), dtype=np.float32)
    with _store(pixels) as store:
        yield store


class _Model:
    patch_size = 16

    def __init__(self, expect):
        self._expect = expect

    def reconstruct(self, patches):
        expected = self._expect(patches).astype(np.float32)
        return Reconstruction(target=patches.pixels[:, None], expected=expected[:, None])


def _oracle(source):
    """A model that knows the normal patch at every place."""
    normal = next(source.batches(len(source)))
    by_place = {tuple(c): p for c, p in zip(normal.corners, normal.pixels, strict=True)}
    return _Model(lambda patches: np.stack([by_place[tuple(c)] for c in patches.corners]))


def _run(model, source, **options):
    return identity_shortcut(model, source, rng=np.random.default_rng(1), **options)


def test_a_copying_model_has_exactly_1(source):
    result = _run(_Model(lambda patches: patches.pixels), source)
    assert result.shortcut == 1
    assert result.normal_error == result.opacity_error == 0
    assert result.n_patches == 40


def test_an_oracle_has_0(source):
    result = _run(_oracle(source), source)
    assert result.shortcut == pytest.approx(0, abs=1e-12)
    assert result.opacity_error == pytest.approx(result.copy_error)
    assert 10 < result.copy_error < 255


def test_halfway_between_the_two_has_a_half(source):
    oracle = _oracle(source)
    half = _Model(lambda p: (oracle.reconstruct(p).expected[:, 0] + p.pixels) / 2)
    assert _run(half, source).shortcut == pytest.approx(0.5, abs=1e-5)


def test_an_always_white_output_is_above_1(source):
    # All that an opacity brightens comes nearer to white.
    result = _run(_Model(lambda patches: np.ones_like(patches.pixels)), source)
    assert result.shortcut == pytest.approx(2, abs=1e-5)
    assert result.normal_error > 100


def test_errors_are_grey_levels(source):
    off = _Model(lambda patches: patches.pixels + 5 / 255)
    result = _run(off, source)
    assert result.normal_error == pytest.approx(5, abs=1e-3)
    assert result.normal_error_there == pytest.approx(5, abs=1e-3)
    assert result.opacity_error == pytest.approx(5, abs=1e-3)
    assert result.shortcut == pytest.approx(1, abs=1e-3)


def test_same_seed_same_figures_whatever_the_model(source):
    copy = _Model(lambda patches: patches.pixels)
    assert _run(copy, source) == _run(copy, source)
    assert _run(copy, source).copy_error == _run(_oracle(source), source).copy_error


def test_at_most_max_patches_are_used(source):
    seen = []

    def expect(patches):
        seen.append(len(patches))
        return patches.pixels

    assert _run(_Model(expect), source, max_patches=7).n_patches == 7
    assert max(seen) <= 7


@pytest.mark.parametrize("max_patches", [3, 4, 5, 6, 9])
def test_the_maximum_holds_over_several_batches(max_patches):
    copy = _Model(lambda patches: patches.pixels)
    with _store(np.full((6, 512, 512), 0.3, np.float32)) as store:
        assert _run(copy, store, max_patches=max_patches).n_patches == min(max_patches, 6)


def test_whole_images_go_through_in_small_batches():
    seen = []

    def expect(patches):
        seen.append(len(patches))
        return patches.pixels

    with _store(np.full((6, 512, 512), 0.3, np.float32)) as store:
        assert _run(_Model(expect), store).n_patches == 6
    assert max(seen) == 4


def test_feature_models_have_none(source):
    class Features:
        patch_size = 16

        def reconstruct(self, patches):
            features = np.zeros((len(patches), 3, 4, 4), np.float32)
            return Reconstruction(target=features, expected=features)

    assert _run(Features(), source) is None


def test_nothing_to_paint_on_is_an_error():
    copy = _Model(lambda patches: patches.pixels)
    with (
        _store(np.zeros((0, 16, 16), np.float32)) as nothing,
        pytest.raises(InsufficientDataError, match="no normal patches"),
    ):
        _run(copy, nothing)
    with (
        _store(np.ones((3, 16, 16), np.float32)) as white,
        pytest.raises(InsufficientDataError, match="white"),
    ):
        _run(copy, white)


@pytest.mark.parametrize(
    ("opacity_error", "finding"),
    [
        (0.0, "better than normal lung"),
        (1.0, "are copied"),
        (20.0, "are copied"),
        (21.0, "are replaced"),
        (41.0, "are replaced"),
    ],
)
def test_what_it_says_of_itself(opacity_error, finding):
    result = IdentityShortcut(
        normal_error=1.0,
        normal_error_there=1.0,
        opacity_error=opacity_error,
        copy_error=40.0,
        n_patches=3,
    )
    assert finding in repr(result)


def test_figures_are_ready_for_json():
    result = IdentityShortcut(
        normal_error=1.0,
        normal_error_there=2.0,
        opacity_error=4.0,
        copy_error=40.0,
        n_patches=3,
    )
    figures = json.loads(json.dumps(result.to_dict()))
    assert figures["shortcut"] == result.shortcut == pytest.approx(0.95)
    assert figures["copy_error"] == 40
