"""The commands: each parses its options, calls one function of the library, and prints.

Commands import what they need when they run, since most of it loads numpy, scipy and torch.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lungpatch.cli import (
    decision_commands,
    dicomweb_commands,
    export_commands,
    worklist_commands,
)
from lungpatch.cli.exit_status import INTERRUPTED, SOME_FAILED
from lungpatch.cli.optional_value import DicomDefaults
from lungpatch.cli.options import (
    BatchSize,
    Device,
    DicomKinds,
    Exclude,
    FalseAlarmRate,
    FalseBoxRate,
    FalseDiscoveryRate,
    FittedPipeline,
    Images,
    Maps,
    OutFolder,
    Overlays,
    Parquet,
    Patients,
    Precision,
    Quiet,
    Resume,
    Threads,
    Verbose,
    Workers,
)
from lungpatch.cli.printing import (
    print_counts,
    print_evaluation,
    print_failures,
    print_fit,
    print_plugins,
    print_sources,
    print_summary,
    print_without_dicom,
)
from lungpatch.cli.reporting import reporting
from lungpatch.cli.saving import save_or_rescue
from lungpatch.errors import ConfigurationError

if TYPE_CHECKING:
    from lungpatch.datasets import Dataset
    from lungpatch.reference.settings import ReproductionSettings


app = typer.Typer(
    name="lungpatch",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help=(
        "Find where a chest radiograph departs from normal lung, without training on a single "
        "lesion.\n\n"
        "1. **lungpatch demo**: try it on eight real radiographs; writes a page of results\n\n"
        "2. **lungpatch segment** images/ --out masks: check that the lungs are found in your "
        "images\n\n"
        "3. **lungpatch detect** images/ --out found: write overlays, anomaly maps and records, "
        "with the detector that comes with lungpatch\n\n"
        "4. **lungpatch calibrate** normal/ --out site.lungpatch: take the thresholds from your "
        "own normal images; use it with **detect** --pipeline site.lungpatch\n\n"
        "5. **lungpatch fit** normal/ --out mine.lungpatch: fit a detector of your own to normal "
        "images only\n\n"
        "**lungpatch plugins** lists the components that a TOML file for --config can name. "
        "**lungpatch COMMAND --help** describes a command.\n\n"
        "A research tool, not a medical device."
    ),
)

plugins_app = typer.Typer(invoke_without_command=True)
app.add_typer(plugins_app, name="plugins")


def _print_version(value: bool) -> None:
    if value:
        from lungpatch._version import __version__

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
    normal: Images,
    out: Annotated[Path, typer.Option(help="Folder to save the pipeline to: NAME.lungpatch.")],
    preset: Annotated[
        str | None,
        typer.Option(
            help="`default` (the detector that `detect` uses; fitted in about ten minutes), "
            "`features` (`default` plus a network trained on photographs) or `paper` (the paper's "
            "method; faster, but finds little). [default: default]"
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="TOML file that describes the pipeline, instead of a preset."),
    ] = None,
    patients: Patients = None,
    exclude: Exclude = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of all randomness. [default: that of the preset or file]", min=0),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A setting of the preset or file to change, as in TOML, such as model.epochs=10 "
            "or pipeline.folds=3; members of an ensemble are numbered from 0 "
            "(model.members.0.weight=2.0); may be given repeatedly.",
        ),
    ] = None,
    device: Device = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Fit a pipeline to radiographs of normal lungs, and save it.

    Ctrl-C while the network of the preset `paper` is trained ends the training and saves the
    pipeline with the best weights so far. At other times, and with presets that train several
    networks (`default`, `features`), no pipeline is saved. Checkpoints of a training are kept
    beside OUT until it is done: run the same command again after Ctrl-C, or if the process was
    killed, and it continues from them.
    """
    from lungpatch._utils.component import set_execution
    from lungpatch.archive.inputs import expand
    from lungpatch.archive.processing import check_device
    from lungpatch.datasets.tables import read_patients
    from lungpatch.pipeline.configuration import load_config, load_preset, parse_settings
    from lungpatch.pipeline.storage import check_destination

    if preset is not None and config is not None:
        raise ConfigurationError("give --preset or --config, not both")
    changes = parse_settings(settings or [])
    pipeline = (
        load_config(config, changes=changes)
        if config
        else load_preset(preset or "default", changes=changes)
    )
    if seed is not None:
        pipeline.seed = seed
    if device is not None:
        check_device(device)
        set_execution(pipeline, device=device)
    check_destination(out)
    owners = read_patients(patients) if patients else None
    with reporting(quiet=quiet, verbose=verbose) as progress:
        paths, failures = expand(normal, exclude=exclude)
        pipeline.fit(
            paths, patients=owners, progress=progress, checkpoint=out.with_suffix(".checkpoint")
        )
    saved = save_or_rescue(pipeline, out)
    if not quiet:
        print_fit(pipeline, saved)
    print_failures(failures)
    report = pipeline.report_
    assert report is not None
    if report.history.stopped == "interrupted":
        raise typer.Exit(INTERRUPTED)
    if failures or report.unused:
        raise typer.Exit(SOME_FAILED)


