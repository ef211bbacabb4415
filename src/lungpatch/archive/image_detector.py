"""One picklable callable that detects in an image: for process pools, Dask, Spark and Ray."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from lungpatch._utils.files import json_line
from lungpatch._utils.forks import after_fork
from lungpatch.archive.processing import check_device_name, check_precision, load_to_run
from lungpatch.errors import ConfigurationError, InvalidImageError
from lungpatch.io import IMAGE_SUFFIXES
from lungpatch.pipeline import Failure
from lungpatch.pipeline.loading import shipped_pipelines
from lungpatch.reports import detection_record, failure_record
from lungpatch.thresholders.p_values import check_rate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lungpatch.pipeline import Detection, Pipeline

Image = str | os.PathLike[str] | bytes
"""The path of an image file, or what it holds."""


class _Loaded:
    """The pipelines that this process has loaded."""

    def __init__(self) -> None:
        self.pipelines: dict[tuple[str | None, ...], Pipeline] = {}
        self.forget_threads()

    def forget_threads(self) -> None:
        """Forget other threads, which may have held the lock."""
        self.lock = threading.Lock()


_loaded = _Loaded()
after_fork(_loaded.forget_threads)


def _found_from_anywhere(pipeline: Any) -> str:
    """Return the name of a shipped pipeline, or an absolute path: workers have other folders."""
    try:
        name = os.fspath(pipeline)
    except TypeError:
        raise ConfigurationError(
            f"pipeline: a {type(pipeline).__name__} cannot be sent to other processes; save it "
            "with its method save and give the path"
        ) from None
    return name if name in shipped_pipelines() else str(Path(name).absolute())


def _check_rate(_detector: Any, attribute: attrs.Attribute[Any], rate: float | None) -> None:
    if rate is not None:
        check_rate(rate, attribute.name)


def _check_device(_detector: Any, _attribute: Any, device: str | None) -> None:
    if device is not None:
        check_device_name(device)


def _check_precision(_detector: Any, _attribute: Any, precision: str | None) -> None:
    if precision is not None:
        check_precision(precision)


@attrs.frozen(kw_only=True)
class ImageDetector:
    """Detects in one image after the other and returns their records; it can be pickled.

    What is pickled are the settings. Each process loads the pipeline when its first image comes,
    once, for all detectors with the same pipeline, device and precision. An image that cannot be
    used gets a record that says so; nothing is raised.

    Parameters
    ----------
    pipeline : str or path
        ``"default"``, ``"paper"``, or the folder of a saved pipeline, which every process has to
        see under this path; a relative one is made absolute.
    false_alarm_rate, false_box_rate : float, optional
        Fraction of normal images that may be above the threshold, and that may have a box, in
        (0, 0.5]; by default the pipeline's thresholds.
    device : {"auto", "cpu", "cuda", "mps"}, optional
        Where networks run, all members of an ensemble included; by default as the pipeline is set.
    precision : {"float32", "bfloat16"}, optional
        What models and extractors compute in, by default as the pipeline is set. ``"bfloat16"`` is
        faster where the processor is made for it, and scores differ by less than 0.02; elsewhere it
        changes nothing. Segmenters stay at float32: a mask that moves by a pixel moves the crop.

    Raises
    ------
    ConfigurationError
        If a rate is outside (0, 0.5], there is no such device or precision, or ``pipeline`` is no
        path.

    See Also
    --------
    lungpatch.detect_folder : On one machine, with overlays, maps and a page to look at.
    lungpatch.archive.ray.detect_dataset : On a Ray cluster.

    Examples
    --------
    >>> import lungpatch
    >>> detector = lungpatch.ImageDetector(pipeline="default", false_alarm_rate=0.2)
    >>> detector("nowhere.png")
    {'image': 'nowhere.png', 'status': 'error',
     'error': 'nowhere.png: no such file; check the path'}

    In four processes:

    >>> from concurrent.futures import ProcessPoolExecutor
    >>> with ProcessPoolExecutor(4) as pool:                           # doctest: +SKIP
    ...     records = list(pool.map(detector, ["a.png", "b.png"], chunksize=16))
    """

    pipeline: str = attrs.field(default="default", converter=_found_from_anywhere)
    false_alarm_rate: float | None = attrs.field(default=None, validator=_check_rate)
    false_box_rate: float | None = attrs.field(default=None, validator=_check_rate)
    device: str | None = attrs.field(default=None, validator=_check_device)
    precision: str | None = attrs.field(default=None, validator=_check_precision)

    def __call__(self, image: Image, name: str | None = None) -> dict[str, Any]:
        """Detect in an image.

        Parameters
        ----------
        image : str, path or bytes
            The path of an image file, or what such a file holds.
        name : str, optional
            What the record calls the image; by default its path, or ``"bytes"``.

        Returns
        -------
        dict
            JSON-ready, as `lungpatch.reports.detection_record` returns it, or with the status
            ``"error"`` as `lungpatch.reports.failure_record` does.

        Raises
        ------
        SavedPipelineError
            If the pipeline cannot be read.
        ConfigurationError
            If this machine has no such device.
        InsufficientDataError
            If a rate is finer than the number of calibration patients allows.
        """
        (record,) = self.records([image], None if name is None else [name])
        return record

    def records(
        self, images: Sequence[Image], names: Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        """Detect in images whose patches go through the model together.

        More than one at a time is of use on a GPU. Scores may differ in their last digits.

        Parameters
        ----------
        images : sequence of str, path or bytes
        names : sequence of str, optional
            What the records call them; one per image.

        Returns
        -------
        list of dict
            One per image, in order; as a call returns it.

        Raises
        ------
        ConfigurationError
            If there are not as many names as images; otherwise as for a call.
        """
        pipeline = self.load()
        names = [_name_of(image) for image in images] if names is None else list(names)
        if len(names) != len(images):
            raise ConfigurationError(f"{len(images)} images, but {len(names)} names: give one each")
        if not images:
            return []
        # What images hold is read from files: the decoders of some formats read nothing else.
        with tempfile.TemporaryDirectory(prefix="lungpatch-") as folder:
            paths = [
                _as_file(image, name, Path(folder, str(number)))
                for number, (image, name) in enumerate(zip(images, names, strict=True))
            ]
            results = iter(self._detect(pipeline, [p for p in paths if isinstance(p, str)]))
            return [
                _plain(path if isinstance(path, Failure) else next(results), path, str(name))
                for path, name in zip(paths, names, strict=True)
            ]

    def load(self) -> Pipeline:
        """Load the pipeline into this process now, and check the rates.

        Pools can do it before the first image: ``Pool(4, initializer=detector.load)``.

        Returns
        -------
        Pipeline
            Shared by all detectors of this process with the same pipeline, device and precision.

        Raises
        ------
        SavedPipelineError
            If it cannot be read.
        ConfigurationError
            If this machine has no such device.
        InsufficientDataError
            If a rate is finer than the number of calibration patients allows.
        """
        key = (self.pipeline, self.device, self.precision)
        with _loaded.lock:
            if key not in _loaded.pipelines:
                _loaded.pipelines[key] = load_to_run(
                    self.pipeline, device=self.device, precision=self.precision
                )
            pipeline = _loaded.pipelines[key]
        pipeline.calibration_.at_rates(
            false_alarm_rate=self.false_alarm_rate, false_box_rate=self.false_box_rate
        )
        return pipeline

    def _detect(self, pipeline: Pipeline, paths: Sequence[str]) -> list[Detection | Failure]:
        try:
            return list(
                pipeline.detect_many(
                    paths,
                    batch_size=max(len(paths), 1),
                    false_alarm_rate=self.false_alarm_rate,
                    false_box_rate=self.false_box_rate,
                )
            )
        except MemoryError as error:
            if len(paths) > 1:
                return [result for path in paths for result in self._detect(pipeline, [path])]
            reason = InvalidImageError(f"{paths[0]}: needs more memory than there is ({error})")
            return [Failure(source=paths[0], error=reason)]


def _name_of(image: Any) -> str:
    if isinstance(image, (str, os.PathLike)):
        return os.fspath(image)
    return type(image).__name__


def _as_file(image: Any, name: str, temporary: Path) -> str | Failure:
    """Return the path of an image file; write what is in memory to a temporary one."""
    if isinstance(image, (str, os.PathLike)):
        return os.fspath(image)
    if not isinstance(image, (bytes, bytearray, memoryview)):
        error = InvalidImageError(
            f"{name}: a {type(image).__name__} is neither the path of an image file nor what one "
            "holds; give str, pathlib.Path or bytes"
        )
        return Failure(source=name, error=error)
    suffix = Path(str(name)).suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        temporary = temporary.with_suffix(suffix)
    temporary.write_bytes(image)
    return str(temporary)


def _plain(result: Detection | Failure, path: str | Failure, name: str) -> dict[str, Any]:
    """Return the record of a result, of JSON's own types, under the name that its user knows."""
    if isinstance(result, Failure):
        record = failure_record(result) | {"image": name}
        if isinstance(path, str) and record["error"].startswith(f"{path}: "):
            record["error"] = name + record["error"].removeprefix(path)
    else:
        record = detection_record(result, source=name)
    plain: dict[str, Any] = json.loads(json_line(record))
    return plain
