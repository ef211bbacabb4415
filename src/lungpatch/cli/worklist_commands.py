"""The command about the worklist page."""

from __future__ import annotations

import typer

from lungpatch.cli.options import FoundFolder


def worklist(found: FoundFolder) -> None:
    """Write the worklist page of a folder of results, and the table of its records.

    Writes index.html, to be opened in any browser without a server, and detections.csv, one row per
    image. **detect** and **decide** do so at their end; this is for results that were moved or
    changed by other means.
    """
    from lungpatch.archive import worklist as write_worklist

    typer.echo(f"Open {write_worklist(found)} in a browser.")
