"""Images on the model grid with their lungs, which are segmented once and kept."""

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
    from lungpatch._utils.progress import ProgressCallback
    from lungpatch.protocols import PatchSampler, Segmenter

USABLE = ("ok", "implausible_lungs")
"""Status of images that have lungs."""


@attrs.frozen(eq=False, kw_only=True, repr=False)
class PreparedImages:
    """Images of a data set on a square model grid, with the lungs that a segmenter found.

    Parameters
    ----------
    dataset : Dataset
    size : int
        Side S of the model grid.
    masks : ndarray of uint8, shape (N, S * S / 8)
        Lungs, eight pixels per byte.
    status : ndarray of str, shape (N,)
        ``ok``, ``no_lungs``, ``implausible_lungs``, or ``unreadable``.
    n_patches : ndarray of int64, shape (N,)
        Number of lung patches in each image; 0 unless its status is ``ok``.
    lung_fraction, lung_grey : ndarray of float64, shape (N,)
        Fraction of the image that is lung, and mean grey level of the lung, both in [0, 1]. NaN
        without lungs.
    native_side : ndarray of int64, shape (N,)
        The shorter side of the image in its file; 0 if the image is unreadable.

    Examples
    --------
    >>> from lungpatch.datasets import Dataset
    >>> PreparedImages(dataset=Dataset(name="none", images=[]), size=8,
    ...                masks=np.empty((0, 8), np.uint8), status=np.empty(0, str),
    ...                n_patches=np.empty(0, int), lung_fraction=np.empty(0),
    ...                lung_grey=np.empty(0), native_side=np.empty(0, int))
    PreparedImages('none', 0 images at 8x8)
    """

    dataset: Dataset
    size: int
    masks: NDArray[np.uint8]
    status: NDArray[np.str_]
    n_patches: NDArray[np.int64]
    lung_fraction: NDArray[np.float64]
    lung_grey: NDArray[np.float64]
    native_side: NDArray[np.int64]

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Which images have lungs, bool (N,)."""
        return np.isin(self.status, USABLE)

    @property
    def boxed(self) -> NDArray[np.bool_]:
        """Which images have boxes around opacities, bool (N,)."""
        return np.array([len(boxes) > 0 for boxes in self.dataset.relative_boxes], dtype=np.bool_)

    @property
    def median_side(self) -> float | None:
        """Median of the readable images' shorter sides in their files; None if there is none."""
        known = self.native_side[self.native_side > 0]
        return float(np.median(known)) if known.size else None

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

    def in_boxes(self, index: int, size: int) -> BoolImage:
        """Return which pixels of an image, resized to ``size``, lie in a box, bool (size, size)."""
        inside = np.zeros((size, size), np.bool_)
        for row0, col0, row1, col1 in self.dataset.boxes(index, (size, size)):
            inside[row0:row1, col0:col1] = True
        return inside

    def file_sizes(self) -> NDArray[np.float64] | None:
        """Return the size of each image file in bytes, float64 (N,); None for images in memory."""
        paths = [image for image in self.dataset.images if isinstance(image, Path)]
        if len(paths) < len(self.dataset):
            return None
        return np.array([path.stat().st_size if path.is_file() else np.nan for path in paths])

    def __repr__(self) -> str:
        size = f"{self.size}x{self.size}"
        return f"PreparedImages({self.dataset.name!r}, {len(self.dataset)} images at {size})"


@attrs.frozen(eq=False, kw_only=True)
class _PreparedImage:
    """A row of `PreparedImages`; the defaults are those of an image that cannot be read."""

    status: str = "unreadable"
    lungs: LungMask | None = None
    n_patches: int = 0
    lung_fraction: float = np.nan
    lung_grey: float = np.nan
    native_side: int = 0


def prepare_images(
    dataset: Dataset,
    *,
    size: int,
    segmenter: Segmenter,
    sampler: PatchSampler,
    progress: ProgressCallback,
) -> StageResult:
    """Read every image and segment its lungs; an unusable image does not affect the others.

    Parameters
    ----------
    dataset : Dataset
    size : int
        Side of the model grid.
    segmenter : Segmenter
    sampler : PatchSampler
        Cuts patches of lung, which are counted.
    progress : callable

    Returns
    -------
    StageResult
        The ``arrays`` are the fields of `PreparedImages`. The ``values`` count the images by label
        and status, and name those that are unreadable.
    """
    rows, unreadable = [], []
    for index in range(len(dataset)):
        progress("images", index + 1, len(dataset), {})
        try:
            image = dataset.read(index)
        except LungpatchError as error:
            unreadable.append(str(error))
            rows.append(_PreparedImage())
        else:
            rows.append(_prepare(image, size, segmenter, sampler))
    masks = np.zeros((len(rows), -(-(size**2) // 8)), np.uint8)
    for mask, row in zip(masks, rows, strict=True):
        if row.lungs is not None:
            mask[:] = np.packbits(row.lungs.pixels)
    images = PreparedImages(
        dataset=dataset,
        size=size,
        masks=masks,
        status=np.array([row.status for row in rows], dtype="<U17"),
        n_patches=np.array([row.n_patches for row in rows], np.int64),
        lung_fraction=np.array([row.lung_fraction for row in rows], np.float64),
        lung_grey=np.array([row.lung_grey for row in rows], np.float64),
        native_side=np.array([row.native_side for row in rows], np.int64),
    )
    return StageResult(
        values=_count(images) | {"unreadable": unreadable},
        arrays=attrs.asdict(
            images, recurse=False, filter=lambda field, _: field.name not in ("dataset", "size")
        ),
    )


def _prepare(
    original: ChestImage, size: int, segmenter: Segmenter, sampler: PatchSampler
) -> _PreparedImage:
    image = resize(original, size)
    lungs = segmenter.segment(image)
    native_side = min(original.native_shape)
    if not lungs.pixels.any():
        return _PreparedImage(status="no_lungs", lungs=lungs, native_side=native_side)
    return _PreparedImage(
        status="implausible_lungs" if lungs.implausible else "ok",
        lungs=lungs,
        n_patches=0 if lungs.implausible else len(sampler.sample(image, lungs)),
        lung_fraction=lungs.fraction,
        lung_grey=float(image.pixels[lungs.pixels].mean()),
        native_side=native_side,
    )


def _count(images: PreparedImages) -> dict[str, object]:
    dataset = images.dataset
    status, counts = np.unique(images.status, return_counts=True)
    return {
        "images": {
            label: int((dataset.labels == label).sum()) for label in ("normal", "pneumonia")
        },
        "boxed": int(images.boxed.sum()),
        "patients": len(set(dataset.patients.tolist()) - {""}),
        "status": dict(zip(status.tolist(), counts.tolist(), strict=True)),
        "median_side": None if images.median_side is None else int(images.median_side),
    }
