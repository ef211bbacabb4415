"""Runs the code blocks of the pages in ``run_pages`` when the site is built; shows what they print.

The blocks of a page run from top to bottom in one new folder, as a reader would type them: Python
in one namespace, and the lines of console blocks that call ``lungpatch``. A TOML block is written
to the file that its first line names. As in a notebook, the value of a block's last line is shown,
too. A block with ``<!-- not run: reason -->`` above it is left as it is.

The folder is copied into the site, beside the page and under its name, so that the page can show
the files that its blocks wrote. An error in a block ends the build.
"""

from __future__ import annotations

import ast
import contextlib
import io
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.errors import ExtensionError

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def run_python(text: str, names: dict[str, Any]) -> tuple[str, object]:
    """Run a block; return what it printed and the value of its last line, None if it has none."""
    *body, last = ast.parse(text).body
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        if isinstance(last, ast.Expr):
            exec(compile(ast.Module(body, []), "<page>", "exec"), names)
            value = eval(compile(ast.Expression(last.value), "<page>", "eval"), names)
        else:
            exec(compile(ast.Module([*body, last], []), "<page>", "exec"), names)
    return printed.getvalue(), value


def run_console(text: str) -> str:
    """Run the commands of a block; return what they printed, without their progress."""
    printed = ""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)
        if words[:1] == ["lungpatch"]:
            command = [sys.executable, "-m", *words]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"{line}\n{done.stdout}{done.stderr}")
            printed += done.stdout
    return printed


def _shown(printed: str, value: object) -> list[nodes.Node]:
    shown: list[nodes.Node] = []
    html = value._repr_html_() if hasattr(value, "_repr_html_") else None
    if value is not None and html is None:
        printed += f"{value!r}\n"
    if printed.strip():
        shown.append(
            nodes.literal_block(printed, printed.rstrip(), language="none", classes=["output"])
        )
    if html is not None:
        shown.append(nodes.raw("", f'<div class="output">{html}</div>', format="html"))
    return shown


def _is_marked(block: nodes.Element) -> bool:
    before = block.parent[: block.parent.index(block)][-1:]
    return (
        bool(before) and isinstance(before[0], nodes.comment) and "not run:" in before[0].astext()
    )


def _folder(app: Sphinx, page: str) -> Path:
    return Path(app.doctreedir) / "run" / page


def _run_page(app: Sphinx, doctree: nodes.document) -> None:
    page = app.env.docname
    if page not in app.config.run_pages:
        return
    folder = _folder(app, page)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in list(doctree.findall(nodes.literal_block)):
        language = block.get("language")
        if language not in {"python", "console", "toml"} or _is_marked(block):
            continue
        text, value = block.astext(), None
        try:
            with contextlib.chdir(folder):
                if language == "python":
                    printed, value = run_python(text, names)
                elif language == "console":
                    printed = run_console(text)
                else:
                    printed = ""
                    Path(text.splitlines()[0].removeprefix("# ")).write_text(text, encoding="utf-8")
        except Exception as error:
            raise ExtensionError(f"{page}, line {block.line}: {error}", error) from error
        block.parent.insert(block.parent.index(block) + 1, _shown(printed, value))


def _copy_folders(app: Sphinx, failure: Exception | None) -> None:
    if failure is None and app.builder.name == "html":
        for page in app.config.run_pages:
            target = Path(app.outdir) / page
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(_folder(app, page), target)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect it to the reading of pages, and to the end of the build before links are checked."""
    app.add_config_value("run_pages", [], "env", list)
    app.connect("doctree-read", _run_page)
    app.connect("build-finished", _copy_folders, priority=400)
    # Each page needs the working directory for itself.
    return {"parallel_read_safe": False, "parallel_write_safe": True}
