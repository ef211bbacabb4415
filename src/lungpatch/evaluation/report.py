"""An evaluation as files: results.json, table.md, plots, and a sheet of the best and worst."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from lungpatch._utils.files import atomic_write, write_json
from lungpatch._version import __version__
from lungpatch.evaluation.bootstrap import Estimate
from lungpatch.evaluation.cases import KINDS
from lungpatch.evaluation.protocol import LARGE, N_RESAMPLES, SMALL, Evaluation
from lungpatch.evaluation.sheets import draw_sheet

if TYPE_CHECKING:
    import os

Table = Mapping[str, Mapping[str, Estimate]]

SECTIONS = {
    "Is the image ill?": ("image auroc", "image ap", "folder test"),
    "Where? Each image by itself": (
        "patch auroc",
        "patch ap",
        "pixel auroc",
        "pixel ap",
        "pointing",
        "aupro",
    ),
    "Where? All images together": (
        "patch auroc pooled",
        "patch ap pooled",
        "pixel auroc pooled",
        "pixel ap pooled",
    ),
    "Boxes": (
        "sensitivity at 0.25",
        "sensitivity at 0.5",
        "sensitivity at 1",
        "sensitivity at 2",
        "sensitivity at 4",
        "mean sensitivity",
        "best box iou",
    ),
}


def write_report(evaluation: Evaluation, out: str | os.PathLike[str]) -> None:
    """Write results.json, table.md and the pictures.

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
    >>> write_report(evaluation, "judged")                             # doctest: +SKIP
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
    for judgement in evaluation.judgements[: evaluation.n_pipelines]:
        outcome = judgement.outcome
        assert outcome.heats is not None
        assert outcome.colour_scale is not None
        sheet = draw_sheet(evaluation.cases, outcome.heats, outcome.colour_scale)
        if sheet is not None:
            with atomic_write(out / f"best-and-worst-{Path(outcome.name).stem}.png") as temporary:
                sheet.save(temporary)


def _write_figures(evaluation: Evaluation, out: Path) -> None:
    from lungpatch._utils.axes import load_pyplot
    from lungpatch.evaluation.figures import plot_froc, plot_roc, plot_scores_by_kind

    figures = {"roc": plot_roc(evaluation), "froc": plot_froc(evaluation)}
    for number in range(evaluation.n_pipelines):
        name = Path(evaluation.judgements[number].outcome.name).stem
        figures[f"scores-{name}"] = plot_scores_by_kind(evaluation, number=number)
    for name, axes in figures.items():
        figure = axes.get_figure(root=True)
        assert figure is not None
        with atomic_write(out / f"{name}.png") as temporary:
            figure.savefig(temporary, dpi=120)
        load_pyplot().close(figure)


def record(
    evaluation: Evaluation, tables: Mapping[str, Table], comparisons: Table
) -> dict[str, Any]:
    """All that was found, ready for JSON.

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
    outcomes = [judgement.outcome for judgement in evaluation.judgements]
    return {
        "lungpatch_version": __version__,
        "split": {"name": evaluation.split.name, "sha256": evaluation.split.sha256},
        "seed": evaluation.seed,
        "resamples": N_RESAMPLES,
        "images": evaluation.counts(),
        "left_out": dict(evaluation.left_out),
        "outcomes": {
            outcome.name: {"milliseconds": outcome.milliseconds, "unscored": outcome.unscored}
            for outcome in outcomes
        },
        "tables": {
            group: {name: _plain(row) for name, row in table.items()}
            for group, table in tables.items()
        },
        "comparison": {group: _plain(row) for group, row in comparisons.items()},
        "scores": [
            {
                "image_id": case.image_id,
                "patient": case.patient,
                "view": case.view,
                "kind": case.kind,
                **{outcome.name: outcome.scores[index] for outcome in outcomes},
            }
            for index, case in enumerate(evaluation.cases)
        ],
    }


def _plain(row: Mapping[str, Estimate]) -> dict[str, dict[str, float]]:
    return {figure: attrs.asdict(value) for figure, value in row.items()}


def markdown(evaluation: Evaluation, tables: Mapping[str, Table], comparisons: Table) -> str:
    """Tables for people, in Markdown.

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
    names = [judgement.outcome.name for judgement in evaluation.judgements]
    pipelines = names[: evaluation.n_pipelines]
    left_out = ", ".join(f"{number} {kind}" for kind, number in evaluation.left_out.items())
    lines = [
        f"# Evaluation of {' and '.join(pipelines)}",
        "",
        f"{counts['images']} images of {counts['patients']} patients: "
        + ", ".join(f"{counts[kind]} {kind}" for kind in KINDS)
        + f"; {counts['boxes']} boxes on {counts['boxed']} images.",
        f"Left out, as their patients are in the training part of `{evaluation.split.name}` "
        f"(sha256 {evaluation.split.sha256[:12]}): {left_out or 'none'}.",
        f"In brackets: 95 % intervals, {N_RESAMPLES} resamples of patients.",
        "",
    ]
    for group, table in tables.items():
        images = evaluation.groups[group]
        lines += [f"## {group}: {int(images.sum())} images", ""]
        for section, figures in SECTIONS.items():
            lines += [f"### {section}", "", *_rows(table, figures), ""]
    if pipelines[1:]:
        lines += [f"## {pipelines[0]} minus {pipelines[1]}, paired", ""]
        for section, figures in SECTIONS.items():
            lines += [f"### {section}", "", *_rows(comparisons, figures), ""]
    lines += [
        "`image`: RSNA `Lung Opacity` against `Normal`, both of the folder of the ill. "
        "`folder test`: those read as normal against the folder of the normal; 0.5 is honest. "
        f"Small boxes cover under {SMALL:.0%} of an image, large ones over {LARGE:.0%}. The best "
        "box IoU is at a threshold chosen on the boxes themselves. See the page Evaluation.",
        "",
    ]
    return "\n".join(lines)


def _rows(table: Table, figures: tuple[str, ...]) -> list[str]:
    shown = {
        name: [str(row[figure]) if figure in row else "-" for figure in figures]
        for name, row in table.items()
    }
    return [
        "| | " + " | ".join(figures) + " |",
        "| --- |" + " --- |" * len(figures),
        *(
            f"| {name} | " + " | ".join(cells) + " |"
            for name, cells in shown.items()
            if any(cell != "-" for cell in cells)
        ),
    ]
