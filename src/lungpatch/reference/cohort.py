"""Which images a reproduction takes, and what each of them is for."""

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
from lungpatch.errors import InsufficientDataError
from lungpatch.reference.settings import N_NORMAL_IMAGES, NORMAL_PATCHES

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

logger = logging.getLogger(__name__)

MIN_HELD = 3
"""Images that validation and test get at least, where there are some 15: ours."""


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


def phantom_images(n_normal: int, n_pneumonia: int, *, seed: int, size: int) -> Dataset:
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
    >>> phantom_images(2, 2, seed=0, size=64)
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
    >>> one = phantom_images(1, 1, seed=0, size=64)
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
    >>> images = attrs.evolve(phantom_images(2, 0, seed=0, size=64), patients=["a", ""])
    >>> known_patients(images).tolist()
    ['a', 'image 1']
    """
    own = np.array([f"image {number}" for number in range(len(dataset))], dtype=np.str_)
    return np.where(dataset.patients == "", own, dataset.patients)


def choose_roles(
    labels: ArrayLike,
    patients: ArrayLike,
    n_patches: ArrayLike,
    *,
    n_pneumonia: int,
    n_held_normal: int,
    rng: np.random.Generator,
) -> NDArray[np.str_]:
    """Say what each image is for, so that no patient is on two sides.

    Of the normal images 100 (`settings.N_NORMAL_IMAGES`) are learnt from, split by patient as the
    paper's patches are: 5,750 for training, 100 for validation, 200 for test where there are as
    many, and in proportion otherwise, but at least three images each for validation and test (a
    fifth, where there are few).

    Parameters
    ----------
    labels : array_like of str, shape (N,)
        ``normal``, ``pneumonia``; others are left out.
    patients : array_like of str, shape (N,)
    n_patches : array_like of int, shape (N,)
        Patches of normal lung that an image would give; images of 0 are not learnt from.
    n_pneumonia, n_held_normal : int
        At most so many images.
    rng : numpy.random.Generator
        Draws the patients.

    Returns
    -------
    ndarray of str, shape (N,)
        ``training``, ``validation`` and ``test`` (normal images), ``held`` (further normal images),
        ``pneumonia``, or empty. A pneumonia image of a patient who was learnt from is left out.

    Raises
    ------
    InsufficientDataError
        If three normal patients with lungs, or a pneumonia image, are lacking.

    Examples
    --------
    >>> roles = choose_roles(["normal"] * 20 + ["pneumonia"] * 2, range(22), [30] * 22,
    ...                      n_pneumonia=5, n_held_normal=5, rng=np.random.default_rng(0))
    >>> [int((roles == role).sum()) for role in ("training", "validation", "test", "pneumonia")]
    [14, 3, 3, 2]
    """
    classes, owners, counts = np.asarray(labels), np.asarray(patients), np.asarray(n_patches)
    roles = np.full(len(classes), "", dtype="<U10")
    usable = (classes == "normal") & (counts > 0)
    order = rng.permutation(np.unique(owners[usable]))
    if len(order) < 3:
        raise InsufficientDataError(
            f"a reproduction needs normal images of at least 3 patients whose lungs hold a patch, "
            f"got {len(order)}: give more images"
        )
    images_of = [np.flatnonzero(usable & (owners == owner)) for owner in order]
    sizes = np.array([len(films) for films in images_of])
    n_learnt = max(3, int(np.searchsorted(np.cumsum(sizes), N_NORMAL_IMAGES, side="right")))
    learnt, further = images_of[:n_learnt], images_of[n_learnt:]

    n_images = sum(map(len, learnt))
    total = int(sum(counts[films].sum() for films in learnt))
    share = min(1.0, total / sum(NORMAL_PATCHES.values()))
    least = max(1, min(MIN_HELD, n_images // 5))
    waiting = list(learnt)
    for role in ("test", "validation"):
        wanted = share * NORMAL_PATCHES[role]
        films = waiting.pop(0)
        others = 1 if role == "test" else 0  # validation needs a patient too
        while len(waiting) > 1 + others and (counts[films].sum() < wanted or len(films) < least):
            films = np.concatenate([films, waiting.pop(0)])
        roles[films] = role
    roles[np.concatenate(waiting)] = "training"
    if further:
        roles[np.concatenate(further)[:n_held_normal]] = "held"

    seen = np.unique(owners[np.isin(roles, ("training", "validation"))])
    sick = np.flatnonzero((classes == "pneumonia") & ~np.isin(owners, seen))
    if not len(sick):
        raise InsufficientDataError(
            "there is no pneumonia image of a patient who was not learnt from: give some"
        )
    roles[np.sort(rng.permutation(sick)[:n_pneumonia])] = "pneumonia"
    return roles
