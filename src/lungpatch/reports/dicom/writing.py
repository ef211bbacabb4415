"""Write the DICOM objects of a result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lungpatch._utils.extras import require_extra
from lungpatch._utils.files import atomic_write
from lungpatch.errors import ConfigurationError, InvalidImageError
from lungpatch.reports.dicom.parametric_map import parametric_map
from lungpatch.reports.dicom.presentation_state import presentation_state
from lungpatch.reports.dicom.result import PipelineIdentity, Result
from lungpatch.reports.dicom.secondary_capture import secondary_capture
from lungpatch.reports.dicom.segmentation import segmentation
from lungpatch.reports.dicom.source import read_source
from lungpatch.reports.dicom.structured_report import structured_report

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

    from pydicom.dataset import Dataset

    from lungpatch.reports.fields import DetectionFields

_BUILDERS: dict[str, Callable[[Result], Dataset]] = {
    "sc": secondary_capture,
    "sr": structured_report,
    "seg": segmentation,
    "pr": presentation_state,
    "pm": parametric_map,
}

KINDS = tuple(_BUILDERS)
"""Kinds of objects: secondary capture, structured report, segmentation, presentation state,
parametric map."""

DEFAULT_KINDS = ("sc", "sr")
"""Kinds that are written unless others are asked for."""


def check_kinds(kinds: Iterable[str]) -> tuple[str, ...]:
    """Check kinds of objects, and that they can be written, before any work.

    Parameters
    ----------
    kinds : iterable of str

    Returns
    -------
    tuple of str
        Each once, in the order of `KINDS`.

    Raises
    ------
    ConfigurationError
        If a kind is unknown, or there is none.
    MissingExtraError
        If highdicom is not installed.

    Examples
    --------
    >>> check_kinds(["sr", "sc", "sr"])                                # doctest: +SKIP
    ('sc', 'sr')
    >>> check_kinds(["sf"])
    Traceback (most recent call last):
    ...
    lungpatch.errors.ConfigurationError: there is no kind of DICOM object 'sf'; there are: ...
    """
    if isinstance(kinds, str):
        raise ConfigurationError(
            f'kinds of DICOM objects are a list, such as ["sc", "sr"]; got {kinds!r}'
        )
    wanted = list(kinds)
    for kind in wanted:
        if kind not in _BUILDERS:
            raise ConfigurationError(
                f"there is no kind of DICOM object {kind!r}; there are: {', '.join(KINDS)}"
            )
    if not wanted:
        raise ConfigurationError(f"no kind of DICOM object is given; there are: {', '.join(KINDS)}")
    require_extra("dicom", ["highdicom"], needed_by="writing DICOM objects")
    return tuple(kind for kind in KINDS if kind in wanted)


def write_dicom_objects(
    detection: DetectionFields,
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    pipeline: PipelineIdentity,
    kinds: Iterable[str] = DEFAULT_KINDS,
    stem: str | None = None,
) -> dict[str, Path]:
    """Write a result as DICOM objects that refer to its source image.

    All carry patient and study of the source, and name the pipeline and "research use only". Their
    UIDs follow from the source image and the pipeline, so the same result has the same UIDs
    whenever it is written. Boxes, masks and scores lie on the pixels of the source as they are
    stored, whatever was turned or mirrored for reading.

    Parameters
    ----------
    detection : Detection
        What a pipeline found in the image.
    source : path
        The DICOM file that the image was read from.
    out : path
        Folder; made if it is missing.
    pipeline : PipelineIdentity
        Which pipeline made the result.
    kinds : iterable of str
        ``"sc"``: secondary capture of the overlay; ``"sr"``: structured report (TID 1500);
        ``"seg"``: segmentation of the predicted mask and the lungs; ``"pr"``: presentation state
        with the boxes; ``"pm"``: parametric map of the anomaly scores. An image in which nothing
        was scored has no parametric map.
    stem : str, optional
        The files are ``STEM.KIND.dcm``; by default the stem of the source.

    Returns
    -------
    dict of str to pathlib.Path
        The file of each kind.

    Raises
    ------
    InvalidImageError
        If the source is no DICOM image, lacks a UID, or is not the image of the detection.
    ConfigurationError
        If a kind is unknown.
    ValueError
        If a secondary capture is wanted and the anomaly map has no colour scale, which a fitted
        pipeline gives it.
    MissingExtraError
        If highdicom is not installed (``pip install "lungpatch[dicom]"``).
    OSError
        If a file cannot be written.

    See Also
    --------
    lungpatch.detect_folder : Writes them for a folder of images.

    Examples
    --------
    >>> import lungpatch
    >>> pipeline = lungpatch.load_pipeline("default")                            # doctest: +SKIP
    >>> identity = PipelineIdentity(
    ...     name="default", digest=lungpatch.pipeline.pipeline_digest(pipeline))  # doctest: +SKIP
    >>> write_dicom_objects(
    ...     pipeline.detect("a.dcm"), "a.dcm", "found", pipeline=identity)       # doctest: +SKIP
    {'sc': PosixPath('found/a.sc.dcm'), 'sr': PosixPath('found/a.sr.dcm')}
    """
    from pydicom.config import disable_value_validation

    wanted = check_kinds(kinds)
    if "sc" in wanted and detection.anomaly_map.colour_scale is None:
        raise ValueError(
            "the anomaly map has no colour scale: use what a fitted pipeline's detect returns"
        )
    read = read_source(source)
    result = Result(detection=detection, source=read, pipeline=pipeline)
    if not np.isfinite(detection.anomaly_map.heatmap).any():
        wanted = tuple(kind for kind in wanted if kind != "pm")
    stem = read.path.stem if stem is None else stem
    files: dict[str, Path] = {}
    # UIDs, names and dates of the source are repeated as they are, valid or not.
    with disable_value_validation():
        for kind in wanted:
            dataset = _built(kind, result)
            _set_dimension_uid(dataset, result.uid(kind, "dimensions"))
            files[kind] = Path(out) / f"{stem}.{kind}.dcm"
            with atomic_write(files[kind]) as temporary:
                dataset.save_as(temporary, enforce_file_format=True)
    return files


def _built(kind: str, result: Result) -> Dataset:
    """Build an object; what its source makes impossible is an error that names the source."""
    try:
        return _BUILDERS[kind](result)
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise InvalidImageError(
            f"{result.source.path}: no {kind} object can be made of it ({error}); leave that kind "
            "out, or do without DICOM results"
        ) from error


def _set_dimension_uid(dataset: Dataset, uid: str) -> None:
    """Replace the random UID that multi-frame objects get for their one set of dimensions."""
    for keyword in ("DimensionOrganizationSequence", "DimensionIndexSequence"):
        for item in dataset.get(keyword, ()):
            item.DimensionOrganizationUID = uid
