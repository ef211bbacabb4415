"""Every patch of many images as a row: where it lies, what it shows, how it scored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from lungpatch.containers import ChestImage, LungMask, PatchBatch, Reconstruction
from lungpatch.errors import InsufficientDataError
from lungpatch.protocols import PatchSampler
from lungpatch.reference.images import PreparedImages
from lungpatch.reference.settings import KINDS, PATCH_SIZE, STRIDE
from lungpatch.samplers import GridSampler
from lungpatch.samplers.cutting import cut
from lungpatch.scorers import SADScorer

if TYPE_CHECKING:
    from lungpatch._utils.progress import ProgressCallback
    from lungpatch.protocols import ReconstructionModel

NORMAL, OPACITY, OUTSIDE = KINDS
UNREAD = "lung of a pneumonia image"
"""Lung of a pneumonia image without boxes: normal or not, nobody said which."""
MIXED = "mixed"
"""Partly lung and partly not, or partly normal lung and partly opacity."""

MIN_LUNG = 0.75
"""Minimum fraction of a patch of lung that is lung. Ours: the paper names kinds by eye."""
MIN_OPACITY = 0.5
"""Minimum fraction of a patch with opacity that lies in boxes. Ours too."""

LUNG_SAMPLER = GridSampler(patch_size=PATCH_SIZE, stride=STRIDE)
"""Cuts the patches of normal lung that the paper's network is trained on."""
WHOLE_IMAGE_SAMPLER = GridSampler(patch_size=PATCH_SIZE, stride=STRIDE, min_lung_fraction=0.0)
"""Cuts patches all over an image, as the paper does for scoring."""
SCORER = SADScorer(region="patch")
"""The paper's score: mean absolute difference over the whole patch."""


def kinds_of(
    lung_fraction: NDArray[Any],
    box_fraction: NDArray[Any],
    *,
    normal: NDArray[np.bool_],
    boxed: NDArray[np.bool_],
) -> NDArray[np.str_]:
    """Return which of the paper's three kinds patches are, as far as that can be known.

    Lung outside boxes counts as normal on images with boxes, since a reader boxed what he saw, and
    on normal images.

    Parameters
    ----------
    lung_fraction, box_fraction : ndarray of float, shape (N,), values in [0, 1]
        Fraction of each patch that is lung, and that lies in a box around an opacity.
    normal, boxed : ndarray of bool, shape (N,)
        Whether the image is labelled normal, and whether it has boxes.

    Returns
    -------
    ndarray of str, shape (N,)
        One of `lungpatch.reference.settings.KINDS`, `UNREAD` or `MIXED`.

    Examples
    --------
    >>> yes, no = np.ones(4, bool), np.zeros(4, bool)
    >>> lung, box = np.array([1, 1, 0, 0.5]), np.array([0, 0.8, 0, 0])
    >>> kinds_of(lung, box, normal=no, boxed=yes).tolist()
    ['normal lung', 'lung with opacity', 'outside the lung', 'mixed']
    >>> kinds_of(lung, 0 * box, normal=no, boxed=no).tolist()
    ['lung of a pneumonia image', 'lung of a pneumonia image', 'outside the lung', 'mixed']
    """
    # As wide as the longest name: numpy would cut a longer one off.
    kinds = np.full(len(lung_fraction), MIXED, dtype=np.array([*KINDS, UNREAD, MIXED]).dtype)
    is_lung = lung_fraction >= MIN_LUNG
    kinds[(lung_fraction == 0) & (box_fraction == 0)] = OUTSIDE
    kinds[is_lung & (normal | (boxed & (box_fraction == 0)))] = NORMAL
    kinds[is_lung & ~normal & ~boxed] = UNREAD
    kinds[is_lung & (box_fraction >= MIN_OPACITY)] = OPACITY
    return kinds


def _ints(values: ArrayLike) -> NDArray[np.int64]:
    return np.asarray(values, np.int64)


def _floats(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, np.float64)


def _strings(values: ArrayLike) -> NDArray[np.str_]:
    return np.asarray(values, np.str_)


