"""What `lungpatch plugins new` writes installs, passes its checks and is found, first try."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from lungpatch.errors import ConfigurationError
from lungpatch.plugins.hookspecs import KINDS
from lungpatch.plugins.new_plugin import new_plugin

ROOT = Path(__file__).parents[2]


def run(*command, **environment):
    """Run a command as a user would; returns its output."""
    done = subprocess.run(
        command,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_all_kinds_install_pass_their_checks_and_are_found(tmp_path):
    pytest.importorskip("hatchling")
    folders = [new_plugin(f"my-{kind}", kind=kind, into=tmp_path) for kind in KINDS]
    installed = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    run(*pip, "--no-build-isolation", "--target", str(installed), *map(str, folders))
    path = os.pathsep.join([str(installed), str(ROOT / "src")])

    listed = [sys.executable, "-m", "lungpatch", "plugins", "--check", "--json"]
    rows = {(row["kind"], row["name"]): row for row in json.loads(run(*listed, PYTHONPATH=path))}
    for kind in KINDS:
        row = rows[kind, f"my-{kind}"]
        assert (row["status"], row["error"]) == ("ok", None)

    pytest_of_each = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    pytest_of_each += ["-W", "error", "--import-mode=importlib", f"--rootdir={tmp_path}"]
    out = run(*pytest_of_each, *map(str, folders), PYTHONPATH=path)
    assert " passed" in out
    assert "skipped" not in out


@pytest.mark.parametrize("kind", KINDS)
def test_its_code_meets_our_own_rules(kind, tmp_path):
    folder = new_plugin("soft-edges", kind=kind, into=tmp_path)
    code = sorted((folder / "src").rglob("*.py"))
    assert len(code) == 2
    ruff = [Path(sys.executable).with_name("ruff"), "check", "--config", ROOT / "pyproject.toml"]
    if not ruff[0].exists():
        pytest.skip("ruff is not installed here")
    # Isort depends on what is installed; contracts prescribe arguments; types are imported plainly.
    ignored = "I001,ARG002,TC"
    run(*map(str, ruff), "--no-cache", "--ignore", ignored, *map(str, code))


def test_names_and_paths(tmp_path):
    folder = new_plugin("lungpatch-soft-edges", kind="scorer", into=tmp_path)
    assert folder == tmp_path / "lungpatch-soft-edges"
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["lungpatch"] == {"soft-edges": "lungpatch_soft_edges"}
    assert "class SoftEdgesScorer" in (folder / "src/lungpatch_soft_edges/scorer.py").read_text()
    assert all("$" not in path.read_text() for path in folder.rglob("*.py"))


@pytest.mark.parametrize("name", ["Soft", "soft--edges", "1st", "", "a/b", "soft_edges", "-a"])
def test_names_that_cannot_be_are_refused(name, tmp_path):
    with pytest.raises(ConfigurationError, match="name"):
        new_plugin(name, kind="scorer", into=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path):
    new_plugin("a", kind="scorer", into=tmp_path)
    with pytest.raises(ConfigurationError, match="exists already"):
        new_plugin("a", kind="model", into=tmp_path)
    with pytest.raises(ConfigurationError, match="scorer"):
        new_plugin("b", kind="scorrer", into=tmp_path)
