"""The model of ONNX files, on networks made by hand."""

from __future__ import annotations

import copy
import sys

import numpy as np
import pytest

from lungpatch._utils.devices import CPU_CHUNK_PIXELS
from lungpatch.containers import PatchBatch
from lungpatch.errors import (
    ConfigurationError,
    MissingExtraError,
    MissingInputError,
    NotFittedError,
)
from lungpatch.models import OnnxModel
from lungpatch.testing import check_model
from lungpatch.testing.samples import phantom_source

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
pytest.importorskip("onnx", reason="onnx is not installed")
made_onnx = pytest.importorskip("made_onnx")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "made.onnx"
    path.write_bytes(made_onnx.halving())
    return path


def batch(count, side=8):
    rng = np.random.default_rng(count)
    return PatchBatch(
        pixels=rng.random((count, side, side), dtype=np.float32),
        corners=np.zeros((count, 2), np.int64),
        lung=rng.random((count, side, side)) < 0.5,
        image_shape=(side, side),
        image_id="made",
    )


def fitted(file, **settings):
    model = OnnxModel(patch_size=8, file=file, **settings)
    with phantom_source(8) as source:
        history = model.fit(source, rng=np.random.default_rng(0))
    assert (history.epochs, history.stopped) == ((), "finished")
    return model


def test_it_keeps_the_promises_of_models(file):
    check_model(OnnxModel(patch_size=8, file=file)).raise_on_failure()


@pytest.mark.parametrize("count", [0, 1, CPU_CHUNK_PIXELS // 64, CPU_CHUNK_PIXELS // 64 + 3])
def test_it_returns_what_the_network_does(file, count):
    patches = batch(count)
    found = fitted(file).reconstruct(patches)
    np.testing.assert_array_equal(found.target, patches.pixels[:, None])
    expected = np.where(patches.lung, patches.pixels, patches.pixels / 2)
    np.testing.assert_array_equal(found.expected, expected[:, None])


def test_the_network_need_not_take_the_lungs(tmp_path):
    path = tmp_path / "made.onnx"
    path.write_bytes(made_onnx.halving(lung=False))
    patches = batch(3)
    found = fitted(path).reconstruct(patches).expected
    np.testing.assert_array_equal(found, patches.pixels[:, None] / 2)


def test_state_and_copies_need_no_file(file):
    model = fitted(file)
    other = OnnxModel(patch_size=8)
    other.load_state(model.state())
    file.unlink()
    patches = batch(4)
    expected = model.reconstruct(patches).expected
    np.testing.assert_array_equal(other.reconstruct(patches).expected, expected)
    np.testing.assert_array_equal(copy.deepcopy(model).reconstruct(patches).expected, expected)
    # The thresholds of a pipeline without a file can be set anew.
    with phantom_source(8) as source:
        other.fit(source, rng=np.random.default_rng(0))


def test_before_fit_it_says_so(file):
    with pytest.raises(NotFittedError, match="call fit"):
        OnnxModel(patch_size=8, file=file).reconstruct(batch(1))


def test_a_network_for_other_patches_is_refused_and_changes_nothing(file, tmp_path):
    model = fitted(file)
    model.file = tmp_path / "large.onnx"
    (tmp_path / "large.onnx").write_bytes(made_onnx.halving(16))
    wrong = r"large\.onnx: its input .* \(any, 16, 16\), not \w+ \(any, 8, 8\)"
    with phantom_source(8) as source, pytest.raises(ConfigurationError, match=wrong):
        model.fit(source, rng=np.random.default_rng(0))
    assert len(model.reconstruct(batch(2))) == 2


def test_patches_of_another_size_are_refused(file):
    model = fitted(file)
    with pytest.raises(ConfigurationError, match="takes patches of 8 pixels, got 16"):
        model.reconstruct(batch(1, side=16))
    with phantom_source(16) as source, pytest.raises(ConfigurationError, match="got 16"):
        model.fit(source, rng=np.random.default_rng(0))


def test_without_a_file_there_is_nothing_to_fit(tmp_path):
    with phantom_source(8) as source:
        with pytest.raises(ConfigurationError, match="set 'file'"):
            OnnxModel(patch_size=8).fit(source, rng=np.random.default_rng(0))
        with pytest.raises(MissingInputError, match=r"no\.onnx"):
            fitted(tmp_path / "no.onnx")


def test_the_package_is_missed_when_the_model_is_made(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"the model 'onnx' needs onnxruntime"):
        OnnxModel(patch_size=8)
