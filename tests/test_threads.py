"""A pipeline in threads, in forked and spawned processes, and in the workers of a DataLoader."""

import itertools
import multiprocessing
import os
import pickle
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
import torch
from detecting import Detections, Pixels, arrays, detect, images, pipeline
from torch import nn

import lungpatch
from lungpatch.features.torch_module import TorchModuleExtractor
from lungpatch.models import Autoencoder
from lungpatch.networks.torch_adapter import own_random_numbers, reproducible
from lungpatch.testing.samples import phantom_patches

NAMES = ("default", "paper")
THREADS = 8
TIMEOUT = 120
"""Seconds after which a process counts as hanging."""

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
# Python 3.12 warns of every fork while there are threads, which is what is tested here.
forks_with_threads = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")


@pytest.fixture(scope="module")
def expected():
    """What one thread finds."""
    return {(name, i): detect((name, i)) for name in NAMES for i in range(len(images()))}


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def in_threads(work):
    """Let all threads begin together; return what each returned."""
    start = threading.Barrier(THREADS)

    def begin(number):
        start.wait()
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(begin, range(THREADS)))


def test_eight_threads_find_what_one_does(expected):
    # Loaded anew, so that the threads are the first to use whatever is loaded at first use.
    pipelines = {name: lungpatch.load_pipeline(name) for name in NAMES}
    jobs = list(expected)

    def work(number):
        turned = jobs[number % len(jobs) :] + jobs[: number % len(jobs)]
        return {(n, i): arrays(pipelines[n].detect(images()[i])) for n, i in turned}

    for found in in_threads(work):
        for job in jobs:
            assert_equal(found[job], expected[job])


def test_threads_may_load_pipelines(expected):
    def work(_number):
        return arrays(lungpatch.load_pipeline("paper").detect(images()[0]))

    for found in in_threads(work):
        assert_equal(found, expected["paper", 0])


def test_threads_share_an_extractor_whose_layers_they_do_not_mix_up(fake_timm):
    settings = {"library": "timm", "model": "tiny", "device": "cpu"}
    batches = [phantom_patches(32, count) for count in range(1, THREADS + 1)]
    alone = [
        TorchModuleExtractor(layers=("first", "second"), **settings).extract(batch)
        for batch in batches
    ]
    shared = TorchModuleExtractor(layers=("first", "second"), **settings)
    found = in_threads(lambda number: [shared.extract(batches[number]) for _ in range(20)])
    for features, expected in zip(found, alone, strict=True):
        for each in features:
            np.testing.assert_array_equal(each, expected)


def test_layers_may_change_between_runs(fake_timm):
    patches = phantom_patches(32, 2)
    settings = {"library": "timm", "model": "tiny", "device": "cpu"}
    extractor = TorchModuleExtractor(layers=("first",), **settings)
    assert extractor.extract(patches).shape[1] == 4
    extractor.layers = ("second",)
    expected = TorchModuleExtractor(layers=("second",), **settings).extract(patches)
    np.testing.assert_array_equal(extractor.extract(patches), expected)


def test_threads_draw_first_weights_that_depend_on_the_seed_alone():
    model = Autoencoder(base_channels=4)
    alone = [model._new_network(seed=seed).state_dict() for seed in range(THREADS)]
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    found = in_threads(lambda number: [model._new_network(seed=number) for _ in range(5)])
    for networks, weights in zip(found, alone, strict=True):
        for network in networks:
            assert all(torch.equal(w, weights[name]) for name, w in network.state_dict().items())
    assert torch.equal(torch.rand(4), expected)


def test_a_network_that_is_built_with_random_weights_leaves_the_generator_as_it_was():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    with own_random_numbers(), own_random_numbers(seed=1):
        nn.Linear(3, 3)
    assert torch.equal(torch.rand(4), expected)


def test_convolutions_are_reproducible_until_the_last_thread_is_done():
    flags = torch.backends.cudnn
    before = flags.deterministic
    one, other = reproducible(torch.device("cuda")), reproducible(torch.device("cuda"))
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert flags.deterministic
    other.__exit__(None, None, None)
    assert flags.deterministic == before
    with reproducible(torch.device("cpu")):
        assert flags.deterministic == before


def test_a_network_is_copied_to_another_device_and_not_moved():
    model, meta = Autoencoder(base_channels=2), torch.device("meta")
    model.network_ = model._new_network(seed=0)
    weights = dict(model.network_.named_parameters())
    there = model._network_on(meta)
    assert all(weight.device == meta for weight in there.parameters())
    assert model._network_on(meta) is there
    assert model._network_on(torch.device("cpu")) is not model.network_
    assert all(w is weights[name] for name, w in model.network_.named_parameters())
    model.network_ = model._new_network(seed=1)
    assert model._network_on(meta) is not there


def test_a_pipeline_can_be_pickled_after_use(expected):
    again = pickle.loads(pickle.dumps(pipeline("default")))
    assert_equal(arrays(again.detect(images()[1])), expected["default", 1])


@forks
@forks_with_threads
def test_a_pool_of_forked_processes(expected):
    # Used before in this process, with more than one thread of torch's: the children inherit all.
    torch.set_num_threads(2)
    try:
        detect_with_two_threads = pipeline("default").detect(images()[0])
        assert detect_with_two_threads.status == "ok"
        with multiprocessing.get_context("fork").Pool(2) as pool:
            found = pool.map_async(detect, expected).get(timeout=TIMEOUT)
    finally:
        torch.set_num_threads(1)
    for one, other in zip(found, expected.values(), strict=True):
        assert_equal(one, other)


@forks
@forks_with_threads
def test_forks_while_threads_detect(expected):
    stop = threading.Event()

    def work(number):
        for name, index in itertools.cycle(expected):
            if stop.is_set():
                return
            pipeline(name).detect(images()[(index + number) % len(images())])

    with ThreadPoolExecutor(2) as threads:
        running = [threads.submit(work, number) for number in range(2)]
        try:
            for job in itertools.islice(expected, 4):
                with multiprocessing.get_context("fork").Pool(1) as pool:
                    (found,) = pool.map_async(detect, [job]).get(timeout=TIMEOUT)
                assert_equal(found, expected[job])
        finally:
            stop.set()
        for each in running:
            each.result(timeout=TIMEOUT)


def test_a_pool_of_spawned_processes(expected):
    context = multiprocessing.get_context("spawn")
    jobs = [("default", 0), ("paper", 1)]
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        for job, found in zip(jobs, pool.map(detect, jobs, timeout=TIMEOUT), strict=True):
            assert_equal(found, expected[job])


@forks
@forks_with_threads
@pytest.mark.parametrize("name", NAMES)
def test_workers_of_a_dataloader_detect(expected, name):
    loader = torch.utils.data.DataLoader(
        Detections(pipeline(name)),
        batch_size=None,
        collate_fn=dict,
        num_workers=2,
        multiprocessing_context="fork",
        timeout=TIMEOUT,
    )
    for index, found in enumerate(loader):
        assert_equal(found, expected[name, index])


@forks
@forks_with_threads
def test_workers_of_a_dataloader_read(cohort):
    paths = sorted((cohort / "normal").iterdir())[:4]
    loader = torch.utils.data.DataLoader(
        Pixels(paths),
        batch_size=None,
        collate_fn=np.array,
        num_workers=2,
        multiprocessing_context="fork",
        timeout=TIMEOUT,
    )
    for path, pixels in zip(paths, loader, strict=True):
        np.testing.assert_array_equal(pixels, lungpatch.read_image(path).pixels)
