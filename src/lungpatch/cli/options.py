"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Images = Annotated[
    list[Path],
    typer.Argument(
        help="Images (PNG, JPEG, TIFF, DICOM), or folders that are searched for them.",
        show_default=False,
    ),
]

FittedPipeline = Annotated[
    str,
    typer.Option(
        help="`default` or `paper`, which come with lungpatch, or a pipeline saved by "
        "`lungpatch fit`."
    ),
]

OutFolder = Annotated[
    Path, typer.Option(help="Folder for the results; it is made if it is missing.")
]

FoundFolder = Annotated[
    Path, typer.Argument(help="Folder that `lungpatch detect` wrote.", show_default=False)
]

FalseAlarmRate = Annotated[
    float | None,
    typer.Option(
        help="Fraction of normal images that may be above the threshold, up to 0.5. "
        "[default: the pipeline's threshold; of `default` and `paper` 0.1]",
        show_default=False,
    ),
]

FalseBoxRate = Annotated[
    float | None,
    typer.Option(
        help="Fraction of normal images that may have a box, up to 0.5. [default: the pipeline's "
        "region threshold; of `default` and `paper` 0.1]",
        show_default=False,
    ),
]

FalseDiscoveryRate = Annotated[
    float | None,
    typer.Option(
        "--fdr",
        help="Instead of a rate of false alarms: the expected fraction of normal images among "
        "those above the threshold, over all these images, up to 0.5.",
        show_default=False,
    ),
]

DicomKinds = Annotated[
    str | None,
    typer.Option(
        metavar="[sc,sr]",
        help="Write DICOM objects of DICOM images, STEM.KIND.dcm; without kinds, `sc,sr`. Kinds: "
        "`sc` (secondary capture of the overlay), `sr` (structured report), `seg` (segmentation), "
        "`pr` (presentation state), `pm` (parametric map), separated by commas. Images that are "
        "not DICOM, or lack a UID, keep their other results, and the exit status is 3. Needs "
        '`pip install "lungpatch[dicom]"`.',
        show_default=False,
    ),
]

Patients = Annotated[
    Path | None,
    typer.Option(
        help="CSV file with the columns `file` and `patient`, so that the images of a patient "
        "stay together. Without it, each image counts as a patient.",
        show_default=False,
    ),
]

Exclude = Annotated[
    Path | None,
    typer.Option(
        help="CSV file with the column `file`: images to leave out, such as those that a reader "
        "called abnormal. Leave none out because it scores high: false alarms would then be more "
        "frequent than promised.",
        show_default=False,
    ),
]

Device = Annotated[
    str | None,
    typer.Option(
        metavar="auto|cpu|cuda|mps",
        help="Where networks run, those of all members of an ensemble; `auto` is a GPU if there is "
        "one. [default: as the pipeline is set]",
        show_default=False,
    ),
]

Precision = Annotated[
    str | None,
    typer.Option(
        metavar="float32|bfloat16",
        help="What models and extractors compute in. `bfloat16` is faster where the processor is "
        "made for it; scores differ by some hundredths. [default: as the pipeline is set]",
        show_default=False,
    ),
]

Workers = Annotated[
    str,
    typer.Option(
        metavar="N|auto",
        help="Number of processes that share the images; `auto`: one per core, and none more for "
        "fewer than 100 images. Each takes about 0.5 GB of memory. One that dies costs one image.",
    ),
]

Threads = Annotated[
    int | None,
    typer.Option(
        help="Threads of the networks in each process; more than 1 is of use for few images on "
        "many cores. [default: 1]",
        min=1,
        show_default=False,
    ),
]

BatchSize = Annotated[
    int,
    typer.Option(
        help="Number of images that go through the networks together; more than 1 is of use on a "
        "GPU.",
        min=1,
    ),
]

Resume = Annotated[
    bool,
    typer.Option(
        "--resume/--overwrite",
        help="Leave out images whose results from the same pipeline at the same rates are in OUT "
        "already, and try again those that failed; or process all images again.",
    ),
]

Overlays = Annotated[
    bool,
    typer.Option(
        "--overlays/--no-overlays",
        help="Write overlays, and the pictures of the worklist page.",
    ),
]

Maps = Annotated[bool, typer.Option("--maps/--no-maps", help="Write anomaly maps.")]

Parquet = Annotated[
    bool,
    typer.Option(
        "--parquet",
        help="Write the records as detections.parquet, too. Needs "
        '`pip install "lungpatch[parquet]"`.',
    ),
]

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]

Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print what is done, beside warnings.")
]
