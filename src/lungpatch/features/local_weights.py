"""Weights of a network, read from a user's own file."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lungpatch.errors import ConfigurationError, MissingInputError
from lungpatch.features.dinov2_names import as_timm_names

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

SAFETENSORS = ".safetensors"

WEIGHT_FILES = (SAFETENSORS, ".pt", ".pth", ".bin", ".ckpt")
"""How the names of files of weights end."""

HEADS = frozenset({"classifier", "fc", "head", "head_dist", "heads", "mask_token", "op_threshs"})
"""Outermost names of what turns features into classes, or is for training only."""

_WRAPPERS = ("state_dict", "model_state_dict", "model")
_COUNTER = "num_batches_tracked"


def load_local_weights(network: nn.Module, path: Path) -> None:
    """Give a network the weights of a file.

    Names may have something before them that all have, such as ``module.``. A classifier that the
    file lacks, or has with other classes, becomes zeros. Nothing else may be missing or left over.

    Parameters
    ----------
    network : torch.nn.Module
        On the CPU.
    path : pathlib.Path
        A ``.safetensors`` file, or a state dict that torch saved. transformers' names of a DINOv2
        network are taken for a network of timm.

    Raises
    ------
    MissingInputError
        If there is no such file.
    ConfigurationError
        If it is no state dict, or is that of another network.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "mine.pt")
    ...     torch.save({"module.weight": torch.ones(1, 2), "module.bias": torch.ones(1)}, file)
    ...     network = torch.nn.Linear(2, 1)
    ...     load_local_weights(network, file)
    >>> network.weight
    Parameter containing:
    tensor([[1., 1.]], requires_grad=True)
    """
    weights = _read(path)
    given = as_timm_names({bare: weights[name] for bare, name in _bare_names(weights).items()})
    own = network.state_dict()
    names = _bare_names(own)
    missing, differing = [], []
    for bare, name in names.items():
        expected = own[name]
        if bare not in given and _is_needed(bare):
            missing.append(name)
        elif bare in given and given[bare].shape == expected.shape:
            own[name] = given[bare]
        elif _is_needed(bare):
            differing.append(f"{name} {tuple(given[bare].shape)}, not {tuple(expected.shape)}")
        else:
            own[name] = torch.zeros_like(expected)
    unknown = [bare for bare in given if bare not in names and _is_needed(bare)]
    faults = [
        f"{len(wrong)} {what} ({', '.join(wrong[:3])}{', ...' if len(wrong) > 3 else ''})"
        for wrong, what in (
            (missing, "are missing"),
            (unknown, "are unknown"),
            (differing, "have another shape"),
        )
        if wrong
    ]
    if faults:
        raise ConfigurationError(
            f"{path}: these are not the weights of this {type(network).__name__}: of their names "
            f"{'; '.join(faults)}; choose the model that they were saved from"
        )
    network.load_state_dict(own)


def _is_needed(name: str) -> bool:
    return name.partition(".")[0] not in HEADS and not name.endswith(_COUNTER)


def _bare_names(names: Iterable[str]) -> dict[str, str]:
    """Return the full names by what is left without what all but those of the head begin with."""
    full = {name: name for name in names}
    while True:
        firsts = {bare.partition(".")[0] for bare in full} - HEADS
        if len(firsts) != 1 or firsts & full.keys():
            return full
        prefix = f"{firsts.pop()}."
        full = {bare.removeprefix(prefix): name for bare, name in full.items()}


def _read(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise MissingInputError(
            f"{path}: no such file of weights; set 'weights' of the extractor 'torch-module'"
        )
    try:
        if path.suffix == SAFETENSORS:
            return load_file(path)
        # weights_only: a pickle could run any code.
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ConfigurationError(
            f"{path}: holds other objects than weights, such as a whole network; they are not "
            "read, since they could run code. Save the weights alone where you trust the file: "
            "torch.save(network.state_dict(), ...)"
        ) from error
    except (OSError, EOFError, RuntimeError, SafetensorError) as error:
        raise ConfigurationError(f"{path}: cannot be read as weights: {error}") from error
    return _unwrapped(content, path)


def _unwrapped(content: Any, path: Path) -> dict[str, Tensor]:
    while isinstance(content, Mapping):
        inner = [content[name] for name in _WRAPPERS if isinstance(content.get(name), Mapping)]
        if not inner:
            break
        content = inner[0]
    if (
        not isinstance(content, Mapping)
        or not content
        or not all(isinstance(weights, Tensor) for weights in content.values())
    ):
        raise ConfigurationError(
            f"{path}: is no state dict, which holds tensors by their names; save one with "
            "torch.save(network.state_dict(), ...)"
        )
    return dict(content)
