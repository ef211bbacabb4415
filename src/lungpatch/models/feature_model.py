"""Base of the models that compare features instead of pixels."""

from __future__ import annotations

import contextlib
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from attrs import validators
from numpy.typing import NDArray

from lungpatch._utils.component import Component, get_params, plain_errors
from lungpatch.containers import BoolImage, FloatImage, PatchBatch, TrainingHistory
from lungpatch.containers.cells import mean_over_cells
from lungpatch.errors import ConfigurationError, InsufficientDataError, NotFittedError
from lungpatch.features.fixed import FixedExtractor
from lungpatch.features.statistics import StatisticsExtractor
from lungpatch.protocols import EpochCallback, FeatureExtractor, PatchSource, is_component

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

BATCH_SIZE = 8

MIN_LUNG = 0.5
"""Minimum fraction of a cell that must be lung for the cell to be used in ``fit``."""

_EXTRACTOR = "extractor."

_shared: ContextVar[dict[Hashable, FloatImage] | None] = ContextVar("shared features", default=None)


@contextlib.contextmanager
def shared_features() -> Iterator[None]:
    """Let models share features within the block.

    Extractors that are not fitted and have the same settings run once for the same patches.

    Examples
    --------
    >>> with shared_features():
    ...     pass
    """
    token = _shared.set({})
    try:
        yield
    finally:
        _shared.reset(token)


@attrs.frozen(eq=False, kw_only=True)
class NormalFeatures:
    """What a feature model is fitted to.

    Parameters
    ----------
    values : ndarray of float32, shape (N, C, h, w)
    lung : ndarray of bool, shape (N, h, w)
        Which cells are lung; at least one is.
    """

    values: FloatImage
    lung: BoolImage


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class FeatureModel(Component):
    """A model of the features of an extractor. A subclass says what is fitted to them.

    With the sampler ``lung-crop`` the same cell of all patches shows the same anatomy. Only then
    do models make sense that are fitted cell by cell. Only cells that are lung are used.
    """

    patch_size: int = attrs.field(
        default=256, validator=[validators.instance_of(int), validators.ge(1)]
    )
    extractor: FeatureExtractor = attrs.field(
        factory=StatisticsExtractor,
        validator=is_component("extractor"),
        metadata={"component": "extractor"},
    )
    max_patches: int = attrs.field(
        default=500, validator=[validators.instance_of(int), validators.ge(1)]
    )

    fitted_: dict[str, NDArray[Any]] | None = attrs.field(init=False, default=None, repr=False)

    def fit(
        self,
        source: PatchSource,
        *,
        validation: PatchSource | None = None,
        rng: np.random.Generator,
        on_epoch: EpochCallback | None = None,
    ) -> TrainingHistory:
        """Fit the extractor, then fit the model to the features of normal patches.

        Parameters
        ----------
        source : PatchSource
            Normal patches of P x P pixels.
        validation : PatchSource, optional
            Normal patches of other images, for the extractor.
        rng : numpy.random.Generator
        on_epoch : callable, optional
            Called as ``on_epoch(epoch, epochs, metrics)`` after every epoch of the extractor, and
            once when the model is fitted.

        Returns
        -------
        TrainingHistory
            The extractor's epochs, and a last one with metrics of the fitted model.

        Raises
        ------
        ConfigurationError
            If the patches have another size.
        InsufficientDataError
            If no cell is lung.
        """
        start = time.perf_counter()
        for patches in (source, validation):
            if patches is not None:
                self._check_size(patches.patch_size)

        def on_extractor_epoch(epoch: int, epochs: int, metrics: Mapping[str, float]) -> None:
            if on_epoch is not None:
                on_epoch(epoch, epochs + 1, metrics)

        history = self.extractor.fit(
            source, validation=validation, rng=rng, on_epoch=on_extractor_epoch
        )
        if history.stopped == "interrupted" and not history.epochs:
            raise KeyboardInterrupt  # it is not fitted
        self.fitted_, metrics = self._fit_features(source, rng)
        if on_epoch is not None:
            on_epoch(len(history.epochs) + 1, len(history.epochs) + 1, metrics)
        return TrainingHistory(
            epochs=(*history.epochs, metrics),
            best_epoch=history.best_epoch,
            stopped=history.stopped,
            seconds=time.perf_counter() - start,
        )

    def state(self) -> dict[str, NDArray[Any]]:
        """Return what was fitted; that of the extractor has names beginning ``extractor.``.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        fitted = {name: array.copy() for name, array in self._fitted().items()}
        return {_EXTRACTOR + name: a for name, a in self.extractor.state().items()} | fitted

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what ``state`` returned, from a model of the same settings.

        Raises
        ------
        ConfigurationError
            If names, shapes or dtypes do not fit; the model is then as it was before.
        """
        own = {n: np.array(a) for n, a in state.items() if not n.startswith(_EXTRACTOR)}
        self._check_fitted(own)
        self.extractor.load_state(
            {n.removeprefix(_EXTRACTOR): a for n, a in state.items() if n not in own}
        )
        self.fitted_ = own

    def _fit_features(
        self, source: PatchSource, rng: np.random.Generator
    ) -> tuple[dict[str, NDArray[Any]], dict[str, float]]:
        """Return what was fitted, as named arrays, and metrics of it."""
        raise NotImplementedError

    def _check_fitted(self, fitted: Mapping[str, NDArray[Any]]) -> None:
        """Raise ConfigurationError unless the arrays are what ``_fit_features`` returns."""
        raise NotImplementedError

    def _features(self, patches: PatchBatch) -> FloatImage:
        """Return the features of patches, float32 (N, C, h, w)."""
        shared = _shared.get()
        if shared is None or not isinstance(self.extractor, FixedExtractor):
            return self.extractor.extract(patches)
        key = (id(patches), type(self.extractor), *get_params(self.extractor).items())
        if key not in shared:
            shared[key] = self.extractor.extract(patches)
        return shared[key]

    def _fitted(self) -> dict[str, NDArray[Any]]:
        if self.fitted_ is None:
            raise NotFittedError(
                f"this {type(self).__name__} is not fitted: call fit(source, rng=...) or "
                "load_state(state)"
            )
        return self.fitted_

    def _fitted_features(self, patches: PatchBatch, shape: tuple[int, ...]) -> FloatImage:
        """Return the features of patches, which must have the (C, h, w) of the fitted ones."""
        self._check_size(patches.patch_size)
        features = self._features(patches)
        if features.shape[1:] != shape:
            raise ConfigurationError(
                f"this {type(self).__name__} was fitted to features of shape {shape}, and its "
                f"extractor gives {features.shape[1:]}: fit it again"
            )
        return features

    def _normal(self, source: PatchSource, rng: np.random.Generator) -> NormalFeatures:
        """Return the features of all patches, or of a random choice of ``max_patches``."""
        values, lung = [], []
        for part in self._batches(source, rng if self.max_patches < len(source) else None):
            values.append(self._features(part))
            fractions = mean_over_cells(part.lung, values[-1].shape[2:])
            lung.append(fractions >= MIN_LUNG)
        if not any(cells.any() for cells in lung):
            raise no_lung(source)
        return NormalFeatures(values=np.concatenate(values), lung=np.concatenate(lung))

    def _batches(
        self, source: PatchSource, rng: np.random.Generator | None
    ) -> Iterator[PatchBatch]:
        """Yield at most ``max_patches`` patches; shuffled by ``rng``."""
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
    """Return the error of patches that hold no lung to fit a model to."""
    return InsufficientDataError(
        f"no cell of the {len(source)} patches is normal lung: check sampler and segmenter"
    )
