"""The command that exports a pipeline to a format that other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Exported = Annotated[
    Path,
    typer.Option(
        help="NAME.onnx: one file for any program, from the pixels of a patch to its error map. "
        "Any other name: a folder that `detect` takes as a pipeline (NAME.lungpatch)."
    ),
]


def export(
    pipeline: Annotated[
        str,
        typer.Argument(
            help="`default` or `paper`, which come with lungpatch, or a pipeline saved by "
            "`lungpatch fit`.",
            show_default=False,
        ),
    ],
    out: Exported,
    file_format: Annotated[
        Literal["onnx"], typer.Option("--format", help="The format of the networks.")
    ] = "onnx",
) -> None:
    """Export a fitted pipeline, so that its networks run without PyTorch.

    Its outputs are compared with those of the pipeline before anything is written. Needs
    `pip install "lungpatch[onnx]"`.
    """
    from lungpatch.pipeline.export import export_onnx

    assert file_format == "onnx"  # the only one that there is
    typer.echo(f"Exported to {export_onnx(pipeline, out)}.")
