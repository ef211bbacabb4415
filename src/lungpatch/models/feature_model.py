"""What all models share that compare features instead of pixels."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from attrs import validators
from numpy.typing import NDArray

from lungpatch._utils.component import Component, plain_errors
from lungpatch.containers import BoolImage, FloatImage, PatchBatch, TrainingHistory
from lungpatch.containers.cells import mean_over_cells
from lungpatch.errors import ConfigurationError, InsufficientDataError, NotFittedError
from lungpatch.features.statistics import StatisticsExtractor
from lungpatch.protocols import EpochCallback, FeatureExtractor, PatchSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BATCH_SIZE = 8

MIN_LUNG = 0.5
"""Share of a place that must be lung for it to count while learning."""

_EXTRACTOR = "extractor."


@attrs.frozen(eq=False, kw_only=True)
class NormalFeatures:
    """What a feature model learns from.

    Parameters
    ----------
    values : ndarray of float32, shape (N, C, h, w)
    lung : ndarray of bool, shape (N, h, w)
        Which places are lung; some are.
    """

    values: FloatImage
    lung: BoolImage


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class FeatureModel(Component):
    """A model over the features of an extractor. A subclass says what is learnt of them.

    A place of a patch is a place in the lungs where the sampler is ``lung-crop``: then the same
    place of all patches shows the same anatomy, and only then do models that learn place by place
    make sense. Only places that are lung take part in learning.
    """

    patch_size: int = attrs.field(
        default=256, validator=[validators.instance_of(int), validators.ge(1)]
    )
    extractor: FeatureExtractor = attrs.field(
        factory=StatisticsExtractor,
        validator=validators.instance_of(FeatureExtractor),  # type: ignore[type-abstract]
        metadata={"component": "extractor"},
    )
    max_patches: int = attrs.field(
        default=500, validator=[validators.instance_of(int), validators.ge(1)]
    )

    learnt_: dict[str, NDArray[Any]] | None = attrs.field(init=False, default=None, repr=False)

    def fit(
        self,
        source: PatchSource,
        *,
        validation: PatchSource | None = None,
        rng: np.random.Generator,
        on_epoch: EpochCallback | None = None,
    ) -> TrainingHistory:
        """Let the extractor learn, then learn the features of normal patches.

        Parameters
        ----------
        source : PatchSource
            Normal patches of P x P pixels.
        validation : PatchSource, optional
            Normal patches of other images, for the extractor.
        rng : numpy.random.Generator
        on_epoch : callable, optional
            Called as ``on_epoch(epoch, epochs, figures)`` after every epoch of the extractor, and
            once when the features are learnt.

        Returns
        -------
        TrainingHistory
            The extractor's epochs, and a last one with figures of what was learnt of the features.

        Raises
        ------
        ConfigurationError
            If the patches have another size.
        InsufficientDataError
            If there is no place that is lung.
        """
        start = time.perf_counter()
        for patches in (source, validation):
            if patches is not None:
                self._check_size(patches.patch_size)

        def on_extractor_epoch(epoch: int, epochs: int, figures: Mapping[str, float]) -> None:
            if on_epoch is not None:
                on_epoch(epoch, epochs + 1, figures)

        history = self.extractor.fit(
            source, validation=validation, rng=rng, on_epoch=on_extractor_epoch
        )
        if history.stopped == "interrupted" and not history.epochs:
            raise KeyboardInterrupt  # it has learnt nothing
        self.learnt_, figures = self._learn(source, rng)
        if on_epoch is not None:
            on_epoch(len(history.epochs) + 1, len(history.epochs) + 1, figures)
        return TrainingHistory(
            epochs=(*history.epochs, figures),
            best_epoch=history.best_epoch,
            stopped=history.stopped,
            seconds=time.perf_counter() - start,
        )

    def state(self) -> dict[str, NDArray[Any]]:
        """Return what was learnt, that of the extractor under names beginning ``extractor.``.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        learnt = {name: array.copy() for name, array in self._fitted().items()}
        return {_EXTRACTOR + name: a for name, a in self.extractor.state().items()} | learnt

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what ``state`` returned, from a model of the same settings.

        Raises
        ------
        ConfigurationError
            If names, shapes or dtypes do not fit; the model is then as it was before.
        """
        own = {n: np.array(a) for n, a in state.items() if not n.startswith(_EXTRACTOR)}
        self._check_learnt(own)
        self.extractor.load_state(
            {n.removeprefix(_EXTRACTOR): a for n, a in state.items() if n not in own}
        )
        self.learnt_ = own

    def _learn(
        self, source: PatchSource, rng: np.random.Generator
    ) -> tuple[dict[str, NDArray[Any]], dict[str, float]]:
        """Return what is learnt, as named arrays, and figures of it."""
        raise NotImplementedError

    def _check_learnt(self, learnt: Mapping[str, NDArray[Any]]) -> None:
        """Raise ConfigurationError unless the arrays are what ``_learn`` returns."""
        raise NotImplementedError

    def _features(self, patches: PatchBatch) -> FloatImage:
        """Return the features of patches, float32 (N, C, h, w)."""
        return self.extractor.extract(patches)

    def _fitted(self) -> dict[str, NDArray[Any]]:
        if self.learnt_ is None:
            raise NotFittedError(
                f"this {type(self).__name__} has learnt nothing yet: call fit(source, rng=...) or "
                "load_state(state)"
            )
        return self.learnt_

    def _fitted_features(self, patches: PatchBatch, shape: tuple[int, ...]) -> FloatImage:
        """Return the features of patches, which must have the (C, h, w) that was learnt."""
        self._check_size(patches.patch_size)
        features = self._features(patches)
        if features.shape[1:] != shape:
            raise ConfigurationError(
                f"this {type(self).__name__} has learnt features of shape {shape}, and its "
                f"extractor gives {features.shape[1:]}: fit it again"
            )
        return features

    def _normal(self, source: PatchSource, rng: np.random.Generator) -> NormalFeatures:
        """Return the features of all patches, or of a random choice of ``max_patches``."""
        values, lung = [], []
        for part in self._batches(source, rng if self.max_patches < len(source) else None):
            values.append(self._features(part))
            shares = mean_over_cells(part.lung, values[-1].shape[2:])
            lung.append(shares >= MIN_LUNG)
        if not any(places.any() for places in lung):
            raise no_lung(source)
        return NormalFeatures(values=np.concatenate(values), lung=np.concatenate(lung))

    def _batches(
        self, source: PatchSource, rng: np.random.Generator | None
    ) -> Iterator[PatchBatch]:
        """Yield the patches, ``max_patches`` of them at most; shuffled by ``rng``."""
        missing = self.max_patches
        for batch in source.batches(BATCH_SIZE, rng=rng):
            part = batch[:missing]
            yield part
            missing -= len(part)
            if missing == 0:
                break

    def _check_size(self, patch_size: int) -> None:
        if patch_size != self.patch_size:
            raise ConfigurationError(
                f"this {type(self).__name__} takes patches of {self.patch_size} pixels, got "
                f"{patch_size}: give sampler and model the same patch_size"
            )


def no_lung(source: PatchSource) -> InsufficientDataError:
    """Return the error of patches that hold no lung to learn from."""
    return InsufficientDataError(
        f"no place of the {len(source)} patches is normal lung: check sampler and segmenter"
    )
