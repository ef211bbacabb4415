"""Sources of truth: images, and what readers or raters said of them.

The layout of the folder is on the page Evaluation. A source has one or more parts, each a row of
the table of `lungpatch.evaluation.across_sources.evaluate_sources`.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from lungpatch.containers import BoolImage
from lungpatch.datasets import Dataset, load_folder
from lungpatch.datasets.tables import Row, read_table
from lungpatch.errors import ConfigurationError, InsufficientDataError, MissingInputError
from lungpatch.evaluation.cases import (
    GRID_SIZE,
    VIEWS,
    boxes_mask,
    distinct_boxes,
    to_evaluation_grid,
)
from lungpatch.evaluation.kinds import Kinds, Role
from lungpatch.io import find_images, image_id_of, read_image, read_mask, resize
from lungpatch.segmenters import UNetSegmenter
from lungpatch.synthesis import LesionSynthesiser

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence

MIN_IMAGES = 3
"""Minimum number of images with a finding, or of a view, for a row of their own."""
OPACITY = "Consolidation"
"""The finding of the second readers that is compared with the boxes of the first."""
RATINGS = {"extent": "geographic_0_8", "opacity": "opacity_0_6"}
"""Columns of the raters of severity."""
N_PAINTED = 60
"""Maximum number of images that lesions are painted into, each of another patient."""
PAINTED_SIZE = 512
"""Side of these images, in pixels."""

_GRID = (GRID_SIZE, GRID_SIZE)
_FINER = 4
_NOTHING: BoolImage = np.zeros(_GRID, dtype=np.bool_)
_NOTHING.flags.writeable = False


@attrs.frozen(eq=False, kw_only=True)
class SecondReading:
    """What other readers marked on the same image.

    Parameters
    ----------
    marked : ndarray of bool, shape (GRID_SIZE, GRID_SIZE)
    point : tuple of float
        Row and column of the centre of their largest region, in pixels of the evaluation grid.

    Examples
    --------
    >>> marked = np.zeros((256, 256), bool)
    >>> SecondReading(marked=marked, point=(3.0, 4.5)).point
    (3.0, 4.5)
    """

    marked: BoolImage
    point: tuple[float, float]


@attrs.frozen(eq=False, kw_only=True)
class KnownImage:
    """One image, and what a source knows of it.

    Parameters
    ----------
    path : pathlib.Path
    pixels : ndarray of uint8, shape (H, W), or None
        What was made of the image in the file, if it is not taken as it is.
    patient : str
        Not the same in two folders, since their numbers are not of the same hospital.
    view : str
    role : {"positive", "reference", "normal", "neither"}
        Image metrics compare ``positive`` images with ``reference`` ones. ``normal`` images are
        normal too, but of a folder that detectors are fitted to.
    marked : ndarray of bool, shape (GRID_SIZE, GRID_SIZE)
        Pixels that readers marked, in the lungs or not.
    ignored : ndarray of bool, shape (GRID_SIZE, GRID_SIZE)
        Pixels that count neither as marked nor as not marked.
    rating : float
        Severity; NaN if it was not rated.
    second : SecondReading or None

    Examples
    --------
    >>> KnownImage(path=Path("a.png"), patient="1", rating=3.5).role
    'neither'
    """

    path: Path
    pixels: NDArray[np.uint8] | None = None
    patient: str
    view: str = ""
    role: Role = "neither"
    marked: BoolImage = _NOTHING
    ignored: BoolImage = _NOTHING
    rating: float = float("nan")
    second: SecondReading | None = None

    @property
    def image_id(self) -> str:
        """The file's name without its suffix, marked if the image was changed."""
        return image_id_of(self.path) + ("" if self.pixels is None else " painted")

    @property
    def key(self) -> tuple[Path, bool]:
        """The same for the same image in several sources."""
        return self.path, self.pixels is None