@app.command(cls=DicomDefaults)
def detect(
    images: Images,
    out: OutFolder,
    pipeline: FittedPipeline = "default",
    false_alarm_rate: FalseAlarmRate = None,
    false_box_rate: FalseBoxRate = None,
    fdr: FalseDiscoveryRate = None,
    dicom: DicomKinds = None,
    resume: Resume = False,
    workers: Workers = "auto",
    threads: Threads = None,
    device: Device = None,
    precision: Precision = None,
    batch_size: BatchSize = 1,
    overlays: Overlays = True,
    maps: Maps = True,
    parquet: Parquet = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Find where radiographs depart from normal lung.

    Writes index.html (a page to look at the results), detections.csv (a table), detections.jsonl
    (one record per image) and, for each image, STEM.overlay.jpg (to look at), STEM.anomaly.tiff
    (anomaly scores: float32, the image's size, NaN where nothing was scored) and STEM.mask.png (the
    lungs). Ctrl-C keeps the results so far, and --resume goes on from there. **lungpatch decide**
    OUT moves the rate of false alarms afterwards.
    """
    from lungpatch.archive import detect_folder, load_detections
    from lungpatch.archive.inputs import expand

    with reporting(quiet=quiet, verbose=verbose) as progress:
        counts = detect_folder(
            images,
            out,
            pipeline=pipeline,
            false_alarm_rate=false_alarm_rate,
            false_box_rate=false_box_rate,
            fdr=fdr,
            dicom=None if dicom is None else [kind.strip() for kind in dicom.split(",")],
            overlays=overlays,
            maps=maps,
            resume=resume,
            workers=int(workers) if workers.isdecimal() else workers,  # type: ignore[arg-type]
            threads=threads,
            device=device,  # type: ignore[arg-type]  # they are checked there
            precision=precision,  # type: ignore[arg-type]
            batch_size=batch_size,
            parquet=parquet,
            progress=progress,
        )
    print_failures(counts.failures)
    print_without_dicom(counts.without_dicom)
    if not quiet:
        paths, _ = expand(images)
        if len(paths) == 1:
            source = str(paths[0])
            print_summary(saved for saved in load_detections(out) if saved.source == source)
        print_counts(counts, out)
    if counts.failures or counts.without_dicom:
        raise typer.Exit(SOME_FAILED)


app.command()(export_commands.export)
app.command()(worklist_commands.worklist)
app.command()(decision_commands.decide)
app.command()(decision_commands.calibrate)
app.command()(decision_commands.check)
app.command()(dicomweb_commands.pull)
app.command()(dicomweb_commands.push)


@app.command()
def segment(
    images: Images,
    out: OutFolder,
    segmenter: Annotated[str, typer.Option(help="Name of a segmenter.")] = "unet",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A setting of the segmenter, such as flip_average=true; may be given repeatedly.",
        ),
    ] = None,
) -> None:
    """Find the lungs in radiographs.

    Writes segmentations.jsonl (one record per image), for each image STEM.mask.png (255 in the
    lungs, 0 elsewhere, the image's size), and sheets of outlined images, segmentations-001.png
    and so on. Ctrl-C keeps the results so far.
    """
    from lungpatch._utils.progress import progress_bar
    from lungpatch.archive import segment_folder
    from lungpatch.pipeline.configuration import parse_settings
    from lungpatch.plugins.registry import default_registry

    chosen = default_registry().create("segmenter", segmenter, parse_settings(settings or []))
    with progress_bar() as progress:
        counts = segment_folder(images, out, segmenter=chosen, progress=progress)
    print_failures(counts.failures)
    typer.echo(
        f"{counts.ok} segmented, {counts.implausible_lungs} implausible, "
        f"{counts.no_lungs} without lungs, {len(counts.failures)} failed. Results: {out}"
    )
    if counts.failures:
        raise typer.Exit(SOME_FAILED)


@app.command()
def evaluate(
    pipeline: FittedPipeline,
    out: OutFolder,
    images: Annotated[
        Path | None, typer.Option(help="Folder of images; subfolders are searched too.")
    ] = None,
    metadata: Annotated[
        Path | None,
        typer.Option(
            help="CSV file with the columns file and label (`normal` or anything else), and, where "
            "they are known, patient, view and rsna_class. Without it, only localisation is "
            "measured."
        ),
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(
            help="CSV file with the columns file, x, y, w and h, as fractions of the image's "
            "sides. Without it, localisation is not measured."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Instead of --images: folder of several sources of truth, which go into one table."
        ),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            help="One of these sources: boxes, second-readers, lesions, severity, devices, "
            "readers, painted; repeatable. By default all."
        ),
    ] = None,
    compare: Annotated[
        str | None, typer.Option(help="A second pipeline, which is compared with the first.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Says which patients the pipelines were fitted to, so that these are left out: "
            "`cxr-half`, or a file written by lungpatch.datasets.splits.Split.save. Without it, no "
            "image is left out."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap resamples.", min=0)] = 0,
) -> None:
    """Evaluate a pipeline on images whose labels or boxes are known, beside simple baselines.

    Says what is flagged, of each kind of image, at the pipeline's thresholds and at false-alarm
    rates of 0.05, 0.1 and 0.2. Writes results.json and table.md (these decisions, and metrics with
    confidence intervals and chance levels), figures of the curves, and sheets of the best and the
    worst images. Needs `pip install "lungpatch[plot]"`.

    With --data, evaluates on several sources of truth and prints one table, with a row per source,
    the human line, and the spread over sources. Writes results.json, results.csv, table.md and the
    sheets.
    """
    from lungpatch._utils.destinations import check_folder
    from lungpatch._utils.extras import require_extra
    from lungpatch._utils.files import unique_stems
    from lungpatch._utils.progress import progress_bar
    from lungpatch.datasets.splits import load_split
    from lungpatch.evaluation import across_sources, protocol
    from lungpatch.evaluation.preparation import load_images
    from lungpatch.evaluation.report import write_report
    from lungpatch.evaluation.sources import load_sources
    from lungpatch.evaluation.sources_report import write_sources_report
    from lungpatch.pipeline import load_pipeline
    from lungpatch.plugins.registry import default_registry

    if (images is None) == (data is None):
        raise ConfigurationError("give --images, or --data for several sources of truth")
    if (images is None and (metadata or boxes)) or (data is None and source):
        raise ConfigurationError(
            "--metadata and --boxes describe --images, and --source chooses from --data"
        )
    check_folder(out)
    if images is not None:
        require_extra("plot", ["matplotlib"], needed_by="lungpatch evaluate --images")
    given = [pipeline] if compare is None else [pipeline, compare]
    loaded = {
        name: load_pipeline(path) for name, path in zip(unique_stems(given), given, strict=True)
    }
    fitted_to = None if split is None else load_split(split)
    segmenter = default_registry().create("segmenter", "unet", {})
    if images is not None:
        with progress_bar() as progress:
            evaluation = protocol.evaluate(
                loaded,
                load_images(images, metadata=metadata, boxes=boxes),
                fitted_to,
                segmenter=segmenter,
                seed=seed,
                progress=progress,
            )
        write_report(evaluation, out)
        print_evaluation(evaluation, out)
    elif data is not None:
        with progress_bar() as progress:
            across = across_sources.evaluate_sources(
                loaded,
                load_sources(data, source),
                fitted_to,
                segmenter=segmenter,
                seed=seed,
                progress=progress,
            )
        write_sources_report(across, out)
        print_sources(across, out)


@plugins_app.callback()
def plugins(
    context: typer.Context,
    kind: Annotated[
        str | None,
        typer.Option(
            help="List one kind only: segmenter, sampler, extractor, model, scorer or thresholder."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Import every component, to see whether it works.")
    ] = False,
) -> None:
    """List the installed components, and the plugins that they come from.

    With --check, the exit status is 3 if a component or a plugin is broken.
    **lungpatch plugins new** NAME --kind scorer writes the package of a new plugin.
    """
    if context.invoked_subcommand is not None:
        return
    from lungpatch.plugins.registry import default_registry, plugin_report

    rows = plugin_report(default_registry(), kind=kind, check=check)
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    else:
        print_plugins(rows)
    if check and any(row["status"] != "ok" for row in rows):
        raise typer.Exit(SOME_FAILED)


@plugins_app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the component, such as soft-edges.")],
    kind: Annotated[
        str,
        typer.Option(
            help="Kind of component: segmenter, sampler, extractor, model, scorer or thresholder."
        ),
    ],
    into: Annotated[Path, typer.Option(help="Folder in which lungpatch-NAME is made.")] = Path(),
) -> None:
    """Write the package of a new plugin, which can be installed and tested as it is."""
    from lungpatch.plugins.new_plugin import new_plugin

    folder = new_plugin(name, kind=kind, into=into)  # type: ignore[arg-type]  # checked there
    typer.echo(
        f"Wrote {folder}. Next:\n"
        f'  pip install --editable "{folder}[test]"\n'
        f"  pytest {folder}\n"
        f"  lungpatch plugins --kind {kind}\n"
        f"Then put your own code into {next(folder.glob(f'src/*/{kind}.py'))}."
    )


@app.command()
def demo(
    out: Annotated[
        Path, typer.Option(help="Folder for the page, the images and what is found in them.")
    ] = Path("lungpatch-demo"),
    seed: Annotated[int, typer.Option(help="Seed of the synthetic images.", min=0)] = 1,
) -> None:
    """Detect in eight real radiographs, fit a small detector, and write a page about both.

    Takes less than a minute and needs no images of your own.
    """
    from lungpatch._utils.progress import progress_bar
    from lungpatch.cli.demo import run_demo

    with progress_bar() as progress:
        page = run_demo(out, seed=seed, progress=progress)
    typer.echo(f"Open {page} in a browser.")


@app.command()
def reproduce(
    out: OutFolder,
    normal: Annotated[Path | None, typer.Option(help="Folder of normal images.")] = None,
    pneumonia: Annotated[Path | None, typer.Option(help="Folder of pneumonia images.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Kaggle's folder chest_xray/, which holds {train,val,test}/{NORMAL,PNEUMONIA}/."
        ),
    ] = None,
    phantom: Annotated[
        bool, typer.Option("--phantom", help="Use synthetic images instead.")
    ] = False,
    metadata: Annotated[
        Path | None,
        typer.Option(
            help="CSV file about both folders, with the columns file, patient, view and rsna_class."
        ),
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(
            help="CSV file of boxes around opacities, with the columns file, x, y, w and h, as "
            "fractions of the image's sides."
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="Run every stage on a few images, to try it; the results mean nothing."
        ),
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of all randomness.", min=0)] = 0,
) -> None:
    """Reproduce the paper on your images, figure by figure, and write a report.

    Writes report.html, results.json and figures/ (PNG and SVG). Stages that were finished before
    in the same folder are not computed again. Needs
    `pip install "lungpatch[reproduce]"`.
    """
    from lungpatch._utils.destinations import check_folder
    from lungpatch._utils.progress import progress_bar
    from lungpatch.reference import reproduction
    from lungpatch.reference.settings import ReproductionSettings

    settings = ReproductionSettings.quick(seed=seed) if quick else ReproductionSettings(seed=seed)
    folders = normal is not None and pneumonia is not None
    if [folders, data is not None, phantom].count(True) != 1 or (
        not folders and any(option is not None for option in (normal, pneumonia, metadata, boxes))
    ):
        raise ConfigurationError(
            "give --normal and --pneumonia (with --metadata and --boxes if you have them), or "
            "--data, or --phantom"
        )
    check_folder(out)
    reproduction.require_packages()
    with progress_bar() as progress:
        page = reproduction.reproduce(
            _images_of_the_paper(normal, pneumonia, data, metadata, boxes, settings),
            out,
            settings=settings,
            progress=progress,
        )
    typer.echo(f"Open {page} in a browser.")


def _images_of_the_paper(
    normal: Path | None,
    pneumonia: Path | None,
    data: Path | None,
    metadata: Path | None,
    boxes: Path | None,
    settings: ReproductionSettings,
) -> Dataset:
    from lungpatch.datasets.chest_xray import load_chest_xray
    from lungpatch.reference.cohort import join_folders, phantom_dataset
    from lungpatch.reference.settings import GRID_SIZE

    if normal is not None and pneumonia is not None:
        return join_folders(normal, pneumonia, metadata=metadata, boxes=boxes)
    if data is not None:
        return load_chest_xray(data)
    return phantom_dataset(
        settings.phantom_normal, settings.phantom_pneumonia, seed=settings.seed, size=GRID_SIZE
    )
