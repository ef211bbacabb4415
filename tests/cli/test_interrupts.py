"""Ctrl-C: one word, exit status 130, and what was finished is kept."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

import lungpatch
from lungpatch._utils import progress as progress_module
from lungpatch.cli import demo
from lungpatch.cli.entry import INTERRUPTED
from lungpatch.errors import SavedPipelineError

INTERRUPT = """
import os, signal, sys

def interrupt(event, arguments):
    if event == "import" and arguments[0] == {module!r}:
        os.kill(os.getpid(), signal.SIGINT)

sys.addaudithook(interrupt)
from lungpatch.cli import main
sys.argv = ["lungpatch", *{arguments!r}]
main()
"""


@pytest.mark.parametrize(
    ("command", "module"),
    [
        ("plugins", "typer"),
        ("plugins", "lungpatch.plugins.builtins"),
        ("detect", "numpy"),
        ("detect", "torch"),
        ("fit", "torch"),
    ],
)
def test_an_interrupt_while_modules_are_imported(cohort, tmp_path, command, module):
    images = str(cohort / "normal")
    arguments = {
        "plugins": ["plugins", "--check"],
        "detect": ["detect", images, "--pipeline", "paper", "--out", str(tmp_path / "found")],
        "fit": ["fit", images, "--preset", "paper", "--out", str(tmp_path / "p.lungpatch")],
    }[command]
    code = INTERRUPT.format(module=module, arguments=arguments)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (INTERRUPTED, "lungpatch: interrupted\n")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def interrupt_at(monkeypatch):
    """Send this process a real SIGINT when a command comes to a stage."""

    def at(wanted, number):
        @contextmanager
        def bar():
            def progress(stage, done, total, metrics):
                if stage == wanted and done == number:
                    os.kill(os.getpid(), signal.SIGINT)

            yield progress

        monkeypatch.setattr(progress_module, "progress_bar", bar)

    return at


def _records(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_detect_keeps_the_results_so_far(run, interrupt_at, saved, cohort, tmp_path):
    interrupt_at("detect", 2)
    found = tmp_path / "found"
    status, out, err = run("detect", cohort / "opacity", "--pipeline", saved, "--out", found)
    assert (status, out, err) == (INTERRUPTED, "", "lungpatch: interrupted\n")
    records = _records(found / "detections.jsonl")
    assert [record["status"] for record in records] == ["ok", "ok"]
    assert all((found / record["overlay"]).is_file() for record in records)
    assert len(lungpatch.load_detections(found)) == 2


def test_segment_keeps_the_results_so_far(run, interrupt_at, cohort, tmp_path):
    interrupt_at("segment", 3)
    masks = tmp_path / "masks"
    options = ["--segmenter", "threshold", "--out", masks]
    status, out, err = run("segment", cohort / "opacity", *options)
    assert (status, out, err) == (INTERRUPTED, "", "lungpatch: interrupted\n")
    assert len(_records(masks / "segmentations.jsonl")) == 3
    assert (masks / "segmentations-001.png").is_file()


@pytest.fixture
def network(config):
    """A TOML file of a small network that is trained for several epochs."""
    text = config.read_text()
    before, after = text.split('name = "pca"\npatch_size = 16\nn_components = 8\n')
    network = 'name = "unet"\npatch_size = 16\nbase_channels = 2\nepochs = 4\n'
    config.write_text(before + network + after)
    return config


@pytest.mark.parametrize(("stage", "number"), [("read", 3), ("calibrate", 1)])
def test_fit_saves_nothing_if_no_training_was_under_way(
    run, interrupt_at, network, cohort, tmp_path, stage, number
):
    interrupt_at(stage, number)
    out = tmp_path / "p.lungpatch"
    status, printed, err = run("fit", cohort / "normal", "--config", network, "--out", out)
    assert (status, printed) == (INTERRUPTED, "")
    assert err.endswith("lungpatch: interrupted\n")
    with pytest.raises(SavedPipelineError):
        lungpatch.load_pipeline(out)


def test_fit_saves_the_best_weights_of_an_interrupted_training(
    run, interrupt_at, network, cohort, tmp_path
):
    interrupt_at("train", 2)
    out = tmp_path / "p.lungpatch"
    status, printed, err = run("fit", cohort / "normal", "--config", network, "--out", out)
    assert status == INTERRUPTED
    assert err.endswith("lungpatch: interrupted\n")
    assert f"Saved to {out}" in printed
    pipeline = lungpatch.load_pipeline(out)
    assert pipeline.report_.history.stopped == "interrupted"
    assert len(pipeline.report_.history.epochs) == 2
    assert pipeline.detect(sorted((cohort / "opacity").iterdir())[0]).status == "ok"


def test_demo_stops(run, interrupt_at, monkeypatch, tmp_path):
    for name in ("N_NORMAL", "N_OPACITY"):
        monkeypatch.setattr(demo, name, 2)
    monkeypatch.setattr(demo, "IMAGE_SIZE", 64)
    interrupt_at("synthetic chests", 3)
    status, out, err = run("demo", "--out", tmp_path / "demo")
    assert (status, out, err) == (INTERRUPTED, "", "lungpatch: interrupted\n")
    assert not (tmp_path / "demo" / demo.PAGE).exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", "--pipeline", "paper", "--images", "i", "--metadata", "m", "--boxes", "b"],
        ["reproduce", "--phantom", "--quick"],
    ],
)
def test_evaluate_and_reproduce_stop(run, monkeypatch, tmp_path, arguments):
    def interrupted(*args, **options):
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("lungpatch.evaluation.preparation.load_folder", interrupted)
    monkeypatch.setattr("lungpatch.reference.reproduction.reproduce", interrupted)
    status, out, err = run(*arguments, "--out", tmp_path / "found")
    assert (status, out) == (INTERRUPTED, "")
    assert err.endswith("lungpatch: interrupted\n")
