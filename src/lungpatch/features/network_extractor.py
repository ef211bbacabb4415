"""What extractors share that read the layers of a trained network."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch
from attrs import validators
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from lungpatch._utils.component import EXECUTION, plain_errors
from lungpatch._utils.devices import DEVICES, Device, choose_device
from lungpatch._utils.states import check_state
from lungpatch._utils.suggestions import did_you_mean
from lungpatch.errors import ConfigurationError
from lungpatch.features.fixed import FixedExtractor
from lungpatch.networks.compact_unet import resize
from lungpatch.networks.network_model import CPU_CHUNK_PIXELS, GPU_CHUNK_PIXELS, at_least_1
from lungpatch.networks.torch_adapter import network_state, patches_to_tensor, place, reproducible

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lungpatch.containers import FloatImage, PatchBatch

_DIGEST = "weights_sha256"


@attrs.frozen(eq=False, kw_only=True)
class TrainedNetwork:
    """A network with its weights, and what it takes grey levels in [0, 1] as.

    Parameters
    ----------
    network : torch.nn.Module
    mean, std : sequence of float
        A grey level x is given to channel i of its input as ``(x - mean[i]) / std[i]``.
    """

    network: nn.Module
    mean: Sequence[float]
    std: Sequence[float]


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class NetworkExtractor(FixedExtractor):
    """Feature maps of a trained network's layers, brought to one grid.

    A subclass says which network and which layers. Its weights are not saved with a pipeline; a
    digest of them is, so that other weights are refused instead of giving other scores.
    """

    grid: int = attrs.field(default=16, validator=at_least_1())
    device: Device = attrs.field(
        default="auto", validator=validators.in_(DEVICES), metadata={EXECUTION: True}
    )

    _trained: TrainedNetwork | None = attrs.field(init=False, default=None, repr=False)

    def extract(self, patches: PatchBatch) -> FloatImage:
        """Return the layers' features.

        Parameters
        ----------
        patches : PatchBatch
            N patches of any size that the network takes; N may be 0.

        Returns
        -------
        ndarray of float32, shape (N, C, h, w)
            The channels of all layers, in their order. h and w are ``grid``, or fewer where the
            finest layer has fewer places: finer layers are averaged, coarser ones interpolated.

        Raises
        ------
        ConfigurationError
            If there is no such layer, a layer gives no maps, or the device is absent.
        """
        trained = self._load()
        device = choose_device(self.device)
        place(trained.network, device)
        pixels = CPU_CHUNK_PIXELS if device.type == "cpu" else GPU_CHUNK_PIXELS
        chunk = max(1, pixels // patches.patch_size**2)
        features = []
        with torch.inference_mode(), reproducible():
            # One piece even of no patches, so that the number of channels is known. All pieces
            # have one size, since oneDNN keeps code for every size it has met.
            for start in range(0, max(len(patches), 1), chunk):
                part = patches.pixels[start : start + chunk]
                filled = np.zeros((chunk, *part.shape[1:]), np.float32)
                filled[: len(part)] = part
                maps = self._maps(trained, patches_to_tensor(filled, device))
                features.append(maps[: len(part)].cpu().numpy())
        return np.concatenate(features)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the SHA-256 of the network's weights, uint8 (32,)."""
        digest = hashlib.sha256()
        for name, array in sorted(network_state(self._load().network).items()):
            digest.update(name.encode())
            digest.update(array.tobytes())
        return {_DIGEST: np.frombuffer(digest.digest(), np.uint8).copy()}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Check that the weights here are those that the state was made with.

        Raises
        ------
        ConfigurationError
            If they are not.
        """
        check_state(state, {_DIGEST: ((32,), np.dtype(np.uint8))})
        if not np.array_equal(state[_DIGEST], self.state()[_DIGEST]):
            raise ConfigurationError(
                f"the network of this {type(self).__name__} has other weights here than when the "
                "state was saved: install the version of its package that was used then, or fit "
                "again"
            )

    def _read(self) -> TrainedNetwork:
        """Return the network, read anew; random states are put back afterwards."""
        raise NotImplementedError

    def _layer_names(self) -> Sequence[str]:
        """Return what `torch.nn.Module.named_modules` calls the layers."""
        raise NotImplementedError

    def _load(self) -> TrainedNetwork:
        if self._trained is None:
            # Networks are built with random weights first, drawn from the global generator.
            with torch.random.fork_rng(devices=[]):
                trained = self._read()
            trained.network.eval().requires_grad_(False)
            self._trained = trained
        return self._trained

    def _maps(self, trained: TrainedNetwork, images: Tensor) -> Tensor:
        """Return the features of images, (N, 1, P, P), as (N, C, h, w)."""
        modules = dict(trained.network.named_modules())
        found: dict[str, Tensor] = {}
        hooks = []
        try:
            for name in self._layer_names():
                _check_layer(name, modules)
                hooks.append(modules[name].register_forward_hook(_keep(found, name)))
            mean, std = (
                torch.tensor(values, dtype=torch.float32, device=images.device)[:, None, None]
                for values in (trained.mean, trained.std)
            )
            trained.network((images - mean) / std)
        finally:
            for hook in hooks:
                hook.remove()
        maps = [_require_map(found.get(name), name) for name in self._layer_names()]
        rows, columns = (min(max(m.shape[axis] for m in maps), self.grid) for axis in (2, 3))
        return torch.cat([_to_grid(m, (rows, columns)) for m in maps], dim=1)


def _check_layer(name: str, modules: Mapping[str, nn.Module]) -> None:
    if name not in modules:
        top = sorted({module.partition(".")[0] for module in modules if module})
        raise ConfigurationError(
            f"the network has no layer {name!r}{did_you_mean(name, modules)} Its outermost layers: {', '.join(top)}"
        )


def _keep(found: dict[str, Tensor], name: str) -> Any:
    def hook(module: nn.Module, args: Any, output: Any) -> None:
        found[name] = output

    return hook


def _require_map(output: Any, name: str) -> Tensor:
    if not isinstance(output, Tensor) or output.ndim != 4:
        got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ConfigurationError(
            f"the layer {name!r} gives no feature maps (N, C, h, w) but {got}: choose a "
            "convolutional layer"
        )
    return output.float()


def _to_grid(maps: Tensor, sides: tuple[int, int]) -> Tensor:
    """Average maps that are finer than the grid, interpolate those that are coarser."""
    if maps.shape[2] > sides[0]:
        return F.adaptive_avg_pool2d(maps, sides)
    return maps if maps.shape[2:] == sides else resize(maps, sides)
