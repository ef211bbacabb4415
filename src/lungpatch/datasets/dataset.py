"""The value that every loader returns: images that are read on demand, and a table about them.

Loading reads tables and lists folders, but no pixels. A broken file is noticed when it is read, and
does not affect the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from lungpatch._utils.patients import normalise_patient
from lungpatch.containers import ChestImage
from lungpatch.errors import ConfigurationError, InsufficientDataError
from lungpatch.io import image_id_of, read_image

_NO_BOXES = np.empty((0, 4))
_NO_BOXES.flags.writeable = False


def _as_tuple(images: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(images)


def _text_column(values: ArrayLike) -> NDArray[np.str_]:
    column = np.array(values, dtype=np.str_)
    column.flags.writeable = False
    return column


def _patient_column(values: ArrayLike) -> NDArray[np.str_]:
    return _text_column([normalise_patient(value) for value in np.asarray(values, dtype=object)])


def _text_columns(columns: Mapping[str, ArrayLike]) -> Mapping[str, NDArray[np.str_]]:
    return MappingProxyType({name: _text_column(column) for name, column in columns.items()})


def _box_arrays(boxes: Any) -> tuple[NDArray[np.float64], ...]:
    arrays = []
    for each in boxes:
        array = _NO_BOXES
        if len(each):
            array = np.array(each, dtype=np.float64)
            array.flags.writeable = False
        arrays.append(array)
    return tuple(arrays)


def _label_tuples(labels: Any) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(each) for each in labels)


def _unknown(dataset: Dataset) -> list[str]:
    return [""] * len(dataset.images)


@attrs.frozen(eq=False, kw_only=True, repr=False)
class Dataset:
    r"""Radiographs that are read on demand, and a table of what is known about them.

    Every column is a read-only array of str with one value per image, ``""`` where it is not known,
    so that masks are plain comparisons: ``dataset.labels == "normal"``.

    Iterating yields what `lungpatch.Pipeline` takes: the path of an image in a file, the
    `ChestImage` of one in memory. So ``fit(dataset, patients=dataset.patient_by_image)`` and
    ``detect_many(dataset)`` work as they are, and a broken file does not affect the others.

    Parameters
    ----------
    name : str
    images : tuple of pathlib.Path or ndarray of uint8, shape (H, W)
        Where each image is, or its pixels.
    image_ids : array of str, shape (N,)
        By default the file's name without its suffix, as in `ChestImage.image_id`; needed for
        images in memory.
    labels : array of str, shape (N,)
        Such as ``normal`` and ``pneumonia``.
    patients : array of str, shape (N,)
        However they are written: ``00001280``, ``1280`` and ``1280.0`` are one patient, ``1280``.
    views : array of str, shape (N,)
        Such as ``AP`` and ``PA``.
    splits : array of str, shape (N,)
        The split that the publisher gives: ``training``, ``validation`` or ``test``.
    columns : mapping of str to array of str, shape (N,)
        Further columns of the source's tables.
    relative_boxes : tuple of ndarray of float64, shape (K, 4), values in [0, 1]
        Per image, (row0, col0, row1, col1) in units of its height and width.
    box_labels : tuple of tuple of str
        Per image, the finding in each box.
    attribution : str
        Whom to name where the images are shown, if the loader knows it.

    Raises
    ------
    ConfigurationError
        If lengths disagree, or a box is empty or reaches beyond its image.

    See Also
    --------
    load_folder, load_chest_xray, load_nih, load_rsna, load_pneumoniamnist : make one.

    Examples
    --------
    Fit to the normal images of a folder, then score the others:

    >>> import pathlib, tempfile
    >>> import lungpatch
    >>> from lungpatch.datasets import load_folder, phantom_cohort, save_cohort
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> save_cohort(phantom_cohort(8, 2, seed=0, size=256), folder)
    >>> lines = [f"{kind}/{file.name},{kind},{file.stem}\n"
    ...          for kind in ("normal", "opacity") for file in (folder / kind).iterdir()]
    >>> table = folder / "metadata.csv"
    >>> _ = table.write_text("file,label,patient\n" + "".join(sorted(lines)))
    >>> images = load_folder(folder, metadata=table)
    >>> images
    Dataset('...', 10 images of 10 patients; labels: normal 8, opacity 2)
    >>> normal = images.select(images.labels == "normal")
    >>> others = images.select(images.labels == "opacity")
    >>> pipeline = lungpatch.load_preset("paper")
    >>> pipeline.model.epochs = 1
    >>> pipeline = pipeline.fit(normal, patients=normal.patient_by_image)
    >>> [detection.status for detection in pipeline.detect_many(others)]
    ['ok', 'ok']
    """

    name: str
    images: tuple[Path | NDArray[np.uint8], ...] = attrs.field(converter=_as_tuple)
    image_ids: NDArray[np.str_] = attrs.field(converter=_text_column)
    labels: NDArray[np.str_] = attrs.field(
        default=attrs.Factory(_unknown, takes_self=True), converter=_text_column
    )
    patients: NDArray[np.str_] = attrs.field(
        default=attrs.Factory(_unknown, takes_self=True), converter=_patient_column
    )
    views: NDArray[np.str_] = attrs.field(
        default=attrs.Factory(_unknown, takes_self=True), converter=_text_column
    )
    splits: NDArray[np.str_] = attrs.field(
        default=attrs.Factory(_unknown, takes_self=True), converter=_text_column
    )
    columns: Mapping[str, NDArray[np.str_]] = attrs.field(factory=dict, converter=_text_columns)
    relative_boxes: tuple[NDArray[np.float64], ...] = attrs.field(
        default=attrs.Factory(lambda self: [()] * len(self.images), takes_self=True),
        converter=_box_arrays,
    )
    box_labels: tuple[tuple[str, ...], ...] = attrs.field(
        default=attrs.Factory(
            lambda self: [[""] * len(boxes) for boxes in self.relative_boxes], takes_self=True
        ),
        converter=_label_tuples,
    )
    attribution: str = ""

    @image_ids.default
    def _names_of_files(self) -> list[str]:
        if not all(isinstance(image, Path) for image in self.images):
            raise ConfigurationError(f"{self.name}: images in memory need image_ids; give them")
        return [image_id_of(image) for image in self.images if isinstance(image, Path)]

    def __attrs_post_init__(self) -> None:
        columns = {name: getattr(self, name) for name in _CORE_COLUMNS} | dict(self.columns)
        lengths = {name: len(column) for name, column in columns.items()}
        lengths |= {name: len(getattr(self, name)) for name in ("relative_boxes", "box_labels")}
        wrong = {name: length for name, length in lengths.items() if length != len(self)}
        if wrong:
            raise ConfigurationError(
                f"{self.name}: {len(self)} images, but columns of other lengths: {wrong}; give "
                "one value per image"
            )
        for image_id, boxes, labels in zip(
            self.image_ids, self.relative_boxes, self.box_labels, strict=True
        ):
            if boxes is _NO_BOXES and not labels:
                continue
            if boxes.shape != (len(labels), 4):
                raise ConfigurationError(
                    f"{self.name}: {image_id}: boxes of shape {boxes.shape} for {len(labels)} box "
                    "labels; give four numbers and one label per box"
                )
            inside = (boxes >= 0) & (boxes <= 1)  # NaN is not
            if not (inside.all() and (boxes[:, :2] < boxes[:, 2:]).all()):
                raise ConfigurationError(
                    f"{self.name}: {image_id}: relative_boxes must be (row0, col0, row1, col1) "
                    "in [0, 1], with row0 < row1 and col0 < col1"
                )

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[Path | ChestImage]:
        for index, image in enumerate(self.images):
            yield image if isinstance(image, Path) else self.read(index)

    def read(self, index: int) -> ChestImage:
        """Read one image.

        Parameters
        ----------
        index : int

        Returns
        -------
        ChestImage

        Raises
        ------
        MissingInputError, InvalidImageError
            If its file is missing or cannot be used; see `lungpatch.read_image`.

        Examples
        --------
        >>> dataset.read(0)                                            # doctest: +SKIP
        ChestImage('00001280_004', 512x512, range [0, 1])
        """
        image = self.images[index]
        if isinstance(image, Path):
            return read_image(image)
        # Not as_chest_image, which refuses the 28 pixels a side of PneumoniaMNIST.
        return ChestImage(
            pixels=image / np.float32(255.0), image_id=str(self.image_ids[index]), source=self.name
        )

    def boxes(self, index: int, shape: tuple[int, int]) -> NDArray[np.int64]:
        """Return the boxes of one image in pixels of a grid.

        Parameters
        ----------
        index : int
        shape : tuple of int
            (H, W) of the grid: ``image.shape`` for the native grid, or the shape of the model grid.

        Returns
        -------
        ndarray of int64, shape (K, 4)
            Half-open (row0, col0, row1, col1), edges at the nearest pixel edge. A box that would
            hold no row or column holds the one at its centre.

        Examples
        --------
        >>> from pathlib import Path
        >>> image = Dataset(name="one", images=[Path("a.png")],
        ...                relative_boxes=[[(0.25, 0.5, 0.5, 1.0)]])
        >>> image.boxes(0, (512, 256))
        array([[128, 128, 256, 256]])
        """
        height, width = shape
        scaled = self.relative_boxes[index] * np.array([height, width, height, width])
        edges: NDArray[np.int64] = np.rint(scaled).astype(np.int64)
        start, stop = edges[:, :2], edges[:, 2:]
        centre = ((scaled[:, :2] + scaled[:, 2:]) / 2).astype(np.int64)
        centre = np.minimum(centre, (height - 1, width - 1))
        empty = start == stop
        start[empty], stop[empty] = centre[empty], centre[empty] + 1
        return edges

    @property
    def patient_by_image(self) -> dict[str, str] | None:
        """Patient of each image id, as `Pipeline.fit` takes it; None if no patient is known.

        Raises
        ------
        ConfigurationError
            If only some of the patients are known, or two images with the same id have different
            patients.
        """
        if not len(self) or not (self.patients != "").any():
            return None
        self._check_patients()
        by_image: dict[str, str] = {}
        pairs = zip(self.image_ids.tolist(), self.patients.tolist(), strict=True)
        for image_id, patient in pairs:
            if by_image.setdefault(image_id, patient) != patient:
                raise ConfigurationError(
                    f"{self.name}: two images named {image_id}, of the patients "
                    f"{by_image[image_id]} and {patient}; rename one of the files"
                )
        return by_image

    def select(self, which: ArrayLike) -> Dataset:
        """Select some of the images.

        Parameters
        ----------
        which : array of bool, shape (N,), or of int
            A mask, or indices in the order wanted.

        Returns
        -------
        Dataset

        Raises
        ------
        ConfigurationError
            If it is neither.

        Examples
        --------
        >>> from pathlib import Path
        >>> images = Dataset(name="two", images=[Path("a.png"), Path("b.png")],
        ...                 labels=["normal", "pneumonia"])
        >>> images.select(images.labels == "normal")
        Dataset('two', 1 image, patients unknown; labels: normal 1)
        """
        chosen = np.asarray(which)
        if chosen.dtype == np.bool_ and chosen.shape == (len(self),):
            chosen = np.flatnonzero(chosen)
        elif not chosen.size:
            chosen = np.empty(0, dtype=np.int64)
        elif chosen.dtype.kind not in "iu" or chosen.ndim != 1:
            raise ConfigurationError(
                f"{self.name}: select needs a mask of bool of shape ({len(self)},) or indices, "
                f"got {chosen.dtype} of shape {chosen.shape}"
            )
        if chosen.size and not -len(self) <= chosen.min() <= chosen.max() < len(self):
            raise ConfigurationError(
                f"{self.name}: select got indices from {chosen.min()} to {chosen.max()}, but "
                f"there are {len(self)} images"
            )
        return attrs.evolve(
            self,
            images=[self.images[i] for i in chosen],
            relative_boxes=[self.relative_boxes[i] for i in chosen],
            box_labels=[self.box_labels[i] for i in chosen],
            columns={name: column[chosen] for name, column in self.columns.items()},
            **{name: getattr(self, name)[chosen] for name in _CORE_COLUMNS},
        )

    def split_by_patient(self, fractions: Mapping[str, float], *, seed: int) -> dict[str, Dataset]:
        """Split at random, so that no patient is in two parts.

        The split is stratified: in every part the fraction of patients with each label is as even
        as whole patients allow.

        Parameters
        ----------
        fractions : mapping of str to float
            Fraction of the patients by name of the part, above 0; their sum is 1.
        seed : int
            The same seed gives the same split, whatever the order of the images.

        Returns
        -------
        dict of str to Dataset
            By name of the part, the images in their order.

        Raises
        ------
        ConfigurationError
            If a fraction is not above 0, their sum is not 1, or a patient is unknown.
        InsufficientDataError
            If there are too few patients for one in every part.

        Examples
        --------
        >>> from pathlib import Path
        >>> images = Dataset(name="six", images=[Path(f"{n}.png") for n in range(6)],
        ...                 patients=["1", "1", "2", "2", "3", "4"])
        >>> parts = images.split_by_patient({"training": 0.5, "test": 0.5}, seed=0)
        >>> sorted(len(set(part.patients)) for part in parts.values())
        [2, 2]
        """
        wanted = np.array(list(fractions.values()), dtype=np.float64)
        if not (wanted.size and (wanted > 0).all() and abs(wanted.sum() - 1) < 1e-6):
            raise ConfigurationError(
                f"fractions must be above 0 and their sum 1, got {dict(fractions)}"
            )
        self._check_patients()
        labels_of: dict[str, set[str]] = {}
        for patient, label in zip(self.patients.tolist(), self.labels.tolist(), strict=True):
            labels_of.setdefault(patient, set()).add(label)
        patients = sorted(labels_of)
        rank = np.random.default_rng(seed).permutation(len(patients))
        strata = sorted(
            range(len(patients)), key=lambda i: (sorted(labels_of[patients[i]]), rank[i])
        )
        counts = np.zeros(len(wanted), dtype=np.int64)
        part_of: dict[str, int] = {}
        for done, index in enumerate(strata, start=1):
            # To the part that is furthest behind its fraction.
            part = int(np.argmax(wanted * done - counts))
            counts[part] += 1
            part_of[patients[index]] = part
        if not counts.all():
            raise InsufficientDataError(
                f"{self.name}: {len(patients)} patients are too few for parts of "
                f"{dict(fractions)}; give more patients or fewer parts"
            )
        parts = np.array([part_of[patient] for patient in self.patients.tolist()])
        return {name: self.select(parts == number) for number, name in enumerate(fractions)}

    def _check_patients(self) -> None:
        unknown = np.flatnonzero(self.patients == "")
        if unknown.size:
            raise ConfigurationError(
                f"{self.name}: the patients of {unknown.size} of {len(self)} images are not "
                f"known, {self.image_ids[unknown[0]]} first: leave these images out with select, "
                "give the patients (load_folder takes a metadata table), or, where each image is "
                "of another patient, use attrs.evolve(dataset, patients=dataset.image_ids)"
            )

    def __repr__(self) -> str:
        known = set(self.patients.tolist()) - {""}
        patients = f" of {_count(len(known), 'patient')}" if known else ", patients unknown"
        parts = [
            f"{name}: {_frequencies(getattr(self, name))}"
            for name in ("labels", "splits", "views")
            if (getattr(self, name) != "").any()
        ]
        n_boxes = sum(len(labels) for labels in self.box_labels)
        if n_boxes:
            boxed = sum(bool(labels) for labels in self.box_labels)
            parts.append(f"{_count(n_boxes, 'box')} on {_count(boxed, 'image')}")
        if self.attribution:
            parts.append(self.attribution)
        text = "; ".join([f"{_count(len(self), 'image')}{patients}", *parts])
        return f"Dataset({self.name!r}, {text})"


_CORE_COLUMNS = ("image_ids", "labels", "patients", "views", "splits")
_SHOWN_VALUES = 6


def _count(number: int, noun: str) -> str:
    plural = "" if number == 1 else "es" if noun.endswith("x") else "s"
    return f"{number} {noun}{plural}"


def _frequencies(column: NDArray[np.str_]) -> str:
    counts = Counter(column.tolist())
    shown = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:_SHOWN_VALUES]
    more = [f"{len(counts) - len(shown)} more"] if len(counts) > len(shown) else []
    return ", ".join([f"{value or 'unknown'} {count}" for value, count in shown] + more)
