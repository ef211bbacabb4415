"""What the worklist page knows of a folder of results: a script that the page loads.

A page that is opened from a disk may load scripts that lie beside it, and nothing else.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

import attrs

from lungpatch._version import __version__
from lungpatch.containers.colours import ColourScale
from lungpatch.reports.records import UID_KEYWORDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RESEARCH_USE = (
    "Research use only. lungpatch is not a medical device: do not use its results to diagnose."
)

_LEGEND_STEPS = 16


class CalibrationFields(Protocol):
    """The normal images that decisions rest on; see `lungpatch.pipeline.Calibration`.

    Examples
    --------
    >>> calibration: CalibrationFields = pipeline.calibration_         # doctest: +SKIP
    """

    @property
    def method(self) -> str:
        """Where they come from."""
        ...

    @property
    def image_scores(self) -> Sequence[float]:
        """One per patient."""
        ...

    @property
    def n_patients(self) -> int:
        """Number of patients."""
        ...

    @property
    def finest_rate(self) -> float:
        """The lowest false-alarm rate that can be asked for."""
        ...

    @property
    def colour_scale(self) -> ColourScale:
        """Of the anomaly maps."""
        ...


@attrs.frozen(kw_only=True)
class Maker:
    """What made results: a pipeline, as it was calibrated.

    Parameters
    ----------
    key : str
        By which records name it, as ``calibration``.
    pipeline : str
        What the user calls it.
    version : str
        The version of lungpatch that ran it.
    calibration : Calibration

    Examples
    --------
    >>> Maker(key="5f0c", pipeline="default", version="0.1",
    ...       calibration=pipeline.calibration_)                       # doctest: +SKIP
    """

    key: str
    pipeline: str
    version: str
    calibration: CalibrationFields


def worklist_data(
    records: Sequence[Mapping[str, Any]], makers: Sequence[Maker], *, date: str
) -> dict[str, Any]:
    """Return what the page knows, as JSON-ready values.

    Parameters
    ----------
    records : sequence of mapping
        As `lungpatch.load_detections` reads them.
    makers : sequence of Maker
        What made them.
    date : str
        When the results were decided, as the page says it.

    Returns
    -------
    dict
        ``columns`` holds one list per field, with one value per image, since that is smaller and
        read faster than one object per image.

    Examples
    --------
    >>> data = worklist_data([{"image": "a.png", "status": "error", "error": "cut short"}], [],
    ...                      date="2026-01-01")
    >>> data["columns"]["image"], data["columns"]["why"], data["columns"]["p"]
    (['a.png'], ['cut short'], [None])
    """
    indices = {maker.key: index for index, maker in enumerate(makers)}
    rows = [_row(record, indices) for record in records]
    columns = {key: [row[key] for row in rows] for key in _row({"image": "", "status": ""}, {})}
    bar = ColourScale(low=0.0, high=1.0).bar(_LEGEND_STEPS)
    return {
        "version": __version__,
        "date": date,
        "research_use": RESEARCH_USE,
        "colours": [f"rgb({red} {green} {blue})" for red, green, blue in bar.tolist()],
        "uid_keywords": list(UID_KEYWORDS),
        "makers": [_maker(maker, records) for maker in makers],
        "columns": columns,
    }


def as_script(data: Mapping[str, Any]) -> str:
    r"""Return a script, of ASCII letters, that hands ``data`` to the page.

    Parameters
    ----------
    data : mapping
        JSON-ready values.

    Returns
    -------
    str

    Examples
    --------
    >>> print(as_script({"image": "it's \u00e4"}), end="")
    window.LUNGPATCH_WORKLIST = JSON.parse('{"image":"it\'s \\u00e4"}');
    """
    # JSON in a string is read faster than the same as a script. All that is not ASCII is escaped,
    # also the lone surrogates of names that are not valid text.
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    text = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"window.LUNGPATCH_WORKLIST = JSON.parse('{text}');\n"


def _row(record: Mapping[str, Any], makers: Mapping[str, int]) -> dict[str, Any]:
    regions = record.get("regions") or []
    uids = [record.get(keyword) for keyword in UID_KEYWORDS]
    name = record.get("name")
    return {
        "image": str(record["image"]),
        "name": name,
        "maker": makers.get(record.get("calibration", "")),
        "status": record["status"],
        "why": record.get("error") or record.get("reason"),
        "score": record.get("pred_score"),
        "p": record.get("p_value"),
        "flagged": record.get("pred_label"),
        "threshold": record.get("threshold"),
        "region_threshold": record.get("region_threshold"),
        "boxes": record.get("boxes") or None,
        "box_p_values": record.get("box_p_values") or None,
        "regions": [[each["text"], each["sides"], each["zones"]] for each in regions] or None,
        # The regions themselves say more.
        "summary": None if regions else record.get("summary"),
        "reading": record.get("reading") or None,
        "views": _url(str(name)) if record.get("views") else None,
        "overlay": f"./{_url(record['overlay'])}" if record.get("overlay") else None,
        "uids": uids if any(uids) else None,
        "seconds": record.get("seconds"),
    }


def _url(name: str) -> str:
    """Return a file's name as part of a URL: byte by byte, since it may be no valid text."""
    return quote(os.fsencode(name), safe="/")


def _maker(maker: Maker, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    calibration = maker.calibration
    mine = [record for record in records if record.get("calibration") == maker.key]
    decided = [record for record in mine if record.get("threshold") is not None]
    thresholds = list(dict.fromkeys(float(record["threshold"]) for record in decided))
    return {
        "key": maker.key,
        "pipeline": maker.pipeline,
        "version": maker.version,
        "method": calibration.method,
        "n": calibration.n_patients,
        "finest_rate": calibration.finest_rate,
        "low": calibration.colour_scale.low,
        "high": calibration.colour_scale.high,
        "images": len(mine),
        "rules": list(dict.fromkeys(str(record.get("rule")) for record in decided)),
        "thresholds": thresholds,
        "decided_rates": [_rate_of(threshold, calibration) for threshold in thresholds],
    }


def _rate_of(threshold: float, calibration: CalibrationFields) -> float:
    """Return the highest p-value that a score above ``threshold`` can have."""
    above = sum(score > threshold for score in calibration.image_scores)
    return (1 + above) / (calibration.n_patients + 1)
