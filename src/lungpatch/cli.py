"""The command line: parses, calls, prints. The work is done elsewhere.

Exit status: 0 all good, 2 nothing could be done (usage), 3 some images failed.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lungpatch.errors import ConfigurationError, LungpatchError, MissingInputError

if TYPE_CHECKING:
    from lungpatch.containers import Failure
    from lungpatch.lung_places import LungPlaces
    from lungpatch.pipeline import Pipeline

SOME_FAILED = 3
USAGE = 2
INTERRUPTED = 130

app = typer.Typer(
    name="lungpatch",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help=(
        "Find where a chest radiograph departs from healthy lung, without training on a single "
        "lesion.\n\n"
        "1. **lungpatch demo**: no films needed; writes a page about what it found\n\n"
        "2. **lungpatch segment** films/ --out masks: are the lungs found in your films?\n\n"
        "3. **lungpatch detect** films/ --out found: overlays, heat-maps, a record a film, by the "
        "detector that comes with lungpatch\n\n"
        "4. **lungpatch fit** healthy/ --out mine.lungpatch: learn your own from healthy films "
        "only; **detect** takes it with --pipeline mine.lungpatch\n\n"
        "**lungpatch plugins** lists the components that a TOML file for --config can name. "
        "**lungpatch COMMAND --help** says more.\n\n"
        "A research tool, not a medical device."
    ),
)

plugins_app = typer.Typer(invoke_without_command=True)
app.add_typer(plugins_app, name="plugins")

Images = Annotated[
    list[Path],
    typer.Argument(help="Images (PNG, JPEG, TIFF, DICOM) or folders of them.", show_default=False),
]

FittedPipeline = Annotated[
    str,
    typer.Option(
        help="`default` or `paper`, which come with lungpatch, or a pipeline saved by "
        "`lungpatch fit`."
    ),
]


def _print_version(value: bool) -> None:
    if value:
        from lungpatch import __version__

        typer.echo(f"lungpatch {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


@app.command()
def fit(
    healthy: Images,
    out: Annotated[Path, typer.Option(help="Folder to save the pipeline to: NAME.lungpatch.")],
    preset: Annotated[
        str | None,
        typer.Option(
            help="`default` (what `detect` uses; learns in some ten minutes), `features` (the same "
            "and features of photographs; needs the extra features) or `paper` (the paper's "
            "method: quicker, finds little). [default: default]"
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file instead of a preset.")] = None,
    patients: Annotated[
        Path | None,
        typer.Option(
            help="CSV with the columns `file` and `patient`, so that no patient is split. "
            "Without it each image counts as a patient."
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of all randomness. [default: that of the preset or file]", min=0),
    ] = None,
) -> None:
    """Learn from radiographs of healthy lungs.

    Ctrl-C during training keeps the best weights so far.
    """
    from lungpatch.config import load_config, load_preset
    from lungpatch.datasets.folders import read_patients
    from lungpatch.persistence import check_destination
    from lungpatch.progress import progress_bar

    if preset is not None and config is not None:
        raise ConfigurationError("give --preset or --config, not both")
    pipeline = load_config(config) if config else load_preset(preset or "default")
    if seed is not None:
        pipeline.seed = seed
    check_destination(out)
    owners = read_patients(patients) if patients else None
    paths, failures = _expand(healthy)
    with progress_bar() as progress:
        pipeline.fit(paths, patients=owners, progress=progress)
    pipeline.save(out)
    _print_fit(pipeline, out)
    assert pipeline.report_ is not None
    _print_failures(failures)
    if failures or pipeline.report_.unused:
        raise typer.Exit(SOME_FAILED)


@app.command()
def detect(
    images: Images,
    out: Annotated[Path, typer.Option(help="Folder for the results; made if it is missing.")],
    pipeline: FittedPipeline = "default",
) -> None:
    """Find where radiographs depart from healthy lung.

    Writes detections.jsonl (a record an image) and, for each image, STEM.overlay.png and
    STEM.anomaly.tiff (float32, the image's own size, NaN where nothing was scored).
    """
    from lungpatch.containers import Failure
    from lungpatch.files import JsonLines, unique_stems
    from lungpatch.persistence import load_pipeline
    from lungpatch.progress import progress_bar
    from lungpatch.reports import (
        detection_record,
        failure_record,
        write_anomaly_map,
        write_overlay,
    )

    paths, failures = _expand(images)
    fitted = load_pipeline(pipeline)
    scale = fitted.calibration.colour_scale
    out.mkdir(parents=True, exist_ok=True)
    counts: Counter[str] = Counter()
    places: LungPlaces | None = None
    with JsonLines(out / "detections.jsonl") as records, progress_bar() as progress:
        for failure in failures:
            records.append(failure_record(failure))
        results = zip(paths, unique_stems(paths), fitted.detect_many(paths), strict=True)
        for count, (path, stem, result) in enumerate(results, start=1):
            if isinstance(result, Failure):
                failures.append(result)
                records.append(failure_record(result))
            else:
                write_overlay(out / f"{stem}.overlay.png", result, scale)
                write_anomaly_map(out / f"{stem}.anomaly.tiff", result)
                files = {
                    "overlay": f"{stem}.overlay.png",
                    "anomaly_map": f"{stem}.anomaly.tiff",
                }
                records.append(detection_record(result, source=str(path)) | files)
                decision = result.decision
                verdict = decision and ("above" if decision.pred_label else "below")
                counts[verdict or "unscored"] += 1
                counts["doubtful"] += result.status == "implausible_lungs"
                places = result.places
            progress("detect", count, len(paths), {})
    _print_failures(failures)
    if len(paths) == 1 and places:
        typer.echo(places)
    typer.echo(
        f"{counts['above']} above the threshold, {counts['below']} not, "
        f"{counts['unscored']} without lungs to score, {len(failures)} failed; "
        f"{counts['doubtful']} with implausible lungs: {out}"
    )
    if failures:
        raise typer.Exit(SOME_FAILED)


@app.command()
def segment(
    images: Images,
    out: Annotated[Path, typer.Option(help="Folder for the results; made if it is missing.")],
    segmenter: Annotated[str, typer.Option(help="A segmenter by name.")] = "unet",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A setting of the segmenter, such as flip_average=true; can be repeated.",
        ),
    ] = None,
) -> None:
    """Find the lungs in radiographs.

    Writes segmentations.jsonl (a record an image), STEM.mask.png (0 and 255, the image's own
    size) and sheets of outlines, segmentations-001.png and so on.
    """
    import time

    from lungpatch.config import parse_settings
    from lungpatch.containers import Failure
    from lungpatch.files import JsonLines, unique_stems
    from lungpatch.images import read_image
    from lungpatch.plugins.registry import default_registry
    from lungpatch.progress import progress_bar
    from lungpatch.reports import failure_record
    from lungpatch.segmentation_reports import (
        OverlaySheets,
        draw_lungs,
        segmentation_record,
        write_mask,
    )

    chosen = default_registry().create("segmenter", segmenter, parse_settings(settings or []))
    paths, failures = _expand(images)
    out.mkdir(parents=True, exist_ok=True)
    counts: Counter[str] = Counter()
    with (
        JsonLines(out / "segmentations.jsonl") as records,
        OverlaySheets(out) as sheets,
        progress_bar() as progress,
    ):
        for failure in failures:
            records.append(failure_record(failure))
        for count, (path, stem) in enumerate(zip(paths, unique_stems(paths), strict=True), start=1):
            start = time.perf_counter()
            try:
                image = read_image(path)
                lungs = chosen.segment(image)
            except LungpatchError as error:
                failures.append(Failure(source=str(path), error=error))
                records.append(failure_record(failures[-1]))
            else:
                seconds = time.perf_counter() - start
                record = segmentation_record(image, lungs, source=str(path), seconds=seconds)
                write_mask(out / f"{stem}.mask.png", lungs)
                sheets.add(draw_lungs(image, lungs), f"{stem}: {record['status']}")
                records.append(record | {"mask": f"{stem}.mask.png"})
                counts[record["status"]] += 1
            progress("segment", count, len(paths), {})
    _print_failures(failures)
    typer.echo(
        f"{counts['ok']} segmented, {counts['implausible_lungs']} implausible, "
        f"{counts['no_lungs']} without lungs, {len(failures)} failed: {out}"
    )
    if failures:
        raise typer.Exit(SOME_FAILED)


@app.command()
def evaluate(
    pipeline: FittedPipeline,
    images: Annotated[Path, typer.Option(help="Folder of images; subfolders count.")],
    metadata: Annotated[
        Path, typer.Option(help="CSV: file, label, patient, view and rsna_class of each image.")
    ],
    boxes: Annotated[
        Path, typer.Option(help="CSV: file, x, y, w, h as shares of the image's sides.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the results; made if it is missing.")],
    compare: Annotated[
        str | None, typer.Option(help="A second pipeline, compared with the first.")
    ] = None,
    split: Annotated[
        str,
        typer.Option(
            help="Which patients were learnt from: `cxr-half`, or a file that "
            "lungpatch.datasets.splits.Split.save wrote."
        ),
    ] = "cxr-half",
    seed: Annotated[int, typer.Option(help="Seed of the resamples.", min=0)] = 0,
) -> None:
    """Judge a pipeline against what readers found, with intervals, chance levels and controls.

    Patients of the training part of the split are left out. Writes results.json, table.md,
    pictures of the curves and sheets of the best and worst films.
    """
    from lungpatch.datasets import load_folder
    from lungpatch.datasets.splits import load_split
    from lungpatch.evaluation.protocol import evaluate as judge_all
    from lungpatch.evaluation.report import write_report
    from lungpatch.persistence import load_pipeline
    from lungpatch.plugins.registry import default_registry
    from lungpatch.progress import progress_bar

    given = [pipeline] if compare is None else [pipeline, compare]
    names = [Path(path).stem for path in given]
    if len(set(names)) < len(names):
        names = given
    with progress_bar() as progress:
        evaluation = judge_all(
            {name: load_pipeline(path) for name, path in zip(names, given, strict=True)},
            load_folder(images, metadata=metadata, boxes=boxes),
            load_split(split),
            segmenter=default_registry().create("segmenter", "unet", {}),
            seed=seed,
            progress=progress,
        )
    write_report(evaluation, out)
    for name, row in evaluation.table("all").items():
        figures = ("image auroc", "patch auroc", "pixel auroc", "pointing", "folder test")
        shown = ", ".join(f"{figure} {row[figure]}" for figure in figures if figure in row)
        typer.echo(f"{name}: {shown}")
    typer.echo(f"{sum(evaluation.left_out.values())} films of learnt patients left out: {out}")


@plugins_app.callback()
def plugins(
    context: typer.Context,
    kind: Annotated[
        str | None,
        typer.Option(help="Only segmenter, sampler, extractor, model, scorer or thresholder."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Import every component.")] = False,
) -> None:
    """List the components that are installed, and the plugins that bring them.

    With --check the exit status is 3 if a component or plugin is broken.
    **lungpatch plugins new** NAME --kind scorer writes the package of a new one.
    """
    if context.invoked_subcommand is not None:
        return
    from lungpatch.plugins.registry import default_registry, plugin_report

    rows = plugin_report(default_registry(), kind=kind, check=check)
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    else:
        _print_plugins(rows)
    if check and any(row["status"] != "ok" for row in rows):
        raise typer.Exit(SOME_FAILED)


@plugins_app.command()
def new(
    name: Annotated[str, typer.Argument(help="Of the component, such as soft-edges.")],
    kind: Annotated[
        str,
        typer.Option(help="segmenter, sampler, extractor, model, scorer or thresholder."),
    ],
    into: Annotated[Path, typer.Option(help="Folder to make lungpatch-NAME in.")] = Path(),
) -> None:
    """Write the package of a new plugin: it installs, passes its checks and is found as it is."""
    from lungpatch.plugins.new_plugin import new_plugin

    folder = new_plugin(name, kind=kind, into=into)  # type: ignore[arg-type]  # checked there
    typer.echo(
        f"Wrote {folder}. Next:\n"
        f'  pip install --editable "{folder}[test]"\n'
        f"  pytest {folder}\n"
        f"  lungpatch plugins --kind {kind}\n"
        f"Then make {next(folder.glob(f'src/*/{kind}.py'))} your own."
    )


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the page and the pictures.")] = Path(
        "lungpatch-demo"
    ),
    seed: Annotated[int, typer.Option(help="Seed of the phantom cohort.", min=0)] = 1,
) -> None:
    """Make synthetic chests, learn the healthy ones, find the opacities; write a page about it."""
    from lungpatch.demo import run_demo
    from lungpatch.progress import progress_bar

    with progress_bar() as progress:
        page = run_demo(out, seed=seed, progress=progress)
    typer.echo(f"Open {page} in a browser.")


@app.command()
def reproduce(
    out: Annotated[Path, typer.Option(help="Folder for the report; made if it is missing.")],
    normal: Annotated[Path | None, typer.Option(help="Folder of normal films.")] = None,
    pneumonia: Annotated[Path | None, typer.Option(help="Folder of pneumonia films.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="chest_xray/, as Kaggle's {train,val,test}/{NORMAL,...}.")
    ] = None,
    phantom: Annotated[bool, typer.Option("--phantom", help="Synthetic films instead.")] = False,
    metadata: Annotated[
        Path | None,
        typer.Option(help="CSV of both folders: file, patient, view, rsna_class."),
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(
            help="CSV of boxes around opacities: file, x, y, w, h as shares of the film's sides."
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Try everything out; the results mean nothing.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of all randomness.", min=0)] = 0,
) -> None:
    """Reproduce the paper on your films, figure by figure; write a report about it.

    Writes report.html, results.json and figures/ (PNG and SVG). Stages that were finished in the
    same folder before are not computed again.
    """
    from lungpatch.datasets.chest_xray import load_chest_xray
    from lungpatch.progress import progress_bar
    from lungpatch.reference.cohort import join_folders, phantom_films
    from lungpatch.reference.reproduction import reproduce as reproduce_paper
    from lungpatch.reference.settings import WORKING_SIZE, ReproductionSettings

    settings = ReproductionSettings.quick(seed=seed) if quick else ReproductionSettings(seed=seed)
    folders = normal is not None and pneumonia is not None
    if [folders, data is not None, phantom].count(True) != 1 or (
        not folders and any(option is not None for option in (normal, pneumonia, metadata, boxes))
    ):
        raise ConfigurationError(
            "give --normal and --pneumonia (with --metadata and --boxes if you have them), or "
            "--data, or --phantom"
        )
    if normal is not None and pneumonia is not None:
        films = join_folders(normal, pneumonia, metadata=metadata, boxes=boxes)
    elif data is not None:
        films = load_chest_xray(data)
    else:
        films = phantom_films(
            settings.phantom_normal, settings.phantom_pneumonia, seed=seed, size=WORKING_SIZE
        )
    with progress_bar() as progress:
        page = reproduce_paper(films, out, settings=settings, progress=progress)
    typer.echo(f"Open {page} in a browser.")


def main() -> None:
    """Run the command line; errors of ours become one line and an exit status."""
    # Threads that spin while they wait make small networks several times slower as soon as
    # another program runs too. Read when torch is imported, which is later.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except (LungpatchError, OSError) as error:  # OSError: the output cannot be written
        typer.echo(f"lungpatch: error: {error}", err=True)
        sys.exit(USAGE)
    except KeyboardInterrupt:
        typer.echo("lungpatch: interrupted", err=True)
        sys.exit(INTERRUPTED)


def _expand(inputs: list[Path]) -> tuple[list[Path], list[Failure]]:
    """Find the images behind the arguments; a bad argument costs only itself."""
    from lungpatch.containers import Failure
    from lungpatch.datasets.folders import find_images

    paths: dict[Path, Path] = {}
    failures = []
    for item in inputs:
        try:
            paths |= {path.resolve(): path for path in find_images(item)}
        except LungpatchError as error:
            failures.append(Failure(source=str(item), error=error))
    if not paths:
        raise MissingInputError("; ".join(str(failure.error) for failure in failures))
    return list(paths.values()), failures


def _print_failures(failures: list[Failure]) -> None:
    for failure in failures:
        typer.echo(f"failed: {failure.error}", err=True)


def _print_fit(pipeline: Pipeline, out: Path) -> None:
    report = pipeline.report_
    assert report is not None
    for role, count in report.images.items():
        patches = f", {report.patches[role]} patches" if role in report.patches else ""
        typer.echo(f"{role}: {count} images of {report.patients[role]} patients{patches}")
    typer.echo(f"model: {report.history}")
    if (collapse := report.identity_collapse) is not None:
        typer.echo(
            f"identity collapse: {collapse['collapse']:.2f} (0 restores healthy lung under an "
            "opacity, 1 copies the opacity, above 1 an opacity reconstructs better than healthy "
            f"lung); error on healthy patches {collapse['healthy_error']:.2f} grey levels"
        )
    typer.echo(
        f"threshold: image score {pipeline.calibration.threshold:.4g}, heat "
        f"{pipeline.calibration.map_threshold:.4g} ({pipeline.calibration.rule})"
    )
    typer.echo(f"Saved to {out} after {report.seconds:.0f} s.")


def _print_plugins(rows: list[dict[str, Any]]) -> None:
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
