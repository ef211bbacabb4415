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
        metavar="sc,sr",
        help="Write DICOM objects of DICOM images, STEM.KIND.dcm: `sc` (secondary capture of the "
        "overlay), `sr` (structured report), `seg` (segmentation), `pr` (presentation state), "
        "`pm` (parametric map), separated by commas. Images that are not DICOM, or lack a UID, "
        "keep their other results, and the exit status is 3. Needs "
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
