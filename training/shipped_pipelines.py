"""Fit the pipelines that ship with lungpatch.

    python training/shipped_pipelines.py --normal ../shared/data/cxr/normal \
        --patients ../shared/data/cxr/metadata.csv \
        --exclude ../shared/data/cxr/normal_doubtful.csv --out src/lungpatch/weights

Only images of normal lungs are read. The networks are trained on lesions painted into them; the
thresholds come from the same images by cross calibration. `--exclude` leaves out what a person
called grossly abnormal, without knowing any score. `--half` leaves out every second patient, as the
split `cxr-half` does, so that `lungpatch evaluate` can evaluate on images that were held out. If
there is a model card beside a pipeline, its lines between `<!-- fit -->` and `<!-- end -->` are
written anew; what it decides is written by `benchmarks/decisions.py --publish`.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections import Counter
from pathlib import Path

import lungpatch
from lungpatch._utils.files import atomic_write
from lungpatch.datasets import every_second_patient, read_patients
from lungpatch.io import find_images

NAMES = ("default", "paper")


def main() -> None:
    arguments = parse_arguments()
    patients = read_patients(arguments.patients)
    abnormal = grossly_abnormal(arguments.exclude)
    images = [path for path in find_images(arguments.normal) if path.name not in abnormal]
    if arguments.half:
        images = every_second_patient(images, patients)
    for name in arguments.names:
        pipeline = lungpatch.load_preset(name)
        pipeline.calibration = "cross"
        with lungpatch.progress_bar() as progress:
            pipeline.fit(
                images,
                patients=patients,
                progress=progress,
                checkpoint=arguments.out / f"{name}.checkpoint",
            )
        saved = pipeline.save(arguments.out / f"{name}.lungpatch")
        print(f"{saved}: {fit_facts(saved)}")
        write_card(saved)


def grossly_abnormal(table: Path | None) -> set[str]:
    """Return the files whose column ``degree`` says ``gross``."""
    if table is None:
        return set()
    with table.open(encoding="utf-8", newline="") as file:
        return {row["file"] for row in csv.DictReader(file) if row["degree"] == "gross"}


def fit_facts(saved: Path) -> str:
    """Return what a saved pipeline was fitted to, as the model cards say it."""
    report = lungpatch.load_pipeline(saved).report_
    assert report is not None
    used, given = report.n_images, report.n_images + len(report.unused)
    parts = ", ".join(
        f"{report.images[role]} images of {report.patients[role]} patients {purpose}"
        for role, purpose in (
            ("training", "train the model"),
            ("validation", "choose the epoch"),
            ("calibration", "calibrate"),
        )
    )
    reasons = Counter(unused.reason.partition(":")[0] for unused in report.unused)
    left_out = ", ".join(f"{number} ({reason})" for reason, number in reasons.items()) or "none"
    megabytes = sum(file.stat().st_size for file in saved.iterdir()) / 1e6
    return (
        f"{used} of {given} images could be used: {parts}. Left out: {left_out}. "
        f"Fitting took {report.seconds / 60:.0f} minutes; the folder has {megabytes:.1f} MB."
    )


def write_card(saved: Path) -> None:
    """Write these facts into the model card beside a saved pipeline, if there is one."""
    card = saved.with_suffix(".md")
    if card.exists():
        text = card.read_text(encoding="utf-8")
        block = f"<!-- fit -->\n{fit_facts(saved)}\n<!-- end -->"
        with atomic_write(card) as temporary:
            temporary.write_text(
                re.sub(r"<!-- fit -->.*?<!-- end -->", block, text, flags=re.DOTALL),
                encoding="utf-8",
            )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--normal", type=Path, required=True, help="folder of normal images")
    parser.add_argument("--patients", type=Path, required=True, help="CSV with file and patient")
    parser.add_argument(
        "--exclude", type=Path, help="CSV with file and degree; what is 'gross' is left out"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for NAME.lungpatch")
    parser.add_argument("--names", nargs="+", default=NAMES, help="presets to fit")
    parser.add_argument("--half", action="store_true", help="fit to every second patient")
    return parser.parse_args()


if __name__ == "__main__":
    main()
