"""The five contracts of a pipeline's components. No torch here.

A component is an ``@attrs.define(kw_only=True, eq=False)`` class: its settings are its init fields
(numbers, strings, booleans, tuples), what it learns is kept in attributes that end in ``_``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Literal, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lungpatch.containers import (
    ChestImage,
    LungMask,
    PatchBatch,
    PatchScores,
    Reconstruction,
    TrainingHistory,
)

Kind = Literal["segmenter", "sampler", "model", "scorer", "thresholder"]


@runtime_checkable
class Segmenter(Protocol):
    """Finds the lungs."""

    def segment(self, image: ChestImage) -> LungMask:
        """Return the lung mask of ``image``, of the shape of ``image.pixels``.

        An image without lungs gives an empty mask, not an error.
        """
        ...


@runtime_checkable
class PatchSampler(Protocol):
    """Cuts patches out of an image."""

    @property
    def patch_size(self) -> int:
        """Side of a patch, in pixels."""
        ...

    def sample(
        self, image: ChestImage, lungs: LungMask, *, rng: np.random.Generator | None = None
    ) -> PatchBatch:
        """Return patches of ``image``; none at all is a batch of length 0."""
        ...


class PatchSource(Protocol):
    """Healthy patches for ``fit``, read as often as needed without holding them all in memory."""

    def __len__(self) -> int:
        """Return the number of patches."""
        ...

    @property
    def patch_size(self) -> int:
        """Side of a patch, in pixels."""
        ...

    def batches(self, size: int, *, rng: np.random.Generator | None = None) -> Iterator[PatchBatch]:
        """Yield every patch once, ``size`` at a time; shuffled over all images by ``rng``."""
        ...


EpochCallback = Callable[[int, int, Mapping[str, float]], None]
"""Called as ``on_epoch(epoch, epochs, figures)`` after every epoch; ``epoch`` counts from 1."""


@runtime_checkable
class ReconstructionModel(Protocol):
    """Says what a patch would look like if the lung were healthy."""

    @property
    def patch_size(self) -> int:
        """Side of the patches it takes, in pixels."""
        ...

    def fit(
        self,
        source: PatchSource,
        *,
        validation: PatchSource | None = None,
        rng: np.random.Generator,
        on_epoch: EpochCallback | None = None,
    ) -> TrainingHistory:
        """Learn from healthy patches; all randomness comes from ``rng``."""
        ...

    def reconstruct(self, patches: PatchBatch) -> Reconstruction:
        """Return what was compared and expected, patch by patch, in the order given."""
        ...

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all that was learnt, as named arrays."""
        ...

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what ``state`` returned."""
        ...


@runtime_checkable
class Scorer(Protocol):
    """Measures how far a patch is from what was expected."""

    def score(self, patches: PatchBatch, reconstruction: Reconstruction) -> PatchScores:
        """Return one score a patch, higher for more anomalous."""
        ...


@runtime_checkable
class Thresholder(Protocol):
    """Says above which score an image is called anomalous."""

    uses_labels: ClassVar[bool]

    @property
    def threshold_(self) -> float:
        """The threshold that ``fit`` found."""
        ...

    def fit(self, pred_scores: ArrayLike, gt_labels: ArrayLike | None = None) -> Self:
        """Find the threshold on scores, shape (N,), of healthy images (or labelled ones)."""
        ...
