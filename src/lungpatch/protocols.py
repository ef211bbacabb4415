"""The six contracts of a pipeline's components. No torch here.

A component is an ``@attrs.define(kw_only=True, eq=False)`` class: its settings are its init fields
(numbers, strings, booleans, tuples, other components), what it learns is kept in attributes that
end in ``_``. A setting that is a component is declared as
``attrs.field(metadata={"component": "extractor"})``; one that is a tuple of attrs classes with
settings of their own, such as the members of an ensemble, as
``attrs.field(metadata={"tables": Member})``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from lungpatch.containers import (
        ChestImage,
        FloatImage,
        LungMask,
        PatchBatch,
        PatchScores,
        Reconstruction,
        TrainingHistory,
    )

Kind = Literal["segmenter", "sampler", "extractor", "model", "scorer", "thresholder"]


@runtime_checkable
class Segmenter(Protocol):
    """Finds the lungs.

    Examples
    --------
    >>> from lungpatch.segmenters.whole_image import WholeImageSegmenter
    >>> isinstance(WholeImageSegmenter(), Segmenter)
    True
    """

    def segment(self, image: ChestImage) -> LungMask:
        """Return the lung mask of ``image``, of the shape of ``image.pixels``.

        An image without lungs gives an empty mask, not an error.
        """
        ...


@runtime_checkable
class PatchSampler(Protocol):
    """Cuts patches out of an image.

    Examples
    --------
    >>> from lungpatch.samplers.grid import GridSampler
    >>> isinstance(GridSampler(), PatchSampler)
    True
    """

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
    """Normal patches for ``fit``, read as often as needed without holding them all in memory.

    Examples
    --------
    >>> from lungpatch.pipeline.patch_store import PatchStore
    >>> with PatchStore(32) as source:
    ...     len(source), source.patch_size, list(source.batches(8))
    (0, 32, [])
    """

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
class FeatureExtractor(Protocol):
    """Describes every place of a patch by numbers; what feature models compare.

    Examples
    --------
    >>> from lungpatch.features.statistics import StatisticsExtractor
    >>> isinstance(StatisticsExtractor(), FeatureExtractor)
    True
    """

    def fit(
        self,
        source: PatchSource,
        *,
        validation: PatchSource | None = None,
        rng: np.random.Generator,
        on_epoch: EpochCallback | None = None,
    ) -> TrainingHistory:
        """Learn from normal patches; one that has nothing to learn returns no epochs."""
        ...

    def extract(self, patches: PatchBatch) -> FloatImage:
        """Return features, float32 (N, C, h, w), patch by patch, in the order given.

        Place (i, j) describes the same share of the patch's rows and columns: the i-th of h and
        the j-th of w. C, h and w depend on settings and patch size only.
        """
        ...

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all that was learnt, as named arrays; nothing where nothing was."""
        ...

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what ``state`` returned."""
        ...


@runtime_checkable
class ReconstructionModel(Protocol):
    """Says what a patch would look like if the lung were normal.

    Examples
    --------
    >>> from lungpatch.models.pca import PCA
    >>> isinstance(PCA(), ReconstructionModel)
    True
    """

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
        """Learn from normal patches; all randomness comes from ``rng``."""
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
    """Measures how far a patch is from what was expected.

    Examples
    --------
    >>> from lungpatch.scorers.sad import SADScorer
    >>> isinstance(SADScorer(), Scorer)
    True
    """

    def score(self, patches: PatchBatch, reconstruction: Reconstruction) -> PatchScores:
        """Return one score a patch, higher for more anomalous."""
        ...


@runtime_checkable
class Thresholder(Protocol):
    """Says above which score an image is called anomalous.

    Examples
    --------
    >>> from lungpatch.thresholders.quantile import QuantileThresholder
    >>> isinstance(QuantileThresholder().fit([1.0, 2.0]), Thresholder)
    True
    """

    uses_labels: ClassVar[bool]

    @property
    def min_scores(self) -> int:
        """Minimum number of scores that ``fit`` needs."""
        ...

    @property
    def threshold_(self) -> float:
        """The threshold that ``fit`` found."""
        ...

    def fit(self, pred_scores: ArrayLike, gt_labels: ArrayLike | None = None) -> Self:
        """Find the threshold on scores, shape (N,), of normal images (or labelled ones)."""
        ...
