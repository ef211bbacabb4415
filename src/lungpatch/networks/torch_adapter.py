"""Between numpy and torch: patches, weights, random numbers, devices, threads and forks."""

from __future__ import annotations

import contextlib
import copy
import functools
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor, nn

from lungpatch._utils.forks import after_fork
from lungpatch._utils.inference_threads import inference_threads
from lungpatch._utils.states import check_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from lungpatch._utils.devices import Precision


class _Shared:
    """What belongs to the whole process, and the locks that threads take to use it."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget other threads, which may have held a lock."""
        self.generator = threading.RLock()
        self.convolutions = threading.Lock()
        self.deterministic_runs = 0
        self.deterministic: contextlib.AbstractContextManager[None] | None = None


_shared = _Shared()
after_fork(_shared.reset)


def place(network: nn.Module, device: torch.device) -> None:
    """Move a network to a device, in the memory layout that is fastest there.

    It changes the network, which no other thread may be running.
    """
    # On CPUs 3x3 convolutions of few channels take 40 % less time with channels last.
    layout = torch.channels_last if device.type == "cpu" else torch.contiguous_format
    # torch's stubs do not know memory_format without a dtype.
    network.to(device=device, memory_format=layout)  # type: ignore[call-overload]


def copy_on(network: nn.Module, device: torch.device) -> nn.Module:
    """Return a copy of a network that lies on a device; the original may go on running.

    Examples
    --------
    >>> network = nn.Linear(2, 1)
    >>> copy_on(network, torch.device("cpu")) is network
    False
    """
    twin = copy.deepcopy(network)
    place(twin, device)
    return twin


def lies_on(network: nn.Module, device: torch.device) -> bool:
    """Whether a network lies on a device.

    Examples
    --------
    >>> lies_on(nn.Linear(2, 1), torch.device("cpu"))
    True
    """
    weight = next(network.parameters(), None)
    # "cuda" stands for one of several GPUs; a tensor knows which.
    return weight is None or weight.device == torch.empty(0, device=device).device


@contextlib.contextmanager
def own_random_numbers(seed: int | None = None) -> Iterator[None]:
    """Put the state of torch's global generator back after the block.

    torch draws the first weights of a network from its global generator on the CPU. One thread
    at a time is in such a block, so that the draws of another do not come in between.

    Parameters
    ----------
    seed : int, optional
        What the generator starts from within the block; by default it goes on as it is.

    Examples
    --------
    >>> with own_random_numbers(seed=0):
    ...     one = torch.rand(3)
    >>> with own_random_numbers(seed=0):
    ...     bool((torch.rand(3) == one).all())
    True
    """
    with _shared.generator, torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.default_generator.manual_seed(seed)
        yield


@contextlib.contextmanager
def reproducible(device: torch.device) -> Iterator[None]:
    """Let networks give the same result every time, within the block only.

    Convolutions on a GPU are deterministic. On a CPU networks run on as many threads as
    `inference_threads` says: their number changes the last digits, and threads that wait for each
    other while another program runs make small networks ten times slower.

    The switch for GPUs belongs to the whole process: it is set by the first thread that enters such
    a block and put back by the last that leaves one.
    """
    if device.type != "cuda":
        torch.get_num_threads()  # in a new thread torch's first look at the setting overwrites it
        # Of OpenMP each thread has a setting of its own. Not torch.set_num_threads, which makes a
        # pool of threads anew, and a fork meanwhile hangs.
        with _openmp().limit(limits=inference_threads(), user_api="openmp"):
            yield
        return
    with _shared.convolutions:
        if _shared.deterministic is None:
            _shared.deterministic = torch.backends.cudnn.flags(
                enabled=True, benchmark=False, deterministic=True
            )
            _shared.deterministic.__enter__()
        _shared.deterministic_runs += 1
    try:
        yield
    finally:
        with _shared.convolutions:
            _shared.deterministic_runs -= 1
            if _shared.deterministic_runs == 0 and _shared.deterministic is not None:
                _shared.deterministic.__exit__(None, None, None)
                _shared.deterministic = None


@functools.cache
def _openmp() -> ThreadpoolController:
    return ThreadpoolController()


@contextlib.contextmanager
def inference(device: torch.device, precision: Precision) -> Iterator[None]:
    """Let networks run without gradients, in a `reproducible` way, at a precision.

    Parameters
    ----------
    device : torch.device
    precision : {"float32", "bfloat16"}
        What convolutions and products of matrices are computed in; as float32 by processors that
        are not made for bfloat16.

    Examples
    --------
    >>> network = nn.Linear(2, 1)
    >>> with inference(torch.device("cpu"), "float32"):
    ...     network(torch.zeros(1, 2)).dtype
    torch.float32
    """
    lowered = contextlib.nullcontext() if precision == "float32" else mixed_precision(device)
    with torch.inference_mode(), reproducible(device), lowered:
        yield


def mixed_precision(device: torch.device) -> torch.autocast:
    """Let networks multiply in bfloat16 within the block, where the processor is made for it."""
    able = torch.cpu.get_capabilities()
    native = any(able.get(name) for name in ("amx_bf16", "avx512_bf16"))
    return torch.autocast(
        device.type,
        torch.bfloat16,
        enabled=device.type == "cuda" or (device.type == "cpu" and native),
    )


def patches_to_tensor(pixels: NDArray[np.float32], device: torch.device) -> Tensor:
    """Copy patches, (N, P, P), to a float32 tensor (N, 1, P, P) on ``device``.

    Examples
    --------
    >>> patches_to_tensor(np.zeros((2, 4, 4), np.float32), torch.device("cpu")).shape
    torch.Size([2, 1, 4, 4])
    """
    # Patches may be read-only views with any strides, which torch does not take.
    return torch.from_numpy(np.array(pixels, np.float32, order="C")[:, None]).to(device)


def network_state(network: nn.Module) -> dict[str, NDArray[Any]]:
    """Return a network's weights as named numpy arrays of its own.

    Examples
    --------
    >>> {name: array.shape for name, array in network_state(nn.Linear(2, 1)).items()}
    {'weight': (1, 2), 'bias': (1,)}
    """
    return {
        name: np.array(tensor.detach().cpu().numpy(), order="C")
        for name, tensor in network.state_dict().items()
    }


def load_network_state(network: nn.Module, state: Mapping[str, NDArray[Any]]) -> None:
    """Put weights that `network_state` returned into a network of the same build.

    Parameters
    ----------
    network : torch.nn.Module
    state : mapping of str to ndarray

    Raises
    ------
    ConfigurationError
        If names, shapes or dtypes are not the network's; then nothing was loaded.
    """
    expected = network_state(network)
    check_state(state, {name: (array.shape, array.dtype) for name, array in expected.items()})
    network.load_state_dict({name: torch.from_numpy(np.array(state[name])) for name in expected})
