import functools
import hashlib
import http.server
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from lungpatch.datasets import pneumoniamnist
from lungpatch.datasets.pneumoniamnist import fetch_pneumoniamnist, load_pneumoniamnist
from lungpatch.errors import ConfigurationError, MissingExtraError, MissingInputError


def arrays(side=28, sizes=(("train", 5), ("val", 2), ("test", 3))):
    rng = np.random.default_rng(0)
    held = {}
    for split, size in sizes:
        held[f"{split}_images"] = rng.integers(0, 256, (size, side, side), dtype=np.uint8)
        held[f"{split}_labels"] = (np.arange(size) % 2).astype(np.uint8)[:, None]
    return held


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "pneumoniamnist.npz"
    np.savez_compressed(path, **arrays())
    return path


def test_local_file_with_the_official_splits(file):
    images = load_pneumoniamnist(str(file))
    assert images.splits.tolist() == ["training"] * 5 + ["validation"] * 2 + ["test"] * 3
    assert images.labels[:3].tolist() == ["normal", "pneumonia", "normal"]
    assert images.patient_by_image is None
    test = images.select(images.splits == "test")
    assert test.image_ids.tolist() == ["test-00000", "test-00001", "test-00002"]
    expected = arrays()["test_images"][2].astype(np.float32) / 255
    np.testing.assert_array_equal(test.read(2).pixels, expected)
    assert [image.image_id for image in test] == test.image_ids.tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"val_labels": None}, "lacks an array"),
        ({"val_images": np.zeros((2, 28, 28, 3), np.uint8)}, "val_images must be uint8"),
        ({"val_images": np.zeros((2, 28, 28))}, "val_images must be uint8"),
        ({"val_labels": np.zeros((3, 1), np.uint8)}, "val_labels must be 0 or 1"),
        ({"val_labels": np.full((2, 1), 2, np.uint8)}, "val_labels must be 0 or 1"),
        ({"val_labels": np.zeros((2, 1))}, "val_labels must be 0 or 1"),
        ({"val_labels": np.array([[{}], [{}]], dtype=object)}, "cannot be read"),
    ],
)
def test_other_arrays_are_refused(file, change, message):
    held = {name: array for name, array in (arrays() | change).items() if array is not None}
    np.savez(file, **held)
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_pneumoniamnist(file)
    assert str(file) in str(caught.value)


def test_other_files_are_refused(file, tmp_path):
    whole = file.read_bytes()
    middle = len(whole) // 4
    damaged = whole[:middle] + bytes(64) + whole[middle + 64 :]
    for content in (b"", b"text", whole[:-100], whole[:100], damaged):
        file.write_bytes(content)
        with pytest.raises(ConfigurationError, match="cannot be read"):
            load_pneumoniamnist(file)
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_pneumoniamnist(tmp_path / "one.npy")
    with pytest.raises(MissingInputError, match=r"nowhere\.npz"):
        load_pneumoniamnist(tmp_path / "nowhere.npz")


def test_the_file_of_28_pixels():
    root = Path(__file__).parents[2] / ".." / "shared" / "data"
    path = Path(os.environ.get("LUNGPATCH_DATA", root)) / "pneumoniamnist_28.npz"
    if not path.exists():
        pytest.skip("needs pneumoniamnist_28.npz in LUNGPATCH_DATA")
    images = load_pneumoniamnist(path)
    assert (images.splits == "validation").sum() == 524
    assert (images.splits == "test").sum() == 624
    assert set(images.labels.tolist()) == {"normal", "pneumonia"}
    # The published figures of the test split.
    assert (images.labels[images.splits == "test"] == "normal").sum() == 234
    assert images.read(0).shape == (28, 28)


# ------------------------------------------------------------------------------------ fetching


class _Server(http.server.ThreadingHTTPServer):
    requests: list[str]


class _Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.path)
        super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server on this machine in Zenodo's place, and an empty cache."""
    pooch = pytest.importorskip("pooch", reason="needs pooch")
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    files = tmp_path / "served"
    files.mkdir()
    handler = functools.partial(_Handler, directory=str(files))
    with _Server(("127.0.0.1", 0), handler) as running:
        running.requests = []
        running.folder = files
        thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        monkeypatch.setattr(
            pneumoniamnist, "_RECORD", f"http://127.0.0.1:{running.server_address[1]}"
        )
        yield running
        running.shutdown()
        thread.join()


def serve(server, monkeypatch, size):
    path = server.folder / ("pneumoniamnist.npz" if size == 28 else f"pneumoniamnist_{size}.npz")
    np.savez(path, **arrays(size))
    digest = hashlib.md5(path.read_bytes()).hexdigest()
    monkeypatch.setitem(pneumoniamnist._MD5, size, digest)
    return path


@pytest.mark.parametrize("size", [28, 64, 128, 224])
def test_fetched_once_and_kept(server, monkeypatch, tmp_path, size):
    serve(server, monkeypatch, size)
    assert fetch_pneumoniamnist(size).read(0).shape == (size, size)
    assert len(fetch_pneumoniamnist(size)) == 10
    name = "pneumoniamnist.npz" if size == 28 else f"pneumoniamnist_{size}.npz"
    assert server.requests == [f"/{name}?download=1"]
    assert (tmp_path / "cache" / "lungpatch" / name).exists()


def test_a_damaged_copy_is_fetched_again(server, monkeypatch, tmp_path):
    serve(server, monkeypatch, 28)
    fetch_pneumoniamnist()
    (tmp_path / "cache" / "lungpatch" / "pneumoniamnist.npz").write_bytes(b"damaged")
    assert len(fetch_pneumoniamnist()) == 10
    assert len(server.requests) == 2


def test_another_file_than_published_is_refused(server, monkeypatch, tmp_path):
    serve(server, monkeypatch, 28).write_bytes(b"altered")
    with pytest.raises(MissingInputError, match=r"pneumoniamnist\.npz.*hash"):
        fetch_pneumoniamnist()
    assert not list((tmp_path / "cache").rglob("*.npz"))


def test_a_server_without_the_file(server):
    with pytest.raises(MissingInputError, match="cannot be fetched.*load_pneumoniamnist"):
        fetch_pneumoniamnist(64)


def test_sizes_that_are_not_published_are_refused():
    with pytest.raises(ConfigurationError, match="28, 64, 128, 224, got 32"):
        fetch_pneumoniamnist(32)


def test_without_pooch(monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingExtraError, match=r"lungpatch\[datasets\]"):
        fetch_pneumoniamnist()
