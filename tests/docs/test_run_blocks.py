"""Pages whose blocks are run when the site is built show what these print, or end the build."""

import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
pytest.importorskip("sphinx")

PAGE = """Page
====

.. code-block:: python

   from pathlib import Path

   lines = Path("settings.toml")
   print("before", lines.exists())

.. code-block:: toml

   # settings.toml
   answer = 42

.. code-block:: python

   lines.read_text().splitlines()[-1]

.. not run: no reader has it

.. code-block:: console

   $ lungpatch nonsense

.. code-block:: console

   $ lungpatch --version
"""


def _build(folder, page):
    (folder / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {str(DOCS / '_ext')!r})\n"
        "extensions = ['run_blocks']\nrun_pages = ['index']\n"
    )
    (folder / "index.rst").write_text(page)
    build = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", folder, folder / "site"]
    return subprocess.run(build, capture_output=True, text=True, check=False)


def test_what_blocks_print_is_shown_below_them(tmp_path):
    done = _build(tmp_path, PAGE)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    shown = ["before False", "'answer = 42'", "lungpatch 0."]
    assert [words in page for words in shown] == [True] * 3
    assert page.index(shown[0]) < page.index("# settings.toml") < page.index(shown[1])
    files = tmp_path / "site" / "index"
    assert (files / "settings.toml").read_text(encoding="utf-8").endswith("answer = 42")


@pytest.mark.parametrize(
    ("block", "named"),
    [
        ("python\n\n   1 / 0", "index, line"),
        ("console\n\n   $ lungpatch nonsense", "No such command"),
    ],
)
def test_an_error_in_a_block_ends_the_build(block, named, tmp_path):
    done = _build(tmp_path, f"Page\n====\n\n.. code-block:: {block}\n")
    assert done.returncode != 0
    assert named in done.stderr


def test_the_tutorial_is_such_a_page():
    assert 'run_pages = ["tutorial"]' in (DOCS / "conf.py").read_text(encoding="utf-8")
