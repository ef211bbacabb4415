"""The images a detector is judged on, and what is known of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray

from lungpatch._utils.progress import ProgressCallback, silent
from lungpatch.containers import BoolImage
from lungpatch.containers.grids import to_native_grid
from lungpatch.errors import ConfigurationError
from lungpatch.io import resize

if TYPE_CHECKING:
    from lungpatch.datasets.dataset import Dataset
    from lungpatch.datasets.splits import Split
    from lungpatch.protocols import Segmenter

FRAME = 256
"""Side of the square frame in which every detector is judged, in pixels."""
CELL = 16
"""Side of a cell of that frame."""
SAME_LESION = 0.5
"""A box of which more than this share lies in a larger one marks the same lesion again."""
KINDS = ("opacity", "read-normal", "normal", "other")


@attrs.frozen(eq=False, kw_only=True)
class Case:
    """One image and the truth about it, in the frame of `FRAME` pixels a side.

    Parameters
    ----------
    index : int
        In the data set.
    image_id, patient, view : str
    kind : {"opacity", "read-normal", "normal", "other"}
        ``opacity`` and ``read-normal``: what the readers of RSNA called images of the folder of the
        ill; ``normal``: of the folder of the normal; ``other``: neither.
    pixels : ndarray of float32, shape (FRAME, FRAME)
    lungs : ndarray of bool, shape (FRAME, FRAME)
        Of the reference segmenter, the same for every detector.
    boxes : ndarray of int64, shape (K, 4)
        One a lesion, half-open (row0, col0, row1, col1); what lies outside the lungs included.
    relative_area : float
        Share of the image that the boxes cover.
    lesion : ndarray of bool, shape (FRAME, FRAME)
        Lung within a box.

    Examples
    --------
    >>> [case.kind for case in cases if len(case.boxes)]               # doctest: +SKIP
    """

    index: int
    image_id: str
    patient: str
    view: str
    kind: str
    pixels: NDArray[np.float32]
    lungs: BoolImage
    boxes: NDArray[np.int64]
    relative_area: float
    lesion: BoolImage

    @property
    def localised(self) -> bool:
        """Whether places can be told right from wrong: lung within a box and beside it."""
        return bool(self.lesion.any() and (self.lungs & ~self.lesion).any())


def kinds_of(dataset: Dataset) -> NDArray[np.str_]:
    """Kind of every image, from the columns ``label`` and ``rsna_class``.

    Parameters
    ----------
    dataset : Dataset

    Returns
    -------
    ndarray of str, shape (N,)
        Of `KINDS`.

    Raises
    ------
    ConfigurationError
        If the table has no column ``rsna_class``.

    Examples
    --------
    >>> images = Dataset(name="two", images=["a.png", "b.png"], image_ids=["a", "b"],
    ...                 labels=["normal", "pneumonia"],
    ...                 columns={"rsna_class": ["", "Lung Opacity"]})
    >>> kinds_of(images).tolist()
    ['normal', 'opacity']
    """
    if "rsna_class" not in dataset.columns:
        raise ConfigurationError(
            f"{dataset.name}: the table of metadata has no column 'rsna_class'; add it, with "
            "'Lung Opacity' and 'Normal' as read by the RSNA, empty where unknown"
        )
    read = dataset.columns["rsna_class"]
    return np.select(
        [dataset.labels == "normal", read == "Lung Opacity", read == "Normal"],
        ["normal", "opacity", "read-normal"],
        "other",
    )


def leave_out_training(dataset: Dataset, split: Split) -> tuple[Dataset, dict[str, int]]:
    """Leave out every image of a patient of the training part, whatever folder it is in.

    Parameters
    ----------
    dataset : Dataset
    split : Split

    Returns
    -------
    dataset : Dataset
        Of the others.
    left_out : dict of str to int
        How many images were left out, by kind.

    Examples
    --------
    >>> images = Dataset(name="two", images=["a.png", "b.png"], image_ids=["a", "b"],
    ...                 labels=["normal", "pneumonia"], patients=["1", "2"],
    ...                 columns={"rsna_class": ["", ""]})
    >>> split = Split(name="s", training={"a.png": "1"}, held={}, pixels_sha256="")
    >>> leave_out_training(images, split)
    (Dataset('two', 1 image of 1 patient; labels: pneumonia 1), {'normal': 1})
    """
    learnt = np.isin(dataset.patients, sorted(set(split.training.values())))
    kinds, counts = np.unique(kinds_of(dataset)[learnt], return_counts=True)
    left_out = {str(kind): int(count) for kind, count in zip(kinds, counts, strict=True)}
    return dataset.select(~learnt), left_out


def read_cases(
    dataset: Dataset, segmenter: Segmenter, *, progress: ProgressCallback | None = None
) -> list[Case]:
    """Read images and find the lungs that every detector is judged in.

    Parameters
    ----------
    dataset : Dataset
    segmenter : Segmenter
    progress : callable, optional

    Returns
    -------
    list of Case
        One an image, in order.

    Raises
    ------
    MissingInputError, InvalidImageError
        If an image cannot be read: what is judged must be whole.

    Examples
    --------
    >>> cases = read_cases(images, segmenter)                           # doctest: +SKIP
    """
    notify = progress or silent
    kinds = kinds_of(dataset)
    cases = []
    for index in range(len(dataset)):
        image = resize(dataset.read(index), FRAME)
        lungs = np.asarray(segmenter.segment(image).pixels)
        boxes = distinct_boxes(dataset.boxes(index, (FRAME, FRAME)))
        inside = boxes_mask(boxes, (FRAME, FRAME))
        cases.append(
            Case(
                index=index,
                image_id=str(dataset.image_ids[index]),
                patient=str(dataset.patients[index]),
                view=str(dataset.views[index]),
                kind=str(kinds[index]),
                pixels=image.pixels,
                lungs=lungs,
                boxes=boxes,
                relative_area=float(inside.mean()),
                lesion=inside & lungs,
            )
        )
        notify("truth", index + 1, len(dataset), {})
    return cases


def distinct_boxes(boxes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Keep one box a lesion where several sources marked it.

    From the largest down, a box is dropped if more than half of it lies in one that is kept.

    Parameters
    ----------
    boxes : ndarray of int64, shape (K, 4)
        Half-open (row0, col0, row1, col1).

    Returns
    -------
    ndarray of int64, shape (L, 4)
        Largest first.

    Examples
    --------
    >>> distinct_boxes(np.array([[0, 0, 4, 4], [1, 1, 6, 6], [8, 8, 9, 9]])).tolist()
    [[1, 1, 6, 6], [8, 8, 9, 9]]
    """
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    kept: list[NDArray[np.int64]] = []
    for index in np.argsort(-areas, kind="stable"):
        box = boxes[index]
        if all(intersection(box, other) <= SAME_LESION * areas[index] for other in kept):
            kept.append(box)
    return np.array(kept, dtype=np.int64).reshape(-1, 4)


