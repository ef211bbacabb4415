"""What would stop a command at its end is said at its beginning, before any work."""

import json
import shutil
import sys
from types import SimpleNamespace

import pytest

import lungpatch
from lungpatch.archive import segmenting
from lungpatch.cli import demo, saving
from lungpatch.errors import SavedPipelineError
from lungpatch.evaluation import protocol
from lungpatch.reference import cohort as paper_cohort


@pytest.fixture
def no_work(monkeypatch):
    """No image is read or made while a test runs."""

    def work(*args, **options):
        raise AssertionError("work began")

    for owner, name in (
        (lungpatch.Pipeline, "fit"),
        (lungpatch.Pipeline, "detect_many"),
        (segmenting, "read_image"),
        (protocol, "evaluate"),
        (demo, "detect_folder"),
        (paper_cohort, "phantom_dataset"),
    ):
        monkeypatch.setattr(owner, name, work)


@pytest.fixture
def arguments_of(cohort, tmp_path):
    """Return the arguments of a command that could work, were it not for what is tested."""
    metadata, boxes = tmp_path / "metadata.csv", tmp_path / "boxes.csv"
    metadata.write_text("file,label,patient,view,rsna_class\n")
    boxes.write_text("file,x,y,w,h\n")
    tables = ["--images", cohort / "opacity", "--metadata", metadata, "--boxes", boxes]
    arguments = {
        "fit": [cohort / "normal", "--preset", "paper"],
        "detect": [cohort / "opacity", "--pipeline", "paper"],
        "segment": [cohort / "opacity"],
        "evaluate": ["--pipeline", "paper", *tables],
        "demo": [],
        "reproduce": ["--phantom", "--quick"],
    }

    def of(command, out="found"):
        return [command, *arguments[command], "--out", tmp_path / out]

    return of


COMMANDS = ("fit", "detect", "segment", "evaluate", "demo", "reproduce")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_destination_in_a_file_is_refused(run, arguments_of, no_work, tmp_path, command):
    (tmp_path / "file").write_text("not a folder")
    status, _, err = run(*arguments_of(command, "file/found"))
    assert status == 2
    assert f"{tmp_path}/file is not one" in err
    assert "give another path" in err
    assert "Traceback" not in err
    assert (tmp_path / "file").read_text() == "not a folder"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_is_refused(run, arguments_of, no_work, tmp_path, monkeypatch, command):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=3e6))
    status, _, err = run(*arguments_of(command))
    assert status == 2
    assert "3 MB are free" in err
    assert not (tmp_path / "found").exists()


EXTRAS = {
    "evaluate": ("plot", ["matplotlib"]),
    "reproduce": ("reproduce", ["captum", "diptest", "matplotlib", "sklearn"]),
}


@pytest.mark.parametrize(
    ("command", "module"),
    [(command, module) for command, (_, modules) in EXTRAS.items() for module in modules],
)
def test_a_missing_extra_is_said(run, arguments_of, no_work, monkeypatch, command, module):
    monkeypatch.setitem(sys.modules, module, None)
    status, _, err = run(*arguments_of(command))
    assert status == 2
    assert f" needs {module}, which is not installed" in err
    assert f'pip install "lungpatch[{EXTRAS[command][0]}]"' in err


def test_a_fitted_pipeline_is_not_lost_where_it_cannot_be_saved(
    run, config, cohort, tmp_path, monkeypatch
):
    real = lungpatch.Pipeline.save

    def save(self, path, **options):
        if path == tmp_path / "mine.lungpatch":
            raise OSError(28, "No space left on device")
        return real(self, path, **options)

    monkeypatch.setattr(lungpatch.Pipeline, "save", save)
    monkeypatch.setattr(saving.tempfile, "tempdir", str(tmp_path))
    status, _, err = run(
        "fit", cohort / "normal", "--config", config, "--out", tmp_path / "mine.lungpatch"
    )
    assert status == 2
    assert "No space left on device" in err
    (rescued,) = tmp_path.glob("lungpatch-*/rescued.lungpatch")
    assert str(rescued) in err
    assert lungpatch.load_pipeline(rescued).is_fitted
    with pytest.raises(SavedPipelineError):
        lungpatch.load_pipeline(tmp_path / "mine.lungpatch")


