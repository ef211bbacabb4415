"""Installs both plugins as a user would, and uses them by name in TOML files and commands.

`make plugins` runs it. The plugins are imported only from where pip installed them.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lungpatch.datasets import phantom_cohort, save_cohort

HERE = Path(__file__).parent
PLUGINS = ("lungpatch-gms", "lungpatch-txrv")
SMALL_MODEL = '\n[model]\nname = "unet"\nepochs = 1\nbase_channels = 2\n'


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """A folder elsewhere, with images, and with what pip installed in ``installed``."""
    folder = tmp_path_factory.mktemp("outside")
    save_cohort(phantom_cohort(10, 2, seed=4, size=256), folder / "images")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    pip += ["--no-build-isolation", "--target", str(folder / "installed")]
    _run(folder, *pip, *(str(HERE / name) for name in PLUGINS))
    return folder


def _run(folder, *command):
    path = [str(folder / "installed"), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _lungpatch(folder, *arguments):
    return _run(folder, sys.executable, "-m", "lungpatch", *arguments)


@pytest.mark.parametrize("plugin", PLUGINS)
def test_its_own_tests_pass(outside, plugin):
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    assert " passed" in _run(outside, *command, f"--rootdir={HERE / plugin}", str(HERE / plugin))


def test_they_are_listed(outside):
    rows = json.loads(_lungpatch(outside, "plugins", "--json"))
    found = {(row["kind"], row["name"]): row["status"] for row in rows}
    for component in (
        ("scorer", "gms"),
        ("thresholder", "froc"),
        ("segmenter", "txrv-pspnet"),
        ("extractor", "txrv-densenet"),
    ):
        assert found[component] == "ok"


def test_gms_in_a_pipeline_from_commands(outside):
    config = outside / "gms.toml"
    config.write_text((HERE / "lungpatch-gms" / "example.toml").read_text() + SMALL_MODEL)
    _lungpatch(outside, "fit", "images/normal", "--config", "gms.toml", "--out", "gms.lungpatch")
    saved = json.loads((outside / "gms.lungpatch" / "pipeline.json").read_text())
    assert "lungpatch-gms:gms/gms" in json.dumps(saved)
    _lungpatch(outside, "detect", "images/opacity", "--pipeline", "gms.lungpatch", "--out", "found")
    records = [json.loads(x) for x in (outside / "found/detections.jsonl").read_text().splitlines()]
    assert len(records) == 2
    # 1 - GMS lies in [0, 1].
    assert all(0 < record["pred_score"] < 1 for record in records)


def test_froc_refuses_normal_images_alone(outside):
    (outside / "froc.toml").write_text('preset = "paper"\n[thresholder]\nname = "froc"\n')
    with pytest.raises(AssertionError, match="label"):
        _lungpatch(
            outside, "fit", "images/normal", "--config", "froc.toml", "--out", "no.lungpatch"
        )


@pytest.mark.skipif(
    importlib.util.find_spec("torchxrayvision") is None, reason="torchxrayvision is not installed"
)
def test_txrv_in_a_pipeline_from_toml(outside):
    text = (HERE / "lungpatch-txrv" / "example.toml").read_text()
    text = text.replace('"txrv-pspnet"', '"txrv-pspnet"\nweights = "untrained"\nside = 64')
    text = text.replace("block = 2", 'block = 1\nweights = "untrained"')
    # Random lungs are too small for a crop of both lungs.
    text = text.replace('name = "lung-crop"', 'name = "grid"\nstride = 128')
    (outside / "txrv.toml").write_text(text)
    _lungpatch(outside, "fit", "images/normal", "--config", "txrv.toml", "--out", "txrv.lungpatch")
    _lungpatch(outside, "detect", "images/opacity", "--pipeline", "txrv.lungpatch", "--out", "seen")
    assert len((outside / "seen/detections.jsonl").read_text().splitlines()) == 2