def intersection(one: NDArray[np.int64], other: NDArray[np.int64]) -> int:
    """Area that two half-open boxes share, in pixels.

    Parameters
    ----------
    one, other : ndarray of int64, shape (4,)

    Returns
    -------
    int

    Examples
    --------
    >>> intersection(np.array([0, 0, 4, 4]), np.array([2, 3, 9, 9]))
    2
    """
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    return int(np.prod(np.maximum(sides, 0)))


def boxes_mask(boxes: NDArray[np.int64], shape: tuple[int, int]) -> BoolImage:
    """Pixels that lie in any of the boxes.

    Parameters
    ----------
    boxes : ndarray of int64, shape (K, 4)
    shape : tuple of int

    Returns
    -------
    ndarray of bool, shape (H, W)

    Examples
    --------
    >>> boxes_mask(np.array([[0, 1, 1, 3]]), (1, 4)).tolist()
    [[False, True, True, False]]
    """
    mask: BoolImage = np.zeros(shape, dtype=bool)
    for row0, col0, row1, col1 in boxes:
        mask[row0:row1, col0:col1] = True
    return mask


def in_frame(array: NDArray[Any]) -> NDArray[Any]:
    """Bring a map of any size to `FRAME`, by the nearest pixel; nothing is interpolated.

    Parameters
    ----------
    array : ndarray, shape (H, W)

    Returns
    -------
    ndarray, shape (FRAME, FRAME)

    Examples
    --------
    >>> in_frame(np.zeros((512, 512))).shape
    (256, 256)
    """
    return to_native_grid(array, (FRAME, FRAME))
