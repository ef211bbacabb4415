"""The worklist page of a folder of results."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lungpatch._utils.files import atomic_write
from lungpatch.errors import DestinationError
from lungpatch.reports.worklist.data import as_script, worklist_data
from lungpatch.reports.worklist.table import write_table
from lungpatch.reports.worklist.views import VIEW_FOLDER

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from lungpatch.reports.worklist.data import Maker

PAGE, TABLE, DATA = "index.html", "detections.csv", f"{VIEW_FOLDER}/data.js"
"""The files, relative to the folder of results."""

_SCRIPTS = ("records.js", "verdicts.js", "list.js", "viewer.js", "main.js")
_MARK = '<meta name="generator" content="lungpatch worklist">'


def write_worklist(
    folder: str | os.PathLike[str],
    records: Sequence[Mapping[str, Any]],
    makers: Sequence[Maker],
    *,
    date: str,
) -> Path:
    """Write the worklist page of a folder of results, and the table of its records.

    Parameters
    ----------
    folder : path
        With the files that the records name.
    records : sequence of mapping
        As `lungpatch.load_detections` reads them.
    makers : sequence of Maker
        The pipelines that made them, and their calibrations.
    date : str
        When the results were decided, as the page says it.

    Returns
    -------
    pathlib.Path
        ``index.html``, which needs no server and loads nothing from elsewhere. It lies beside
        ``detections.csv`` and ``worklist/``, which holds what the page loads. The same arguments
        give the same files.

    Raises
    ------
    DestinationError
        If another page is there.
    OSError
        If the files cannot be written.

    See Also
    --------
    lungpatch.worklist : Reads records and calibrations of a folder and calls this.

    Examples
    --------
    >>> import tempfile
    >>> failed = {"image": "a.png", "status": "error", "error": "a.png: cut short"}
    >>> write_worklist(tempfile.mkdtemp(), [failed], [], date="2026-01-01").name
    'index.html'
    """
    folder = Path(folder)
    check_page(folder)
    write_table(folder / TABLE, records)
    _write(folder / DATA, as_script(worklist_data(records, makers, date=date)))
    _write(folder / PAGE, _page())
    return folder / PAGE


def check_page(folder: str | os.PathLike[str]) -> None:
    """Check that a worklist page would not take the place of another page.

    Parameters
    ----------
    folder : path
        Need not exist.

    Raises
    ------
    DestinationError
        If it has an ``index.html`` that is no worklist.

    Examples
    --------
    >>> check_page("nowhere")
    """
    path = Path(folder, PAGE)
    if path.exists() and (not path.is_file() or _MARK.encode() not in path.read_bytes()):
        raise DestinationError(
            f"{path}: is there already and is no worklist of lungpatch; give another folder, or "
            "move it away"
        )


def _page() -> str:
    files = resources.files(__package__)

    def text(name: str) -> str:
        return (files / name).read_text(encoding="utf-8")

    script = "\n".join(text(name) for name in _SCRIPTS)
    # In a function, so that nothing of it is found from outside.
    script = f'(() => {{\n"use strict";\n{script}}})();'
    return text("page.html").replace("/* CSS */", text("page.css")).replace("/* SCRIPT */", script)


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
