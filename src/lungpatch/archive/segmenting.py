"""Segment the lungs in many images and write the results to a folder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from lungpatch._utils.destinations import check_folder
from lungpatch._utils.progress import ProgressCallback, silent
from lungpatch.archive.inputs import Inputs, expand
from lungpatch.archive.records import FolderRecords
from lungpatch.errors import LungpatchError
from lungpatch.io import read_image
from lungpatch.pipeline import Failure
from lungpatch.plugins.registry import default_registry
from lungpatch.reports import (
    SegmentationSheets,
    draw_lungs,
    failure_record,
    segmentation_record,
    write_mask,
)

if TYPE_CHECKING:
    import os

    from lungpatch.protocols import Segmenter

RECORDS = "segmentations.jsonl"


@attrs.define(kw_only=True)
class SegmentationCounts:
    """What came of the images of a folder.

    Parameters
    ----------
    ok, no_lungs, implausible_lungs : int
        Images by status.
    failures : list of Failure
        Images that could not be processed.

    Examples
    --------
    >>> SegmentationCounts(ok=3)
    SegmentationCounts(ok=3, no_lungs=0, implausible_lungs=0, failures=[])
    """

    ok: int = 0
    no_lungs: int = 0
    implausible_lungs: int = 0
    failures: list[Failure] = attrs.field(factory=list)


def segment_folder(
    images: Inputs,
    out: str | os.PathLike[str],
    *,
    segmenter: Segmenter | str = "unet",
    progress: ProgressCallback | None = None,
) -> SegmentationCounts:
    """Segment the lungs in many images and write records, masks and sheets of outlines.

    Parameters
    ----------
    images : path, or iterable of paths
        Images, or folders of them, which are searched with their subfolders.
    out : path
        Folder for the results; made if it is missing. It gets ``segmentations.jsonl``, one record
        per image, ``STEM.mask.png`` (0 and 255, the image's native size) and sheets of outlines,
        ``segmentations-001.png`` and so on.
    segmenter : Segmenter or str
        A component, or the name of one.
    progress : callable, optional
        Called after each image; `lungpatch.progress_bar` gives one.

    Returns
    -------
    SegmentationCounts

    Raises
    ------
    MissingInputError
        If there is no image at all.
    UnknownComponentError
        If there is no segmenter of that name.
    DestinationError
        If the results cannot be written to ``out``; checked before any work.

    See Also
    --------
    lungpatch.detect_folder : Find anomalies, lungs included.

    Examples
    --------
    >>> import lungpatch
    >>> lungpatch.segment_folder("images/", "masks")                   # doctest: +SKIP
    SegmentationCounts(ok=99, no_lungs=0, implausible_lungs=1, failures=[])
    """
    notify = progress or silent
    out = Path(out)
    check_folder(out)
    finder: Segmenter = (
        default_registry().create("segmenter", segmenter, {})
        if isinstance(segmenter, str)
        else segmenter
    )
    paths, failures = expand(images)
    counts = SegmentationCounts(failures=failures)
    out.mkdir(parents=True, exist_ok=True)
    with FolderRecords(out / RECORDS, paths) as records, SegmentationSheets(out) as sheets:
        for failure in failures:
            records.append(failure_record(failure))
        for count, (path, name) in enumerate(zip(paths, records.names, strict=True), start=1):
            start = time.perf_counter()
            try:
                image = read_image(path)
                lungs = finder.segment(image)
            except LungpatchError as error:
                counts.failures.append(Failure(source=str(path), error=error))
                records.append(failure_record(counts.failures[-1]) | {"name": name})
            else:
                seconds = time.perf_counter() - start
                record = segmentation_record(
                    lungs, source=str(path), seconds=seconds, reading=image.reading
                )
                write_mask(out / f"{name}.mask.png", lungs.pixels)
                sheets.add(draw_lungs(image, lungs), f"{name}: {record['status']}")
                records.append(record | {"name": name, "mask": f"{name}.mask.png"})
                setattr(counts, record["status"], getattr(counts, record["status"]) + 1)
            notify("segment", count, len(paths), {})
    return counts
