"""Detect in many images and write the results to a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from lungpatch._utils.destinations import check_folder
from lungpatch._utils.progress import ProgressCallback, silent
from lungpatch.archive.inputs import Inputs, expand
from lungpatch.archive.records import FolderRecords
from lungpatch.pipeline import Detection, Failure, Pipeline, load_pipeline
from lungpatch.reports import (
    detection_record,
    failure_record,
    write_anomaly_map,
    write_mask,
    write_overlay,
)

if TYPE_CHECKING:
    import os

    from lungpatch.containers import ColourScale


RECORDS = "detections.jsonl"


@attrs.define(kw_only=True)
class DetectionCounts:
    """What came of the images of a folder.

    Parameters
    ----------
    above, below : int
        Images whose score is above the threshold, and those whose score is not.
    unscored : int
        Images without lungs, or with too little lung, to score.
    out_of_scope : int
        Images that are not frontal chest radiographs; they are neither above nor below.
    failures : list of Failure
        Images that could not be processed.

    Examples
    --------
    >>> DetectionCounts(above=1, below=3)
    DetectionCounts(above=1, below=3, unscored=0, out_of_scope=0, failures=[])
    """

    above: int = 0
    below: int = 0
    unscored: int = 0
    out_of_scope: int = 0
    failures: list[Failure] = attrs.field(factory=list)

    def add(self, detection: Detection) -> None:
        """Count one image."""
        if detection.status == "out_of_scope":
            self.out_of_scope += 1
        elif detection.decision is None:
            self.unscored += 1
        elif detection.decision.pred_label:
            self.above += 1
        else:
            self.below += 1


def detect_folder(
    images: Inputs,
    out: str | os.PathLike[str],
    *,
    pipeline: Pipeline | str | os.PathLike[str] = "default",
    progress: ProgressCallback | None = None,
) -> DetectionCounts:
    """Detect in many images and write records, overlays, maps and lung masks.

    Parameters
    ----------
    images : path, or iterable of paths
        Images, or folders of them, which are searched with their subfolders.
    out : path
        Folder for the results; made if it is missing. Results of other images that are there
        stay, those of the same images are replaced. It gets ``detections.jsonl``, one record
        per image, and for each image ``STEM.overlay.png``, ``STEM.anomaly.tiff`` (float32, the
        image's native size, NaN where nothing was scored) and ``STEM.mask.png`` (the lungs, 255,
        native size).
    pipeline : Pipeline, str or path
        Fitted, or what `lungpatch.load_pipeline` takes.
    progress : callable, optional
        Called after each image; `lungpatch.progress_bar` gives one.

    Returns
    -------
    DetectionCounts

    Raises
    ------
    MissingInputError
        If there is no image at all.
    NotFittedError, SavedPipelineError
        If the pipeline is not fitted, or cannot be read.
    DestinationError
        If the results cannot be written to ``out``; checked before any work.

    See Also
    --------
    lungpatch.load_detections : Read the results back.
    lungpatch.Pipeline.detect_many : Detect without writing anything.

    Examples
    --------
    >>> import lungpatch
    >>> lungpatch.detect_folder("images/", "found")                    # doctest: +SKIP
    DetectionCounts(above=12, below=88, unscored=0, out_of_scope=1, failures=[])
    """
    notify = progress or silent
    out = Path(out)
    check_folder(out)
    paths, failures = expand(images)
    fitted = pipeline if isinstance(pipeline, Pipeline) else load_pipeline(pipeline)
    scale = fitted.calibration_.colour_scale
    counts = DetectionCounts(failures=failures)
    out.mkdir(parents=True, exist_ok=True)
    with FolderRecords(out / RECORDS, paths) as records:
        for failure in failures:
            records.append(failure_record(failure))
        results = zip(paths, records.names, fitted.detect_many(paths), strict=True)
        for count, (path, name, result) in enumerate(results, start=1):
            if isinstance(result, Failure):
                counts.failures.append(result)
                records.append(failure_record(result) | {"name": name})
            else:
                counts.add(result)
                files = _write_files(out, name, result, scale)
                record = detection_record(result, source=str(path))
                records.append(record | {"name": name} | files)
            notify("detect", count, len(paths), {})
    return counts


def _write_files(out: Path, name: str, detection: Detection, scale: ColourScale) -> dict[str, str]:
    """Write what belongs to one image; return the names for its record."""
    files = {
        "overlay": f"{name}.overlay.png",
        "anomaly_map": f"{name}.anomaly.tiff",
        "mask": f"{name}.mask.png",
    }
    write_overlay(out / files["overlay"], detection, scale)
    write_anomaly_map(out / files["anomaly_map"], detection)
    write_mask(out / files["mask"], detection.native_lungs)
    return files
