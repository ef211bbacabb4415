"""The records of a folder of results as a Parquet file, for tables of millions of rows."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lungpatch._utils.extras import require_extra
from lungpatch._utils.files import atomic_write
from lungpatch.archive.records import DICOM_ERROR_KEY, DICOM_KEY, RECORDS, iterate_records
from lungpatch.errors import MissingInputError

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

PARQUET = "detections.parquet"
"""The file in a folder of detections."""

ROWS_AT_ONCE = 1000
"""Number of records in memory while the file is written."""

_COLUMNS = {
    "image": "text", "status": "text", "reason": "text", "error": "text", "reading": "texts",
    "StudyInstanceUID": "text", "SeriesInstanceUID": "text", "SOPInstanceUID": "text",
    "pred_score": "number", "threshold": "number", "pred_label": "truth", "rule": "text",
    "p_value": "number", "boxes": "boxes", "box_scores": "numbers", "box_p_values": "numbers",
    "region_threshold": "number", "summary": "texts", "regions": "json", "maximum": "json",
    "fractions_above": "json", "lung_fraction": "number", "n_patches": "count",
    "seconds": "number", "name": "text", "calibration": "text", "mask": "text",
    "overlay": "text", "anomaly_map": "text", "views": "json", DICOM_KEY: "json",
    DICOM_ERROR_KEY: "text",
}  # fmt: skip


def write_parquet(folder: str | os.PathLike[str]) -> Path:
    """Write the records of a folder of results as a Parquet file.

    `lungpatch.detect_folder` does it at its end if it is told to. `lungpatch.decide` writes a file
    that is there again.

    Parameters
    ----------
    folder : path
        That `lungpatch.detect_folder` or ``lungpatch detect`` wrote.

    Returns
    -------
    pathlib.Path
        ``detections.parquet`` in the folder: one row per record, in their order, and one column per
        key. Boxes, their scores and p-values, and lines of text are lists. ``regions``,
        ``maximum``, ``fractions_above``, ``views`` and ``dicom`` are JSON texts. What a record does
        not have is null.

    Raises
    ------
    MissingExtraError
        If pyarrow is not installed.
    MissingInputError, InvalidImageError
        If the folder has no records, or they cannot be used.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "detections.jsonl").write_text(
    ...     '{"image": "a.png", "status": "ok", "pred_score": 1.5, "boxes": [[0, 1, 2, 3]]}')
    >>> import pyarrow.parquet                                         # doctest: +SKIP
    >>> pyarrow.parquet.read_table(write_parquet(folder)).num_rows     # doctest: +SKIP
    1
    """
    _require("write_parquet")
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(folder, RECORDS)
    if not path.exists():
        raise MissingInputError(f"{path}: no such file; give a folder that detect_folder wrote")
    types = {
        "text": pa.string(),
        "texts": pa.list_(pa.string()),
        "json": pa.string(),
        "number": pa.float64(),
        "numbers": pa.list_(pa.float64()),
        "count": pa.int64(),
        "truth": pa.bool_(),
        "boxes": pa.list_(pa.list_(pa.int64(), 4)),
    }
    schema = pa.schema([(name, types[kind]) for name, kind in _COLUMNS.items()])
    rows = (_row(record) for record in iterate_records(path))
    with (
        atomic_write(Path(folder, PARQUET)) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        while batch := list(itertools.islice(rows, ROWS_AT_ONCE)):
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))
    return Path(folder, PARQUET)


def check_parquet(folder: Path, *, wanted: bool) -> None:
    """Check before work that the file can be written, if it is wanted or there already.

    Raises
    ------
    MissingExtraError
        If pyarrow is not installed.

    Examples
    --------
    >>> check_parquet(Path("found"), wanted=False)
    """
    if wanted:
        _require("a Parquet file")
    elif Path(folder, PARQUET).exists():
        _require(f"{Path(folder, PARQUET)}, which has to agree with the records,")


def refresh_parquet(folder: Path) -> None:
    """Write the file again if there is one, so that it agrees with the records.

    Examples
    --------
    >>> refresh_parquet(Path("nowhere"))
    """
    if Path(folder, PARQUET).exists():
        write_parquet(folder)


def _require(needed_by: str) -> None:
    require_extra("parquet", ["pyarrow"], needed_by=needed_by)


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _cell(record[name], kind) for name, kind in _COLUMNS.items() if name in record}


def _cell(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind == "json":
        return json.dumps(value)
    if kind == "texts":
        return [_text(each) for each in value]
    return _text(value) if kind == "text" else value


def _text(value: str) -> str:
    # Parquet has no lone surrogates, which stand for bytes of file names that are no text.
    return value.encode("utf-8", errors="backslashreplace").decode()
