"""Principal components: the linear baseline."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from attrs import validators
from numpy.typing import NDArray
from scipy import linalg

from lungpatch._utils.component import Component, plain_errors
from lungpatch._utils.states import check_state
from lungpatch.containers import PatchBatch, Reconstruction, TrainingHistory
from lungpatch.errors import ConfigurationError, InsufficientDataError, NotFittedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lungpatch.protocols import EpochCallback, PatchSource

_CHUNK_VALUES = 2**20
"""Number of values that are converted to float64 at once."""


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class PCA(Component):
    """Reconstruct by projection on the principal components of normal patches.

    ``expected = mean + sum_k <patch - mean, component_k> component_k`` [1]_: the best linear
    reconstruction from ``n_components`` numbers, a baseline for any network. With ``patch_size``
    equal to the image's side the components are "eigenlungs", as eigenfaces are for faces [2]_.

    Parameters
    ----------
    patch_size : int
        Side P of the patches, in pixels.
    n_components : int
        Number of components, at least 1 and less than the number of training patches.
    max_patches : int
        At least 2. If there are more training patches, a random choice of this many is used;
        ``fit`` holds them in ``4 * P**2 * max_patches`` bytes, 80 MB by default.

    See Also
    --------
    Autoencoder : A nonlinear reconstruction, by a network.

    Notes
    -----
    The result is exact, from the eigenvectors of the covariance or, where there are fewer patches
    than pixels, of the Gram matrix [2]_.

    References
    ----------
    .. [1] K. Pearson, "On lines and planes of closest fit to systems of points in space",
       Philosophical Magazine 2, 1901. doi:10.1080/14786440109462720
    .. [2] M. Turk, A. Pentland, "Eigenfaces for recognition", Journal of Cognitive Neuroscience 3,
       1991. doi:10.1162/jocn.1991.3.1.71

    Examples
    --------
    >>> from lungpatch.models import PCA
    >>> from lungpatch.pipeline import PatchStore
    >>> rng = np.random.default_rng(0)
    >>> patches = PatchBatch(
    ...     pixels=rng.random((64, 8, 8), dtype=np.float32), corners=np.zeros((64, 2), np.int64),
    ...     lung=np.ones((64, 8, 8), bool), image_shape=(32, 32), image_id="a")
    >>> model = PCA(patch_size=8, n_components=4)
    >>> with PatchStore(8) as store:
    ...     store.add(patches)
    ...     model.fit(store, rng=rng)
    TrainingHistory(1 epoch, best None, finished, ... s)
    >>> model.reconstruct(patches)
    Reconstruction(64 patches, 1 channel of 8x8)
    """

    patch_size: int = attrs.field(
        default=32, validator=[validators.instance_of(int), validators.ge(1)]
    )
    n_components: int = attrs.field(
        default=16, validator=[validators.instance_of(int), validators.ge(1)]
    )
    max_patches: int = attrs.field(
        default=20_000, validator=[validators.instance_of(int), validators.ge(2)]
    )

    mean_: NDArray[np.float32] | None = attrs.field(init=False, default=None, repr=False)
    components_: NDArray[np.float32] | None = attrs.field(init=False, default=None, repr=False)

    def fit(
        self,
        source: PatchSource,
        *,
        validation: PatchSource | None = None,
        rng: np.random.Generator,
        on_epoch: EpochCallback | None = None,
    ) -> TrainingHistory:
        """Find the mean and the principal components of normal patches.

        Parameters
        ----------
        source : PatchSource
            Normal patches of P x P pixels.
        validation : PatchSource, optional
            Normal patches of other images; their loss is reported.
        rng : numpy.random.Generator
            Chooses ``max_patches`` patches where there are more.
        on_epoch : callable, optional
            Called once, as ``on_epoch(1, 1, metrics)``.

        Returns
        -------
        TrainingHistory
            With one epoch: ``explained_variance``, the fraction of the variance that the
            components explain, in [0, 1], and ``train_loss`` and ``validation_loss``, mean squared
            differences of pixels.

        Raises
        ------
        ConfigurationError
            If the patches have another size.
        InsufficientDataError
            If the patches vary in fewer than ``n_components`` directions.
        """
        start = time.perf_counter()
        for patches in (source, validation):
            if patches is not None:
                self._check_size(patches.patch_size)
        count = min(len(source), self.max_patches)
        if self.n_components > min(count - 1, self.patch_size**2):
            raise InsufficientDataError(
                f"n_components is {self.n_components}, but {count} patches of "
                f"{self.patch_size}x{self.patch_size} pixels vary in at most "
                f"{max(min(count - 1, self.patch_size**2), 0)} directions: lower n_components or "
                "give more normal images"
            )
        data = self._collect(source, count, rng)
        mean = data.mean(axis=0, dtype=np.float64)
        variances, components, total = _principal_components(data, mean, self.n_components)
        self.mean_ = mean.astype(np.float32)
        self.components_ = components.astype(np.float32)

        metrics = {
            "explained_variance": float(variances.sum() / total),
            "train_loss": float(max(total - variances.sum(), 0.0) / data.shape[1]),
        }
        if validation is not None and len(validation):
            squares = 0.0
            for batch in validation.batches(self._chunk()):
                result = self.reconstruct(batch)
                difference = np.subtract(result.target, result.expected, dtype=np.float64)
                squares += float(np.square(difference).sum())
            metrics["validation_loss"] = squares / (len(validation) * data.shape[1])
        if on_epoch is not None:
            on_epoch(1, 1, metrics)
        return TrainingHistory(
            epochs=(metrics,),
            best_epoch=None,
            stopped="finished",
            seconds=time.perf_counter() - start,
        )

    def reconstruct(self, patches: PatchBatch) -> Reconstruction:
        """Return the patches as reconstructed from the mean and the components.

        Parameters
        ----------
        patches : PatchBatch
            N patches of P x P pixels; N may be 0.

        Returns
        -------
        Reconstruction
            ``target`` is the patches themselves; ``expected``, float32 (N, 1, P, P), may leave
            [0, 1].

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ConfigurationError
            If the patches have another size.
        """
        mean, components = self._fitted()
        self._check_size(patches.patch_size)
        target = patches.pixels[:, None]
        expected = np.empty(target.shape, np.float32)
        flat = expected.reshape(len(patches), mean.size)
        for start in range(0, len(patches), self._chunk()):
            part = slice(start, start + self._chunk())
            centred = patches.pixels[part].reshape(-1, mean.size) - mean
            np.matmul(centred @ components.T, components, out=flat[part])
            flat[part] += mean
        return Reconstruction(target=target, expected=expected)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return ``mean``, float32 (P * P,), and ``components``, float32 (n_components, P * P).

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        mean, components = self._fitted()
        return {"mean": mean.copy(), "components": components.copy()}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what ``state`` returned, from a model of the same settings.

        Raises
        ------
        ConfigurationError
            If names, shapes or dtypes do not fit; the model is then as it was before.
        """
        pixels = self.patch_size**2
        float32 = np.dtype(np.float32)
        check_state(
            state,
            {
                "mean": ((pixels,), float32),
                "components": ((self.n_components, pixels), float32),
            },
        )
        self.mean_ = np.array(state["mean"], order="C")
        self.components_ = np.array(state["components"], order="C")

    def _collect(
        self, source: PatchSource, count: int, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return all patches, or a random choice of ``count``, float32 (count, P * P)."""
        data = np.empty((count, self.patch_size**2), np.float32)
        filled = 0
        for batch in source.batches(self._chunk(), rng=rng if count < len(source) else None):
            part = batch.pixels[: count - filled]
            data[filled : filled + len(part)] = part.reshape(len(part), -1)
            filled += len(part)
            if filled == count:
                break
        return data

    def _chunk(self) -> int:
        return max(1, _CHUNK_VALUES // self.patch_size**2)

    def _fitted(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        if self.mean_ is None or self.components_ is None:
            raise NotFittedError(
                "this PCA is not fitted: call fit(source, rng=...) or load_state(state)"
            )
        return self.mean_, self.components_

    def _check_size(self, patch_size: int) -> None:
        if patch_size != self.patch_size:
            raise ConfigurationError(
                f"this PCA takes patches of {self.patch_size} pixels, got {patch_size}: give "
                "sampler and model the same patch_size"
            )


def _principal_components(
    data: NDArray[np.float32], mean: NDArray[np.float64], n_components: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Find the directions in which the rows of ``data`` vary most.

    Parameters
    ----------
    data : ndarray of float32, shape (N, D)
    mean : ndarray of float64, shape (D,)
        Mean of its rows.
    n_components : int
        Less than N, at most D.

    Returns
    -------
    variances : ndarray of float64, shape (n_components,)
        Variance along each component, largest first; divided by N.
    components : ndarray of float64, shape (n_components, D)
        Orthonormal.
    total : float
        Sum of the variances in all directions.
    """
    count, pixels = data.shape
    by_gram = count < pixels
    side = count if by_gram else pixels
    # In float64 a few rows, or columns, at a time: the whole may not fit into memory.
    parts = [
        slice(start, start + max(1, _CHUNK_VALUES // side))
        for start in range(0, pixels if by_gram else count, max(1, _CHUNK_VALUES // side))
    ]
    matrix = np.zeros((side, side))
    for part in parts:
        if by_gram:
            centred = data[:, part] - mean[part]
            matrix += centred @ centred.T
        else:
            centred = data[part] - mean
            matrix += centred.T @ centred
    matrix /= count
    total = float(np.trace(matrix))
    values, vectors = linalg.eigh(matrix, subset_by_index=(side - n_components, side - 1))
    variances, vectors = values[::-1], vectors[:, ::-1]
    # Below this a direction is rounding error, also of the float32 pixels.
    found = int(np.count_nonzero(variances > 1e-12 * total))
    if found < n_components:
        raise InsufficientDataError(
            f"n_components is {n_components}, but the {count} patches vary in {found} directions "
            "only: lower n_components or give more, and more varied, normal images"
        )
    if not by_gram:
        return variances, vectors.T, total
    scale = 1 / np.sqrt(count * variances)
    components = np.empty((n_components, pixels))
    for part in parts:
        components[:, part] = scale[:, None] * (vectors.T @ (data[:, part] - mean[part]))
    return variances, components, total