# ------------------------------------------------------------------------- --config and --set


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["no table [segmenter]", 'preset = "paper"']),
        ("preset = 'papr'", ["no preset 'papr'", "paper"]),
        ("preset = 3", ["no preset 3"]),
        ("preset = ['paper']", ["no preset ['paper']"]),
        ("preset = 'paper'\n[modell]\n", ["unknown table 'modell'", "did you mean 'model'"]),
        ("preset = 'paper'\nmodel = 3", ["model", "table"]),
        ("preset = 'paper'\npipeline = 3", ["[pipeline] must be a table"]),
        ("preset = 'paper'\n[pipeline]\ngrid = 3", ["unknown setting 'grid'", "grid_size"]),
        ("preset = 'paper'\n[pipeline]\ngrid_size = '3'", ["'grid_size' must be int"]),
        ("preset = 'paper'\n[pipeline]\ngrid_size = 16", ["grid_size", "16"]),
        ("preset = 'paper'\n[model]\nepoch = 3", ["'epoch'", "did you mean 'epochs'"]),
        ("preset = 'paper'\n[model]\nepochs = 'many'", ["epochs", "'many'"]),
        ("preset = 'paper'\n[model]\nepochs = -1", ["epochs", "-1"]),
        ("preset = 'paper'\n[model]\nname = 'unett'", ["unett", "did you mean 'unet'"]),
        ("preset = 'paper'\n[model]\nname = 3", ["name"]),
        ("preset = 'paper'\n[scorer]\nname = 'sad'\nreduction = 'total'", ["reduction", "'total'"]),
        ("preset = 'paper'\n[sampler]\npatch_size = 64", ["patch_size must be the same"]),
        ("preset = 'paper'\n[model", ["not a readable TOML file"]),
        ("\x00", ["not a readable TOML file"]),
        ("preset = 'paper'\nmodel = [1]", ["model", "table"]),
    ],
)
def test_a_mistake_in_a_config_is_named(run, cohort, tmp_path, no_work, content, words):
    config = tmp_path / "mine.toml"
    config.write_text(content)
    out = tmp_path / "p.lungpatch"
    status, _, err = run("fit", cohort / "normal", "--config", config, "--out", out)
    message = " ".join(err.split())
    assert status == 2
    assert message.startswith("lungpatch: error: ")
    assert "mine.toml" in message
    for word in words:
        assert word in message
    assert_plain(message)


@pytest.mark.parametrize(
    ("kind", "words"),
    [("folder", "not a readable TOML file"), ("bytes", "TOML"), ("none", "no such")],
)
def test_a_config_that_is_no_text_is_named(run, cohort, tmp_path, no_work, kind, words):
    config = tmp_path / "mine.toml"
    if kind == "folder":
        config.mkdir()
    elif kind == "bytes":
        config.write_bytes(b"\xff\xfe\x00")
    status, _, err = run(
        "fit", cohort / "normal", "--config", config, "--out", tmp_path / "p.lungpatch"
    )
    assert status == 2
    assert "mine.toml" in err
    assert words in err
    assert_plain(err)


@pytest.mark.parametrize(
    ("segmenter", "setting", "words"),
    [
        ("unet", "flip_average", ["'flip_average': a setting is given as KEY=VALUE"]),
        ("unet", "=true", ["KEY=VALUE"]),
        ("unet", "flip=true", ["'flip'", "flip_average"]),
        ("unet", "flip_average=maybe", ["flip_average", "'maybe'"]),
        ("unet", "flip_average=3", ["flip_average", "3"]),
        ("unet", "device=gpu", ["device", "'gpu'"]),
        ("unet", "name=threshold", ["name"]),
        ("unett", "device=cpu", ["unett", "did you mean 'unet'"]),
    ],
)
def test_a_mistake_in_set_is_named(run, cohort, tmp_path, segmenter, setting, words):
    arguments = ["--out", tmp_path / "found", "--segmenter", segmenter, "--set", setting]
    status, _, err = run("segment", cohort / "opacity", *arguments)
    message = " ".join(err.split())
    assert status == 2
    assert message.startswith("lungpatch: error: ")
    for word in words:
        assert word in message
    assert_plain(message)


def assert_plain(message):
    for internal in ("Traceback", "<class", "<attrs", "Attribute(", "NoneType", "__init__"):
        assert internal not in message


def test_several_settings_are_taken(run, cohort, tmp_path):
    (image, *_) = sorted((cohort / "opacity").iterdir())
    options = ["--set", "device=cpu", "--set", "flip_average=true"]
    status, _, err = run("segment", image, "--out", tmp_path / "found", *options)
    assert status == 0, err
    (line,) = (tmp_path / "found" / "segmentations.jsonl").read_text().splitlines()
    assert json.loads(line)["status"] == "ok"
