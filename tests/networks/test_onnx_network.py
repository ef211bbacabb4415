"""Networks in the ONNX format: sessions, threads, forks, copies, and what is refused."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lungpatch._utils.inference_threads import set_inference_threads
from lungpatch.errors import ConfigurationError, MissingExtraError, MissingInputError
from lungpatch.networks.onnx_network import (
    STATE,
    OnnxNetwork,
    check_contract,
    require_onnxruntime,
)

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
pytest.importorskip("onnx", reason="onnx is not installed")
made_onnx = pytest.importorskip("made_onnx")

PIXELS = np.random.default_rng(0).random((5, 8, 8), dtype=np.float32)
LUNG = np.random.default_rng(1).random((5, 8, 8)) < 0.5
WANTED = np.where(LUNG, PIXELS, PIXELS / 2)[:, None]


@pytest.fixture
def network():
    return OnnxNetwork(made_onnx.halving(), "made.onnx")


def expected_of(network):
    return network.run(["expected"], {"pixels": PIXELS, "lung": LUNG}, "cpu")[0]


def test_it_says_what_it_takes_and_gives(network):
    float32, maps = np.dtype(np.float32), (None, 1, 8, 8)
    assert network.inputs == {
        "pixels": (float32, (None, 8, 8)),
        "lung": (np.dtype(bool), (None, 8, 8)),
    }
    assert network.outputs == {"target": (float32, maps), "expected": (float32, maps)}


def test_outputs_come_in_the_order_asked_for(network):
    expected, target = network.run(["expected", "target"], {"pixels": PIXELS, "lung": LUNG}, "auto")
    np.testing.assert_array_equal(expected, WANTED)
    np.testing.assert_array_equal(target, PIXELS[:, None])


def test_views_of_any_strides_are_taken(network):
    (expected,) = network.run(
        ["expected"], {"pixels": PIXELS[:, ::-1], "lung": LUNG[:, ::-1]}, "cpu"
    )
    np.testing.assert_array_equal(expected, WANTED[:, :, ::-1])


@pytest.mark.parametrize(
    "twin", [copy.copy, copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))]
)
def test_copies_work_after_the_original_has_run(network, twin):
    expected_of(network)
    np.testing.assert_array_equal(expected_of(twin(network)), WANTED)


def test_threads_share_it(network):
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: expected_of(network), range(40)):
            np.testing.assert_array_equal(found, WANTED)


def test_the_number_of_threads_can_be_set(network):
    set_inference_threads(2)
    try:
        np.testing.assert_array_equal(expected_of(network), WANTED)
    finally:
        set_inference_threads(1)
    np.testing.assert_array_equal(expected_of(network), WANTED)


def _send(network, connection):
    connection.send(expected_of(network))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_forked_child_begins_anew(network, threads):
    set_inference_threads(threads)
    try:
        expected_of(network)
        here, there = multiprocessing.Pipe()
        child = multiprocessing.get_context("fork").Process(target=_send, args=(network, there))
        child.start()
        assert here.poll(60), "the child hangs"
        np.testing.assert_array_equal(here.recv(), WANTED)
        child.join(60)
        assert child.exitcode == 0
    finally:
        set_inference_threads(1)


def test_state_and_back(network):
    state = network.state()
    assert list(state) == [STATE]
    np.testing.assert_array_equal(expected_of(OnnxNetwork.from_state(state)), WANTED)


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"other": np.zeros(3, np.uint8)},
        {STATE: np.zeros(3, np.float32)},
        {STATE: np.zeros((3, 1), np.uint8)},
        {STATE: np.zeros(3, np.uint8), "more": np.zeros(1)},
    ],
)
def test_another_state_is_refused(state):
    with pytest.raises(ConfigurationError, match="not that of an ONNX network"):
        OnnxNetwork.from_state(state)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MissingInputError, match=r"none\.onnx: this ONNX file cannot be read"):
        OnnxNetwork.read(tmp_path / "none.onnx")


def test_a_broken_file_is_named(tmp_path):
    path = tmp_path / "broken.onnx"
    path.write_bytes(made_onnx.halving()[:-20])
    with pytest.raises(ConfigurationError, match=r"broken\.onnx: not an ONNX network that"):
        expected_of(OnnxNetwork.read(path))


def test_inputs_of_another_shape_are_an_error_of_ours(network):
    with pytest.raises(ConfigurationError, match=r"made\.onnx: the network cannot be run"):
        network.run(["target"], {"pixels": PIXELS[:, :4], "lung": LUNG}, "cpu")


def test_a_device_that_is_absent_is_refused(network):
    with pytest.raises(ConfigurationError, match="no 'mps' for ONNX networks here, only "):
        network.run(["target"], {"pixels": PIXELS, "lung": LUNG}, "mps")


def test_a_missing_package_is_told_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r'needs onnxruntime.*"lungpatch\[onnx\]"'):
        require_onnxruntime("the model 'onnx'")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": {"images": (np.float32, (None, 8, 8))}}, "no input 'images'.*'pixels' is not"),
        ({"optional": ()}, None),
        ({"side": 16}, r"'pixels' is float32 \(any, 16, 16\), not float32 \(any, 8, 8\)"),
        ({"count": 1}, r"'pixels' is float32 \(1, 8, 8\), not float32 \(any, 8, 8\)"),
        ({"expected": "output"}, "it has no output 'expected'"),
        ({"outputs": {"target": (np.bool_, (None,) * 4)}}, "output 'target' is float32.*not bool"),
        ({"outputs": {"target": (np.float32, (None,) * 3)}}, r"not float32 \(any, any, any\)$"),
    ],
)
def test_what_differs_from_the_contract_is_said(change, message):
    shape = (None, 8, 8)
    contract = {
        "inputs": {"pixels": (np.float32, shape), "lung": (np.bool_, shape)},
        "outputs": dict.fromkeys(("target", "expected"), (np.float32, (None, None, 8, 8))),
    }
    made = {name: change.pop(name) for name in ("side", "count", "expected") if name in change}
    network = OnnxNetwork(made_onnx.halving(**made), "made.onnx")
    if message is None:
        check_contract(network, **contract | change)
        return
    with pytest.raises(ConfigurationError, match=message):
        check_contract(network, **contract | change)


def test_an_optional_input_may_be_missing():
    network = OnnxNetwork(made_onnx.halving(lung=False), "made.onnx")
    inputs = {"pixels": (np.float32, (None, 8, 8)), "lung": (np.bool_, (None, 8, 8))}
    check_contract(network, inputs=inputs, optional=("lung",), outputs={})
    with pytest.raises(ConfigurationError, match="no input 'lung'"):
        check_contract(network, inputs=inputs, outputs={})
