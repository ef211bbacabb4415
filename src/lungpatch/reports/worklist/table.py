"""The table of a folder of results: one row per image, for spreadsheets."""

from __future__ import annotations

import csv
import json
import re
from typing import TYPE_CHECKING, Any

from lungpatch._utils.files import atomic_write
from lungpatch.reports.records import UID_KEYWORDS

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

COLUMNS = (
    "image",
    "status",
    "reason",
    "score",
    "p_value",
    "flagged",
    "n_boxes",
    "boxes",
    "regions",
    "seconds",
    *UID_KEYWORDS,
)

_FORMULA = re.compile(r"[=+\-@\t\r]")


def write_table(path: str | os.PathLike[str], records: Iterable[Mapping[str, Any]]) -> None:
    r"""Write records as CSV, one row per image, in order.

    Parameters
    ----------
    path : path
    records : iterable of mapping
        As `lungpatch.load_detections` reads them.

    Raises
    ------
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "detections.csv")
    >>> write_table(path, [{"image": "a.png", "status": "error", "error": "a.png: cut short"}])
    >>> path.read_text().splitlines()[1]
    'a.png,error,a.png: cut short,,,,,,,,,,'
    """
    # Names of files may be no valid text; JSON lines write them likewise.
    with (
        atomic_write(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for record in records:
            table.writerow(_row(record).values())


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    scored = record.get("pred_score") is not None
    regions = [region["text"] for region in record.get("regions") or []]
    boxes = record.get("boxes") or []
    cells = {
        "image": _path(str(record["image"])),
        "status": record["status"],
        "reason": _words(record.get("error") or record.get("reason") or ""),
        "score": record.get("pred_score"),
        "p_value": record.get("p_value"),
        "flagged": record.get("pred_label"),
        "n_boxes": len(boxes) if scored else None,
        "boxes": json.dumps(boxes) if scored else None,
        "regions": _words("; ".join(regions or record.get("summary") or [])),
        "seconds": record.get("seconds"),
    }
    return cells | {keyword: record.get(keyword) for keyword in UID_KEYWORDS}


def _path(text: str) -> str:
    """Return the same path; spreadsheets would take one that begins so for a formula."""
    return f"./{text}" if _FORMULA.match(text) else text


def _words(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) else text
