"""The entry point: runs a command and turns expected errors into one line and an exit status.

Only this file is imported before `main` runs, so that Ctrl-C is answered from the start.
"""

from __future__ import annotations

import os
import sys

from lungpatch.cli.exit_status import INTERRUPTED, USAGE


def main() -> None:
    """Run the command line.

    Exit status: 0 if everything was done, 2 if nothing could be done, 3 if some images failed,
    130 after Ctrl-C.
    """
    # Threads that spin while they wait make small networks several times slower as soon as
    # another program runs too. Read when torch is imported, which is later.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        _run()
    except (KeyboardInterrupt, SystemExit) as end:
        # Typer turns a KeyboardInterrupt into a SystemExit of this code.
        if isinstance(end, SystemExit) and end.code != INTERRUPTED:
            raise
        print("lungpatch: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _run() -> None:
    import typer

    from lungpatch._utils.freed_memory import keep_freed_memory
    from lungpatch.cli.commands import app
    from lungpatch.errors import LungpatchError

    keep_freed_memory()
    try:
        app()
    except (LungpatchError, OSError) as error:  # OSError: results could not be written
        typer.echo(f"lungpatch: error: {error}", err=True)
        sys.exit(USAGE)
