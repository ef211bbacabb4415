"""The way in: run a command; errors of ours become one line and an exit status."""

from __future__ import annotations

import os
import sys

import typer

from lungpatch.cli.commands import app
from lungpatch.errors import LungpatchError

USAGE = 2
INTERRUPTED = 130


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
