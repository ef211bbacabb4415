import contextlib
import io
import re
import sys
import types

import pytest
from rich.console import Console

import lungpatch
from lungpatch._utils import progress as progress_module
from lungpatch._utils.progress import silent


class Recorder:
    """Stands in for IPython's display: what a notebook's cell would hold after each call."""

    def __init__(self):
        self.drawn = []

    def update(self, shown):
        self.drawn.append(shown)


@pytest.fixture
def notebook(monkeypatch):
    recorder = Recorder()
    module = types.ModuleType("IPython.display")
    module.HTML = str

    def display(shown, *, display_id):
        assert display_id is True
        recorder.update(shown)
        return recorder

    module.display = display
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    monkeypatch.setattr(Console, "is_jupyter", property(lambda self: True), raising=False)
    monkeypatch.setattr(
        "rich.console.Console.__init__", lambda self, *, stderr: None
    )  # its own look for a notebook
    return recorder


def test_a_notebook_shows_a_row_a_stage(notebook, monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: float(next(clock)))
    with lungpatch.progress_bar() as progress:
        progress("read <b>", 1, 4, {})
        progress("read <b>", 2, 4, {})
        progress("train", 3, 3, {"train_loss": 0.5, "validation_loss": 0.25})
    last = notebook.drawn[-1]
    assert last.count("<tr>") == 2
    assert '<progress value="2" max="4">' in last
    # One second for two of four, so as much again is left.
    assert "2/4</td><td>1 s, 1 s left" in last
    assert "read &lt;b&gt;" in last
    assert "validation_loss 0.25" in last


def test_a_notebook_is_not_flooded(notebook, monkeypatch):
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: 5.0)
    with lungpatch.progress_bar() as progress:
        for done in range(1, 1001):
            progress("read", done, 1000, {})
    # Empty, the first, and the last: no time has passed in between.
    assert len(notebook.drawn) == 3
    assert "1000/1000" in notebook.drawn[-1]


def test_a_terminal_shows_a_line_per_stage(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    written = io.StringIO()
    with contextlib.redirect_stderr(written), lungpatch.progress_bar() as progress:
        progress("read", 3, 3, {})
        progress("train", 2, 2, {"train_loss": 0.125})
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written.getvalue())
    lines = re.split(r"[\r\n]+", text)
    assert any("read" in line and "3/3" in line for line in lines)
    assert any("train" in line and "train_loss 0.125" in line for line in lines)


def test_a_log_file_gets_plain_lines_now_and_then(monkeypatch):
    clock = iter([0.0, 1.0, 9.0, 10.0, 25.0, 26.0, 30.0])
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: next(clock))
    written = io.StringIO()
    with contextlib.redirect_stderr(written), lungpatch.progress_bar() as progress:
        for done in range(5):
            progress("train [x]", done, 5, {"train_loss": 1.0 / (done + 1)})
        progress("train [x]", 5, 5, {"train_loss": 0.125})
        progress("measure", 0, 1, {})
    assert written.getvalue().splitlines() == [
        "train [x]: 0/5, 0 s train_loss 1",
        "train [x]: 3/5, 10 s train_loss 0.25",
        "train [x]: 4/5, 25 s train_loss 0.2",
        "train [x]: 5/5, 26 s train_loss 0.125",
        "measure: 0/1, 0 s",
    ]


def test_silent_says_nothing(capsys):
    silent("read", 1, 2, {"loss": 1.0})
    assert capsys.readouterr() == ("", "")
