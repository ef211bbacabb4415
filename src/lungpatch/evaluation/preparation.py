"""Which images are evaluated, what is known of them, and what had to be assumed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import numpy as np

from lungpatch.datasets import Dataset, Split, load_folder, load_split
from lungpatch.datasets.tables import read_table
from lungpatch.errors import ConfigurationError, InsufficientDataError, MissingInputError
from lungpatch.evaluation.cases import VIEWS, listed_in, of_training_patients
from lungpatch.evaluation.kinds import Kinds

if TYPE_CHECKING:
    import os

    from lungpatch.pipeline import Pipeline

logger = logging.getLogger(__name__)


def load_images(
    folder: str | os.PathLike[str],
    *,
    metadata: str | os.PathLike[str] | None = None,
    boxes: str | os.PathLike[str] | None = None,
) -> Dataset:
    """Load a folder of images to evaluate on, with what is known of them.

    As `lungpatch.datasets.load_folder` does, but names of subfolders are labels only if there is a
    table of metadata without the column ``label`` and one of the subfolders is called ``normal``.

    Parameters
    ----------
    folder : path
    metadata : path of a CSV file, optional
        With the column ``file``, and any of ``label``, ``patient``, ``view`` and ``rsna_class``.
    boxes : path of a CSV file, optional
        With the columns ``file``, ``x``, ``y``, ``w`` and ``h``.

    Returns
    -------
    Dataset

    Raises
    ------
    ConfigurationError
        If there is neither ``metadata`` nor ``boxes``, and as by `load_folder`.
    MissingInputError
        As by `load_folder`.

    Examples
    --------
    >>> images = load_images("images", metadata="images/metadata.csv")  # doctest: +SKIP
    """
    if metadata is None and boxes is None:
        raise ConfigurationError(
            f"{folder}: nothing is known of these images: give a table of metadata with the "
            "columns 'file' and 'label', a table of boxes, or both"
        )
    dataset = load_folder(folder, metadata=metadata, boxes=boxes)
    columns = {} if metadata is None else read_table(Path(metadata), ["file"])[0].values
    by_subfolder = metadata is not None and (np.char.lower(dataset.labels) == "normal").any()
    if {"label", "rsna_class"} & set(columns) or by_subfolder:
        return dataset
    return attrs.evolve(dataset, labels=[""] * len(dataset))


@attrs.frozen(eq=False, kw_only=True)
class Prepared:
    """The images of an evaluation.

    Parameters
    ----------
    remaining : Dataset
        The images to evaluate on; every patient is known.
    training : Dataset
        The images of the training part of the split.
    kinds : Kinds
        Of the remaining images.
    left_out : mapping of str to int
        Number of images left out, by kind.
    notes : tuple of str
        What was assumed, in sentences.

    Examples
    --------
    >>> prepare(images, None).notes[0]                                 # doctest: +SKIP
    'Taken as normal: the 122 images with the label normal. Taken as positive: ...'
    """

    remaining: Dataset
    training: Dataset
    kinds: Kinds
    left_out: Mapping[str, int]
    notes: tuple[str, ...]


def prepare(dataset: Dataset, split: Split | None) -> Prepared:
    """Choose the images to evaluate on, and check that something can be measured.

    Parameters
    ----------
    dataset : Dataset
    split : Split or None
        Images of its training part, and of their patients, are left out; None: no image is.

    Returns
    -------
    Prepared

    Raises
    ------
    InsufficientDataError
        If no image is left, or none is normal and none has a box.
    MissingInputError
        If the file of an image does not exist.
    ConfigurationError
        As by `lungpatch.evaluation.cases.check_patients`, if there is a split.

    Examples
    --------
    >>> prepare(images, split).left_out                                # doctest: +SKIP
    {'normal': 122}
    """
    kinds = Kinds.of(dataset)
    notes: list[str] = []
    trained = listed = np.zeros(len(dataset), dtype=np.bool_)
    if split is None:
        dataset = _with_patients(dataset, notes)
        notes.append(
            "No split was given, so no image was left out: if a pipeline was fitted to images of "
            "these patients, its results are too good."
        )
        warn_of_shipped_training(dataset)
    else:
        trained, listed = of_training_patients(dataset, split), listed_in(dataset, split.training)
        if trained.all():
            raise InsufficientDataError(
                f"{dataset.name}: every image is of a patient of the training part of "
                f"{split.name}; give images that were held out"
            )
        warn_of_unrelated_split(dataset, split)
    left_out = kinds.select(trained).counts()
    remaining, kinds = dataset.select(~trained), kinds.select(~trained)
    check_measurable(remaining, kinds)
    check_files(remaining)
    if not np.isin(remaining.views, VIEWS).any():
        notes.append("No view is known, so there is no table by view, and no control `view AP`.")
    return Prepared(
        remaining=remaining,
        training=dataset.select(listed),
        kinds=kinds,
        left_out={kind: number for kind, number in left_out.items() if number},
        notes=(kinds.describe(), *notes),
    )


def _with_patients(dataset: Dataset, notes: list[str]) -> Dataset:
    """Take each image whose patient is not known for a patient of its own, and say so."""
    unknown = dataset.patients == ""
    if not unknown.any():
        return dataset
    warning = (
        f"The patients of {int(unknown.sum())} of {len(dataset)} images are not known, so each of "
        "these counts as a patient of its own: if a patient has several images, the intervals are "
        "too narrow. Add a column 'patient' to the table of metadata."
    )
    logger.warning("%s: %s", dataset.name, warning)
    notes.append(warning)
    own = [f"image {number}" for number in range(len(dataset))]
    return attrs.evolve(dataset, patients=np.where(unknown, own, dataset.patients))


def check_measurable(dataset: Dataset, kinds: Kinds) -> None:
    """Refuse images of which none is known to be normal, and none has a box.

    Parameters
    ----------
    dataset : Dataset
    kinds : Kinds
        Of its images.

    Raises
    ------
    InsufficientDataError
        If so.

    Examples
    --------
    >>> from lungpatch.datasets import Dataset
    >>> images = Dataset(name="one", images=[Path("a.png")], labels=["pneumonia"])
    >>> check_measurable(images, Kinds.of(images))
    Traceback (most recent call last):
    ...
    lungpatch.errors.InsufficientDataError: one: no image is normal and none has a box, so ...
    """
    boxed = any(len(boxes) for boxes in dataset.relative_boxes)
    if boxed or kinds.has("reference", "normal"):
        return
    labels = sorted(set(dataset.labels.tolist()) - {""})
    found = ", ".join(labels[:10]) + (", ..." if labels[10:] else "")
    raise InsufficientDataError(
        f"{dataset.name}: no image is normal and none has a box, so nothing can be measured "
        f"(labels found: {found or 'none'}); write 'normal' in the column 'label' of normal "
        "images, or give a table of boxes"
    )


def check_files(dataset: Dataset) -> None:
    """Refuse a table that lists files that do not exist, before any work is done.

    Parameters
    ----------
    dataset : Dataset

    Raises
    ------
    MissingInputError
        If a file does not exist.

    Examples
    --------
    >>> from lungpatch.datasets import Dataset
    >>> check_files(Dataset(name="one", images=[Path("nowhere.png")]))
    Traceback (most recent call last):
    ...
    lungpatch.errors.MissingInputError: nowhere.png: no such file; it is in the table of ...
    """
    missing = [image for image in dataset.images if isinstance(image, Path) and not image.is_file()]
    if missing:
        others = f" (nor are {len(missing) - 1} others)" if missing[1:] else ""
        raise MissingInputError(
            f"{missing[0]}: no such file{others}; it is in the table of metadata: correct its "
            "column 'file', or remove the line"
        )


def warn_of_shipped_training(dataset: Dataset) -> None:
    """Log a warning if images are of those that the shipped pipelines may have been fitted to.

    Parameters
    ----------
    dataset : Dataset

    Examples
    --------
    >>> warn_of_shipped_training(dataset)                              # doctest: +SKIP
    """
    split = load_split("cxr-half")
    number = int(listed_in(dataset, [*split.training, *split.held]).sum())
    if number:
        logger.warning(
            "%s: %d of the images are in the split %s, to which the pipelines that come with "
            "lungpatch were fitted: evaluate a pipeline that was fitted to its training part, and "
            "give the split (--split %s)",
            dataset.name,
            number,
            split.name,
            split.name,
        )


def warn_of_held_out_images(name: str, pipeline: Pipeline, split: Split | None) -> None:
    """Log a warning if a pipeline was fitted to more images than the split's training part has.

    Parameters
    ----------
    name : str
    pipeline : Pipeline
    split : Split or None
        None: nothing is known of what it was fitted to.

    Examples
    --------
    >>> warn_of_held_out_images("default", pipeline, split)             # doctest: +SKIP
    """
    report = pipeline.report_
    n_images = 0 if report is None else report.n_images
    if split is not None and n_images > len(split.training):
        logger.warning(
            "%s was fitted to %d images, and the training part of %s has %d: it may have been "
            "fitted to normal images that it is evaluated on, which makes its folder test "
            "worthless",
            name,
            n_images,
            split.name,
            len(split.training),
        )


def warn_of_unrelated_split(dataset: Dataset, split: Split) -> None:
    """Log a warning if a split names no file and no patient of a data set.

    Parameters
    ----------
    dataset : Dataset
    split : Split

    Examples
    --------
    >>> warn_of_unrelated_split(dataset, split)                        # doctest: +SKIP
    """
    patients = split.patients("training") | split.patients("held")
    files = listed_in(dataset, [*split.training, *split.held])
    if not (files.any() or patients & set(dataset.patients.tolist())):
        logger.warning(
            "the split %s names no file and no patient of %s, so nothing was left out: make sure "
            "that no pipeline was fitted to these images",
            split.name,
            dataset.name,
        )
