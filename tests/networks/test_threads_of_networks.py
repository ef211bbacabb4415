"""Networks run on one thread, whatever the process is set to, which is put back."""

import threading

import pytest
import torch

from lungpatch._utils.inference_threads import set_inference_threads
from lungpatch.networks.torch_adapter import reproducible

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _settings_are_put_back():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
    set_inference_threads(1)


def test_one_thread_within_and_the_setting_put_back():
    torch.set_num_threads(2)
    with reproducible(CPU):
        assert torch.get_num_threads() == 1
        with reproducible(CPU):
            assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def test_it_is_put_back_after_an_error():
    torch.set_num_threads(2)
    with pytest.raises(ZeroDivisionError), reproducible(CPU):
        1 / 0  # noqa: B018 - the error is what is wanted
    assert torch.get_num_threads() == 2


def test_another_number_can_be_set():
    set_inference_threads(2)
    with reproducible(CPU):
        assert torch.get_num_threads() == 2


def test_many_threads_leave_the_setting_as_it_was():
    torch.set_num_threads(2)
    barrier = threading.Barrier(4)
    seen = []

    def work():
        barrier.wait()
        for _ in range(50):
            with reproducible(CPU):
                seen.append(torch.get_num_threads())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) == {1}
    assert torch.get_num_threads() == 2
