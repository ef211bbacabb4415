"""Weights that ship with the package."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load as load_safetensors

from lungpatch.errors import LungpatchError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn


def load_packaged_weights(network: nn.Module, file: str) -> None:
    """Give a network the weights of a file in ``lungpatch/weights``.

    Weights that are stored as float16, which halves the file, become float32.

    Parameters
    ----------
    network : torch.nn.Module
        It may lie on the device ``meta``; afterwards it lies on the CPU.
    file : str
        Name of the file, in the format safetensors.

    Raises
    ------
    LungpatchError
        If the names, shapes or types in the file are not the network's.

    Examples
    --------
    >>> from lungpatch.networks.lung_network import WEIGHTS_FILE, LungNetwork
    >>> load_packaged_weights(LungNetwork(), WEIGHTS_FILE)
    """
    packaged = resources.files("lungpatch").joinpath("weights", file)
    weights = {
        name: weight.float() if weight.dtype == torch.float16 else weight
        for name, weight in load_safetensors(packaged.read_bytes()).items()
    }
    check_weights(weights, network, file)
    network.load_state_dict(weights, assign=True)


def check_weights(weights: Mapping[str, Tensor], network: nn.Module, file: str) -> None:
    """Refuse weights that have not the network's names, shapes and types.

    Raises
    ------
    LungpatchError

    Examples
    --------
    >>> network = torch.nn.Linear(2, 1)
    >>> check_weights(network.state_dict(), network, "linear.safetensors")
    """
    expected = network.state_dict()
    differing = [
        name
        for name in sorted(weights.keys() | expected.keys())
        if name not in weights
        or name not in expected
        or weights[name].shape != expected[name].shape
        or weights[name].dtype != expected[name].dtype
    ]
    if differing:
        raise LungpatchError(
            f"{file} does not fit the {type(network).__name__} in {', '.join(differing)}; "
            "install lungpatch again"
        )
