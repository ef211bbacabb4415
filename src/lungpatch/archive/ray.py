"""Detect in a dataset of Ray Data, on one machine or on a cluster.

Needs the extra ``ray``. Ray reads the images, from disks or object stores, and gives them to
actors, each with one pipeline in a process of its own.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs

from lungpatch._utils.extras import import_extra, require_extra
from lungpatch.archive.detector_process import DetectorProcess
from lungpatch.archive.image_detector import ImageDetector
from lungpatch.errors import ConfigurationError, InvalidImageError

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    import pyarrow as pa
    import ray.data

    from lungpatch._utils.devices import Device, Precision

COLUMNS = {
    "image": "string",
    "status": "string",
    "reason": "string",
    "error": "string",
    "StudyInstanceUID": "string",
    "SeriesInstanceUID": "string",
    "SOPInstanceUID": "string",
    "pred_score": "double",
    "threshold": "double",
    "pred_label": "bool",
    "rule": "string",
    "p_value": "double",
    "region_threshold": "double",
    "lung_fraction": "double",
    "n_patches": "int64",
    "seconds": "double",
}
"""The columns of one value, and their Arrow types."""

JSON_COLUMNS = (
    *("reading", "boxes", "box_scores", "box_p_values", "summary", "regions", "maximum"),
    "fractions_above",
)
"""The columns of nested values, which are strings of JSON."""


def detect_dataset(  # noqa: PLR0913 - they are the options of a command
    dataset: ray.data.Dataset,
    *,
    pipeline: str | os.PathLike[str] = "default",
    false_alarm_rate: float | None = None,
    false_box_rate: float | None = None,
    device: Device | None = None,
    precision: Precision | None = None,
    batch_size: int = 8,
    concurrency: int | tuple[int, int] | None = None,
) -> ray.data.Dataset:
    """Detect in all images of a dataset.

    Nothing is computed before the result is used, as always in Ray Data: write it with its
    ``write_parquet``, or iterate over it. An image that cannot be used gets a row that says so,
    also where it ends the process that works on it, as one that takes all memory does. An actor
    that dies otherwise, with its machine perhaps, is replaced, and its images are taken up again.

    Parameters
    ----------
    dataset : ray.data.Dataset
        With a column ``path``, of image files that every node sees; or with columns ``bytes``,
        what the files hold, and ``path``, as
        ``ray.data.read_binary_files(..., include_paths=True)`` gives them, from local disks and
        object stores.
    pipeline : str or path
        ``"default"``, ``"paper"``, or the folder of a saved pipeline that every node sees under
        this path.
    false_alarm_rate, false_box_rate : float, optional
        Fraction of normal images that may be above the threshold, and that may have a box, in
        (0, 0.5]; by default the pipeline's thresholds.
    device : {"auto", "cpu", "cuda", "mps"}, optional
        Where networks run. With ``"cuda"`` each actor asks Ray for one GPU; otherwise for none.
        By default as the pipeline is set.
    precision : {"float32", "bfloat16"}, optional
        What models and extractors compute in, by default as the pipeline is set. ``"bfloat16"`` is
        faster where the processor is made for it, and scores differ by less than 0.02; elsewhere it
        changes nothing. Segmenters stay at float32: a mask that moves by a pixel moves the crop.
    batch_size : int
        Number of images that an actor gets at a time. With ``"cuda"`` they go through the model
        together, and scores may differ in their last digits; otherwise one after the other, and
        records equal those of one process.
    concurrency : int or (int, int), optional
        The most actors, or the fewest and the most. By default Ray starts as many as the cluster
        has room for, one per core or GPU. The fewest have to leave a core for the tasks that read
        the images, or Ray waits for ever.

    Returns
    -------
    ray.data.Dataset
        One row per image. Its columns are the keys of `lungpatch.reports.detection_record` and
        ``error``; those of nested values (``reading``, ``boxes``, ``box_scores``,
        ``box_p_values``, ``summary``, ``regions``, ``maximum``, ``fractions_above``) are strings of
        JSON. `record_of` makes a record of a row. The order of rows is Ray's.

    Raises
    ------
    MissingExtraError
        If Ray is not installed.
    SavedPipelineError
        If the pipeline cannot be read.
    ConfigurationError
        If a rate is outside (0, 0.5], ``device``, ``precision``, ``batch_size`` or
        ``concurrency`` is not possible, or the dataset is known to have no column ``path``.
    InsufficientDataError
        If a rate is finer than the number of calibration patients allows.

    See Also
    --------
    lungpatch.ImageDetector : The same for other engines.

    Examples
    --------
    >>> import ray.data                                                # doctest: +SKIP
    >>> from lungpatch.archive.ray import detect_dataset
    >>> images = ray.data.read_binary_files("s3://archive/chest/",
    ...                                     include_paths=True)        # doctest: +SKIP
    >>> detect_dataset(images).write_parquet("s3://results/chest/")    # doctest: +SKIP
    """
    require_extra("ray", ["ray", "pyarrow"], needed_by="detect_dataset")
    _check_number("batch_size", batch_size)
    pool = _pool(concurrency)
    detector = ImageDetector(
        pipeline=pipeline,
        false_alarm_rate=false_alarm_rate,
        false_box_rate=false_box_rate,
        device=device,
        precision=precision,
    )
    # Whatever is wrong shows here, not in an actor. This machine may lack the device.
    attrs.evolve(detector, device=None).load()
    schema = dataset.schema(fetch_if_missing=False)
    if schema is not None:
        _check_columns(schema.names)
    data = import_extra("ray.data", needed_by="detect_dataset", extra="ray")
    return dataset.map_batches(
        RecordBatches,
        fn_constructor_args=(detector,),
        # One block at a time: others that wait with it would begin again with it, too.
        compute=data.ActorPoolStrategy(**pool, max_tasks_in_flight_per_actor=1),
        batch_size=batch_size,
        batch_format="pyarrow",
        num_cpus=1,
        num_gpus=1 if device == "cuda" else 0,
    )


class RecordBatches:
    """What an actor does: a batch of images in, a batch of records out.

    The pipeline is in another process, so that an image that ends it does not end the actor: Ray
    would begin all images of its block again, for ever.

    `detect_dataset` gives it to ``map_batches``; do so yourself to ask for other resources, such
    as a quarter of a GPU.

    Parameters
    ----------
    detector : ImageDetector

    Examples
    --------
    >>> dataset.map_batches(                                           # doctest: +SKIP
    ...     RecordBatches,
    ...     fn_constructor_args=(lungpatch.ImageDetector(device="cuda"),),
    ...     compute=ray.data.ActorPoolStrategy(size=8),
    ...     batch_size=8, batch_format="pyarrow", num_gpus=0.25,
    ... )
    """

    def __init__(self, detector: ImageDetector) -> None:
        self.detector = detector
        self._process = DetectorProcess(detector)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Detect in a batch.

        Parameters
        ----------
        batch : pyarrow.Table
            With a column ``path``, and perhaps ``bytes``.

        Returns
        -------
        pyarrow.Table
            With the columns of `detect_dataset`.

        Raises
        ------
        ConfigurationError
            If it has no column ``path``.
        """
        pa = import_extra("pyarrow", needed_by="detect_dataset", extra="ray")
        _check_columns(batch.column_names)
        paths = batch["path"].to_pylist()
        images = batch["bytes"].to_pylist() if "bytes" in batch.column_names else paths
        names = [str(path) for path in paths]
        # On a CPU nothing is gained by more than one, and digits would depend on the batch.
        step = max(len(images), 1) if self.detector.device == "cuda" else 1
        records: list[dict[str, Any]] = []
        for first in range(0, len(images), step):
            part = slice(first, first + step)
            records += self._process.records(images[part], names[part])
        fields = [(name, pa.type_for_alias(kind)) for name, kind in COLUMNS.items()]
        fields += [(name, pa.string()) for name in JSON_COLUMNS]
        return pa.Table.from_pylist([row_of(record) for record in records], pa.schema(fields))


