"""Every patch of many images as a row: where it lies, what it is, how it scored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from lungpatch.containers import ChestImage, LungMask, PatchBatch, Reconstruction
from lungpatch.reference.images import Images, inside_boxes
from lungpatch.reference.score_figures import KINDS
from lungpatch.samplers.cutting import cut

if TYPE_CHECKING:
    from lungpatch._utils.progress import ProgressCallback
    from lungpatch.protocols import PatchSampler, ReconstructionModel, Scorer

NORMAL, OPACITY, OUTSIDE = KINDS
UNREAD = "lung of a pneumonia image"
"""Lung of a pneumonia image without boxes: normal or not, nobody said which."""
MIXED = "mixed"
"""Neither: lung and not lung, or normal lung and opacity."""

MIN_LUNG = 0.75
"""Share of a patch that is lung, for it to be a patch of lung: ours, as are these kinds."""
MIN_OPACITY = 0.5
"""Share of a patch that lies in boxes, for it to be one of opacity."""


def kinds_of(
    lung_share: NDArray[Any],
    box_share: NDArray[Any],
    *,
    normal: NDArray[np.bool_],
    boxed: NDArray[np.bool_],
) -> NDArray[np.str_]:
    """Say of which of the paper's three kinds patches are, as far as that can be known.

    Lung that a reader did not box is called normal on images that he boxed, and on normal images.

    Parameters
    ----------
    lung_share, box_share : ndarray of float, shape (N,), values in [0, 1]
        Share of each patch that is lung, and that lies in a box around an opacity.
    normal, boxed : ndarray of bool, shape (N,)
        Whether the image is a normal one, or has boxes.

    Returns
    -------
    ndarray of str, shape (N,)
        One of `lungpatch.plotting.KINDS`, `UNREAD` or `MIXED`.

    Examples
    --------
    >>> yes, no = np.ones(4, bool), np.zeros(4, bool)
    >>> lung, box = np.array([1, 1, 0, 0.5]), np.array([0, 0.8, 0, 0])
    >>> kinds_of(lung, box, normal=no, boxed=yes).tolist()
    ['normal lung', 'lung with opacity', 'outside the lung', 'mixed']
    >>> kinds_of(lung, 0 * box, normal=no, boxed=no).tolist()
    ['lung of a pneumonia image', 'lung of a pneumonia image', 'outside the lung', 'mixed']
    """
    kinds = np.full(len(lung_share), MIXED, dtype="<U24")
    is_lung = lung_share >= MIN_LUNG
    kinds[(lung_share == 0) & (box_share == 0)] = OUTSIDE
    kinds[is_lung & (normal | (boxed & (box_share == 0)))] = NORMAL
    kinds[is_lung & ~normal & ~boxed] = UNREAD
    kinds[is_lung & (box_share >= MIN_OPACITY)] = OPACITY
    return kinds


def _ints(values: ArrayLike) -> NDArray[np.int64]:
    return np.asarray(values, np.int64)


def _floats(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, np.float64)


def _strings(values: ArrayLike) -> NDArray[np.str_]:
    return np.asarray(values, np.str_)


@attrs.frozen(eq=False, kw_only=True, repr=False)
class PatchTable:
    """Columns of one value a patch, N patches.

    Parameters
    ----------
    image : ndarray of int64, shape (N,)
        Which image of the data set.
    corners : ndarray of int64, shape (N, 2)
    kinds : ndarray of str, shape (N,)
        See `kinds_of`.
    lung_share : ndarray of float64, shape (N,)
    grey : ndarray of float64, shape (N,)
        Mean grey level, 0..255.
    scores : ndarray of float64, shape (N,)

    Examples
    --------
    >>> table = PatchTable(image=[0, 1], corners=[[0, 0], [0, 0]], kinds=["mixed", "mixed"],
    ...                    lung_share=[1, 1], grey=[100, 120], scores=[3, 4])
    >>> table, table.select(table.image == 1).scores
    (PatchTable(2 patches of 2 images), array([4.]))
    """

    film: NDArray[np.int64] = attrs.field(converter=_ints)
    corners: NDArray[np.int64] = attrs.field(converter=_ints)
    kinds: NDArray[np.str_] = attrs.field(converter=_strings)
    lung_share: NDArray[np.float64] = attrs.field(converter=_floats)
    grey: NDArray[np.float64] = attrs.field(converter=_floats)
    scores: NDArray[np.float64] = attrs.field(converter=_floats)

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


ImageSource = Callable[[int], tuple[ChestImage, LungMask]]


def patches_of_images(
    films: Images,
    indices: Sequence[int],
    sampler: PatchSampler,
    *,
    source: ImageSource | None = None,
) -> Iterator[tuple[int, PatchBatch, PatchTable]]:
    """Cut the patches of images, with a row each that has no score yet.

    Parameters
    ----------
    images : Images
    indices : sequence of int
    sampler : PatchSampler
    source : callable, optional
        From an index to image and lungs of another size; by default ``images.read``.

    Yields
    ------
    tuple of (int, PatchBatch, PatchTable)
        Image, its patches, their rows with NaN for a score. An image without any patch is skipped.
    """
    boxed = films.boxed()
    for index in indices:
        image, lungs = (source or films.read)(index)
        patches = sampler.sample(image, lungs)
        count = len(patches)
        if not count:
            continue
        boxes = LungMask(pixels=inside_boxes(films.dataset, index, image.shape[0]))
        in_boxes = cut(image, boxes, patches.corners, patches.patch_size).lung
        lung_share = patches.lung.mean(axis=(1, 2))
        yield (
            index,
            patches,
            PatchTable(
                film=np.full(count, index),
                corners=patches.corners,
                kinds=kinds_of(
                    lung_share,
                    in_boxes.mean(axis=(1, 2)),
                    normal=np.full(count, films.dataset.labels[index] == "normal"),
                    boxed=np.full(count, boxed[index]),
                ),
                lung_share=lung_share,
                grey=255.0 * patches.pixels.mean(axis=(1, 2), dtype=np.float64),
                scores=np.full(count, np.nan),
            ),
        )


def score_images(
    films: Images,
    indices: Sequence[int],
    *,
    sampler: PatchSampler,
    model: ReconstructionModel,
    scorer: Scorer,
    progress: ProgressCallback,
    stage: str,
    source: ImageSource | None = None,
    look: Callable[[PatchBatch, Reconstruction], None] | None = None,
) -> PatchTable:
    """Score every patch of images.

    Parameters
    ----------
    images, indices, sampler, source
        See `patches_of_images`.
    model : ReconstructionModel
        Fitted.
    scorer : Scorer
    progress : callable
    stage : str
        What to call the work in ``progress``.
    look : callable, optional
        Called with the patches of each image and their reconstruction.

    Returns
    -------
    PatchTable
    """
    tables = []
    for done, (_, patches, table) in enumerate(
        patches_of_images(films, indices, sampler, source=source), start=1
    ):
        reconstruction = model.reconstruct(patches)
        scores = scorer.score(patches, reconstruction).values
        tables.append(attrs.evolve(table, scores=scores))
        if look is not None:
            look(patches, reconstruction)
        progress(stage, done, len(indices), {})
    return join_tables(tables)


def join_tables(tables: Sequence[PatchTable]) -> PatchTable:
    """Join tables of several images.

    Raises
    ------
    ValueError
        If there are none.
    """
    columns = [table.arrays() for table in tables]
    return PatchTable(
        **{name: np.concatenate([each[name] for each in columns]) for name in columns[0]}
    )
