"""Detect in many images and write the results to a folder."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lungpatch._utils.destinations import check_folder
from lungpatch._utils.progress import ProgressCallback, silent
from lungpatch.archive.calibrations import store_calibration
from lungpatch.archive.deciding import DetectionCounts, decide
from lungpatch.archive.dicom_objects import ObjectWriter
from lungpatch.archive.inputs import Inputs, expand
from lungpatch.archive.parquet import check_parquet, refresh_parquet, write_parquet
from lungpatch.archive.processing import Job, Processor, Task, check_device, check_precision
from lungpatch.archive.records import (
    DICOM_ERROR_KEY,
    DICOM_KEY,
    RECORDS,
    FolderRecords,
    files_of,
    iterate_records,
    of_images,
)
from lungpatch.archive.workers import Workers, count_workers
from lungpatch.archive.worklist import worklist
from lungpatch.errors import ConfigurationError, LungpatchError
from lungpatch.pipeline import Pipeline, load_pipeline
from lungpatch.pipeline.digest import fitted_digest
from lungpatch.pipeline.loading import folder_of
from lungpatch.pipeline.storage import read_calibration
from lungpatch.reports import failure_record
from lungpatch.reports.worklist import check_page
from lungpatch.thresholders.p_values import check_rate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from lungpatch._utils.devices import Device, Precision
    from lungpatch.pipeline import Calibration

logger = logging.getLogger(__name__)


def detect_folder(  # noqa: PLR0913 - they are the options of a command
    images: Inputs,
    out: str | os.PathLike[str],
    *,
    pipeline: Pipeline | str | os.PathLike[str] = "default",
    false_alarm_rate: float | None = None,
    false_box_rate: float | None = None,
    fdr: float | None = None,
    dicom: Iterable[str] | None = None,
    overlays: bool = True,
    maps: bool = True,
    resume: bool = False,
    workers: int | Literal["auto"] = "auto",
    threads: int | None = None,
    device: Device | None = None,
    precision: Precision | None = None,
    batch_size: int = 1,
    parquet: bool = False,
    progress: ProgressCallback | None = None,
) -> DetectionCounts:
    """Detect in many images and write records, overlays, maps and lung masks.

    A record is in the file as soon as its image is done. If the process is killed, ``resume`` goes
    on where it was.

    Parameters
    ----------
    images : path, or iterable of paths
        Images, or folders of them, which are searched with their subfolders.
    out : path
        Folder for the results; made if it is missing. Results of other images that are there
        stay, those of the same images are replaced. It gets ``detections.jsonl``, one record
        per image, and for each image ``STEM.overlay.jpg``, ``STEM.anomaly.tiff`` (float32, the
        image's native size, NaN where nothing was scored) and ``STEM.mask.png`` (the lungs, 255,
        native size). ``calibrations.json`` holds what `lungpatch.decide` needs. ``index.html`` is a
        page to look at all of it (`lungpatch.worklist`), and ``detections.csv`` a table. The files
        of more than 1000 images lie in folders of 1000 images each.
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
    overlays : bool
        Whether overlays, and the pictures of the page, are written.
    maps : bool
        Whether anomaly maps are written.
    resume : bool
        Whether images are left out that have a record of this pipeline at these rates, and the
        files that are wanted, already; those that failed are tried again.
    workers : int or "auto"
        Number of processes that share the work. ``"auto"``: one per core, and at most one per 50
        images. An image whose process dies costs only that image; its record says so.
    threads : int, optional
        Threads that networks run on in each process, 1 by default; more are of use where there are
        fewer images than cores. Scores may differ in their last digits.
    device : {"auto", "cpu", "cuda", "mps"}, optional
        Where networks run, all members of an ensemble included; by default as the pipeline is set.
    precision : {"float32", "bfloat16"}, optional
        What models and extractors compute in, by default as the pipeline is set. ``"bfloat16"`` is
        faster where the processor is made for it, and scores differ by less than 0.02; elsewhere it
        changes nothing. Segmenters stay at float32: a mask that moves by a pixel moves the crop.
    batch_size : int
        Number of images that go through the model together; more than one is of use on a GPU.
        Scores may differ in their last digits.
    parquet : bool
        Whether the records are written as ``detections.parquet`` too, in the end; see
        `lungpatch.archive.write_parquet`. It needs ``pip install "lungpatch[parquet]"``.
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
        ``dicom`` and ``fdr``, or if a kind of DICOM object, ``workers``, ``threads``,
        ``batch_size``, ``device`` or ``precision`` is not known, or such a device is absent.
    MissingExtraError
        If DICOM objects are wanted and highdicom is not installed, or a Parquet file and pyarrow is
        not.
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
    _check_execution(threads, device, precision, batch_size)
    check_folder(out)
    check_page(out)
    check_parquet(out, wanted=parquet)
    paths, failures = expand(images)
    writer = None if dicom is None else ObjectWriter.for_images(paths, kinds=dicom, out=out)
    n_workers = count_workers(workers, len(paths))
    execution = (threads, device, precision)
    is_alone = (n_workers, *execution) == (1, None, None, None)
    fitted, as_fitted, training_digest = _fitted(pipeline, is_alone=is_alone)
    calibration = as_fitted.at_rates(
        false_alarm_rate=false_alarm_rate, false_box_rate=false_box_rate
    )
    with contextlib.ExitStack() as stack:
        saved = None
        if not is_alone:
            is_needed = (workers, *execution) != ("auto", None, None, None)
            saved = stack.enter_context(_saved(pipeline, is_needed=is_needed))
        out.mkdir(parents=True, exist_ok=True)
        job = Job(
            out=str(out),
            calibration=store_calibration(
                out,
                as_fitted,
                name=_name_of(pipeline),
                digest=fitted_digest(as_fitted, training_digest),
            ),
            false_alarm_rate=false_alarm_rate,
            false_box_rate=false_box_rate,
            overlays=overlays,
            maps=maps,
            dicom=() if writer is None else writer.kinds,
            pipeline_name=Path(_name_of(pipeline)).stem,
            digest=fitted_digest(calibration, training_digest),
        )
        stack.enter_context(_shown(out, parquet=parquet, is_decided_later=fdr is not None))
        records = stack.enter_context(FolderRecords(out / RECORDS, paths))
        for failure in failures:
            records.append(failure_record(failure))
        expected = {"region_threshold": calibration.region_threshold}
        if fdr is None:  # else decided when all images are done
            expected["threshold"] = calibration.threshold
        tasks = [
            (str(path), name)
            for path, name, earlier in zip(paths, records.names, records.earlier, strict=True)
            if not (resume and _is_done(earlier, job, expected))
        ]
        logger.info("%d of %d images are done already", len(paths) - len(tasks), len(paths))
        logger.info("processes that share the work: %d", 1 if saved is None else n_workers)
        batches = [tasks[i : i + batch_size] for i in range(0, len(tasks), batch_size)]
        if saved is None:
            assert fitted is not None  # only a pipeline in memory may be impossible to save
            processed = _in_this_process(Processor(pipeline=fitted, job=job), batches)
        else:
            others = Workers(
                pipeline=saved,
                job=job,
                count=n_workers,
                threads=threads,
                device=device,
                precision=precision,
            )
            processed = stack.enter_context(others).records(batches)
        for done, record in enumerate(processed, start=len(paths) - len(tasks) + 1):
            records.append(record)
            notify("detect", done, len(paths), {})
    sources: list[str | Path] = [*paths, *(failure.source for failure in failures)]
    if fdr is not None:
        decide(out, fdr=fdr, images=sources)  # which writes the page
        if parquet:
            write_parquet(out)
    return DetectionCounts.of(of_images(iterate_records(out / RECORDS), sources))


