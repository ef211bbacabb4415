"""What is done with each image of an archive: detect, write its files, make its record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import attrs

from lungpatch._utils.component import set_execution
from lungpatch._utils.devices import DEVICES, PRECISIONS, Device, choose_device
from lungpatch.archive.dicom_objects import ObjectWriter
from lungpatch.archive.records import VIEWS_KEY
from lungpatch.errors import ConfigurationError
from lungpatch.pipeline import Detection, Failure, Pipeline, load_pipeline
from lungpatch.reports import (
    detection_record,
    failure_record,
    write_anomaly_map,
    write_mask,
    write_overlay,
)
from lungpatch.reports.worklist import write_views

if TYPE_CHECKING:
    from collections.abc import Iterator

Task = tuple[str, str]
"""Path of an image, and the stem of its files."""


@attrs.frozen(kw_only=True)
class Job:
    """How the images of an archive are processed; plain values, so that it can be sent.

    Parameters
    ----------
    out : str
        Folder of the results.
    calibration : str
        Key of the pipeline's calibration in the folder.
    false_alarm_rate, false_box_rate : float or None
    overlays, maps : bool
        Whether the files to look at, and the anomaly maps, are written.
    dicom : sequence of str
        Kinds of DICOM objects.
    pipeline_name, digest : str
        What DICOM objects say of the pipeline.

    Examples
    --------
    >>> Job(out="found", calibration="5f0c9e1b2a7d4c83").maps
    True
    """

    out: str
    calibration: str
    false_alarm_rate: float | None = None
    false_box_rate: float | None = None
    overlays: bool = True
    maps: bool = True
    dicom: Sequence[str] = ()
    pipeline_name: str = ""
    digest: str = ""


@attrs.frozen(kw_only=True)
class Processor:
    """Does a job with a pipeline.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted.
    job : Job

    Examples
    --------
    >>> processor = Processor.load("default", job)                     # doctest: +SKIP
    >>> processor.records([("a.png", "a")])[0]["status"]               # doctest: +SKIP
    'ok'
    """

    pipeline: Pipeline
    job: Job

    @classmethod
    def load(
        cls, path: str, job: Job, *, device: str | None = None, precision: str | None = None
    ) -> Self:
        """Load the pipeline for a job; see `load_to_run`.

        Raises
        ------
        SavedPipelineError
            If it cannot be read.
        """
        pipeline = load_to_run(path, device=device, precision=precision)
        return cls(pipeline=pipeline, job=job)

    def records(self, tasks: Sequence[Task]) -> list[dict[str, Any]]:
        """Detect in images together, write their files, and return their records.

        Parameters
        ----------
        tasks : sequence of (path, stem)

        Returns
        -------
        list of dict

        Raises
        ------
        OSError
            If a file cannot be written.
        """
        return list(self._records(tasks))

    def _records(self, tasks: Sequence[Task]) -> Iterator[dict[str, Any]]:
        results = self.pipeline.detect_many(
            [path for path, _ in tasks],
            batch_size=len(tasks),
            false_alarm_rate=self.job.false_alarm_rate,
            false_box_rate=self.job.false_box_rate,
        )
        for (path, name), result in zip(tasks, results, strict=True):
            if isinstance(result, Failure):
                yield failure_record(result) | {"name": name}
                continue
            record = detection_record(result, source=path)
            files = self._write_files(result, name) | self._write_objects(result, path, name)
            yield record | {"name": name, "calibration": self.job.calibration} | files

    def _write_files(self, detection: Detection, name: str) -> dict[str, Any]:
        out, scale = Path(self.job.out), detection.anomaly_map.colour_scale
        assert scale is not None  # a fitted pipeline sets it
        files: dict[str, Any] = {"mask": f"{name}.mask.png"}
        write_mask(out / files["mask"], detection.native_lungs)
        if self.job.overlays:
            files["overlay"] = f"{name}.overlay.jpg"
            write_overlay(out / files["overlay"], detection, scale)
            files[VIEWS_KEY] = write_views(out, name, detection, scale)
        if self.job.maps:
            files["anomaly_map"] = f"{name}.anomaly.tiff"
            write_anomaly_map(out / files["anomaly_map"], detection)
        return files

    def _write_objects(self, detection: Detection, path: str, name: str) -> dict[str, Any]:
        if not self.job.dicom:
            return {}
        writer = ObjectWriter(
            out=Path(self.job.out),
            kinds=tuple(self.job.dicom),
            pipeline_name=self.job.pipeline_name,
            digest=self.job.digest,
        )
        return writer.write(detection, Path(path), name=name)


def check_device(device: str) -> None:
    """Check that networks can run on a device.

    Raises
    ------
    ConfigurationError
        If there is no device of that name, or it is absent.

    Examples
    --------
    >>> check_device("cpu")
    """
    name = check_device_name(device)
    if name not in ("auto", "cpu"):  # these are everywhere; to look for others takes torch
        choose_device(name)


def check_device_name(device: str) -> Device:
    """Return the name of a device, which may be absent here.

    Raises
    ------
    ConfigurationError
        If there is no device of that name.

    Examples
    --------
    >>> check_device_name("cuda")
    'cuda'
    """
    if device not in DEVICES:
        raise ConfigurationError(f"device must be one of {', '.join(DEVICES)}, got {device!r}")
    return device


def check_precision(precision: str) -> None:
    """Check that there is a precision of that name.

    Raises
    ------
    ConfigurationError

    Examples
    --------
    >>> check_precision("bfloat16")
    """
    if precision not in PRECISIONS:
        raise ConfigurationError(
            f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}"
        )


def load_to_run(path: str, *, device: str | None, precision: str | None) -> Pipeline:
    """Load a pipeline to run on a device, at a precision.

    Parameters
    ----------
    path : str
        What `lungpatch.load_pipeline` takes.
    device : {"auto", "cpu", "cuda", "mps"} or None
    precision : {"float32", "bfloat16"} or None
        None: as the pipeline is set.

    Returns
    -------
    Pipeline

    Raises
    ------
    SavedPipelineError
        If it cannot be read.

    Examples
    --------
    >>> load_to_run("paper", device="cpu", precision=None).model.device
    'cpu'
    """
    pipeline = load_pipeline(path)
    set_execution(pipeline, device=device, precision=precision)
    return pipeline
