"""What the command line prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lungpatch.archive import DetectionCounts, SavedDetection
    from lungpatch.evaluation import Evaluation, SourcesEvaluation
    from lungpatch.pipeline import Calibration, Failure, Pipeline

_METRICS = ("image AUROC", "patch AUROC", "pixel AUROC", "pointing game", "folder test")


def print_failures(failures: Iterable[Failure]) -> None:
    """Print the error of each image that could not be processed."""
    for failure in failures:
        typer.echo(f"failed: {failure.error}", err=True)


def print_without_dicom(failures: Iterable[Failure]) -> None:
    """Print why images have no DICOM objects."""
    for failure in failures:
        typer.echo(f"no DICOM objects: {failure.error}", err=True)


def print_summary(detections: Iterable[SavedDetection]) -> None:
    """Print where the anomaly score is high, or why an image is out of scope."""
    for detection in detections:
        if detection.status == "out_of_scope":
            typer.echo(f"out of scope: {detection.record['reason']}")
        elif detection.decision is not None:
            typer.echo("\n".join(detection.record["summary"]))


def print_counts(counts: DetectionCounts, out: Path) -> None:
    """Print what came of the images of a folder, and the rates that can be asked for."""
    from lungpatch.archive.calibrations import read_calibrations

    calibrations = "; ".join(
        f"{each.calibration.n_patients} normal patients, finest false-alarm rate "
        f"{each.calibration.finest_rate:.2g}"
        for each in read_calibrations(out).values()
    )
    typer.echo(
        f"{counts.above} above the threshold, {counts.below} not, {counts.out_of_scope} out of "
        f"scope, {counts.unscored} without lungs to score, {len(counts.failures)} failed. "
        f"Calibrated on {calibrations}. Results: {out}; to look at them, open {out / 'index.html'} "
        "in a browser."
    )


def print_fit(pipeline: Pipeline, out: Path) -> None:
    """Print what was fitted, and where it was saved."""
    report = pipeline.report_
    assert report is not None
    for role, count in report.images.items():
        patches = f", {report.patches[role]} patches" if role in report.patches else ""
        typer.echo(f"{role}: {count} images of {report.patients[role]} patients{patches}")
    typer.echo(f"model: {report.history}")
    if (shortcut := report.identity_shortcut) is not None:
        typer.echo(
            f"identity shortcut: {shortcut['shortcut']:.2f} (0: the model restores normal lung "
            "under an opacity; 1: it copies the opacity; above 1: it reconstructs opacities better "
            f"than normal lung); error on normal patches {shortcut['normal_error']:.2f} grey levels"
        )
    print_calibration(pipeline.calibration_)
    typer.echo(f"Saved to {out} after {report.seconds:.0f} s.")


def print_calibration(calibration: Calibration) -> None:
    """Print thresholds, and the finest rate that can be asked for."""
    typer.echo(
        f"threshold: image score {calibration.threshold:.4g}, regions "
        f"{calibration.region_threshold:.4g} ({calibration.rule}); {calibration.n_patients} "
        f"normal patients, finest false-alarm rate {calibration.finest_rate:.2g}"
    )


def print_evaluation(evaluation: Evaluation, out: Path) -> None:
    """Print what each pipeline decides, and the main metrics of each detector and baseline."""
    from lungpatch.evaluation.operating_tables import operating_tables
    from lungpatch.evaluation.sections import describe_left_out

    for note in (*evaluation.notes, *describe_left_out(evaluation.metrics_left_out)):
        typer.echo(note)
    for name, tables in operating_tables(evaluation).items():
        typer.echo()
        for fact in tables.facts:
            typer.echo(fact)
        for title, rows in (
            (f"{name}: images flagged", tables.images),
            (f"{name}: boxes", tables.boxes),
        ):
            if rows:
                width = max(map(len, (title, *rows)))
                for label, cells in {title: tables.head, **rows}.items():
                    typer.echo(f"{label:{width}}" + "".join(f"  {cell:>17}" for cell in cells))
    typer.echo()
    for name, row in evaluation.table("all").items():
        if shown := [f"{metric} {row[metric]}" for metric in _METRICS if metric in row]:
            typer.echo(f"{name}: {', '.join(shown)}")
    left_out = sum(evaluation.left_out.values())
    typer.echo(f"{left_out} images of training patients left out. Results: {out}")


def print_sources(evaluation: SourcesEvaluation, out: Path) -> None:
    """Print what is true of each source, and the tables."""
    from lungpatch.evaluation.sources_report import source_tables

    for source in evaluation.sources:
        typer.echo(f"{source.name}: {source.about}.")
    for note in evaluation.notes:
        typer.echo(note)
    for table in source_tables(evaluation):
        typer.echo(f"\n{table.text()}")
    typer.echo(f"\n{evaluation.n_left_out} images left out. Results: {out}")


def print_plugins(rows: list[dict[str, Any]]) -> None:
    """Print a table of components and of plugins that failed to load."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for column in ("kind", "name", "plugin", "status"):
        table.add_column(column, no_wrap=True)
    table.add_column("what it does")
    for row in rows:
        about = row["summary"] if row["status"] == "ok" else row["error"]
        table.add_row(row["kind"], row["name"], row["plugin"], row["status"], about)
    # Names and messages are shown as they are, whatever brackets or colons they hold.
    Console(markup=False, emoji=False).print(table)
