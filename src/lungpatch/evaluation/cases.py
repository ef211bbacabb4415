"""The images that detectors are evaluated on, and what is known about them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray

from lungpatch._utils.progress import ProgressCallback, silent
from lungpatch.containers import BoolImage
from lungpatch.containers.grids import to_native_grid
from lungpatch.errors import ConfigurationError
from lungpatch.evaluation.kinds import Kinds, Role
from lungpatch.io import image_id_of, resize

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lungpatch.datasets import Dataset, Split
    from lungpatch.protocols import Segmenter

GRID_SIZE = 256
"""Side of the square grid on which every detector is evaluated, in pixels."""
CELL_SIZE = 16
"""Side of a cell of that grid, in pixels."""
SAME_LESION = 0.5
"""A box of which more than this fraction lies in a larger one marks the same lesion again."""
VIEWS = ("AP", "PA")
"""The views that are told apart."""


@attrs.frozen(eq=False, kw_only=True)
class Case:
    """One image and the truth about it, on the evaluation grid of `GRID_SIZE` pixels per side.

    Parameters
    ----------
    index : int
        Position in the data set.
    image_id, patient, view : str
    kind : str
        ``normal``: an image labelled normal. Of the images with any other label, ``opacity`` and
        ``read-normal`` are those that RSNA's readers called ``Lung Opacity`` and ``Normal``;
        ``other`` are the rest. Without such readings it is the label; without labels ``boxed`` or
        ``no box``.
    role : {"positive", "reference", "normal", "neither"}
        Of its kind; see `lungpatch.evaluation.kinds.Kinds`.
    pixels : ndarray of float32, shape (GRID_SIZE, GRID_SIZE)
    lungs : ndarray of bool, shape (GRID_SIZE, GRID_SIZE)
        Found by the reference segmenter; the same for every detector.
    boxes : ndarray of int64, shape (K, 4)
        One per lesion, half-open (row0, col0, row1, col1); parts outside the lungs included.
    marked : ndarray of bool, shape (GRID_SIZE, GRID_SIZE)
        What readers marked: the pixels in any box, unless the truth is finer than boxes.

    Examples
    --------
    >>> [case.kind for case in cases if len(case.boxes)]               # doctest: +SKIP
    """

    index: int
    image_id: str
    patient: str
    view: str
    kind: str
    role: Role
    pixels: NDArray[np.float32]
    lungs: BoolImage
    boxes: NDArray[np.int64]
    marked: BoolImage

    @property
    def lesion(self) -> BoolImage:
        """The lung pixels that are marked."""
        return self.marked & self.lungs

    @property
    def relative_area(self) -> float:
        """Fraction of the image that is marked."""
        return float(self.marked.mean())

    @property
    def localised(self) -> bool:
        """Whether localisation can be measured: some lung is marked, and some is not."""
        return bool(self.lesion.any() and (self.lungs & ~self.marked).any())


def listed_in(dataset: Dataset, names: Iterable[str]) -> NDArray[np.bool_]:
    """Say which images are listed by file name, whatever their suffix.

    Parameters
    ----------
    dataset : Dataset
    names : iterable of str
        File names, such as those of ``Split.training``.

    Returns
    -------
    ndarray of bool, shape (N,)

    Examples
    --------
    >>> from lungpatch.datasets import Dataset
    >>> images = Dataset(name="two", images=[Path("x/a.dcm"), Path("b.png")])
    >>> listed_in(images, ["a.png"]).tolist()
    [True, False]
    """
    listed = {image_id_of(Path(name)) for name in names}
    return np.array([image_id in listed for image_id in _file_ids(dataset)], dtype=np.bool_)


def _file_ids(dataset: Dataset) -> list[str]:
    pairs = zip(dataset.images, dataset.image_ids.tolist(), strict=True)
    return [image_id_of(image) if isinstance(image, Path) else own for image, own in pairs]


def check_patients(dataset: Dataset, split: Split) -> None:
    """Refuse a data set in which a patient is unknown, or is another one than in the split.

    Otherwise images that a detector was trained on could be taken for images of other patients.

    Parameters
    ----------
    dataset : Dataset
    split : Split

    Raises
    ------
    ConfigurationError
        If a patient is unknown, or a file of the split has another patient.

    Examples
    --------
    >>> from lungpatch.datasets import Dataset, Split
    >>> images = Dataset(name="one", images=[Path("a.png")], patients=["00001"])
    >>> split = Split(name="s", training={"a.png": "1"}, held={}, pixels_sha256="")
    >>> check_patients(images, split)
    >>> check_patients(Dataset(name="one", images=[Path("a.png")], patients=["2"]), split)
    Traceback (most recent call last):
    lungpatch.errors.ConfigurationError: one: 1 image of the split s is listed for another ...
    """
    if len(dataset) and dataset.patient_by_image is None:
        raise ConfigurationError(
            f"{dataset.name}: no patient is known, so images of patients that a detector was "
            "trained on cannot be left out; add a column 'patient' to the table of metadata"
        )
    expected = split.patient_by_image
    pairs = zip(_file_ids(dataset), dataset.patients.tolist(), strict=True)
    wrong = [(name, found) for name, found in pairs if expected.get(name, found) != found]
    if wrong:
        name, found = wrong[0]
        images = "1 image" if len(wrong) == 1 else f"{len(wrong)} images"
        raise ConfigurationError(
            f"{dataset.name}: {images} of the split {split.name} "
            f"{'is' if len(wrong) == 1 else 'are'} listed for another patient than there, "
            f"{name} first: {found} in the table of metadata, {expected[name]} in the split. "
            "Correct the column 'patient', or give a split with these patients"
        )


def leave_out_training(dataset: Dataset, split: Split) -> tuple[Dataset, dict[str, int]]:
    """Leave out the images of the split's training part, and all others of their patients.

    An image belongs to the training part if its file name or its patient is listed there, in
    whatever folder it lies.

    Parameters
    ----------
    dataset : Dataset
    split : Split

    Returns
    -------
    dataset : Dataset
        The remaining images.
    left_out : dict of str to int
        Number of images left out, by kind.

    Raises
    ------
    ConfigurationError
        As by `check_patients`.

    Examples
    --------
    >>> from lungpatch.datasets import Dataset, Split
    >>> images = Dataset(name="two", images=["a.png", "b.png"], image_ids=["a", "b"],
    ...                 labels=["normal", "pneumonia"], patients=["1", "2"],
    ...                 columns={"rsna_class": ["", ""]})
    >>> split = Split(name="s", training={"a.png": "1"}, held={}, pixels_sha256="")
    >>> leave_out_training(images, split)
    (Dataset('two', 1 image of 1 patient; labels: pneumonia 1), {'normal': 1})
    """
    trained = of_training_patients(dataset, split)
    counts = Kinds.of(dataset).select(trained).counts()
    return dataset.select(~trained), {kind: number for kind, number in counts.items() if number}


def of_training_patients(dataset: Dataset, split: Split) -> NDArray[np.bool_]:
    """Say which images are of the split's training part, or of its patients.

    Parameters
    ----------
    dataset : Dataset
    split : Split

    Returns
    -------
    ndarray of bool, shape (N,)

    Raises
    ------
    ConfigurationError
        As by `check_patients`.

    Examples
    --------
    >>> from lungpatch.datasets import Dataset, Split
    >>> images = Dataset(name="two", images=[Path("a.png"), Path("b.png")], patients=["1", "2"])
    >>> split = Split(name="s", training={"c.png": "2"}, held={}, pixels_sha256="")
    >>> of_training_patients(images, split).tolist()
    [False, True]
    """
    check_patients(dataset, split)
    patients = np.isin(dataset.patients, sorted(split.patients("training")))
    return patients | listed_in(dataset, split.training)


def read_cases(
    dataset: Dataset,
    segmenter: Segmenter,
    *,
    kinds: Kinds | None = None,
    progress: ProgressCallback | None = None,
) -> list[Case]:
    """Read images, and find the lungs in which every detector is evaluated.

    Parameters
    ----------
    dataset : Dataset
    segmenter : Segmenter
    kinds : Kinds, optional
        Of the images; by default found in the data set. Those of a part of a data set can differ
        from those of the whole: where no image of the part was read, say.
    progress : callable, optional

    Returns
    -------
    list of Case
        One per image, in order.

    Raises
    ------
    MissingInputError, InvalidImageError
        If an image cannot be read: an evaluation leaves no image out silently.

    Examples
    --------
    >>> cases = read_cases(images, segmenter)                           # doctest: +SKIP
    """
    notify = progress or silent
    kinds = kinds or Kinds.of(dataset)
    cases = []
    for index in range(len(dataset)):
        image = resize(dataset.read(index), GRID_SIZE)
        lungs = np.asarray(segmenter.segment(image).pixels)
        boxes = distinct_boxes(dataset.boxes(index, (GRID_SIZE, GRID_SIZE)))
        cases.append(
            Case(
                index=index,
                image_id=str(dataset.image_ids[index]),
                patient=str(dataset.patients[index]),
                view=str(dataset.views[index]),
                kind=str(kinds.names[index]),
                role=kinds.role_of(index),
                pixels=image.pixels,
                lungs=lungs,
                boxes=boxes,
                marked=boxes_mask(boxes, (GRID_SIZE, GRID_SIZE)),
            )
        )
        notify("truth", index + 1, len(dataset), {})
    return cases


def distinct_boxes(boxes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Keep one box per lesion where several sources marked it.

    From the largest box down, a box is dropped if more than half of it lies in one that is kept.

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
    """Return the area of the intersection of two half-open boxes, in pixels.

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
    """Return the mask of the pixels that lie in any of the boxes.

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


def to_evaluation_grid(array: NDArray[Any]) -> NDArray[Any]:
    """Bring a map of any size to the evaluation grid; the nearest pixel, no interpolation.

    Parameters
    ----------
    array : ndarray, shape (H, W)

    Returns
    -------
    ndarray, shape (GRID_SIZE, GRID_SIZE)

    Examples
    --------
    >>> to_evaluation_grid(np.zeros((512, 512))).shape
    (256, 256)
    """
    return to_native_grid(array, (GRID_SIZE, GRID_SIZE))
