"""The command line: parses, calls, prints. The work is done elsewhere.

Exit status: 0 all good, 2 nothing could be done (usage), 3 some images failed. Commands import what
they need when they run, since the rooms behind them load numpy, scipy and torch.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from lungpatch.cli.printing import print_failures, print_fit, print_plugins, print_summary
from lungpatch.errors import ConfigurationError

SOME_FAILED = 3

app = typer.Typer(
    name="lungpatch",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help=(
        "Find where a chest radiograph departs from normal lung, without training on a single "
        "lesion.\n\n"
        "1. **lungpatch demo**: no images needed; writes a page about what it found\n\n"
        "2. **lungpatch segment** images/ --out masks: are the lungs found in your images?\n\n"
        "3. **lungpatch detect** images/ --out found: overlays, heat-maps, a record an image, by the "
        "detector that comes with lungpatch\n\n"
        "4. **lungpatch fit** normal/ --out mine.lungpatch: learn your own from normal images "
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
    """Fit a pipeline on radiographs of normal lungs.

    Ctrl-C during training keeps the best weights so far.
    """
    from lungpatch._utils.progress import progress_bar
    from lungpatch.archive.inputs import expand
    from lungpatch.datasets.tables import read_patients
    from lungpatch.pipeline.configuration import load_config, load_preset
    from lungpatch.pipeline.storage import check_destination

    if preset is not None and config is not None:
        raise ConfigurationError("give --preset or --config, not both")
    pipeline = load_config(config) if config else load_preset(preset or "default")
    if seed is not None:
        pipeline.seed = seed
    check_destination(out)
    owners = read_patients(patients) if patients else None
    paths, failures = expand(normal)
    with progress_bar() as progress:
        pipeline.fit(paths, patients=owners, progress=progress)
    pipeline.save(out)
    print_fit(pipeline, out)
    assert pipeline.report_ is not None
    print_failures(failures)
    if failures or pipeline.report_.unused:
        raise typer.Exit(SOME_FAILED)


@app.command()
def detect(
    images: Images,
    out: Annotated[Path, typer.Option(help="Folder for the results; made if it is missing.")],
    pipeline: FittedPipeline = "default",
) -> None:
    """Find where radiographs depart from normal lung.

    Writes detections.jsonl (one record per image) and, for each image, STEM.overlay.png,
    STEM.anomaly.tiff (float32, native size, NaN where nothing was scored) and STEM.mask.png (the
    lungs).
    """
    from lungpatch._utils.progress import progress_bar
    from lungpatch.archive import detect_folder, load_detections

    with progress_bar() as progress:
        counts = detect_folder(images, out, pipeline=pipeline, progress=progress)
    print_failures(counts.failures)
    if counts.above + counts.below == 1:
        print_summary(load_detections(out))
    typer.echo(
        f"{counts.above} above the threshold, {counts.below} not, "
        f"{counts.unscored} without lungs to score, {len(counts.failures)} failed; "
        f"{counts.implausible} with implausible lungs: {out}"
    )
    if counts.failures:
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

    Writes segmentations.jsonl (one record per image), STEM.mask.png (0 and 255, native size) and
    sheets of outlines, segmentations-001.png and so on.
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
        f"{counts.no_lungs} without lungs, {len(counts.failures)} failed: {out}"
    )
    if counts.failures:
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
    pictures of the curves and sheets of the best and worst images.
    """
    from lungpatch._utils.progress import progress_bar
    from lungpatch.datasets import load_folder
    from lungpatch.datasets.splits import load_split
    from lungpatch.evaluation.protocol import evaluate as judge_all
    from lungpatch.evaluation.report import write_report
    from lungpatch.pipeline import load_pipeline
    from lungpatch.plugins.registry import default_registry

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
    typer.echo(f"{sum(evaluation.left_out.values())} images of learnt patients left out: {out}")


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
        print_plugins(rows)
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
    """Make synthetic chests, learn the normal ones, find the opacities; write a page about it."""
    from lungpatch._utils.progress import progress_bar
    from lungpatch.cli.demo import run_demo

    with progress_bar() as progress:
        page = run_demo(out, seed=seed, progress=progress)
    typer.echo(f"Open {page} in a browser.")


@app.command()
def reproduce(
    out: Annotated[Path, typer.Option(help="Folder for the report; made if it is missing.")],
    normal: Annotated[Path | None, typer.Option(help="Folder of normal images.")] = None,
    pneumonia: Annotated[Path | None, typer.Option(help="Folder of pneumonia images.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="chest_xray/, as Kaggle's {train,val,test}/{NORMAL,...}.")
    ] = None,
    phantom: Annotated[bool, typer.Option("--phantom", help="Synthetic images instead.")] = False,
    metadata: Annotated[
        Path | None,
        typer.Option(help="CSV of both folders: file, patient, view, rsna_class."),
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(
            help="CSV of boxes around opacities: file, x, y, w, h as shares of the image's sides."
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Try everything out; the results mean nothing.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of all randomness.", min=0)] = 0,
) -> None:
    """Reproduce the paper on your images, figure by figure; write a report about it.

    Writes report.html, results.json and figures/ (PNG and SVG). Stages that were finished in the
    same folder before are not computed again.
    """
    from lungpatch._utils.progress import progress_bar
    from lungpatch.datasets.chest_xray import load_chest_xray
    from lungpatch.reference.cohort import join_folders, phantom_images
    from lungpatch.reference.reproduction import reproduce as reproduce_paper
    from lungpatch.reference.settings import GRID_SIZE, ReproductionSettings

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
        films = phantom_images(
            settings.phantom_normal, settings.phantom_pneumonia, seed=seed, size=GRID_SIZE
        )
    with progress_bar() as progress:
        page = reproduce_paper(films, out, settings=settings, progress=progress)
    typer.echo(f"Open {page} in a browser.")