def row_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record as a row of a table.

    Parameters
    ----------
    record : mapping
        As `lungpatch.ImageDetector` returns it.

    Returns
    -------
    dict
        The same for every record: all columns of `detect_dataset`, None where there is no value.

    Raises
    ------
    InvalidImageError
        If the record has a key for which there is no column.

    Examples
    --------
    >>> row = row_of({"image": "a.png", "status": "ok", "boxes": [[1, 2, 3, 4]]})
    >>> row["image"], row["boxes"], row["error"]
    ('a.png', '[[1, 2, 3, 4]]', None)
    """
    unknown = record.keys() - COLUMNS.keys() - set(JSON_COLUMNS)
    if unknown:
        raise InvalidImageError(f"{record.get('image')}: no column for {', '.join(unknown)}")
    row: dict[str, Any] = {name: record.get(name) for name in COLUMNS}
    return row | {
        name: json.dumps(record[name]) if name in record else None for name in JSON_COLUMNS
    }


def record_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record behind a row of `detect_dataset`.

    Parameters
    ----------
    row : mapping
        With all columns.

    Returns
    -------
    dict
        As `lungpatch.ImageDetector` returns it.

    Examples
    --------
    >>> record = {"image": "a.png", "status": "error", "error": "a.png: is empty"}
    >>> record_of(row_of(record)) == record
    True
    """
    if row["status"] == "error":
        return {name: row[name] for name in ("image", "status", "error")}
    values = {name: row[name] for name in COLUMNS if name != "error"}
    return values | {name: json.loads(row[name]) for name in JSON_COLUMNS}


def _check_columns(names: Any) -> None:
    if "path" not in names:
        raise ConfigurationError(
            f"the dataset has no column 'path', only {', '.join(map(repr, names))}; read files "
            "with ray.data.read_binary_files(..., include_paths=True), or give rows such as "
            "{'path': 'a.png'}"
        )


def _check_number(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(f"{name} must be a whole number, at least 1, got {value!r}")


def _pool(concurrency: Any) -> dict[str, int]:
    """Return the size of a pool of actors, as Ray takes it."""
    if concurrency is None:
        return {"min_size": 1}
    bounds = concurrency if isinstance(concurrency, tuple) else (1, concurrency)
    for value in bounds:
        _check_number("concurrency", value)
    if len(bounds) != 2 or bounds[0] > bounds[1]:
        raise ConfigurationError(
            f"concurrency must be a number, or the fewest and the most; got {concurrency!r}"
        )
    return {"min_size": bounds[0], "max_size": bounds[1]}