@attrs.frozen(eq=False, kw_only=True)
class Part:
    """Images of a source that are measured together.

    Parameters
    ----------
    name : str
    images : tuple of KnownImage

    Examples
    --------
    >>> Part(name="all", images=(KnownImage(path=Path("a.png"), patient="1"),)).name
    'all'
    """

    name: str
    images: tuple[KnownImage, ...]

    def where(self, wanted: Callable[[KnownImage], bool], name: str | None = None) -> Part:
        """Return the part with some of the images only, under another name if one is given.

        Parameters
        ----------
        wanted : callable
        name : str, optional

        Returns
        -------
        Part
        """
        return Part(name=name or self.name, images=tuple(filter(wanted, self.images)))


@attrs.frozen(eq=False, kw_only=True)
class Source:
    """Images with one kind of truth.

    Parameters
    ----------
    name : str
    about : str
        What is true there, in a sentence.
    parts : tuple of Part
        The first is all of the source; the others are parts of it, or other findings.
    of_opacities : bool
        Whether the first part says where opacities are: then it counts in the spread over sources.
    notes : tuple of str
        What a reader of the table must know, in sentences.

    See Also
    --------
    load_source : makes one.

    Examples
    --------
    >>> source = load_source("lesions", "data")                        # doctest: +SKIP
    >>> [part.name for part in source.parts]                           # doctest: +SKIP
    ['all']
    """

    name: str
    about: str
    parts: tuple[Part, ...]
    of_opacities: bool = False
    notes: tuple[str, ...] = ()


def load_source(name: str, folder: str | os.PathLike[str]) -> Source:
    r"""Load what a source knows of its images.

    The images are read later, but for those that lesions are painted into.

    Parameters
    ----------
    name : str
        One of `SOURCES`.
    folder : path
        Folder of the subfolders ``cxr`` and ``lungs``; see the page Evaluation.

    Returns
    -------
    Source

    Raises
    ------
    ConfigurationError
        If there is no source of that name, or a file of it cannot be used.
    MissingInputError
        If a file of it is missing.
    InsufficientDataError
        If it holds no image with the truth that it is for.

    Examples
    --------
    >>> load_source("hearsay", "data")
    Traceback (most recent call last):
    ...
    lungpatch.errors.ConfigurationError: unknown source 'hearsay'; known are boxes, ...
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "lungs" / "image").mkdir(parents=True)
    >>> for name in ("a.png", "b.png"):
    ...     (folder / "lungs" / "image" / name).touch()
    >>> _ = (folder / "lungs" / "films.csv").write_text(
    ...     "file,patient,view,geographic_0_8,opacity_0_6\na.png,1,PA,3.5,2\nb.png,2,PA,0.5,1\n")
    >>> extent, opacity = load_source("severity", folder).parts
    >>> extent.name, [known.rating for known in extent.images]
    ('extent', [3.5, 0.5])
    """
    if name not in SOURCES:
        raise ConfigurationError(f"unknown source {name!r}; known are {', '.join(SOURCES)}")
    source = SOURCES[name](Path(folder))
    if not any(source.parts[0].images):
        raise InsufficientDataError(f"{folder}: no image for the source {name!r}")
    return source


def load_sources(
    folder: str | os.PathLike[str], names: Sequence[str] | None = None
) -> list[Source]:
    """Load several sources.

    Parameters
    ----------
    folder : path
        As of `load_source`.
    names : sequence of str, optional
        By default all of `SOURCES`.

    Returns
    -------
    list of Source

    Raises
    ------
    ConfigurationError, MissingInputError, InsufficientDataError
        As by `load_source`.

    Examples
    --------
    >>> [source.name for source in load_sources("data", ["boxes", "lesions"])]  # doctest: +SKIP
    ['boxes', 'lesions']
    """
    return [load_source(name, folder) for name in names or SOURCES]


# --------------------------------------------------------------------- first and second readers


def _boxes(folder: Path) -> Source:
    everything = Part(name="all", images=tuple(_boxed_images(folder).values()))
    return Source(
        name="boxes",
        about="boxes around opacities by the readers of RSNA and NIH, and images they read as "
        "normal",
        parts=(everything, *_by_view(everything)),
        of_opacities=True,
    )