@attrs.frozen(eq=False, kw_only=True, repr=False)
class PatchTable:
    """Columns with one value per patch, for N patches.

    Parameters
    ----------
    image : ndarray of int64, shape (N,)
        Index of the image in the data set.
    corners : ndarray of int64, shape (N, 2)
    kinds : ndarray of str, shape (N,)
        See `kinds_of`.
    lung_fraction : ndarray of float64, shape (N,)
    grey : ndarray of float64, shape (N,)
        Mean grey level, 0..255.
    scores : ndarray of float64, shape (N,)
        NaN before the patches are scored.

    Examples
    --------
    >>> table = PatchTable(image=[0, 1], corners=[[0, 0], [0, 0]], kinds=["mixed", "mixed"],
    ...                    lung_fraction=[1, 1], grey=[100, 120], scores=[3, 4])
    >>> table, table.select(table.image == 1).scores
    (PatchTable(2 patches of 2 images), array([4.]))
    """

    image: NDArray[np.int64] = attrs.field(converter=_ints)
    corners: NDArray[np.int64] = attrs.field(converter=_ints)
    kinds: NDArray[np.str_] = attrs.field(converter=_strings)
    lung_fraction: NDArray[np.float64] = attrs.field(converter=_floats)
    grey: NDArray[np.float64] = attrs.field(converter=_floats)
    scores: NDArray[np.float64] = attrs.field(converter=_floats)

    @classmethod
    def concatenate(cls, tables: Iterable[PatchTable]) -> PatchTable:
        """Join tables of several images.

        Raises
        ------
        InsufficientDataError
            If there is no table.
        """
        columns = [table.arrays() for table in tables]
        if not columns:
            raise InsufficientDataError("none of the images holds a patch: give other images")
        return cls(
            **{name: np.concatenate([each[name] for each in columns]) for name in columns[0]}
        )

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, which: NDArray[Any]) -> PatchTable:
        """Return the patches of a mask or of indices."""
        return PatchTable(**{name: column[which] for name, column in self.arrays().items()})

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all columns by name."""
        return {field.name: getattr(self, field.name) for field in attrs.fields(PatchTable)}

    def __repr__(self) -> str:
        return f"PatchTable({len(self)} patches of {len(np.unique(self.image))} images)"


ImageReader = Callable[[int], tuple[ChestImage, LungMask]]
"""Returns the image of an index, with its lungs."""


@attrs.frozen(eq=False, kw_only=True)
class PatchCutter:
    """Cuts patches out of images and says what each of them shows.

    Parameters
    ----------
    images : PreparedImages
    sampler : PatchSampler
    read : callable, optional
        Returns image and lungs for an index, in another size. By default ``images.read``.
    """

    images: PreparedImages
    sampler: PatchSampler
    read: ImageReader | None = None

    def cut(self, indices: Iterable[int]) -> Iterator[tuple[PatchBatch, PatchTable]]:
        """Yield the patches of each image with their rows, which have no scores yet.

        Parameters
        ----------
        indices : iterable of int
            Indices of images. An image without any patch is skipped.

        Yields
        ------
        tuple of (PatchBatch, PatchTable)
        """
        boxed, labels = self.images.boxed, self.images.dataset.labels
        for index in indices:
            image, lungs = (self.read or self.images.read)(index)
            patches = self.sampler.sample(image, lungs)
            count = len(patches)
            if not count:
                continue
            boxes = LungMask(pixels=self.images.in_boxes(index, image.shape[0]))
            in_boxes = cut(image, boxes, patches.corners, patches.patch_size).lung
            lung_fraction = patches.lung.mean(axis=(1, 2))
            kinds = kinds_of(
                lung_fraction,
                in_boxes.mean(axis=(1, 2)),
                normal=np.full(count, labels[index] == "normal"),
                boxed=np.full(count, boxed[index]),
            )
            yield (
                patches,
                PatchTable(
                    image=np.full(count, index),
                    corners=patches.corners,
                    kinds=kinds,
                    lung_fraction=lung_fraction,
                    grey=255.0 * patches.pixels.mean(axis=(1, 2), dtype=np.float64),
                    scores=np.full(count, np.nan),
                ),
            )


@attrs.frozen(eq=False, kw_only=True)
class ScoredPatches:
    """The patches of one image, what a model made of them, and their rows with scores."""

    patches: PatchBatch
    reconstruction: Reconstruction
    table: PatchTable


def score_images(
    cutter: PatchCutter,
    indices: Sequence[int],
    model: ReconstructionModel,
    *,
    progress: ProgressCallback,
    stage: str,
) -> Iterator[ScoredPatches]:
    """Score every patch of images, image by image, by the paper's SAD.

    Parameters
    ----------
    cutter : PatchCutter
    indices : sequence of int
        Indices of images.
    model : ReconstructionModel
        Fitted.
    progress : callable
    stage : str
        Name of the work in ``progress``.

    Yields
    ------
    ScoredPatches
    """
    for done, (patches, table) in enumerate(cutter.cut(indices), start=1):
        reconstruction = model.reconstruct(patches)
        scores = SCORER.score(patches, reconstruction).values
        yield ScoredPatches(
            patches=patches,
            reconstruction=reconstruction,
            table=attrs.evolve(table, scores=scores),
        )
        progress(stage, done, len(indices), {})
