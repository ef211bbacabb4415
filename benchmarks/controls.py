"""The controls of the evaluation protocol, which use no lesions: one or two minutes.

    python benchmarks/controls.py --data ../shared/data/cxr --out controls

Evaluates the controls alone by the protocol of `lungpatch evaluate`, on the images that the split
`cxr-half` holds out. Writes `results.json`, with all metrics, and the table `controls.inc`.
"""

from __future__ import annotations

from study import Study, parser_of
from tables import markdown_table, write_table

from lungpatch.evaluation import write_report

METRICS = (
    "image AUROC",
    "folder test",
    "patch AUROC",
    "pixel AUROC",
    "pointing game",
    "mean sensitivity",
    "best box IoU",
)


def main() -> None:
    arguments = parser_of(__doc__).parse_args()
    evaluation = Study.read(arguments.data).evaluate({})
    write_report(evaluation, arguments.out)
    rows = [
        [name, *(str(row.get(metric, "-")) for metric in METRICS)]
        for name, row in evaluation.table("all").items()
    ]
    table = markdown_table(("control", *METRICS), rows)
    write_table("controls", table, arguments.out, publish=arguments.publish)
    print(evaluation.counts())


if __name__ == "__main__":
    main()