def _boxed_images(folder: Path) -> dict[str, KnownImage]:
    """Return the images with a role or a box, by file name."""
    dataset = _films(folder, boxes=True)
    kinds = Kinds.of(dataset)
    found = {}
    for index, path in enumerate(dataset.images):
        assert isinstance(path, Path)
        boxes = distinct_boxes(dataset.boxes(index, _GRID))
        known = KnownImage(
            path=path,
            patient=str(dataset.patients[index]),
            view=str(dataset.views[index]),
            role=kinds.role_of(index),
            marked=boxes_mask(boxes, _GRID),
        )
        if known.role != "neither" or len(boxes):
            found[path.name] = known
    return found


def _films(folder: Path, *, boxes: bool) -> Dataset:
    images = folder / "cxr"
    return load_folder(
        images,
        metadata=images / "metadata.csv",
        boxes=images / "boxes.csv" if boxes else None,
    )


def _second_readers(folder: Path) -> Source:
    images, findings = _second_reader_films(folder)
    counts = Counter(finding for found in findings.values() for finding in found)
    free = {name for name, found in findings.items() if not found}
    regions = _second_reader_regions(folder, findings)

    def part_of(finding: str) -> Part:
        return Part(
            name=finding.lower(),
            images=tuple(
                attrs.evolve(
                    known,
                    role="reference" if name in free else "positive",
                    marked=np.any([mask for label, mask in regions[name] if label == finding], 0)
                    if name not in free
                    else _NOTHING,
                )
                for name, known in images.items()
                if name in free or finding in findings[name]
            ),
        )

    others = [
        finding
        for finding, number in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        if finding != OPACITY and number >= MIN_IMAGES
    ]
    main = part_of(OPACITY)
    together = {
        name: sum(OPACITY in found and name in found for found in findings.values())
        for name in others
    }
    return Source(
        name="second-readers",
        about="outlines of findings by the readers of ChestX-Det, and images that they found free "
        "of all findings",
        parts=(main, *_by_view(main), *map(part_of, others)),
        of_opacities=True,
        notes=(
            "second-readers: images with another finding often show consolidation, too: "
            + ", ".join(
                f"{finding.lower()} {together[finding]} of {counts[finding]}" for finding in others
            )
            + ". The other findings of an image count as not marked.",
        )
        if others
        else (),
    )


def _second_reader_films(folder: Path) -> tuple[dict[str, KnownImage], dict[str, list[str]]]:
    """Return the images that the second readers saw, and what they found, by file name."""
    dataset = _films(folder, boxes=False)
    by_name = {
        path.name: index for index, path in enumerate(dataset.images) if isinstance(path, Path)
    }
    images, findings = {}, {}
    for row in read_table(folder / "cxr" / "chestxdet_films.csv", ["file", "findings"]):
        name = row.required("file")
        if name not in by_name:
            raise row.error("file", f"names {name!r}, which is not in metadata.csv beside it")
        index = by_name[name]
        path = dataset.images[index]
        assert isinstance(path, Path)
        images[name] = KnownImage(
            path=path, patient=str(dataset.patients[index]), view=str(dataset.views[index])
        )
        findings[name] = [found for found in row.values["findings"].split("|") if found]
    return images, findings


def _second_reader_regions(
    folder: Path, findings: Mapping[str, list[str]]
) -> dict[str, list[tuple[str, BoolImage]]]:
    """Return label and mask of each region, by file name."""
    path = folder / "cxr" / "chestxdet_polygons.json"
    outlines = _read_json(path)
    regions = {}
    try:
        for name, found in findings.items():
            regions[name] = [
                (str(each["label"]), polygon_mask(each["polygon"], _GRID))
                for each in outlines.get(name, [])
            ]
            missing = set(found) - {label for label, _ in regions[name]}
            if missing:
                raise ConfigurationError(
                    f"{path}: holds no outline of {sorted(missing)[0]!r} for {name}, which the "
                    "table of images lists; complete the file, or remove the finding there"
                )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"{path}: must map each file to a list of objects with 'label' and 'polygon', a list "
            f"of points [x, y] relative to the image's sides ({error})"
        ) from error
    return regions


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingInputError(f"{path}: no such file; check the path") from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: cannot be read as JSON ({error})") from error


