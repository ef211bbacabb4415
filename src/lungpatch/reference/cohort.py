"""Data sets for a reproduction: two folders joined, or a synthetic cohort."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from lungpatch.datasets.dataset import Dataset
from lungpatch.datasets.labelled_folder import read_folder
from lungpatch.datasets.phantom import PhantomCase, phantom_cohort

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)


def join_folders(
    normal: Path, pneumonia: Path, *, metadata: Path | None = None, boxes: Path | None = None
) -> Dataset:
    r"""Load a folder of normal and one of pneumonia images as one data set.

    Parameters
    ----------
    normal, pneumonia : path of a folder
    metadata : path of a CSV file, optional
        As `lungpatch.datasets.load_folder` takes it, for both folders together. Without it each
        image counts as a patient of its own.
    boxes : path of a CSV file, optional
        Likewise, of the pneumonia images.

    Returns
    -------
    Dataset
        Labels are ``normal`` and ``pneumonia`` by folder.

    Raises
    ------
    MissingInputError, ConfigurationError
        As `lungpatch.datasets.load_folder`.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("n/1.png", "p/2.png", "p/3.png"):
    ...     (folder / name).parent.mkdir(exist_ok=True)
    ...     (folder / name).touch()
    >>> join_folders(folder / "n", folder / "p")
    Dataset('n and p', 3 images, patients unknown; labels: pneumonia 2, normal 1)
    """
    parts, missing = [], []
    for folder, table_of_boxes in ((normal, None), (pneumonia, boxes)):
        part, absent = read_folder(folder, metadata=metadata, boxes=table_of_boxes)
        # A table of both folders lists files that are in the other one.
        own = [
            isinstance(path, Path) and path.is_relative_to(folder) and path.exists()
            for path in part
        ]
        parts.append(part.select(own))
        missing.append(absent)
    in_neither = len(missing[0] & missing[1])
    if in_neither:
        logger.warning(
            "%d images of %s are neither in %s nor in %s", in_neither, metadata, normal, pneumonia
        )
    one, two = parts
    return Dataset(
        name=f"{one.name} and {two.name}",
        images=one.images + two.images,
        labels=["normal"] * len(one) + ["pneumonia"] * len(two),
        patients=np.concatenate([one.patients, two.patients]),
        views=np.concatenate([one.views, two.views]),
        columns={
            name: np.concatenate([one.columns[name], two.columns[name]])
            for name in one.columns.keys() & two.columns.keys()
        },
        relative_boxes=one.relative_boxes + two.relative_boxes,
        box_labels=one.box_labels + two.box_labels,
    )


def phantom_dataset(n_normal: int, n_pneumonia: int, *, seed: int, size: int) -> Dataset:
    """Make a synthetic cohort as a data set, with boxes around its opacities.

    Parameters
    ----------
    n_normal, n_pneumonia : int
    seed : int
    size : int
        Side of the images in pixels.

    Returns
    -------
    Dataset
        A box around each connected part of an opacity.

    Examples
    --------
    >>> phantom_dataset(2, 2, seed=0, size=64)
    Dataset('phantom', 4 images of 4 patients; labels: normal 2, pneumonia 2; ... on 2 images)
    """
    cases = list(phantom_cohort(n_normal, n_pneumonia, seed=seed, size=size))
    return Dataset(
        name="phantom",
        images=[np.rint(255.0 * case.image.pixels).astype(np.uint8) for case in cases],
        image_ids=[case.patient for case in cases],
        patients=[case.patient for case in cases],
        labels=["normal" if case.kind == "normal" else "pneumonia" for case in cases],
        relative_boxes=[_boxes_around_opacity(case) for case in cases],
    )


def _boxes_around_opacity(case: PhantomCase) -> list[tuple[float, float, float, float]]:
    parts, _ = ndimage.label(case.opacity, structure=np.ones((3, 3)))
    height, width = case.opacity.shape
    return [
        (rows.start / height, columns.start / width, rows.stop / height, columns.stop / width)
        for rows, columns in ndimage.find_objects(parts)
    ]


def dataset_digest(dataset: Dataset) -> str:
    """Return the SHA-256 of all pixels (or files) and of all that the table says.

    Parameters
    ----------
    dataset : Dataset

    Returns
    -------
    str
        It does not depend on where the files lie. A missing file counts as empty.

    Examples
    --------
    >>> import attrs
    >>> one = phantom_dataset(1, 1, seed=0, size=64)
    >>> two = attrs.evolve(one, labels=["normal", "normal"])
    >>> dataset_digest(one) == dataset_digest(one), dataset_digest(one) == dataset_digest(two)
    (True, False)
    """
    digest = hashlib.sha256()
    for image in dataset.images:
        if not isinstance(image, Path):
            content = image.tobytes()
        else:
            content = image.read_bytes() if image.is_file() else b""
        digest.update(hashlib.sha256(content).digest())
    columns = [dataset.image_ids, dataset.labels, dataset.patients, dataset.views]
    columns += [dataset.columns[name] for name in sorted(dataset.columns)]
    for column in columns:
        digest.update("\0".join(column.tolist()).encode(errors="surrogateescape"))
    for boxes in dataset.relative_boxes:
        digest.update(boxes.tobytes())
    return digest.hexdigest()


def known_patients(dataset: Dataset) -> NDArray[np.str_]:
    """Return the patient of each image; one whose patient is not known is a patient of its own.

    Parameters
    ----------
    dataset : Dataset

    Returns
    -------
    ndarray of str, shape (N,)

    Examples
    --------
    >>> import attrs
    >>> images = attrs.evolve(phantom_dataset(2, 0, seed=0, size=64), patients=["a", ""])
    >>> known_patients(images).tolist()
    ['a', 'image 1']
    """
    own = np.array([f"image {number}" for number in range(len(dataset))], dtype=np.str_)
    return np.where(dataset.patients == "", own, dataset.patients)
