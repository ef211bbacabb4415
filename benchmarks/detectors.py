"""All detectors on the same images: accuracy, seconds of training, milliseconds an image, size.

    python benchmarks/detectors.py --data ../shared/data/cxr --out detectors

Fits the presets and each `benchmarks/detectors/*.toml` on the training part of split `cxr-half`,
normal images alone, and judges them by the protocol of `lungpatch evaluate` on images of other
patients. What is fitted already in `--out` is not fitted again. Writes `results.json`, with all
figures, and `table.md`. `--only` takes some of them; some train for minutes.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import lungpatch
from lungpatch._utils.files import atomic_write
from lungpatch.datasets import load_folder, read_patients
from lungpatch.datasets.splits import every_second_patient, load_split
from lungpatch.evaluation.protocol import Evaluation, evaluate
from lungpatch.evaluation.report import write_report
from lungpatch.io import find_images
from lungpatch.segmenters.unet import UNetSegmenter

if TYPE_CHECKING:
    from lungpatch.pipeline import Pipeline

CONFIGURATIONS = Path(__file__).with_suffix("")
FIGURES = ("image auroc", "patch auroc", "pixel auroc", "pointing", "aupro", "folder test")
HEADINGS = ("LO-vs-N", "the same, PA only", *FIGURES[1:], "training, s", "ms an image", "MB")


def main() -> None:
    arguments = parse_arguments()
    data = arguments.data
    patients = read_patients(data / "metadata.csv")
    normal = every_second_patient(find_images(data / "normal"), patients)
    pipelines = {
        name: fitted(unfitted(name), arguments.out / f"{name}.lungpatch", normal, patients)
        for name in arguments.only or names()
    }
    with lungpatch.progress_bar() as progress:
        evaluation = evaluate(
            pipelines,
            load_folder(data, metadata=data / "metadata.csv", boxes=data / "boxes.csv"),
            load_split("cxr-half"),
            segmenter=UNetSegmenter(),
            progress=progress,
        )
    write_report(evaluation, arguments.out)
    table = table_of(evaluation, pipelines, arguments.out)
    with atomic_write(arguments.out / "detectors.md") as temporary:
        temporary.write_text(table, encoding="utf-8")
    print(table)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the images and tables")
    parser.add_argument("--out", type=Path, required=True, help="folder for all that is made")
    parser.add_argument("--only", nargs="+", choices=names(), help="some of the detectors")
    return parser.parse_args()


def names() -> list[str]:
    return [*lungpatch.preset_names(), *sorted(p.stem for p in CONFIGURATIONS.glob("*.toml"))]


def unfitted(name: str) -> Pipeline:
    file = CONFIGURATIONS / f"{name}.toml"
    return lungpatch.load_config(file) if file.exists() else lungpatch.load_preset(name)


def fitted(
    pipeline: Pipeline, saved: Path, normal: list[Path], patients: dict[str, str]
) -> Pipeline:
    """Fit and save, or read what was saved."""
    if not saved.exists():
        print(saved.stem, flush=True)
        pipeline.fit(normal, patients=patients).save(saved)
    return lungpatch.load_pipeline(saved)


def table_of(evaluation: Evaluation, pipelines: dict[str, Pipeline], out: Path) -> str:
    everywhere, frontal = evaluation.table("all"), evaluation.table("PA")
    times = {j.outcome.name: j.outcome.milliseconds for j in evaluation.judgements}
    lines = [f"| detector | {' | '.join(HEADINGS)} |", "|---" * (len(HEADINGS) + 1) + "|"]
    for name, row in everywhere.items():
        first, *others = (str(row.get(figure, "-")) for figure in FIGURES)
        cells = [first, str(frontal[name].get(FIGURES[0], "-")), *others]
        if name in pipelines:
            report = pipelines[name].report_
            assert report is not None
            size = sum(file.stat().st_size for file in (out / f"{name}.lungpatch").iterdir())
            cells += [f"{report.seconds:.0f}", f"{times[name]:.0f}", f"{size / 1e6:.1f}"]
        else:
            cells += ["", "", ""]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
