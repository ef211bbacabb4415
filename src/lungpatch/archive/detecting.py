"""Detect in many images and write the results to a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lungpatch._utils.destinations import check_folder
from lungpatch._utils.progress import ProgressCallback, silent
from lungpatch.archive.calibrations import store_calibration
from lungpatch.archive.deciding import DetectionCounts, decide
from lungpatch.archive.dicom_objects import ObjectWriter
from lungpatch.archive.inputs import Inputs, expand
from lungpatch.archive.records import (
    RECORDS,
    VIEWS_KEY,
    FolderRecords,
    of_images,
    read_detections,
)
from lungpatch.archive.worklist import worklist
from lungpatch.errors import ConfigurationError
from lungpatch.pipeline import Detection, Failure, Pipeline, load_pipeline, pipeline_digest
from lungpatch.reports import (
    detection_record,
    failure_record,
    write_anomaly_map,
    write_mask,
    write_overlay,
)
from lungpatch.reports.worklist import check_page, write_views
from lungpatch.thresholders.p_values import check_rate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lungpatch.containers import ColourScale


def detect_folder(  # noqa: PLR0913 - they are the options of a command
    images: Inputs,
    out: str | os.PathLike[str],
    *,
    pipeline: Pipeline | str | os.PathLike[str] = "default",
    false_alarm_rate: float | None = None,
    false_box_rate: float | None = None,
    fdr: float | None = None,
    dicom: Iterable[str] | None = None,
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
        native size). ``calibrations.json`` holds what `lungpatch.decide` needs. ``index.html`` is a
        page to look at all of it (`lungpatch.worklist`), and ``detections.csv`` a table.
    pipeline : Pipeline, str or path
        Fitted, or what `lungpatch.load_pipeline` takes.
    false_alarm_rate, false_box_rate : float, optional
        Fraction of normal images that may be above the threshold, and that may have a box, in
        (0, 0.5]; by default the pipeline's thresholds.
    fdr : float, optional
        Instead of a rate of false alarms, the expected fraction of normal images among those above
        the threshold, in (0, 0.5], over all these images; see
        `lungpatch.thresholders.false_discovery_labels`.
    dicom : iterable of str, optional
        Kinds of DICOM objects that are written of DICOM images, such as ``["sc", "sr"]``:
        ``"sc"`` (secondary capture of the overlay), ``"sr"`` (structured report), ``"seg"``
        (segmentation), ``"pr"`` (presentation state) and ``"pm"`` (parametric map); see
        `lungpatch.reports.dicom.write_dicom_objects`. The files are ``STEM.KIND.dcm``. An image of
        which none can be written keeps its other results; its record says why.
    progress : callable, optional
        Called after each image; `lungpatch.progress_bar` gives one.

    Returns
    -------
    DetectionCounts

    Raises
    ------
    MissingInputError
        If there is no image at all, or DICOM objects are wanted and no image is DICOM.
    NotFittedError, SavedPipelineError
        If the pipeline is not fitted, or cannot be read.
    DestinationError
        If the results cannot be written to ``out``, or a page that is no worklist is there; checked
        before any work.
    ConfigurationError
        If a rate is outside (0, 0.5], if both ``false_alarm_rate`` and ``fdr`` are given, or
        ``dicom`` and ``fdr``, or if a kind of DICOM object is unknown.
    MissingExtraError
        If DICOM objects are wanted and highdicom is not installed.
    InsufficientDataError
        If a rate is finer than the number of calibration patients allows.

    See Also
    --------
    lungpatch.decide : Decide again at another rate.
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
    rates = {"false_alarm_rate": false_alarm_rate, "false_box_rate": false_box_rate, "fdr": fdr}
    for rate_name, rate in rates.items():
        if rate is not None:
            check_rate(rate, rate_name)
    if fdr is not None and false_alarm_rate is not None:
        raise ConfigurationError("give false_alarm_rate or fdr, not both")
    if fdr is not None and dicom is not None:
        raise ConfigurationError(
            "DICOM objects hold decisions, and those at an fdr are made when all images are done: "
            "give a false_alarm_rate, or do without DICOM objects"
        )
    check_folder(out)
    check_page(out)
    paths, failures = expand(images)
    writer = None if dicom is None else ObjectWriter.for_images(paths, kinds=dicom, out=out)
    fitted = pipeline if isinstance(pipeline, Pipeline) else load_pipeline(pipeline)
    results = fitted.detect_many(
        paths, false_alarm_rate=false_alarm_rate, false_box_rate=false_box_rate
    )
    if writer is not None:
        digest = pipeline_digest(
            fitted, false_alarm_rate=false_alarm_rate, false_box_rate=false_box_rate
        )
        writer = writer.of_pipeline(name=_name_of(pipeline), digest=digest)
    out.mkdir(parents=True, exist_ok=True)
    calibration = store_calibration(out, fitted, name=_name_of(pipeline))
    try:
        with FolderRecords(out / RECORDS, paths) as records:
            for failure in failures:
                records.append(failure_record(failure))
            for count, (path, name, result) in enumerate(
                zip(paths, records.names, results, strict=True), start=1
            ):
                if isinstance(result, Failure):
                    records.append(failure_record(result) | {"name": name})
                else:
                    record = detection_record(result, source=str(path))
                    files = _write_files(out, name, result, fitted.calibration_.colour_scale)
                    objects = writer.write(result, path, name=name) if writer else {}
                    named = {"name": name, "calibration": calibration} | files | objects
                    records.append(record | named)
                notify("detect", count, len(paths), {})
    finally:
        # Also if the work was interrupted: the page shows what the records hold.
        if (out / RECORDS).exists():
            worklist(out)
    done: list[str | Path] = [*paths, *(failure.source for failure in failures)]
    if fdr is not None:
        return decide(out, fdr=fdr, images=done)
    return DetectionCounts.of(of_images(read_detections(out), done))


def _name_of(pipeline: Pipeline | str | os.PathLike[str]) -> str:
    return "(in memory)" if isinstance(pipeline, Pipeline) else os.fspath(pipeline)


def _write_files(out: Path, name: str, detection: Detection, scale: ColourScale) -> dict[str, Any]:
    """Write what belongs to one image; return the names for its record."""
    files = {
        "overlay": f"{name}.overlay.png",
        "anomaly_map": f"{name}.anomaly.tiff",
        "mask": f"{name}.mask.png",
    }
    write_overlay(out / files["overlay"], detection, scale)
    write_anomaly_map(out / files["anomaly_map"], detection)
    write_mask(out / files["mask"], detection.native_lungs)
    return files | {VIEWS_KEY: write_views(out, name, detection, scale)}
