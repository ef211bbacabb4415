"""Feature maps of a DenseNet-121 that was trained on diseases in radiographs."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch
from attrs import validators

from lungpatch import Component, PatchBatch, TrainingHistory
from lungpatch.errors import ConfigurationError
from lungpatch_txrv.networks import densenet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lungpatch.protocols import EpochCallback, PatchSource

_AT_ONCE = 16


@attrs.define(kw_only=True, eq=False)
class DenseNetExtractor(Component):
    """Feature maps of one block of a DenseNet-121, which was trained with labels of disease.

    Parameters
    ----------
    block : {1, 2, 3, 4}
        Block of the network. Its maps have 1/4, 1/8, 1/16 or 1/32 of the resolution of the patch.
    weights : str
        Name of the weights in torchxrayvision, such as ``"densenet121-res224-nih"``;
        ``"untrained"`` is for tests.

    See Also
    --------
    lungpatch.TorchModuleExtractor : Layers of any network of several libraries.
    """

    block: int = attrs.field(default=2, validator=validators.in_((1, 2, 3, 4)))
    weights: str = attrs.field(
        default="densenet121-res224-all", validator=validators.instance_of(str)
    )

    def fit(
        self,
        source: PatchSource,
        *,
        validation: PatchSource | None = None,
        rng: np.random.Generator,
        on_epoch: EpochCallback | None = None,
    ) -> TrainingHistory:
        """Do nothing: the network is trained already."""
        return TrainingHistory(epochs=(), best_epoch=None, stopped="finished", seconds=0.0)

    def extract(self, patches: PatchBatch) -> NDArray[np.float32]:
        """Return features of N patches, at least one, of shape (N, channels, grid, grid).

        Raises
        ------
        ConfigurationError
            If patches have fewer than 32 pixels per side.
        """
        if patches.patch_size < 32:
            raise ConfigurationError(
                f"the extractor 'txrv-densenet' needs patches of at least 32 pixels, got "
                f"{patches.patch_size}"
            )
        layers = densenet(self.weights)
        end = [name for name, _ in layers.named_children()].index(f"denseblock{self.block}") + 1
        maps = []
        with torch.inference_mode():
            # Batches of one size, so that the features of a patch do not depend on the others.
            for start in range(0, len(patches), _AT_ONCE):
                part = patches.pixels[start : start + _AT_ONCE]
                filled = np.zeros((_AT_ONCE, *part.shape[1:]), np.float32)
                filled[: len(part)] = part
                # The network takes -1024 to 1024.
                features = layers[:end](torch.from_numpy(2048 * filled - 1024)[:, None])
                maps.append(features[: len(part)].numpy())
        return np.concatenate(maps)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the SHA-256 of the weights: they are not saved, but others are refused."""
        digest = hashlib.sha256()
        for name, values in densenet(self.weights).state_dict().items():
            digest.update(name.encode())
            digest.update(values.numpy().tobytes())
        return {"weights_sha256": np.frombuffer(digest.digest(), np.uint8).copy()}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Check that the weights are those that ``state`` was made with."""
        own = self.state()
        if set(state) != set(own) or not np.array_equal(
            state["weights_sha256"], own["weights_sha256"]
        ):
            raise ConfigurationError(
                "the state belongs to other weights than those of 'txrv-densenet' here: install "
                "the version of torchxrayvision that was used then, or fit again"
            )
