"""A pipeline on normal images of other sources, before and after it is calibrated on them.

    python benchmarks/site_calibration.py --data ../shared/data

Two sources: children, and images of the pneumonia folder that readers of the RSNA called normal.
For each, what `lungpatch calibrate` reports, and the fraction of abnormal images of the same source
that is flagged at a false-alarm rate of 0.1, by the pipeline's own calibration and by that of the
site. False alarms after calibration are counted by `benchmarks/decisions.py`, which calibrates on
one half of the normal images and counts on the other. Takes half a minute. Writes the table
`site_calibration.inc`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from decisions import detect_all, read_sets
from tables import markdown_table, write_table

import lungpatch

if TYPE_CHECKING:
    from lungpatch.pipeline import Calibration

SITES = {"children, normal": "children, pneumonia", "read as normal": "Lung Opacity"}
RATE = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of cxr, lungs, kermany")
    parser.add_argument("--pipeline", default="default", help="name or path of a fitted pipeline")
    parser.add_argument(
        "--publish", action="store_true", help="write the table into the documentation, too"
    )
    arguments = parser.parse_args()
    sets = read_sets(arguments.data)
    pipeline = lungpatch.load_pipeline(arguments.pipeline)
    rows, reports = [], []
    for normal, abnormal in SITES.items():
        images = sets[normal]
        found = pipeline.check(images, patients=images.patient_by_image)
        site = pipeline.calibrate(found).calibration_
        scores = [detection.pred_score for detection in detect_all(pipeline, sets[abnormal])]
        flagged = [
            share([calibration.p_value(score) <= RATE for score in scores if score is not None])
            for calibration in (pipeline.calibration_, site)
        ]
        rows.append(
            (
                f"{normal} ({len(found.image_scores)} patients)",
                *(f"{found.false_alarms(rate):.2f}" for rate in (0.05, 0.1, 0.2)),
                f"{threshold(pipeline.calibration_):.2f} to {threshold(site):.2f}",
                f"{abnormal}: {flagged[0]} to {flagged[1]}",
            )
        )
        reports.append(f"{normal}:\n\n```text\n{found}\n```\n")
    head = (
        "images", "above at 0.05", "at 0.1", "at 0.2",
        f"threshold at {RATE:g}", f"abnormal images flagged at {RATE:g}",
    )  # fmt: skip
    text = "\n".join([markdown_table(head, rows), *reports])
    write_table("site_calibration", text, None, publish=arguments.publish)


def threshold(calibration: Calibration) -> float:
    return calibration.at_rates(false_alarm_rate=RATE).threshold


def share(flags: list[bool]) -> str:
    return f"{np.mean(flags):.2f}"


if __name__ == "__main__":
    main()
