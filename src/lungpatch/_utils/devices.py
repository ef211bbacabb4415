"""Where torch runs, and how precisely. Importing this module does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from lungpatch._utils.forks import IMPORTING
from lungpatch.errors import ConfigurationError

if TYPE_CHECKING:
    import torch

Device = Literal["auto", "cpu", "cuda", "mps"]
DEVICES: tuple[Device, ...] = ("auto", "cpu", "cuda", "mps")

Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")

CPU_CHUNK_PIXELS = 32 * 32 * 32
"""Number of pixels that go through a network at once on a CPU, so that they stay in its cache."""

GPU_CHUNK_PIXELS = 2048 * 32 * 32
"""The same on a GPU, which needs much work at a time."""


def choose_device(name: Device) -> torch.device:
    """Return the device of that name.

    Parameters
    ----------
    name : {"auto", "cpu", "cuda", "mps"}
        ``"auto"`` is the first available one of CUDA, Apple's MPS and the CPU.

    Returns
    -------
    torch.device

    Raises
    ------
    ConfigurationError
        If the device is not available; the message lists those that are.

    Examples
    --------
    >>> choose_device("cpu")
    device(type='cpu')
    """
    with IMPORTING:
        import torch

    present = [
        device
        for device, is_present in (
            ("cuda", torch.cuda.is_available()),
            ("mps", torch.backends.mps.is_available()),
            ("cpu", True),
        )
        if is_present
    ]
    if name == "auto":
        return torch.device(present[0])
    if name not in present:
        raise ConfigurationError(
            f"device: no {name!r} here, only {', '.join(present)}: set device='auto' for the "
            f"fastest of them, or install a PyTorch built for {name!r}"
        )
    return torch.device(name)
