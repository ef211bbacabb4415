"""Writing an evaluation as files: results.json, table.md, figures, and sheets of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from lungpatch._utils.axes import load_pyplot
from lungpatch._utils.files import atomic_write, write_json
from lungpatch._utils.marks import RESULT_MARK, png_mark
from lungpatch._version import __version__
from lungpatch.evaluation.bootstrap import Estimate
from lungpatch.evaluation.figures import plot_froc, plot_roc, plot_scores_by_kind
from lungpatch.evaluation.operating_tables import operating_record, operating_tables
from lungpatch.evaluation.protocol import LARGE, N_RESAMPLES, SMALL, Evaluation
from lungpatch.evaluation.sections import BOXES, COMPARED, SECTIONS, describe_left_out
from lungpatch.evaluation.sheets import draw_sheet

if TYPE_CHECKING:
    import os

Table = Mapping[str, Mapping[str, Estimate]]


def write_report(evaluation: Evaluation, out: str | os.PathLike[str]) -> None:
    """Write results.json, table.md, figures and sheets of the best and worst images.

    Parameters
    ----------
    evaluation : Evaluation
    out : path
        Folder, made if it is missing.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed; results.json and table.md are written all the same.

    Examples
    --------
    >>> write_report(evaluation, "evaluated")                          # doctest: +SKIP
    """
    out = Path(out)
    tables = {group: evaluation.table(group) for group in evaluation.groups}
    comparisons = {group: evaluation.comparison(group) for group in evaluation.groups}
    write_json(out / "results.json", record(evaluation, tables, comparisons))
    with atomic_write(out / "table.md") as temporary:
        temporary.write_text(markdown(evaluation, tables, comparisons), encoding="utf-8")
    _write_sheets(evaluation, out)
    _write_figures(evaluation, out)


def _write_sheets(evaluation: Evaluation, out: Path) -> None:
    for result in evaluation.results[: evaluation.n_pipelines]:
        predictions = result.predictions
        assert predictions.heatmaps is not None
        assert predictions.colour_scale is not None
        sheet = draw_sheet(evaluation.cases, predictions.heatmaps, predictions.colour_scale)
        if sheet is not None:
            name = f"best-and-worst-{Path(predictions.name).stem}.png"
            with atomic_write(out / name) as temporary:
                sheet.save(temporary, format="PNG", pnginfo=png_mark())


def _write_figures(evaluation: Evaluation, out: Path) -> None:
    figures = {}
    if not set(COMPARED) & evaluation.metrics_left_out.keys():
        figures["roc"] = plot_roc(evaluation)
    if not set(BOXES) & evaluation.metrics_left_out.keys():
        figures["froc"] = plot_froc(evaluation)
    for number in range(evaluation.n_pipelines):
        name = Path(evaluation.results[number].predictions.name).stem
        figures[f"scores-{name}"] = plot_scores_by_kind(evaluation, number=number)
    for name, axes in figures.items():
        figure = axes.get_figure(root=True)
        assert figure is not None
        with atomic_write(out / f"{name}.png") as temporary:
            figure.savefig(temporary, dpi=120, metadata={"Comment": RESULT_MARK})
        load_pyplot().close(figure)


def record(
    evaluation: Evaluation, tables: Mapping[str, Table], comparisons: Table
) -> dict[str, Any]:
    """Return all results, ready for JSON.

    Parameters
    ----------
    evaluation : Evaluation
    tables : mapping of str to table
        By group.
    comparisons : mapping of str to mapping of str to Estimate
        By group.

    Returns
    -------
    dict

    Examples
    --------
    >>> record(evaluation, tables, comparisons)["images"]["boxed"]      # doctest: +SKIP
    71
    """
    detectors = [result.predictions for result in evaluation.results]
    return {
        "lungpatch_version": __version__,
        "split": (
            None
            if evaluation.split is None
            else {"name": evaluation.split.name, "sha256": evaluation.split.sha256}
        ),
        "seed": evaluation.seed,
        "resamples": N_RESAMPLES,
        "images": evaluation.counts(),
        "kinds": dict(evaluation.kinds.roles),
        "notes": list(evaluation.notes),
        "left_out": dict(evaluation.left_out),
        "metrics_left_out": dict(evaluation.metrics_left_out),
        "detectors": {
            each.name: {"milliseconds": each.milliseconds, "unscored": each.unscored}
            for each in detectors
        },
        "tables": {
            group: {name: _plain(row) for name, row in table.items()}
            for group, table in tables.items()
        },
        "operating_points": operating_record(evaluation),
        "comparison": {group: _plain(row) for group, row in comparisons.items()},
        "scores": [
            {
                "image_id": case.image_id,
                "patient": case.patient,
                "view": case.view,
                "kind": case.kind,
                **{each.name: each.scores[index] for each in detectors},
            }
            for index, case in enumerate(evaluation.cases)
        ],
    }


def _plain(row: Mapping[str, Estimate]) -> dict[str, dict[str, float]]:
    return {metric: attrs.asdict(value) for metric, value in row.items()}


def markdown(evaluation: Evaluation, tables: Mapping[str, Table], comparisons: Table) -> str:
    """Return the tables in Markdown.

    Parameters
    ----------
    evaluation : Evaluation
    tables, comparisons
        As for `record`.

    Returns
    -------
    str

    Examples
    --------
    >>> print(markdown(evaluation, tables, comparisons))               # doctest: +SKIP
    """
    counts = evaluation.counts()
    names = [result.predictions.name for result in evaluation.results]
    pipelines = names[: evaluation.n_pipelines]
    present = [f"{n} {kind}" for kind, n in evaluation.kinds.counts().items()]
    lines = [
        f"# Evaluation of {' and '.join(pipelines) or 'the controls'}",
        "",
        f"{counts['images']} images of {counts['patients']} patients: {', '.join(present)}; "
        f"{counts['boxes']} boxes on {counts['boxed']} images.",
        *_left_out(evaluation),
        f"In brackets: 95 % intervals, {N_RESAMPLES} resamples of patients.",
        "",
        *(f"- {note}" for note in evaluation.notes),
        *(f"- {line}" for line in describe_left_out(evaluation.metrics_left_out)),
        "",
        *_decisions(evaluation),
    ]
    for group, table in tables.items():
        images = evaluation.groups[group]
        if images.any():
            lines += [f"## {group}: {int(images.sum())} images", "", *_sections(table)]
    if pipelines[1:]:
        lines += [f"## {pipelines[0]} minus {pipelines[1]}, paired", "", *_sections(comparisons)]
    lines += [_explanation(evaluation), ""]
    return "\n".join(lines)


def _left_out(evaluation: Evaluation) -> list[str]:
    split = evaluation.split
    if split is None:
        return []
    left_out = ", ".join(f"{number} {kind}" for kind, number in evaluation.left_out.items())
    return [
        "Left out, since they or their patients are in the training part of "
        f"`{split.name}` (sha256 {split.sha256[:12]}): {left_out or 'none'}."
    ]


def _decisions(evaluation: Evaluation) -> list[str]:
    lines = []
    for name, tables in operating_tables(evaluation).items():
        lines += [f"## Decisions of {name}", "", *tables.facts, ""]
        for title, rows in (("Images flagged", tables.images), ("Boxes", tables.boxes)):
            if rows:
                table = [_row([label, *cells]) for label, cells in rows.items()]
                lines += [f"### {title}", "", *_head(tables.head), *table, ""]
    if lines:
        lines += [
            "Rate: tolerated fraction of normal images that are flagged, and that have a box.",
            "",
        ]
    return lines


def _explanation(evaluation: Evaluation) -> str:
    kinds = evaluation.kinds
    compared = ""
    if kinds.known_by == "readings":
        compared = (
            "`image AUROC`, `image AP`: images that RSNA's readers called `Lung Opacity` against "
            "`Normal`, neither labelled normal. `folder test`: AUROC of those called `Normal` "
            "against those labelled normal; it should be 0.5. "
        )
    elif kinds.known_by == "labels":
        compared = (
            f"`image AUROC`, `image AP`: {kinds.positive_words} against {kinds.reference_words}. "
            "If these have different sources, that measures the sources too. "
        )
    return (
        f"{compared}Small boxes cover under {SMALL:.0%} of an image, large ones over {LARGE:.0%}. "
        "The best box IoU is at a threshold chosen on the boxes themselves. See the page "
        "Evaluation."
    )


def _sections(table: Table) -> list[str]:
    lines = []
    for section, metrics in SECTIONS.items():
        shown = {
            metric: {
                name: str(row[metric]) if metric in row else "-" for name, row in table.items()
            }
            for metric in metrics
        }
        known = {name: any(shown[metric][name] != "-" for metric in metrics) for name in table}
        columns = [metric for metric in metrics if any(v != "-" for v in shown[metric].values())]
        if columns:
            rows = [
                _row([name, *(shown[metric][name] for metric in columns)])
                for name in table
                if known[name]
            ]
            lines += [f"### {section}", "", *_head(columns), *rows, ""]
    return lines


def _head(columns: Sequence[str]) -> list[str]:
    return ["| | " + " | ".join(columns) + " |", "| --- |" + " --- |" * len(columns)]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
