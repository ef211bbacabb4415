"""Base of all models with a torch network: settings, training, weights, runs in pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch
from attrs import validators
from torch import Tensor, nn

from lungpatch._utils.component import EXECUTION, Component, plain_errors
from lungpatch._utils.devices import (
    CPU_CHUNK_PIXELS,
    DEVICES,
    GPU_CHUNK_PIXELS,
    PRECISIONS,
    Device,
    Precision,
    choose_device,
)
from lungpatch.containers import FloatImage, PatchBatch
from lungpatch.errors import ConfigurationError, NotFittedError
from lungpatch.networks.prepared import prepare
from lungpatch.networks.torch_adapter import (
    inference,
    lies_on,
    load_network_state,
    network_state,
    own_random_numbers,
    place,
)
from lungpatch.networks.training import Schedule, TrainingSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray


def at_least_1() -> Any:
    """Return the validator of a count.

    Examples
    --------
    >>> [type(check).__name__ for check in at_least_1()]
    ['_InstanceOfValidator', '_NumberValidator']
    """
    return [validators.instance_of(int), validators.ge(1)]


@attrs.frozen(eq=False)
class _Twin:
    """A network, and its copy for inference on a device."""

    network: nn.Module
    copy: nn.Module


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class NetworkModel(Component):
    """A model whose fitted part is one network. A subclass says how it is built and used.

    Once fitted the network is not changed by ``reconstruct``, whatever the device, so any number
    of threads may use the model.
    """

    epochs: int = attrs.field(default=15, validator=at_least_1())
    patience: int = attrs.field(default=5, validator=at_least_1())
    batch_size: int = attrs.field(default=64, validator=at_least_1())
    learning_rate: float = attrs.field(
        default=1e-3, validator=[validators.instance_of(float), validators.gt(0.0)]
    )
    device: Device = attrs.field(
        default="auto", validator=validators.in_(DEVICES), metadata={EXECUTION: True}
    )
    precision: Precision = attrs.field(
        default="float32", validator=validators.in_(PRECISIONS), metadata={EXECUTION: True}
    )

    network_: nn.Module | None = attrs.field(init=False, default=None, repr=False)
    _twin: _Twin | None = attrs.field(init=False, default=None, repr=False)

    if TYPE_CHECKING:
        patch_size: int

    def _build(self) -> nn.Module:
        """Return a network with its first weights, drawn from torch's generator."""
        raise NotImplementedError

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the weights as named arrays.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        return network_state(self._fitted_network())

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over weights that ``state`` returned, from a model of the same settings.

        Raises
        ------
        ConfigurationError
            If names, shapes or dtypes do not fit; the model is then as it was before.
        """
        network = self._new_network(seed=0)
        load_network_state(network, state)
        place(network, torch.device("cpu"))
        self.network_ = network.eval()

    def _new_network(self, *, seed: int) -> nn.Module:
        with own_random_numbers(seed):
            return self._build()

    def _training_settings(self, schedule: Schedule = "constant") -> TrainingSettings:
        return TrainingSettings(
            epochs=self.epochs,
            patience=self.patience,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            device=choose_device(self.device),
            schedule=schedule,
        )

    def _fitted_network(self) -> nn.Module:
        if self.network_ is None:
            raise NotFittedError(
                f"this {type(self).__name__} is not fitted: call fit(source, rng=...) or "
                "load_state(state)"
            )
        return self.network_

    def _network_on(self, device: torch.device) -> nn.Module:
        """Return the fitted network, prepared for inference on a device."""
        network = self._fitted_network()
        # Read once and replaced whole, since other threads do the same at the same time.
        twin = self._twin
        if twin is None or twin.network is not network or not lies_on(twin.copy, device):
            twin = self._twin = _Twin(network, prepare(network, device))
        return twin.copy

    def _check_size(self, patch_size: int) -> None:
        if patch_size != self.patch_size:
            raise ConfigurationError(
                f"this {type(self).__name__} takes patches of {self.patch_size} pixels, got "
                f"{patch_size}: give sampler and model the same patch_size"
            )

    def _run(
        self,
        patches: PatchBatch,
        output_of: Callable[[nn.Module, PatchBatch, torch.device], Tensor],
    ) -> FloatImage:
        """Return ``output_of`` the network for all patches, piece by piece, float32."""
        self._fitted_network()
        self._check_size(patches.patch_size)
        device = choose_device(self.device)
        network = self._network_on(device)
        pixels = CPU_CHUNK_PIXELS if device.type == "cpu" else GPU_CHUNK_PIXELS
        chunk = max(1, pixels // self.patch_size**2)
        step = max(1, chunk // 8)
        outputs = []
        with inference(device, self.precision):
            # One piece even of no patches, so that the shape of the output is known.
            for start in range(0, max(len(patches), 1), chunk):
                part = patches[start : start + chunk]
                # oneDNN keeps code and weights for every batch size it has met: memory would
                # grow with the number of images if there were many sizes.
                filled = _fill_up(part, max(-(-len(part) // step) * step, 1))
                output = output_of(network, filled, device)[: len(part)]
                outputs.append(output.float().cpu().numpy())
        return np.concatenate(outputs)


def _fill_up(patches: PatchBatch, count: int) -> PatchBatch:
    """Add black patches without lung until there are ``count``."""
    missing = count - len(patches)
    if missing == 0:
        return patches

    def filled(array: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([array, np.zeros((missing, *array.shape[1:]), array.dtype)])

    return PatchBatch(
        pixels=filled(patches.pixels),
        corners=filled(patches.corners),
        lung=filled(patches.lung),
        image_shape=patches.image_shape,
        image_id=patches.image_id,
    )