def polygon_mask(points: Iterable[tuple[float, float]], shape: tuple[int, int]) -> BoolImage:
    """Return the mask of the pixels of which at least half lies within a polygon.

    Parameters
    ----------
    points : iterable of (float, float)
        x and y, relative to the image's width and height.
    shape : tuple of int
        (H, W).

    Returns
    -------
    ndarray of bool, shape (H, W)

    Examples
    --------
    >>> triangle = polygon_mask([(0, 0), (1, 0), (0, 1)], (64, 64))
    >>> bool(triangle[10, 10]), bool(triangle[60, 60]), round(float(triangle.mean()), 1)
    (True, False, 0.5)
    """
    height, width = (side * _FINER for side in shape)
    canvas = Image.new("L", (width, height))
    # A pixel's coordinate is that of its centre.
    corners = [(float(x) * width - 0.5, float(y) * height - 0.5) for x, y in points]
    ImageDraw.Draw(canvas).polygon(corners, fill=255)
    return np.asarray(canvas.reduce(_FINER)) >= 128


def _readers(folder: Path) -> Source:
    """Return the images that both the first and the second readers marked."""
    first = _boxed_images(folder)
    _, findings = _second_reader_films(folder)
    both = {
        name: found
        for name, found in findings.items()
        if name in first and first[name].marked.any() and OPACITY in found
    }
    known = []
    for name, regions in _second_reader_regions(folder, both).items():
        masks = [mask for label, mask in regions if label == OPACITY]
        largest = np.argwhere(max(masks, key=np.count_nonzero))
        row, column = largest.mean(axis=0)
        second = SecondReading(marked=np.any(masks, axis=0), point=(float(row), float(column)))
        known.append(attrs.evolve(first[name], role="neither", second=second))
    return Source(
        name="readers",
        about="images that two groups of readers marked: a detector beside the second readers, "
        "both against the boxes of the first",
        parts=(Part(name="all", images=tuple(known)),),
    )


# ------------------------------------------------------------------------------ painted lesions


