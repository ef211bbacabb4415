"""Fit the pipelines that ship with lungpatch.

    python training/shipped_pipelines.py --normal ../shared/data/cxr/normal \
        --patients ../shared/data/cxr/metadata.csv --out src/lungpatch/weights

Nothing but images of normal lungs is read: the networks learn from lesions painted into some of
them, others set the thresholds. `--half` keeps every second patient out, as the split `cxr-half`
has it, so that `lungpatch evaluate` can judge on what was not learnt from.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import lungpatch
from lungpatch.datasets import read_patients
from lungpatch.datasets.splits import every_second_patient
from lungpatch.io import find_images

NAMES = ("default", "paper")


def main() -> None:
    arguments = parse_arguments()
    patients = read_patients(arguments.patients)
    images = find_images(arguments.normal)
    if arguments.half:
        images = every_second_patient(images, patients)
    for name in arguments.names:
        pipeline = lungpatch.load_preset(name)
        with lungpatch.progress_bar() as progress:
            pipeline.fit(images, patients=patients, progress=progress)
        saved = pipeline.save(arguments.out / f"{name}.lungpatch")
        size = sum(file.stat().st_size for file in saved.iterdir())
        assert pipeline.report_ is not None
        print(f"{saved}: {size / 1e6:.1f} MB, {pipeline.report_.seconds:.0f} s")
        print(pipeline.report_)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--normal", type=Path, required=True, help="folder of normal images")
    parser.add_argument("--patients", type=Path, required=True, help="CSV with file and patient")
    parser.add_argument("--out", type=Path, required=True, help="folder for NAME.lungpatch")
    parser.add_argument("--names", nargs="+", default=NAMES, help="presets to fit")
    parser.add_argument("--half", action="store_true", help="learn from every second patient")
    return parser.parse_args()


if __name__ == "__main__":
    main()
