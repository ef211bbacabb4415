"""Protocols: what a pipeline requires of each kind of component.

A component is an ``@attrs.define(kw_only=True, eq=False)`` class. Its settings are its init fields:
numbers, strings, booleans, tuples, other components. Its fitted values are attributes that end in
``_``. A setting that is a component is declared as
``attrs.field(metadata={"component": "extractor"})``. A setting that is a tuple of attrs objects
with their own settings, such as the members of an ensemble, is declared as
``attrs.field(metadata={"tables": Member})``.

The pipeline handles images without patches itself: a component gets at least one patch.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, runtime_checkable

from lungpatch.errors import ConfigurationError

if TYPE_CHECKING:
    import attrs
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
    """Finds the lungs in an image.

    A segmenter that holds more than settings, such as weights, may have ``state()`` and
    ``load_state(state)``, as `ReconstructionModel` has: its state is then saved with a pipeline.

    See Also
    --------
    lungpatch.UNetSegmenter : The default segmenter.

    Examples
    --------
    >>> from lungpatch import Segmenter, WholeImageSegmenter
    >>> isinstance(WholeImageSegmenter(), Segmenter)
    True
    """

    def segment(self, image: ChestImage) -> LungMask:
        """Return the lung mask of an image.

        Parameters
        ----------
        image : ChestImage

        Returns
        -------
        LungMask
            Of the shape of ``image.pixels``. An image without lungs gives an empty mask, not an
            error.
        """
        ...


@runtime_checkable
class PatchSampler(Protocol):
    """Cuts patches out of an image.

    See Also
    --------
    lungpatch.GridSampler, lungpatch.RandomSampler, lungpatch.LungCropSampler

    Examples
    --------
    >>> from lungpatch import GridSampler, PatchSampler
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
        """Return patches of an image.

        Parameters
        ----------
        image : ChestImage
        lungs : LungMask
            Of the shape of the image.
        rng : numpy.random.Generator, optional
            For samplers that draw at random.

        Returns
        -------
        PatchBatch
            Of length 0 if there is no patch.
        """
        ...


class PatchSource(Protocol):
    """Normal patches for ``fit``, which need not all be in memory.

    See Also
    --------
    lungpatch.PatchStore : The implementation that the pipeline uses.

    Examples
    --------
    >>> from lungpatch import PatchStore
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
        """Yield every patch once.

        Parameters
        ----------
        size : int
            Number of patches per batch; the last batch may have fewer.
        rng : numpy.random.Generator, optional
            Shuffles the patches of all images. Without it they come in order.

        Yields
        ------
        PatchBatch
        """
        ...


EpochCallback = Callable[[int, int, Mapping[str, float]], None]
"""Called as ``on_epoch(epoch, epochs, metrics)`` after every epoch; ``epoch`` counts from 1."""


@runtime_checkable
class FeatureExtractor(Protocol):
    """Computes the feature maps that feature models compare.

    See Also
    --------
    lungpatch.StatisticsExtractor, lungpatch.LungEncoder, lungpatch.LesionEncoder
    lungpatch.ImageNetExtractor, lungpatch.TorchModuleExtractor

    Examples
    --------
    >>> from lungpatch import FeatureExtractor, StatisticsExtractor
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
        """Fit to normal patches.

        Parameters
        ----------
        source : PatchSource
            Normal patches.
        validation : PatchSource, optional
            Normal patches of other images, to stop or to select by.
        rng : numpy.random.Generator
            The only source of randomness.
        on_epoch : callable, optional
            Called as ``on_epoch(epoch, epochs, metrics)`` after every epoch.

        Returns
        -------
        TrainingHistory
            Without epochs if there is nothing to fit.
        """
        ...

    def extract(self, patches: PatchBatch) -> FloatImage:
        """Return the feature maps of patches.

        Parameters
        ----------
        patches : PatchBatch
            N patches, at least one.

        Returns
        -------
        ndarray of float32, shape (N, C, h, w)
            In the order of the patches, each independent of the others. Cell (i, j) describes the
            i-th of h equal parts of the rows of a patch and the j-th of w equal parts of its
            columns. C, h and w depend on settings and patch size only.
        """
        ...

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the fitted values as named arrays; an empty dict if there are none."""
        ...

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Restore fitted values that ``state`` returned."""
        ...