def _painted(folder: Path) -> Source:
    """Return normal images with and without a painted lesion; always the same ones."""
    doubtful = folder / "cxr" / "normal_doubtful.csv"
    excluded = {row.values["file"] for row in read_table(doubtful, ["file"])}
    by_patient: dict[str, KnownImage] = {}
    for known in _boxed_images(folder).values():
        if known.role == "normal" and known.path.name not in excluded:
            by_patient.setdefault(known.patient, attrs.evolve(known, role="reference"))
    patients = sorted(by_patient)
    normal = [by_patient[each] for each in patients[:: -(-len(patients) // N_PAINTED) or 1]]
    segmenter = UNetSegmenter()
    synthesiser = LesionSynthesiser(normal_fraction=0.0)
    rng = np.random.default_rng(0)
    images = [resize(read_image(known.path), PAINTED_SIZE) for known in normal]
    painted = []
    for index, (known, image) in enumerate(zip(normal, images, strict=True)):
        lungs = segmenter.segment(image)
        if not lungs.pixels.any():
            continue
        lesion = synthesiser.paint(image.pixels, lungs.pixels, rng, other=images[index - 1].pixels)
        painted.append(
            attrs.evolve(
                known,
                pixels=np.rint(255 * np.clip(lesion.pixels, 0, 1)).astype(np.uint8),
                role="positive",
                marked=to_evaluation_grid(lesion.alpha >= 0.5),
            )
        )
    return Source(
        name="painted",
        about="lesions that lungpatch.synthesis paints into normal images, and the same images "
        "without them: no reader is asked",
        parts=(Part(name="all", images=(*painted, *normal)),),
        notes=(
            "painted: many detectors are trained on lesions that are painted likewise, so its "
            "metrics are good for choosing, and no evidence.",
        ),
    )


# --------------------------------------------------------------- lesions, severity, tubes


def _lesions(folder: Path) -> Source:
    everything = Part(
        name="all",
        images=tuple(
            attrs.evolve(known, marked=_mask(folder, "lesion", name))
            for name, known in _covid_images(folder, "lesion").items()
        ),
    )
    trained = {path.name for path in _files(folder / "lungs" / "mask")}
    of_segmenter = everything.where(
        lambda known: known.path.name in trained, "lungs trained the segmenter"
    )
    others = everything.where(lambda known: known.path.name not in trained, "other lungs")
    parts: tuple[Part, ...] = (everything, of_segmenter, others)
    if not others.images:
        parts = (of_segmenter,)
    elif not of_segmenter.images:
        parts = (everything,)
    return Source(
        name="lesions",
        about="masks of ground glass and consolidation on images of COVID",
        parts=parts,
        of_opacities=True,
        notes=(
            f"lesions: the lung masks of {len(of_segmenter.images)} of the "
            f"{len(everything.images)} images trained the segmenter that comes with lungpatch, so "
            "lungs are found there better than elsewhere.",
        ),
    )


def _severity(folder: Path) -> Source:
    rows = {row.values["file"]: row for row in _covid_table(folder, *RATINGS.values())}
    parts = []
    for name, column in RATINGS.items():
        rated = [file for file, row in rows.items() if row.values[column]]
        images = tuple(
            attrs.evolve(_covid_image(folder, rows[file]), rating=rows[file].number(column))
            for file in rated
        )
        parts.append(Part(name=name, images=images))
    return Source(
        name="severity",
        about="extent and opacity of disease on images of COVID, mean of three raters",
        parts=(*parts, *_by_view(parts[0])),
    )


def _devices(folder: Path) -> Source:
    lesions = {path.name for path in _files(folder / "lungs" / "lesion")}
    images = tuple(
        attrs.evolve(
            known,
            marked=_mask(folder, "device", name),
            ignored=_mask(folder, "lesion", name) if name in lesions else _NOTHING,
        )
        for name, known in _covid_images(folder, "device").items()
    )
    return Source(
        name="devices",
        about="masks of tubes and probes on images of COVID, outside of the lesions; here a "
        "detector should be no better than chance",
        parts=(Part(name="all", images=images),),
    )


def _covid_images(folder: Path, masks: str) -> dict[str, KnownImage]:
    """Return the images that have a mask of a kind, by file name."""
    rows = {row.values["file"]: row for row in _covid_table(folder)}
    found = {}
    for mask in find_images(folder / "lungs" / masks):
        if mask.name not in rows:
            raise ConfigurationError(
                f"{folder / 'lungs' / 'films.csv'}: no line for {mask}; add the image, with its "
                "patient"
            )
        found[mask.name] = _covid_image(folder, rows[mask.name])
    return found


def _covid_table(folder: Path, *columns: str) -> list[Row]:
    return read_table(folder / "lungs" / "films.csv", ["file", "patient", "view", *columns])


def _covid_image(folder: Path, row: Row) -> KnownImage:
    path = folder / "lungs" / "image" / row.required("file")
    if not path.is_file():
        raise MissingInputError(f"{path}: no such file, but {row.path} lists it")
    return KnownImage(
        path=path,
        patient=f"lungs {row.required('patient')}",
        view=row.values["view"].split(" ")[0],  # AP Supine is AP
    )


def _mask(folder: Path, kind: str, name: str) -> BoolImage:
    mask: NDArray[np.bool_] = to_evaluation_grid(read_mask(folder / "lungs" / kind / name))
    return mask


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.png"))


def _by_view(part: Part) -> list[Part]:
    """Return the images of each view: the view alone tells many ill patients from others."""

    def of_view(view: str) -> Part:
        name = view if part.name == "all" else f"{part.name}, {view}"
        return part.where(lambda known: known.view == view, name)

    parts = [of_view(view) for view in VIEWS]
    return [each for each in parts if MIN_IMAGES <= len(each.images) < len(part.images)]


SOURCES: Mapping[str, Callable[[Path], Source]] = {
    "boxes": _boxes,
    "second-readers": _second_readers,
    "lesions": _lesions,
    "severity": _severity,
    "devices": _devices,
    "readers": _readers,
    "painted": _painted,
}
"""What `load_source` can load."""
