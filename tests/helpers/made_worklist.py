"""Folders of results made by hand, with the files that their worklist page shows."""

from __future__ import annotations

import json

import attrs
import numpy as np
from made_calibrations import made_calibration
from made_detections import SCALE, make_detection

from lungpatch.reports import detection_record
from lungpatch.reports.worklist import write_views

N = 99
KEY = "abc"


def region(text="right lower zone", sides=("right",), zones=("lower",)):
    return {"text": text, "sides": list(sides), "zones": list(zones)}


def made_record(name, *, p=None, status="ok", **changes):
    """A record whose score and decision at a rate of 0.1 follow from its p-value."""
    record = {
        "image": f"images/{name}",
        "status": status,
        "reason": None,
        "reading": [],
        "pred_score": None if p is None else round(100 * (1 - p), 6),
        "threshold": None if p is None else 90.0,
        "pred_label": None if p is None else p <= 0.1,
        "rule": None if p is None else "ConformalThresholder",
        "p_value": p,
        "boxes": [],
        "box_scores": [],
        "box_p_values": [],
        "region_threshold": 5.0,
        "summary": ["nothing above 5; maximum: left upper zone, medial, 1.7"],
        "regions": [],
        "seconds": 0.125,
        "name": name.rsplit(".", 1)[0],
        "calibration": KEY,
    }
    return record | changes


def write_records(folder, records, n=N):
    """Write records and their calibration, of scores 1 to n."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "detections.jsonl").write_text(lines)
    calibration = made_calibration(
        n, image_scores=np.arange(1.0, n + 1), threshold=90.0, region_threshold=5.0
    )
    entry = {
        "pipeline": "default",
        "lungpatch": "0.1",
        "calibration": attrs.asdict(attrs.evolve(calibration, colour_scale=SCALE)),
    }
    (folder / "calibrations.json").write_text(json.dumps({KEY: entry}))
    return folder


def with_views(folder, record, **settings):
    """Write the files of a made detection; return the record with its boxes and regions."""
    detection = make_detection(name=record["name"], **settings)
    made = detection_record(detection, source=record["image"])
    found = {key: made[key] for key in ("boxes", "box_scores", "box_p_values", "regions")}
    return record | found | {"views": write_views(folder, record["name"], detection, SCALE)}