def _fitted(
    pipeline: Pipeline | str | os.PathLike[str], *, is_alone: bool
) -> tuple[Pipeline | None, Calibration, str]:
    """Return a pipeline, its calibration, and the digest of what it was fitted to.

    One that only other processes use is not loaded here, which takes a second or two.
    """
    if not isinstance(pipeline, Pipeline):
        if not is_alone:
            return None, *read_calibration(folder_of(pipeline))
        pipeline = load_pipeline(pipeline)
    calibration, report = pipeline.calibration_, pipeline.report_
    assert report is not None  # set together with the calibration
    return pipeline, calibration, report.training_digest


def _check_execution(
    threads: int | None, device: Device | None, precision: Precision | None, batch_size: int
) -> None:
    for name, number in (("threads", threads), ("batch_size", batch_size)):
        if number is None and name == "threads":
            continue
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise ConfigurationError(f"{name} must be at least 1, got {number!r}")
    if device is not None:
        check_device(device)
    if precision is not None:
        check_precision(precision)


@contextlib.contextmanager
def _shown(out: Path, *, parquet: bool, is_decided_later: bool) -> Iterator[None]:
    """Write what shows the records when the work is done or, in any case, interrupted."""
    is_complete = False
    try:
        yield
        is_complete = True
    finally:
        if (out / RECORDS).exists() and not (is_complete and is_decided_later):
            worklist(out)
            if parquet:
                write_parquet(out)
            else:
                refresh_parquet(out)


def _is_done(
    record: Mapping[str, Any] | None, job: Job, expected: Mapping[str, float | None]
) -> bool:
    """Whether an image has what this run would give it."""
    if record is None or record["status"] == "error":
        return False
    if record.get("calibration") != job.calibration or any(
        record.get(key) not in (None, value) for key, value in expected.items()
    ):
        return False
    wanted = {"overlay": job.overlays, "anomaly_map": job.maps}
    objects = record.get(DICOM_KEY, {})
    return (
        all(key in record for key, is_wanted in wanted.items() if is_wanted)
        and (DICOM_ERROR_KEY in record or all(kind in objects for kind in job.dicom))
        and all(Path(job.out, name).exists() for name in files_of(record))
    )


@contextlib.contextmanager
def _saved(pipeline: Pipeline | str | os.PathLike[str], *, is_needed: bool) -> Iterator[str | None]:
    """Yield where other processes can load a pipeline from."""
    if not isinstance(pipeline, Pipeline):
        yield os.fspath(pipeline)
        return
    with tempfile.TemporaryDirectory(prefix="lungpatch-") as folder:
        try:
            path = str(pipeline.save(Path(folder, "pipeline.lungpatch")))
        except LungpatchError:  # a part of it is known in this process only
            if is_needed:
                raise
            path = None
        yield path


def _in_this_process(
    processor: Processor, batches: Iterable[Sequence[Task]]
) -> Iterator[dict[str, Any]]:
    for batch in batches:
        yield from processor.records(batch)


def _name_of(pipeline: Pipeline | str | os.PathLike[str]) -> str:
    return "(in memory)" if isinstance(pipeline, Pipeline) else os.fspath(pipeline)
