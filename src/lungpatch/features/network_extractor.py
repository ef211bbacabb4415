"""Base of the extractors that take features from the layers of a trained network."""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch
from attrs import validators
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from lungpatch._utils.component import EXECUTION, plain_errors
from lungpatch._utils.devices import (
    CPU_CHUNK_PIXELS,
    DEVICES,
    GPU_CHUNK_PIXELS,
    PRECISIONS,
    Device,
    Precision,
    choose_device,
)
from lungpatch._utils.states import check_state
from lungpatch._utils.suggestions import did_you_mean
from lungpatch.errors import ConfigurationError, MissingInputError
from lungpatch.features.fixed import FixedExtractor
from lungpatch.networks.compact_unet import resize
from lungpatch.networks.network_model import at_least_1
from lungpatch.networks.prepared import prepare
from lungpatch.networks.torch_adapter import (
    inference,
    lies_on,
    network_state,
    own_random_numbers,
    patches_to_tensor,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lungpatch.containers import FloatImage, PatchBatch, TrainingHistory
    from lungpatch.protocols import EpochCallback, PatchSource

_DIGEST = "weights_sha256"


@attrs.frozen(eq=False, kw_only=True)
class TrainedNetwork:
    """A network with its weights, and how it takes grey levels in [0, 1].

    Parameters
    ----------
    network : torch.nn.Module
    mean, std : sequence of float
        Channel i of its input is ``(x - mean[i]) / std[i]`` for a grey level x.
    side : int, optional
        The only side that its input may have.
    multiple : int
        Sides of its input are multiples of this.

    Examples
    --------
    >>> TrainedNetwork(network=nn.Conv2d(1, 2, 3), mean=[0.5], std=[0.25]).mean
    [0.5]
    """

    network: nn.Module
    mean: Sequence[float]
    std: Sequence[float]
    side: int | None = None
    multiple: int = 1


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class NetworkExtractor(FixedExtractor):
    """Feature maps of a trained network's layers, brought to one grid.

    A subclass says which network and which layers. The network's weights are not saved with a
    pipeline; a digest of them is, so that other weights are refused instead of giving other
    scores. Any number of threads may use an extractor.
    """

    grid: int = attrs.field(default=16, validator=at_least_1())
    device: Device = attrs.field(
        default="auto", validator=validators.in_(DEVICES), metadata={EXECUTION: True}
    )
    precision: Precision = attrs.field(
        default="float32", validator=validators.in_(PRECISIONS), metadata={EXECUTION: True}
    )

    _loaded: _Loaded | None = attrs.field(init=False, default=None, repr=False)
    _fitted_with: bytes | None = attrs.field(init=False, default=None, repr=False)
    _ready: Layers | None = attrs.field(init=False, default=None, repr=False)

    def extract(self, patches: PatchBatch) -> FloatImage:
        """Return the features of the layers.

        Parameters
        ----------
        patches : PatchBatch
            N patches of any size that the network takes, or is told to resize; N may be 0.

        Returns
        -------
        ndarray of float32, shape (N, C, h, w)
            The channels of all layers, in their order. h and w are ``grid``, or fewer where the
            finest layer has fewer cells: finer layers are averaged, coarser ones interpolated.

        Raises
        ------
        ConfigurationError
            If there is no such layer, a layer gives no maps, the weights are others than those it
            was fitted with, or the device is absent.
        """
        device = choose_device(self.device)
        layers = self._layers_on(device)
        pixels = CPU_CHUNK_PIXELS if device.type == "cpu" else GPU_CHUNK_PIXELS
        chunk = max(1, pixels // patches.patch_size**2)
        features = []
        with inference(device, self._computed_in()):
            # One piece even of no patches, so that the number of channels is known. All pieces
            # have one size, since oneDNN keeps code for every size it has met.
            for start in range(0, max(len(patches), 1), chunk):
                part = patches.pixels[start : start + chunk]
                filled = np.zeros((chunk, *part.shape[1:]), np.float32)
                filled[: len(part)] = part
                maps = self._on_grid(layers.maps(patches_to_tensor(filled, device)))
                features.append(maps[: len(part)].cpu().numpy())
        return np.concatenate(features)

    def fit(
        self,
        source: PatchSource,
        *,
        validation: PatchSource | None = None,
        rng: np.random.Generator,
        on_epoch: EpochCallback | None = None,
    ) -> TrainingHistory:
        """Fit nothing, but keep in mind with which weights. The arguments are not used.

        Returns
        -------
        TrainingHistory
            Without epochs.
        """
        self._fitted_with = None
        self._fitted_with = self._load().digest
        return super().fit(source, validation=validation, rng=rng, on_epoch=on_epoch)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the SHA-256 digest of the network's weights, uint8 (32,)."""
        return {_DIGEST: np.frombuffer(self._load().digest, np.uint8).copy()}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Check that the weights here are those that the state was made with.

        Where their file is missing this is checked when it is first read, since another place can
        be set until then.

        Raises
        ------
        ConfigurationError
            If they are not.
        """
        check_state(state, {_DIGEST: ((32,), np.dtype(np.uint8))})
        before, self._fitted_with = self._fitted_with, state[_DIGEST].tobytes()
        try:
            self._load()
        except MissingInputError:
            return
        except BaseException:
            self._fitted_with = before
            raise

    def _computed_in(self) -> Precision:
        return self.precision

    def _read(self) -> TrainedNetwork:
        """Return the network, read anew; random states are put back afterwards."""
        raise NotImplementedError

    def _layer_names(self) -> Sequence[str]:
        """Return the layers by their names in `torch.nn.Module.named_modules`."""
        raise NotImplementedError

    def _source(self) -> tuple[Any, ...]:
        """Return the settings that say which network it is, and where its weights lie."""
        return ()

    def _load(self) -> _Loaded:
        source = self._source()
        loaded = self._loaded
        if loaded is None or loaded.source != source:
            # Networks are built with random weights first, drawn from the global generator. Threads
            # that come here together wait, and find the network read.
            with own_random_numbers(seed=0):
                loaded = self._loaded
                if loaded is None or loaded.source != source:
                    loaded = self._loaded = _Loaded.of(self._read_wanted(), source)
        wanted = self._fitted_with
        if wanted not in (None, loaded.digest):
            raise ConfigurationError(
                f"the network of this {type(self).__name__} has other weights here (digest "
                f"{loaded.digest.hex()[:12]}) than when it was fitted ({wanted.hex()[:12]}): give "
                "it those that were used then, of the same file or the same version of its "
                "package, or fit again"
            )
        return loaded

    def _read_wanted(self) -> TrainedNetwork:
        try:
            return self._read()
        except MissingInputError as error:
            if self._fitted_with is None:
                raise
            raise MissingInputError(
                f"{error}; the weights that were fitted with have the digest "
                f"{self._fitted_with.hex()[:12]}"
            ) from error

    def _layers_on(self, device: torch.device) -> Layers:
        names, trained = tuple(self._layer_names()), self._load().trained
        # Read once and replaced whole, since other threads do the same at the same time.
        layers = self._ready
        if (
            layers is None
            or layers.names != names
            or layers.trained is not trained
            or not lies_on(layers.network, device)
        ):
            network = prepare(trained.network, device, keep=names)
            layers = self._ready = Layers.of(trained, names, network, device)
        return layers

    def _on_grid(self, maps: Sequence[Tensor]) -> Tensor:
        rows, columns = (min(max(m.shape[axis] for m in maps), self.grid) for axis in (2, 3))
        return torch.cat([_resized(m, (rows, columns)) for m in maps], dim=1)


@attrs.frozen(eq=False)
class _Loaded:
    """A network as it was read, the settings it was read by, and the digest of its weights."""

    trained: TrainedNetwork
    source: tuple[Any, ...]
    digest: bytes

    @classmethod
    def of(cls, trained: TrainedNetwork, source: tuple[Any, ...]) -> _Loaded:
        trained.network.eval().requires_grad_(False)
        digest = hashlib.sha256()
        for name, array in sorted(network_state(trained.network).items()):
            digest.update(name.encode())
            digest.update(array.tobytes())
        return cls(trained, source, digest.digest())


@attrs.frozen(eq=False, kw_only=True)
class Layers:
    """Some layers of a network on a device. Nothing in it changes while it is used.

    Parameters
    ----------
    network : torch.nn.Module
        A copy of its own, whose layers hand their output to the thread that runs it.
    trained : TrainedNetwork
        What it is a copy of.
    names : tuple of str
    mean, std : Tensor, float32, (C, 1, 1)

    Examples
    --------
    >>> trained = TrainedNetwork(network=nn.Sequential(nn.Conv2d(1, 2, 3)), mean=[0.5], std=[0.25])
    >>> layers = Layers.of(trained, ("0",), trained.network, torch.device("cpu"))
    >>> [maps.shape for maps in layers.maps(torch.zeros(1, 1, 8, 8))]
    [torch.Size([1, 2, 6, 6])]
    """

    network: nn.Module
    trained: TrainedNetwork
    names: tuple[str, ...]
    mean: Tensor
    std: Tensor

    @classmethod
    def of(
        cls,
        trained: TrainedNetwork,
        names: tuple[str, ...],
        network: nn.Module,
        device: torch.device,
    ) -> Layers:
        """Let the layers of ``network``, a copy of the trained one on ``device``, be kept."""
        modules = dict(network.named_modules())
        for name in names:
            _check_layer(name, modules)
            modules[name].register_forward_hook(_Keep(name))
        mean, std = (
            torch.tensor(values, dtype=torch.float32, device=device)[:, None, None]
            for values in (trained.mean, trained.std)
        )
        return cls(network=network, trained=trained, names=names, mean=mean, std=std)

    def maps(self, images: Tensor) -> list[Tensor]:
        """Return the layers' outputs for images, (N, 1, P, P), each (N, C, h, w)."""
        outputs: dict[str, Any] = {}
        _running.outputs = outputs
        try:
            self.network((self._resized(images) - self.mean) / self.std)
        except AssertionError as error:
            raise ConfigurationError(
                f"the network does not take patches of {images.shape[-1]} pixels: {error}; set "
                "another patch size"
            ) from error
        finally:
            del _running.outputs
        return [_as_maps(outputs.get(name), name) for name in self.names]

    def _resized(self, images: Tensor) -> Tensor:
        multiple = self.trained.multiple
        side = self.trained.side or math.ceil(images.shape[-1] / multiple) * multiple
        if side == images.shape[-1]:
            return images
        return F.interpolate(images, size=(side, side), mode="bilinear", antialias=True)


class _Running(threading.local):
    """What each thread's network has given so far, by the names of the layers."""

    outputs: dict[str, Any]


_running = _Running()


@attrs.frozen
class _Keep:
    """A forward hook that keeps a layer's output for the thread that runs the network."""

    name: str

    def __call__(self, _module: nn.Module, _inputs: Any, output: Any) -> None:
        # A copy, since the next layer may work in place, as ReLU does in many networks.
        _running.outputs[self.name] = output.clone() if isinstance(output, Tensor) else output


def _check_layer(name: str, modules: Mapping[str, nn.Module]) -> None:
    if name not in modules:
        outermost = sorted({module.partition(".")[0] for module in modules if module})
        raise ConfigurationError(
            f"the network has no layer {name!r}{did_you_mean(name, modules)} Its outermost "
            f"layers: {', '.join(outermost)}"
        )


def _as_maps(output: Any, name: str) -> Tensor:
    """Return a layer's output as (N, C, h, h); it may be tokens, (N, T, C)."""
    maps = output
    if isinstance(output, Tensor) and output.ndim == 3:
        # Patches are square, so the last tokens are the largest square; the tokens of the class
        # and the registers are before them.
        side = math.isqrt(output.shape[1])
        maps = output[:, -(side**2) :].mT.reshape(len(output), -1, side, side)
    if not isinstance(maps, Tensor) or maps.ndim != 4 or maps.shape[2] != maps.shape[3]:
        got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ConfigurationError(
            f"the layer {name!r} gives no feature maps (N, C, h, h) or tokens (N, T, C) but {got}: "
            "choose a convolutional layer, or a block of a vision transformer"
        )
    return maps.float()


def _resized(maps: Tensor, sides: tuple[int, int]) -> Tensor:
    """Average maps that are finer than the grid, interpolate those that are coarser."""
    if maps.shape[2] > sides[0]:
        return F.adaptive_avg_pool2d(maps, sides)
    return maps if maps.shape[2:] == sides else resize(maps, sides)
