"""All detectors on the same images: accuracy, seconds of training, milliseconds per image, size.

    python benchmarks/detectors.py --data ../shared/data/cxr --out detectors

Fits the presets and each `benchmarks/detectors/*.toml` to the training part of split `cxr-half`,
normal images only, and evaluates them by the protocol of `lungpatch evaluate` on images of other
patients. A pipeline that is in `--out` already is not fitted again. Writes `results.json`, with all
metrics, and two tables: `detectors.inc`, and `detectors_short.inc` for the page "Which detector?",
with a few detectors and the fraction of opacity images that score higher than nine in ten of the
normal patients that were held out. Some detectors train for minutes; `--only` selects some.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from study import CONFIGURATIONS, Study, parser_of, unfitted
from tables import markdown_table, write_table

import lungpatch
from lungpatch.evaluation import Evaluation, write_report
from lungpatch.pipeline.calibration import highest_by_patient

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from lungpatch.pipeline import Pipeline

SHORT = (
    "default",
    "lesion-head-lung",
    "lesion-head-imagenet",
    "memory-bank-imagenet",
    "atlas",
    "paper",
)
FALSE_ALARMS = 0.1

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
    for name, text in (
        ("detectors", table_of(evaluation, pipelines, arguments.out)),
        ("detectors_short", short_table(evaluation, pipelines, arguments.out)),
    ):
        write_table(name, text, arguments.out, publish=arguments.publish)


def names() -> list[str]:
    return [*lungpatch.preset_names(), *sorted(p.stem for p in CONFIGURATIONS.glob("*.toml"))]


def table_of(evaluation: Evaluation, pipelines: dict[str, Pipeline], out: Path) -> str:
    costs = cost_cells(evaluation, pipelines, out)
    rows = [
        [name, *metrics, *costs.get(name, ("", "", ""))]
        for name, metrics in metric_cells(evaluation).items()
    ]
    return markdown_table(("detector", *HEADINGS), rows)


def short_table(evaluation: Evaluation, pipelines: dict[str, Pipeline], out: Path) -> str:
    """Return what fits on a page: some detectors, few metrics, no intervals."""
    metrics, costs = evaluation.table("all"), cost_cells(evaluation, pipelines, out)
    rows = [
        [
            f"`{each.predictions.name}`",
            f"{found(each.predictions.scores, evaluation):.2f}",
            *(
                f"{metrics[each.predictions.name][metric].value:.2f}"
                for metric in ("image AUROC", "pixel AUROC", "pointing game")
            ),
            *costs[each.predictions.name][1:],
        ]
        for each in evaluation.results
        if each.predictions.name in SHORT and each.predictions.name in pipelines
    ]
    chance = [f"{metrics['chance'][m].value:.2f}" for m in ("pixel AUROC", "pointing game")]
    rows.append(["chance", f"{FALSE_ALARMS:.2f}", "0.50", *chance, "", ""])
    found_at = f"found at {100 * FALSE_ALARMS:.0f} % false alarms"
    return markdown_table(
        ("detector", found_at, "image AUROC", "pixel AUROC", "pointing game", "ms per image", "MB"),
        rows,
    )


def found(scores: NDArray[np.float64], evaluation: Evaluation) -> float:
    """Return the fraction of opacity images above the conformal threshold of held-out normals."""
    kinds = evaluation.kinds.names
    normal = (kinds == "normal") & np.isfinite(scores)
    patients = np.array([case.patient for case in evaluation.cases])
    highest = highest_by_patient(patients[normal].tolist(), scores[normal].tolist())
    threshold = lungpatch.ConformalThresholder(alpha=FALSE_ALARMS).fit(highest).threshold_
    return float(np.mean(scores[kinds == "opacity"] > threshold))


def cost_cells(
    evaluation: Evaluation, pipelines: dict[str, Pipeline], out: Path
) -> dict[str, tuple[str, str, str]]:
    """Return seconds of training, milliseconds per image and megabytes of each pipeline."""
    cells = {}
    for each in evaluation.results:
        name = each.predictions.name
        if name in pipelines:
            report = pipelines[name].report_
            assert report is not None
            size = sum(file.stat().st_size for file in (out / f"{name}.lungpatch").iterdir())
            cells[name] = (
                f"{report.seconds:.0f}",
                f"{each.predictions.milliseconds:.0f}",
                f"{size / 1e6:.1f}",
            )
    return cells


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