@runtime_checkable
class ReconstructionModel(Protocol):
    """Reconstructs a patch as it would look if the lung were normal.

    See Also
    --------
    lungpatch.UNet, lungpatch.Autoencoder, lungpatch.PCA, lungpatch.SyntheticLesionModel
    lungpatch.RepairModel, lungpatch.MemoryBankModel, lungpatch.GaussianModel
    lungpatch.LesionHeadModel, lungpatch.AtlasModel, lungpatch.EnsembleModel

    Examples
    --------
    >>> from lungpatch import PCA, ReconstructionModel
    >>> isinstance(PCA(), ReconstructionModel)
    True
    """

    @property
    def patch_size(self) -> int:
        """Side of the patches that the model takes, in pixels."""
        ...

    def fit(
        self,
        source: PatchSource,
        *,
        validation: PatchSource | None = None,
        rng: np.random.Generator,
        on_epoch: EpochCallback | None = None,
    ) -> TrainingHistory:
        """Fit to normal patches.

        Parameters
        ----------
        source : PatchSource
            Normal patches.
        validation : PatchSource, optional
            Normal patches of other images, to stop or to select by.
        rng : numpy.random.Generator
            The only source of randomness.
        on_epoch : callable, optional
            Called as ``on_epoch(epoch, epochs, metrics)`` after every epoch.

        Returns
        -------
        TrainingHistory
        """
        ...

    def reconstruct(self, patches: PatchBatch) -> Reconstruction:
        """Return what is compared and what was expected.

        Parameters
        ----------
        patches : PatchBatch
            N patches, at least one.

        Returns
        -------
        Reconstruction
            Of length N, in the order of the patches, each independent of the others.
        """
        ...

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the fitted values as named arrays."""
        ...

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Restore fitted values that ``state`` returned."""
        ...


@runtime_checkable
class Scorer(Protocol):
    """Measures the difference between a patch and its reconstruction.

    See Also
    --------
    lungpatch.SADScorer, lungpatch.L2Scorer, lungpatch.SSIMScorer, lungpatch.FeatureScorer

    Examples
    --------
    >>> from lungpatch import SADScorer, Scorer
    >>> isinstance(SADScorer(), Scorer)
    True
    """

    def score(self, patches: PatchBatch, reconstruction: Reconstruction) -> PatchScores:
        """Return one score per patch; higher is more anomalous.

        Parameters
        ----------
        patches : PatchBatch
            N patches, at least one.
        reconstruction : Reconstruction
            Of the same patches.

        Returns
        -------
        PatchScores
            Of length N, in the order of the patches.
        """
        ...


@runtime_checkable
class Thresholder(Protocol):
    """Sets the score above which an image is classified as anomalous.

    See Also
    --------
    lungpatch.QuantileThresholder, lungpatch.ConformalThresholder, lungpatch.MultiOtsuThresholder
    lungpatch.MixtureThresholder, lungpatch.FixedThresholder, lungpatch.YoudenThresholder

    Examples
    --------
    >>> from lungpatch import QuantileThresholder, Thresholder
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
        """The threshold, after ``fit``."""
        ...

    def fit(self, pred_scores: ArrayLike, gt_labels: ArrayLike | None = None) -> Self:
        """Set the threshold.

        Parameters
        ----------
        pred_scores : array-like of float, shape (N,)
            Scores of normal images; with ``uses_labels``, of normal and abnormal images.
        gt_labels : array-like of bool, shape (N,), optional
            True for abnormal images. Required if ``uses_labels``.

        Returns
        -------
        Thresholder
            Itself.
        """
        ...


PROTOCOLS: Mapping[Kind, type] = {
    "segmenter": Segmenter,
    "sampler": PatchSampler,
    "extractor": FeatureExtractor,
    "model": ReconstructionModel,
    "scorer": Scorer,
    "thresholder": Thresholder,
}
"""The protocol of each kind of component."""


def members(kind: Kind) -> list[str]:
    """Return the names of the members that a component of a kind must have.

    Examples
    --------
    >>> members("sampler")
    ['patch_size', 'sample']
    """
    protocol = PROTOCOLS[kind]
    names = {**inspect.get_annotations(protocol), **vars(protocol)}
    return [name for name in names if not name.startswith("_")]


def is_component(kind: Kind) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    """Return an attrs validator of settings that are components.

    Members that end in ``_`` are not required, since they may not exist before ``fit``.

    Parameters
    ----------
    kind : str

    Raises
    ------
    ConfigurationError
        By the validator, if a value lacks a member of the protocol; the message names it.

    Examples
    --------
    >>> import lungpatch
    >>> lungpatch.Member(model=lungpatch.PCA(), scorer="sad")
    Traceback (most recent call last):
    ...
    lungpatch.errors.ConfigurationError: Member: 'scorer' must be a scorer, not a str: it has no
    'score'
    """
    required = [name for name in members(kind) if not name.endswith("_")]

    def check(_: Any, field: attrs.Attribute[Any], value: Any) -> None:
        for name in required:
            if not hasattr(value, name):
                article = "an" if kind == "extractor" else "a"
                raise ConfigurationError(
                    f"{field.name!r} must be {article} {kind}, not a {type(value).__name__}: "
                    f"it has no {name!r}"
                )

    return check
