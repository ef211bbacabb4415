"""Writing an evaluation over sources as files: results.json, results.csv, table.md, sheets."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from lungpatch._utils.files import atomic_write, write_json
from lungpatch._utils.marks import png_mark
from lungpatch._version import __version__
from lungpatch.evaluation.across_sources import CHANCE, SECOND_READERS
from lungpatch.evaluation.protocol import N_RESAMPLES
from lungpatch.evaluation.sheets import draw_sheet

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from lungpatch.evaluation.across_sources import PartResult, SourcesEvaluation

MAIN = ("image AUROC", "pixel AUROC", "pooled pixel AUROC", "pointing game", "rank correlation")
"""Metrics of the table of sources."""
SHARES = ("energy pointing game", "share above threshold")
HUMAN = ("pointing game", "median IoU")
HUMAN_LINE = "Human line: second readers against the boxes of the first"
N_SHOWN = 12
"""Number of best and of worst images on a sheet."""


@attrs.frozen(kw_only=True)
class TextTable:
    r"""A table of text.

    Parameters
    ----------
    title : str
    head : tuple of str
    rows : tuple of tuple of str

    Examples
    --------
    >>> TextTable(title="one", head=("", "images"), rows=(("boxes", "82"),)).markdown()
    '| | images |\n| --- | --- |\n| boxes | 82 |'
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Return the table in Markdown, without the title.

        Returns
        -------
        str
        """
        lines = [self.head, ("---",) * len(self.head), *self.rows]
        return "\n".join("| " + " | ".join(cells) + " |" for cells in lines).replace("|  |", "| |")

    def text(self) -> str:
        """Return the table in columns for a terminal, with the title in the first.

        Returns
        -------
        str
        """
        lines = [(self.title, *self.head[1:]), *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
            for cells in lines
        )


def source_tables(evaluation: SourcesEvaluation) -> list[TextTable]:
    """Return the evaluation as tables: metrics by part, shares by source, human line, spread.

    Parameters
    ----------
    evaluation : SourcesEvaluation

    Returns
    -------
    list of TextTable
        Without those that would be empty.

    Examples
    --------
    >>> [table.title for table in source_tables(evaluation)]           # doctest: +SKIP
    ['default: sources', 'default: shares of the score and of the area above the threshold', ...]
    """
    found = [row for row in evaluation.rows if SECOND_READERS not in row.metrics]
    first = [row for row in found if row is evaluation.row(row.source)]
    compared = [row for row in evaluation.rows if SECOND_READERS in row.metrics]
    tables = []
    for name in evaluation.pipelines:
        tables.append(_by_source(f"{name}: sources", name, found, MAIN))
        tables.append(
            _by_source(
                f"{name}: shares of the score and of the area above the threshold",
                name,
                first,
                SHARES,
            )
        )
    tables.append(_human_line(evaluation.pipelines, compared))
    tables.append(_spread(evaluation))
    if evaluation.pipelines[1:]:
        one, other = evaluation.pipelines[:2]
        tables.append(_differences(f"{one} minus {other}, paired", evaluation.rows))
    return [table for table in tables if table.rows]


def _by_source(
    title: str, detector: str, rows: Sequence[PartResult], metrics: Sequence[str]
) -> TextTable:
    """Return metrics in columns; after each that has one, a column of its value by chance."""
    known = [row for row in rows if set(metrics) & row.metrics[detector].keys()]
    columns: list[tuple[str, str]] = []
    for metric in metrics:
        if any(metric in row.metrics[detector] for row in known):
            columns.append((detector, metric))
            if any(metric in row.metrics.get(CHANCE, {}) for row in known):
                columns.append((CHANCE, metric))
    return TextTable(
        title=title,
        head=(
            "source",
            "images",
            *("by chance" if who == CHANCE else metric for who, metric in columns),
        ),
        rows=tuple(
            (
                row_name(row),
                row.images_in_words,
                *(_cell(row, who, metric) for who, metric in columns),
            )
            for row in known
        ),
    )


def row_name(row: PartResult) -> str:
    """Return how tables call a row.

    Parameters
    ----------
    row : PartResult

    Returns
    -------
    str
        The source, and the part if it has a name of its own.

    Examples
    --------
    >>> row_name(evaluation.rows[0])                                   # doctest: +SKIP
    'boxes'
    """
    return row.source if row.part == "all" else f"{row.source}: {row.part}"


def _cell(row: PartResult, detector: str, metric: str) -> str:
    found = row.metrics.get(detector, {}).get(metric)
    if found is None:
        return "-"
    # A value by chance has an interval too, but it is no result.
    return f"{found.value:.2f}" if detector == CHANCE else str(found)


def _human_line(pipelines: Sequence[str], rows: Sequence[PartResult]) -> TextTable:
    return TextTable(
        title=HUMAN_LINE,
        head=("against the same boxes", "images", *HUMAN),
        rows=tuple(
            (name, str(row.n_localised), *(_cell(row, name, metric) for metric in HUMAN))
            for row in rows
            for name in (SECOND_READERS, *pipelines, CHANCE)
        ),
    )


def _spread(evaluation: SourcesEvaluation) -> TextTable:
    spreads = {name: evaluation.spread(name) for name in evaluation.pipelines}
    metrics = [metric for metric in MAIN if any(metric in each for each in spreads.values())]
    return TextTable(
        title="Mean over sources of opacities (lowest to highest)",
        head=("", *metrics),
        rows=tuple(
            (name, *(str(each.get(metric, "-")) for metric in metrics))
            for name, each in spreads.items()
            if each
        ),
    )


def _differences(title: str, rows: Sequence[PartResult]) -> TextTable:
    return TextTable(
        title=title,
        head=("source", *MAIN),
        rows=tuple(
            (row_name(row), *(str(row.differences.get(metric, "-")) for metric in MAIN))
            for row in rows
            if row.differences.keys() & set(MAIN)
        ),
    )


def write_sources_report(evaluation: SourcesEvaluation, out: str | os.PathLike[str]) -> None:
    """Write results.json, results.csv, table.md, and sheets of the best and worst images.

    Parameters
    ----------
    evaluation : SourcesEvaluation
    out : path
        Folder, made if it is missing.

    Examples
    --------
    >>> write_sources_report(evaluation, "evaluated")                  # doctest: +SKIP
    """
    out = Path(out)
    write_json(out / "results.json", sources_record(evaluation))
    with (
        atomic_write(out / "results.csv") as temporary,
        temporary.open("w", newline="", encoding="utf-8") as handle,
    ):
        lines = csv.DictWriter(handle, CSV_COLUMNS)
        lines.writeheader()
        lines.writerows(csv_lines(evaluation))
    with atomic_write(out / "table.md") as temporary:
        temporary.write_text(sources_markdown(evaluation), encoding="utf-8")
    for row in evaluation.rows:
        if row is evaluation.row(row.source):
            _write_sheets(row, out)


def _write_sheets(row: PartResult, out: Path) -> None:
    for name, predictions in row.predictions.items():
        assert predictions.heatmaps is not None
        assert predictions.colour_scale is not None
        sheet = draw_sheet(
            row.cases, predictions.heatmaps, predictions.colour_scale, n_shown=N_SHOWN
        )
        if sheet is not None:
            with atomic_write(out / f"best-and-worst-{row.source}-{name}.png") as temporary:
                sheet.save(temporary, format="PNG", pnginfo=png_mark())


def sources_record(evaluation: SourcesEvaluation) -> dict[str, Any]:
    """Return all results, ready for JSON.

    Parameters
    ----------
    evaluation : SourcesEvaluation

    Returns
    -------
    dict

    Examples
    --------
    >>> sources_record(evaluation)["rows"][0]["source"]                # doctest: +SKIP
    'boxes'
    """
    split = evaluation.split
    return {
        "lungpatch_version": __version__,
        "split": None if split is None else {"name": split.name, "sha256": split.sha256},
        "seed": evaluation.seed,
        "resamples": N_RESAMPLES,
        "notes": list(evaluation.notes),
        "left_out": evaluation.n_left_out,
        "pipelines": {
            name: {"milliseconds": evaluation.milliseconds[name]} for name in evaluation.pipelines
        },
        "sources": {
            source.name: {"about": source.about, "of_opacities": source.of_opacities}
            for source in evaluation.sources
        },
        "rows": [
            {
                "source": row.source,
                "part": row.part,
                "images": row.n_images,
                "patients": row.n_patients,
                "positive": row.n_of("positive"),
                "reference": row.n_of("reference"),
                "localised": row.n_localised,
                "metrics": {
                    name: {metric: attrs.asdict(value) for metric, value in metrics.items()}
                    for name, metrics in row.metrics.items()
                },
                "differences": {
                    metric: attrs.asdict(value) for metric, value in row.differences.items()
                },
            }
            for row in evaluation.rows
        ],
        "scores": [
            {
                "source": row.source,
                "image_id": case.image_id,
                "patient": case.patient,
                "view": case.view,
                "role": case.role,
                **{name: each.scores[index] for name, each in row.predictions.items()},
            }
            for row in evaluation.rows
            if row is evaluation.row(row.source)
            for index, case in enumerate(row.cases)
        ],
        "spread": {
            name: {metric: attrs.asdict(value) for metric, value in evaluation.spread(name).items()}
            for name in evaluation.pipelines
        },
    }


CSV_COLUMNS = (
    "source",
    "part",
    "detector",
    "metric",
    "value",
    "low",
    "high",
    "images",
    "patients",
)


def csv_lines(evaluation: SourcesEvaluation) -> list[dict[str, str | int | float]]:
    """Return all results, one line per part, detector and metric.

    Parameters
    ----------
    evaluation : SourcesEvaluation

    Returns
    -------
    list of dict
        With the keys `CSV_COLUMNS`.

    Examples
    --------
    >>> csv_lines(evaluation)[0]["metric"]                             # doctest: +SKIP
    'image AUROC'
    """
    return [
        {
            "source": row.source,
            "part": row.part,
            "detector": detector,
            "metric": metric,
            **attrs.asdict(value),
            "images": row.n_images,
            "patients": row.n_patients,
        }
        for row in evaluation.rows
        for detector, metrics in row.metrics.items()
        for metric, value in metrics.items()
    ]


def sources_markdown(evaluation: SourcesEvaluation) -> str:
    """Return the tables in Markdown, with what must be known to read them.

    Parameters
    ----------
    evaluation : SourcesEvaluation

    Returns
    -------
    str

    Examples
    --------
    >>> print(sources_markdown(evaluation))                            # doctest: +SKIP
    """
    split = evaluation.split
    left_out = (
        []
        if split is None
        else [
            f"- {evaluation.n_left_out} images left out, since they or their patients are in the "
            f"training part of `{split.name}` (sha256 {split.sha256[:12]})."
        ]
    )
    lines = [
        f"# {' and '.join(evaluation.pipelines) or 'The controls'} on several sources",
        "",
        f"In brackets: 95 % intervals, {N_RESAMPLES} resamples of the patients of a row.",
        "",
        *(f"- {source.name}: {source.about}." for source in evaluation.sources),
        *left_out,
        *(f"- {note}" for note in evaluation.notes),
        "",
    ]
    for table in source_tables(evaluation):
        lines += [f"## {table.title}", "", table.markdown(), ""]
    return "\n".join(lines)
