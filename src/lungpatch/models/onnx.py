"""A network in the ONNX format, which runs without torch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from attrs import validators

from lungpatch._utils.component import EXECUTION, Component, plain_errors
from lungpatch._utils.devices import CPU_CHUNK_PIXELS, DEVICES, Device
from lungpatch.containers import PatchBatch, Reconstruction, TrainingHistory
from lungpatch.errors import ConfigurationError, NotFittedError
from lungpatch.networks.onnx_network import OnnxNetwork, check_contract, require_onnxruntime

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lungpatch.protocols import EpochCallback, PatchSource

PIXELS, LUNG, TARGET, EXPECTED = "pixels", "lung", "target", "expected"
"""Names of the inputs and outputs of the network."""


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class OnnxModel(Component):
    """Return what a network in an ONNX file returns. It runs by ONNX Runtime, without torch.

    `lungpatch.export_onnx` makes such networks of fitted pipelines; any other one with the same
    inputs and outputs will do. The network stays as it is: ``fit`` only reads it, so that
    thresholds can be set. The file becomes part of a saved pipeline.

    Parameters
    ----------
    patch_size : int
        Side P of the patches, in pixels.
    file : str or path, optional
        ONNX file. A saved pipeline holds its network itself, and needs no file.
    device : {"auto", "cpu", "cuda", "mps"}
        Where the network runs; ``"auto"`` is CUDA where the installed ONNX Runtime has it, else the
        CPU. There is no ``"mps"``.

    Raises
    ------
    MissingExtraError
        If ONNX Runtime is not installed.

    See Also
    --------
    lungpatch.export_onnx : Make such a network of a fitted pipeline.
    OnnxSegmenter : The same for lungs.

    Notes
    -----
    The network takes ``pixels``, float32 (N, P, P), grey levels in [0, 1], for any N, and may take
    ``lung``, bool (N, P, P). It returns ``target`` and ``expected``, float32 (N, C, h, w), as in
    `Reconstruction`. It may return more, which is not computed here.

    Examples
    --------
    >>> from lungpatch.models import OnnxModel
    >>> OnnxModel(patch_size=128, file="mine.onnx")
    OnnxModel(patch_size=128, file='mine.onnx', device='auto')
    """

    patch_size: int = attrs.field(
        default=256, validator=[validators.instance_of(int), validators.ge(1)]
    )
    file: str | None = attrs.field(default=None, converter=attrs.converters.optional(os.fspath))
    device: Device = attrs.field(
        default="auto", validator=validators.in_(DEVICES), metadata={EXECUTION: True}
    )

    network_: OnnxNetwork | None = attrs.field(init=False, default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        require_onnxruntime("the model 'onnx'")

    def fit(
        self,
        source: PatchSource,
        *,
        validation: PatchSource | None = None,
        rng: np.random.Generator,
        on_epoch: EpochCallback | None = None,
    ) -> TrainingHistory:
        """Read the file; nothing is trained.

        Parameters
        ----------
        source : PatchSource
            Patches of P x P pixels; only their size counts.
        validation, rng, on_epoch
            Not used.

        Returns
        -------
        TrainingHistory
            Without epochs.

        Raises
        ------
        ConfigurationError
            If the patches have another size, no file is set, or the network in it has other inputs
            or outputs.
        MissingInputError
            If the file cannot be read.
        """
        self._check_size(source.patch_size)
        if self.file is not None:
            self.network_ = self._checked(OnnxNetwork.read(self.file))
        elif self.network_ is None:
            raise ConfigurationError("OnnxModel has no network: set 'file' to an ONNX file")
        return TrainingHistory(epochs=(), best_epoch=None, stopped="finished", seconds=0.0)

    def reconstruct(self, patches: PatchBatch) -> Reconstruction:
        """Return what the network returns.

        Parameters
        ----------
        patches : PatchBatch
            N patches of P x P pixels; N may be 0.

        Returns
        -------
        Reconstruction
            ``target`` and ``expected`` of the network, float32 (N, C, h, w).

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ConfigurationError
            If the patches have another size, the device is absent, or the network fails.
        """
        network = self._fitted()
        self._check_size(patches.patch_size)
        takes_lung = LUNG in network.inputs
        chunk = max(1, CPU_CHUNK_PIXELS // self.patch_size**2)
        targets, expectations = [], []
        for start in range(0, max(len(patches), 1), chunk):
            part = patches[start : start + chunk]
            # One patch even of none, so that the shape of the output is known.
            pixels, lung = part.pixels, part.lung
            if not len(part):
                pixels, lung = (np.zeros((1, *a.shape[1:]), a.dtype) for a in (pixels, lung))
            inputs: dict[str, NDArray[Any]] = {PIXELS: pixels}
            if takes_lung:
                inputs[LUNG] = lung
            target, expected = network.run((TARGET, EXPECTED), inputs, self.device)
            if len(target) != len(pixels) or target.shape != expected.shape:
                raise ConfigurationError(
                    f"{network.name}: {len(pixels)} patches gave a target {target.shape} and an "
                    f"expectation {expected.shape}: they must agree, with one item per patch"
                )
            targets.append(target[: len(part)])
            expectations.append(expected[: len(part)])
        return Reconstruction(target=np.concatenate(targets), expected=np.concatenate(expectations))

    def state(self) -> dict[str, NDArray[Any]]:
        """Return ``onnx``, uint8 (n,): the bytes of the file.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        return self._fitted().state()

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what ``state`` returned.

        Raises
        ------
        ConfigurationError
            If it is no ONNX network, or one for other patches; the model is then as it was before.
        """
        self.network_ = self._checked(OnnxNetwork.from_state(state))

    def _checked(self, network: OnnxNetwork) -> OnnxNetwork:
        patches = (None, self.patch_size, self.patch_size)
        maps = (np.float32, (None, None, None, None))
        check_contract(
            network,
            inputs={PIXELS: (np.float32, patches), LUNG: (np.bool_, patches)},
            optional=(LUNG,),
            outputs={TARGET: maps, EXPECTED: maps},
        )
        return network

    def _fitted(self) -> OnnxNetwork:
        if self.network_ is None:
            raise NotFittedError(
                "this OnnxModel is not fitted: call fit(source, rng=...) or load_state(state)"
            )
        return self.network_

    def _check_size(self, patch_size: int) -> None:
        if patch_size != self.patch_size:
            raise ConfigurationError(
                f"this OnnxModel takes patches of {self.patch_size} pixels, got {patch_size}: give "
                "sampler and model the same patch_size"
            )
