import resource
import tempfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungpatch.containers import PatchBatch
from lungpatch.errors import ConfigurationError, LungpatchError
from lungpatch.pipeline.patch_store import PatchSelection, PatchStore


def _batch(count, *, side=4, shape=(16, 16), seed=0, name="image"):
    rng = np.random.default_rng(seed)
    return PatchBatch(
        pixels=rng.random((count, side, side), dtype=np.float32),
        corners=rng.integers(0, shape[0] - side, (count, 2)),
        lung=rng.random((count, side, side)) < 0.5,
        image_shape=shape,
        image_id=name,
    )


def _assert_equal(one, other):
    np.testing.assert_array_equal(one.pixels, other.pixels)
    np.testing.assert_array_equal(one.corners, other.corners)
    np.testing.assert_array_equal(one.lung, other.lung)
    assert one.image_shape == other.image_shape


@given(
    counts=st.lists(st.integers(0, 7), max_size=5),
    size=st.integers(1, 9),
    side=st.integers(1, 5),
)
def test_patches_come_back_in_order_and_unchanged(counts, size, side):
    added = [_batch(count, side=side, seed=seed) for seed, count in enumerate(counts)]
    with PatchStore(side) as store:
        for batch in added:
            store.add(batch)
        assert len(store) == sum(counts)
        read = list(store.batches(size))
    assert all(len(batch) == size for batch in read[:-1])
    if read:
        _assert_equal(PatchBatch.concatenate(read), PatchBatch.concatenate(added))
    else:
        assert sum(counts) == 0


def test_a_shuffle_goes_over_all_images_and_keeps_each_patch_together():
    added = [_batch(20, seed=seed) for seed in range(5)]
    everything = PatchBatch.concatenate(added)
    with PatchStore(4) as store:
        for batch in added:
            store.add(batch)
        shuffled = PatchBatch.concatenate(list(store.batches(7, rng=np.random.default_rng(1))))
        again = PatchBatch.concatenate(list(store.batches(7, rng=np.random.default_rng(1))))
        other = PatchBatch.concatenate(list(store.batches(7, rng=np.random.default_rng(2))))
    _assert_equal(shuffled, again)
    assert not np.array_equal(shuffled.pixels, other.pixels)
    # The first pixel of a patch is as good as a name.
    place = {value: index for index, value in enumerate(everything.pixels[:, 0, 0])}
    order = np.array([place[value] for value in shuffled.pixels[:, 0, 0]])
    assert sorted(order) == list(range(100))
    _assert_equal(shuffled, everything[order])
    assert len(set(order[:20] // 20)) > 2


def test_each_epoch_is_shuffled_afresh():
    with PatchStore(4) as store:
        store.add(_batch(50))
        rng = np.random.default_rng(0)
        first, second = next(store.batches(50, rng=rng)), next(store.batches(50, rng=rng))
    assert not np.array_equal(first.pixels, second.pixels)


def test_pixels_given_as_strided_views_are_stored_as_they_are():
    image = np.random.default_rng(0).random((16, 16), dtype=np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(image, (4, 4))[::4, ::4].reshape(-1, 4, 4)
    batch = _batch(len(windows))
    batch = PatchBatch(
        pixels=windows,
        corners=batch.corners,
        lung=batch.lung,
        image_shape=(16, 16),
        image_id="strided",
    )
    with PatchStore(4) as store:
        store.add(batch)
        _assert_equal(next(store.batches(100)), batch)


def test_a_batch_outlives_the_store():
    batch = _batch(3)
    with PatchStore(4) as store:
        store.add(batch)
        read = next(store.batches(3))
    _assert_equal(read, batch)


def test_patches_of_another_size_or_image_shape_are_refused():
    with PatchStore(4) as store:
        store.add(_batch(2))
        with pytest.raises(ConfigurationError, match="b: patches of 5 pixels in a store of .* 4"):
            store.add(_batch(2, side=5, name="b"))
        with pytest.raises(ConfigurationError, match=r"b: .*\(8, 8\).*\(16, 16\)"):
            store.add(_batch(2, shape=(8, 8), name="b"))
        assert len(store) == 2


def test_use_after_close_says_so():
    with PatchStore(4) as store:
        store.add(_batch(4))
        running = store.batches(2)
        next(running)
    assert repr(store) == "PatchStore(4 patches of 4x4 from 1 images, closed)"
    with pytest.raises(LungpatchError, match="closed"):
        store.add(_batch(1))
    with pytest.raises(LungpatchError, match="closed"):
        store.batches(2)
    with pytest.raises(LungpatchError, match="closed"):
        next(running)


def test_batch_size_must_be_positive():
    with PatchStore(4) as store, pytest.raises(ConfigurationError, match="at least 1"):
        store.batches(0)


def test_nothing_is_left_in_the_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with PatchStore(4) as store:
        store.add(_batch(4))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named_and_the_store_stays_whole(monkeypatch):
    class FullDisk:
        def __init__(self, file):
            self._file = file

        def __getattr__(self, name):
            return getattr(self._file, name)

        def write(self, data):
            self._file.write(data[: len(data) // 2])
            raise OSError(28, "No space left on device")

    with PatchStore(4) as store:
        store.add(_batch(4, seed=1))
        real = store._file
        monkeypatch.setattr(store, "_file", FullDisk(real))
        with pytest.raises(LungpatchError, match="No space left"):
            store.add(_batch(4, seed=2))
        monkeypatch.setattr(store, "_file", real)
        store.add(_batch(4, seed=3))
        _assert_equal(
            next(store.batches(8)),
            PatchBatch.concatenate([_batch(4, seed=1), _batch(4, seed=3)]),
        )


def test_memory_does_not_grow_with_the_store():
    def peak_mb():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    batch = _batch(400, side=64, shape=(256, 256))
    with PatchStore(64) as store:
        store.add(batch)
        for part in store.batches(64, rng=np.random.default_rng(0)):
            assert len(part)
        before = peak_mb()
        for _ in range(19):
            store.add(batch)
        for part in store.batches(64, rng=np.random.default_rng(0)):
            assert len(part)
        # The store now holds 160 MB.
        assert peak_mb() - before < 40


def test_a_selection_holds_the_patches_of_its_images_in_its_order():
    added = [_batch(count, seed=seed) for seed, count in enumerate((3, 0, 5, 2))]
    with PatchStore(4) as store:
        for batch in added:
            store.add(batch)
        selection = store.select([3, 1, 0])
        assert isinstance(selection, PatchSelection)
        assert (len(selection), selection.patch_size, store.n_images) == (5, 4, 4)
        _assert_equal(
            PatchBatch.concatenate(list(selection.batches(2))),
            PatchBatch.concatenate([added[3], added[0]]),
        )
        shuffled = next(selection.batches(5, rng=np.random.default_rng(0)))
        assert sorted(shuffled.pixels.sum((1, 2)).tolist()) == sorted(
            np.concatenate([added[3].pixels, added[0].pixels]).sum((1, 2)).tolist()
        )
        assert len(store.select([])) == 0
    with pytest.raises(LungpatchError, match="closed"):
        list(selection.batches(2))
