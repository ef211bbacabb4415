"""Images at the working size with their lungs, found once and kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import numpy as np
from numpy.typing import NDArray

from lungpatch.containers import BoolImage, ChestImage, LungMask
from lungpatch.datasets.dataset import Dataset
from lungpatch.errors import LungpatchError
from lungpatch.io import resize
from lungpatch.reference.stages import StageResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lungpatch._utils.progress import ProgressCallback
    from lungpatch.protocols import PatchSampler, Segmenter


@attrs.frozen(eq=False, kw_only=True, repr=False)
class Images:
    """Images of a data set in the square working frame, with the lungs that a segmenter found.

    Parameters
    ----------
    dataset : Dataset
    size : int
        Side S of the working frame.
    masks : ndarray of uint8, shape (N, S * S / 8)
        Lungs, eight pixels a byte.
    status : ndarray of str, shape (N,)
        ``ok``, ``no_lungs``, ``implausible_lungs``, or ``unreadable``.
    n_patches : ndarray of int64, shape (N,)
        Patches of normal lung that a normal image would give; 0 unless ``ok``.
    lung_share, lung_grey : ndarray of float64, shape (N,)
        Share of the image that is lung; mean grey level in it, in [0, 1]. NaN without lungs.
    own_side : ndarray of int64, shape (N,)
        The shorter side of the image in its file.

    Examples
    --------
    >>> from lungpatch.datasets import Dataset
    >>> images = Images(dataset=Dataset(name="none", images=[]), size=8,
    ...               masks=np.empty((0, 8), np.uint8), status=np.empty(0, str),
    ...               n_patches=np.empty(0, int), lung_share=np.empty(0), lung_grey=np.empty(0),
    ...               own_side=np.empty(0, int))
    >>> images
    Images('none', 0 images at 8x8)
    """

    dataset: Dataset
    size: int
    masks: NDArray[np.uint8]
    status: NDArray[np.str_]
    n_patches: NDArray[np.int64]
    lung_share: NDArray[np.float64]
    lung_grey: NDArray[np.float64]
    own_side: NDArray[np.int64]

    def read(self, index: int) -> tuple[ChestImage, LungMask]:
        """Return one image and its lungs, both of shape (S, S).

        Raises
        ------
        MissingInputError, InvalidImageError
            If its file is missing or cannot be used.
        """
        image = resize(self.dataset.read(index), self.size)
        return image, LungMask(pixels=self.lungs(index))

    def lungs(self, index: int) -> BoolImage:
        """Return the lungs of one image, bool (S, S)."""
        flat = np.unpackbits(self.masks[index], count=self.size**2)
        return flat.reshape(self.size, self.size).astype(np.bool_)

    def boxes(self, index: int) -> BoolImage:
        """Return which pixels of one image lie in a box around an opacity, bool (S, S)."""
        return inside_boxes(self.dataset, index, self.size)

    def boxed(self) -> BoolImage:
        """Return which images have boxes, bool (N,)."""
        return np.array([len(boxes) > 0 for boxes in self.dataset.relative_boxes], dtype=np.bool_)

    def file_sizes(self) -> NDArray[np.float64] | None:
        """Return the size of each image's file in bytes, float64 (N,); None for images in memory."""
        paths = [image for image in self.dataset.images if isinstance(image, Path)]
        if len(paths) < len(self.dataset):
            return None
        return np.array([path.stat().st_size if path.is_file() else np.nan for path in paths])

    def __repr__(self) -> str:
        size = f"{self.size}x{self.size}"
        return f"Images({self.dataset.name!r}, {len(self.dataset)} images at {size})"


def inside_boxes(dataset: Dataset, index: int, size: int) -> BoolImage:
    """Return which pixels of an image of side ``size`` lie in one of its boxes, bool (S, S)."""
    inside = np.zeros((size, size), np.bool_)
    for row0, col0, row1, col1 in dataset.boxes(index, (size, size)):
        inside[row0:row1, col0:col1] = True
    return inside


def prepare_images(
    dataset: Dataset,
    *,
    size: int,
    segmenter: Segmenter,
    sampler: PatchSampler,
    progress: ProgressCallback,
) -> StageResult:
    """Read every image and find its lungs; an image that cannot be used costs only itself.

    Parameters
    ----------
    dataset : Dataset
    size : int
        Side of the working frame.
    segmenter : Segmenter
    sampler : PatchSampler
        Of patches of normal lung.
    progress : callable

    Returns
    -------
    StageResult
        ``arrays`` are the fields of `Images`; ``figures`` count what was found and name what was
        unreadable.
    """
    count = len(dataset)
    masks = np.zeros((count, -(-(size**2) // 8)), np.uint8)
    status = np.full(count, "unreadable", dtype="<U17")
    n_patches, own_side = np.zeros(count, np.int64), np.zeros(count, np.int64)
    lung_share, lung_grey = np.full(count, np.nan), np.full(count, np.nan)
    unreadable = []
    for index in range(count):
        progress("images", index + 1, count, {})
        try:
            original = dataset.read(index)
        except LungpatchError as error:
            unreadable.append(str(error))
            continue
        image = resize(original, size)
        lungs = segmenter.segment(image)
        own_side[index] = min(original.native_shape)
        masks[index] = np.packbits(lungs.pixels)
        if not lungs.pixels.any():
            status[index] = "no_lungs"
            continue
        lung_share[index] = lungs.fraction
        lung_grey[index] = image.pixels[lungs.pixels].mean()
        status[index] = "implausible_lungs" if lungs.implausible else "ok"
        if not lungs.implausible:
            n_patches[index] = len(sampler.sample(image, lungs))
    found, how_many = np.unique(status, return_counts=True)
    return StageResult(
        figures={
            "images": {
                label: int((dataset.labels == label).sum()) for label in ("normal", "pneumonia")
            },
            "boxed": sum(len(boxes) > 0 for boxes in dataset.relative_boxes),
            "patients": len(set(dataset.patients.tolist()) - {""}),
            "status": dict(zip(found.tolist(), how_many.tolist(), strict=True)),
            "unreadable": unreadable,
            "median_side": int(np.median(own_side[own_side > 0])) if own_side.any() else None,
        },
        arrays={
            "masks": masks,
            "status": status,
            "n_patches": n_patches,
            "lung_share": lung_share,
            "lung_grey": lung_grey,
            "own_side": own_side,
        },
    )


def usable_images(films: Images, indices: Iterable[int]) -> Iterator[int]:
    """Yield those of ``indices`` whose image has lungs."""
    for index in indices:
        if films.status[index] in ("ok", "implausible_lungs"):
            yield index
