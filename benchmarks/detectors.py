"""All detectors on the same images: accuracy, seconds of training, milliseconds per image, size.

    python benchmarks/detectors.py --data ../shared/data/cxr --out detectors

Fits the presets and each `benchmarks/detectors/*.toml` to the training part of split `cxr-half`,
normal images only, and evaluates them by the protocol of `lungpatch evaluate` on images of other
patients. A pipeline that is in `--out` already is not fitted again. Writes `results.json`, with all
metrics, and the table `detectors.inc`. Some detectors train for minutes; `--only` selects some.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from study import CONFIGURATIONS, Study, parser_of, unfitted
from tables import markdown_table, write_table

import lungpatch
from lungpatch.evaluation import Evaluation, write_report

if TYPE_CHECKING:
    from pathlib import Path

    from lungpatch.pipeline import Pipeline

METRICS = ("image AUROC", "patch AUROC", "pixel AUROC", "pointing game", "AUPRO", "folder test")
HEADINGS = (METRICS[0], "image AUROC, PA", *METRICS[1:], "training, s", "ms per image", "MB")


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--only", nargs="+", choices=names(), help="some of the detectors")
    arguments = parser.parse_args()
    study = Study.read(arguments.data)
    pipelines = {
        name: study.fitted(unfitted(name), arguments.out / f"{name}.lungpatch")
        for name in arguments.only or names()
    }
    evaluation = study.evaluate(pipelines)
    write_report(evaluation, arguments.out)
    write_table(
        "detectors",
        table_of(evaluation, pipelines, arguments.out),
        arguments.out,
        publish=arguments.publish,
    )


def names() -> list[str]:
    return [*lungpatch.preset_names(), *sorted(p.stem for p in CONFIGURATIONS.glob("*.toml"))]


def table_of(evaluation: Evaluation, pipelines: dict[str, Pipeline], out: Path) -> str:
    times = {each.predictions.name: each.predictions.milliseconds for each in evaluation.results}
    rows = []
    for name, metrics in metric_cells(evaluation).items():
        costs = ["", "", ""]
        if name in pipelines:
            report = pipelines[name].report_
            assert report is not None
            size = sum(file.stat().st_size for file in (out / f"{name}.lungpatch").iterdir())
            costs = [f"{report.seconds:.0f}", f"{times[name]:.0f}", f"{size / 1e6:.1f}"]
        rows.append([name, *metrics, *costs])
    return markdown_table(("detector", *HEADINGS), rows)


def metric_cells(evaluation: Evaluation) -> dict[str, list[str]]:
    """Return the cells of the metrics of each row: all images, and image AUROC of the PA view."""
    everywhere, frontal = evaluation.table("all"), evaluation.table("PA")
    cells = {}
    for name, row in everywhere.items():
        first, *others = (str(row.get(metric, "-")) for metric in METRICS)
        cells[name] = [first, str(frontal[name].get(METRICS[0], "-")), *others]
    return cells


if __name__ == "__main__":
    main()
