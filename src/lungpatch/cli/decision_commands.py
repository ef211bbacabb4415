"""The commands about decisions: decide again, calibrate on a site's images, check a site."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lungpatch.cli.exit_status import SOME_FAILED
from lungpatch.cli.options import (
    Exclude,
    FalseAlarmRate,
    FalseDiscoveryRate,
    FittedPipeline,
    FoundFolder,
    Images,
    Patients,
)
from lungpatch.cli.printing import print_calibration, print_counts, print_failures
from lungpatch.cli.saving import save_or_rescue

if TYPE_CHECKING:
    from lungpatch.pipeline import Failure, Pipeline, SiteReport

Report = Annotated[
    Path | None,
    typer.Option(
        help="Folder for a picture (site.png) and a file (site.json) of how these images differ "
        'from those that the pipeline was calibrated on. Needs `pip install "lungpatch[plot]"`.',
        show_default=False,
    ),
]


def decide(
    found: FoundFolder,
    false_alarm_rate: FalseAlarmRate = None,
    fdr: FalseDiscoveryRate = None,
) -> None:
    """Decide again which images are above the threshold, without detecting again.

    Give --false-alarm-rate or --fdr. The records get new thresholds and labels; scores, p-values,
    maps and boxes stay. For boxes at another rate, detect again with --false-box-rate.
    """
    from lungpatch.archive import decide as decide_again

    print_counts(decide_again(found, false_alarm_rate=false_alarm_rate, fdr=fdr), found)


def calibrate(
    normal: Images,
    out: Annotated[Path, typer.Option(help="Folder to save the pipeline to: NAME.lungpatch.")],
    pipeline: FittedPipeline = "default",
    patients: Patients = None,
    exclude: Exclude = None,
    report: Report = None,
) -> None:
    """Calibrate a pipeline on a site's own normal radiographs, and save it.

    What was trained stays; thresholds, p-values and colours come from these images. Give images of
    at least 20 patients that the pipeline was not fitted to.
    """
    from lungpatch.pipeline import load_pipeline
    from lungpatch.pipeline.storage import check_destination

    check_destination(out)
    fitted = load_pipeline(pipeline)
    found, failures = _compare(
        normal,
        fitted,
        min_patients=fitted.min_calibration_patients,
        patients=patients,
        exclude=exclude,
        report=report,
    )
    site = fitted.calibrate(found)
    typer.echo(found)
    print_calibration(site.calibration_)
    typer.echo(f"Saved to {save_or_rescue(site, out)}.")
    print_failures(failures)
    if failures or found.unused:
        raise typer.Exit(SOME_FAILED)


def check(
    normal: Images,
    pipeline: FittedPipeline = "default",
    patients: Patients = None,
    exclude: Exclude = None,
    report: Report = None,
) -> None:
    """Compare radiographs thought normal with those that a pipeline was calibrated on.

    If their p-values are spread evenly, false alarms are as rare as the rates promise.
    """
    from lungpatch.pipeline import load_pipeline

    found, failures = _compare(
        normal, load_pipeline(pipeline), patients=patients, exclude=exclude, report=report
    )
    typer.echo(found)
    print_failures(failures)
    if failures or found.unused:
        raise typer.Exit(SOME_FAILED)


def _compare(
    normal: list[Path],
    pipeline: Pipeline,
    *,
    min_patients: int = 1,
    patients: Path | None,
    exclude: Path | None,
    report: Path | None,
) -> tuple[SiteReport, list[Failure]]:
    from lungpatch._utils.destinations import check_folder
    from lungpatch._utils.extras import require_extra
    from lungpatch._utils.progress import progress_bar
    from lungpatch.archive.inputs import expand
    from lungpatch.datasets.tables import read_patients
    from lungpatch.reports import write_site_report

    if report is not None:
        require_extra("plot", ["matplotlib"], needed_by="--report")
        check_folder(report)
    paths, failures = expand(normal, exclude=exclude)
    owners = read_patients(patients) if patients else None
    with progress_bar() as progress:
        found = pipeline.check(paths, patients=owners, min_patients=min_patients, progress=progress)
    if report is not None:
        write_site_report(report, found)
    return found, failures
