"""Pipelines on several sources of truth, and what a choice on some of them yields on the others.

    python benchmarks/sources.py --data ../shared/data --pipeline default --publish
    python benchmarks/sources.py --choose one/results.json other/results.json --out choice

The first evaluates fitted pipelines as `lungpatch evaluate --data` does, each image once per
pipeline, and writes the table `across_sources.inc`; with `--out` also all that the command writes.

The second chooses among candidates, the pipelines of results that `lungpatch evaluate --data` or
the first wrote, and writes the table `leave_one_source_out.inc`. The mark of a candidate on a
source is the mean of its image AUROC, pixel AUROC, pointing game and rank correlation on all of
the source, of those that the source has. Chosen is the highest mark on one source, and then the
highest mean mark on all sources but one. What counts is the mark on a source that did not choose.
The table also counts the looks: how many candidates were seen on each source.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tables import markdown_table, write_table

import lungpatch
from lungpatch._utils.files import unique_stems
from lungpatch.datasets import load_split
from lungpatch.evaluation import evaluate_sources, load_sources, write_sources_report
from lungpatch.evaluation.sources_report import source_tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lungpatch.evaluation import SourcesEvaluation

MARK = ("image AUROC", "pixel AUROC", "pointing game", "rank correlation")
"""Metrics whose mean is the mark of a candidate on a source."""
NOT_CHOSEN_ON = ("devices", "readers")
"""Sources that do not choose: lower is better on the first, and others hold the second's images."""

Marks = dict[str, dict[str, float]]
"""By source and candidate."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--data", type=Path, help="folder of all sources")
    what.add_argument(
        "--choose", type=Path, nargs="+", metavar="RESULTS", help="results.json files"
    )
    parser.add_argument(
        "--pipeline", action="append", help="name or path of a fitted pipeline; repeatable"
    )
    parser.add_argument("--split", help="whose training part the pipelines were fitted to")
    parser.add_argument("--out", type=Path, help="folder for all that is written")
    parser.add_argument(
        "--publish", action="store_true", help="write the table into the documentation, too"
    )
    arguments = parser.parse_args()
    if arguments.choose:
        name, text = "leave_one_source_out", choice_text(read_marks(arguments.choose))
    else:
        evaluation = evaluate(arguments.data, arguments.pipeline or ["default"], arguments.split)
        if arguments.out is not None:
            write_sources_report(evaluation, arguments.out)
        name, text = "across_sources", evaluation_text(evaluation)
    write_table(name, text, arguments.out, publish=arguments.publish)


def evaluate(data: Path, pipelines: Sequence[str], split: str | None) -> SourcesEvaluation:
    loaded = {
        name: lungpatch.load_pipeline(path)
        for name, path in zip(unique_stems(pipelines), pipelines, strict=True)
    }
    with lungpatch.progress_bar() as progress:
        return evaluate_sources(
            loaded,
            load_sources(data),
            None if split is None else load_split(split),
            segmenter=lungpatch.UNetSegmenter(),
            progress=progress,
        )


def evaluation_text(evaluation: SourcesEvaluation) -> str:
    """Return the notes and tables of an evaluation as a part of a page."""
    tables = [f"{table.title}\n\n{table.markdown()}\n" for table in source_tables(evaluation)]
    return "\n".join((*tables, *(f"{note}\n" for note in evaluation.notes)))


# ---------------------------------------------------------------------------------- the choice


def read_marks(files: Sequence[Path]) -> Marks:
    """Return the mark of each candidate on each source, by source and candidate."""
    marks: Marks = {}
    for file in files:
        record = json.loads(file.read_text(encoding="utf-8"))
        for source in record["sources"]:
            if source in NOT_CHOSEN_ON:
                continue
            everything = next(row for row in record["rows"] if row["source"] == source)
            for candidate in record["pipelines"]:
                if candidate in marks.setdefault(source, {}):
                    raise SystemExit(f"{file}: a second candidate {candidate!r}: rename one")
                marks[source][candidate] = mark(everything["metrics"][candidate])
    candidates = [set(each) for each in marks.values()]
    if any(each != candidates[0] for each in candidates):
        raise SystemExit("all candidates must be evaluated on the same sources")
    return marks


def mark(metrics: Mapping[str, Mapping[str, Any]]) -> float:
    values = [metrics[metric]["value"] for metric in MARK if metric in metrics]
    return sum(values) / len(values)


def choose(marks: Marks, sources: Sequence[str]) -> str:
    """Return the candidate with the highest mean mark on some sources; of equals the first."""
    candidates = list(marks[sources[0]])
    return max(candidates, key=lambda one: sum(marks[source][one] for source in sources))


def choice_text(marks: Marks) -> str:
    """Return what choices yield on sources that did not choose, as tables."""
    sources = list(marks)
    by_one = []
    for source in sources:
        chosen = choose(marks, [source])
        cells = [f"{marks[other][chosen]:.3f}" for other in sources]
        cells[sources.index(source)] += " (chose)"
        by_one.append([source, f"`{chosen}`", *cells])
    left_out = []
    for source in sources:
        others = [other for other in sources if other != source]
        chosen, best = choose(marks, others), choose(marks, [source])
        left_out.append(
            [
                source,
                f"`{chosen}`",
                f"{marks[source][chosen]:.3f}",
                f"{marks[source][best]:.3f} (`{best}`)",
            ]
        )
    looks = [[source, len(marks[source])] for source in sources]
    return "\n".join(
        (
            "Chosen on one source: its mark there, and on the others.\n",
            markdown_table(("chosen on", "candidate", *sources), by_one),
            "Each source left out in turn: what the others choose, its mark on the one left out, "
            "and\nthe highest mark there of all candidates, which is a maximum and no estimate.\n",
            markdown_table(("left out", "the others choose", "mark", "highest"), left_out),
            "Looks: candidates that were seen on each source.\n",
            markdown_table(("source", "looks"), looks),
        )
    )


if __name__ == "__main__":
    main()
