"""Options of detect and fit that say how the work is done, and how much is said of it."""

import json
import logging
import shutil

import pytest

import lungpatch
from lungpatch.archive import detecting


@pytest.fixture
def asked(monkeypatch):
    """Record with what detect_folder is called."""
    calls = []

    def detect_folder(images, out, **options):
        calls.append(options)
        return lungpatch.DetectionCounts()

    monkeypatch.setattr("lungpatch.archive.detect_folder", detect_folder)
    return calls


def test_options_are_those_of_detect_folder(run, asked, cohort, saved, tmp_path):
    arguments = ["detect", cohort / "opacity", "--out", tmp_path, "--pipeline", saved, "--quiet"]
    run(*arguments)
    run(
        *arguments,
        *("--device", "cpu", "--workers", "3", "--threads", "2", "--batch-size", "4"),
        *("--precision", "bfloat16", "--resume", "--no-overlays", "--no-maps", "--parquet"),
    )
    run(*arguments, "--overwrite", "--workers", "auto")
    plain = {
        "device": None, "workers": "auto", "threads": None, "batch_size": 1, "resume": False,
        "overlays": True, "maps": True, "parquet": False, "precision": None,
    }  # fmt: skip
    wanted = {
        "device": "cpu", "workers": 3, "threads": 2, "batch_size": 4, "resume": True,
        "overlays": False, "maps": False, "parquet": True, "precision": "bfloat16",
    }  # fmt: skip
    assert [{key: call[key] for key in plain} for call in asked] == [plain, wanted, plain]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--workers", "many"], "workers must be 'auto' or at least 1, got 'many'"),
        (["--workers", "0"], "workers must be 'auto' or at least 1, got 0"),
        (["--workers", "-1"], "workers must be 'auto' or at least 1, got '-1'"),
        (["--device", "gpu"], "device must be one of auto, cpu, cuda, mps, got 'gpu'"),
        (["--device", "mps"], "no 'mps' here"),
        (["--precision", "half"], "precision must be one of float32, bfloat16, got 'half'"),
        (["--quiet", "--verbose"], "give --quiet or --verbose, not both"),
        (["--threads", "0"], "0 is not in the range"),
        (["--batch-size", "0"], "0 is not in the range"),
    ],
)
def test_a_mistake_is_told_before_work(run, cohort, saved, tmp_path, options, words):
    out = tmp_path / "out"
    command = ["detect", cohort / "opacity", "--out", out, "--pipeline", saved]
    status, printed, err = run(*command, *options)
    assert (status, printed) == (2, "")
    assert words in " ".join(err.replace("│", "").split())
    assert not out.exists()


def test_resume_goes_on(run, cohort, saved, tmp_path):
    images = shutil.copytree(cohort / "opacity", tmp_path / "images")
    later = sorted(images.iterdir())[0].rename(tmp_path / "later.png")
    command = ["detect", images, "--out", tmp_path / "out", "--pipeline", saved]
    assert run(*command)[0] == 0
    records = (tmp_path / "out" / "detections.jsonl").read_bytes().splitlines()
    later.rename(images / "zz.png")
    status, _, err = run(*command, "--resume", "--verbose")
    assert status == 0
    assert "3 of 4 images are done already" in err
    again = (tmp_path / "out" / "detections.jsonl").read_bytes().splitlines()
    assert again[:3] == records
    assert json.loads(again[3])["name"] == "zz"


def test_quiet_prints_errors_only(run, cohort, saved, tmp_path):
    images = shutil.copytree(cohort / "opacity", tmp_path / "images")
    command = ["detect", images, "--out", tmp_path / "out", "--pipeline", saved, "--quiet"]
    assert run(*command) == (0, "", "")
    (images / "broken.png").write_bytes(b"no image")
    status, out, err = run(*command)
    assert (status, out) == (3, "")
    assert err.startswith(f"failed: {images / 'broken.png'}: ")
    assert err.count("\n") == 1


def test_how_much_is_said_ends_with_the_command(run, cohort, saved, tmp_path, monkeypatch):
    def talk(*arguments, **options):
        for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
            logging.getLogger("lungpatch.test").log(level, "message of %d", level)
        return lungpatch.DetectionCounts()

    monkeypatch.setattr("lungpatch.archive.detect_folder", talk)
    monkeypatch.setattr("lungpatch.cli.commands.print_counts", lambda counts, out: None)
    command = ["detect", cohort / "opacity", "--out", tmp_path / "out", "--pipeline", saved]
    logger = logging.getLogger("lungpatch")
    before = (logger.level, list(logger.handlers))
    _, _, err = run(*command, "--verbose")
    assert [level for level in (10, 20, 30, 40) if f"message of {level}" in err] == [20, 30, 40]
    assert (logger.level, list(logger.handlers)) == before
    seen = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append(record.levelno)
    logger.addHandler(handler)
    try:
        run(*command, "--quiet")
        run(*command)
    finally:
        logger.removeHandler(handler)
    assert seen == [40, 30, 40]
    assert detecting.logger.name.startswith("lungpatch")


# ------------------------------------------------------------------------------ fit --set


def test_set_changes_settings_of_a_file(run, config, cohort, tmp_path):
    out = tmp_path / "p.lungpatch"
    options = ["--set", "model.n_components=3", "--set", "pipeline.seed=7", "--device", "cpu"]
    status, printed, err = run(
        "fit", cohort / "normal", "--config", config, "--out", out, "--quiet", *options
    )
    assert (status, printed, err) == (0, "", "")
    pipeline = lungpatch.load_pipeline(out)
    assert (pipeline.model.n_components, pipeline.seed) == (3, 7)
    assert pipeline.grid_size == 128


def test_another_component_replaces_the_whole_table(run, config, cohort, tmp_path):
    out = tmp_path / "p.lungpatch"
    options = ["--set", "scorer.name=ssim", "--set", "scorer.sigma=2.0"]
    status, _, err = run("fit", cohort / "normal", "--config", config, "--out", out, *options)
    assert status == 0, err
    assert repr(lungpatch.load_pipeline(out).scorer) == repr(lungpatch.SSIMScorer(sigma=2.0))


def test_members_of_an_ensemble_are_numbered():
    plain = lungpatch.load_preset("default")
    changed = lungpatch.load_preset(
        "default", changes={"model.members.1.weight": 3.0, "pipeline.seed": 5}
    )
    assert changed.seed == 5
    assert repr(changed.model.members[0]) == repr(plain.model.members[0])
    assert changed.model.members[1].weight == 3.0
    assert repr(changed.model.members[1].model) == repr(plain.model.members[1].model)


def test_device_of_fit_reaches_every_part(run, monkeypatch, cohort, tmp_path):
    seen = []

    def fit(self, *arguments, **options):
        seen.append(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(lungpatch.Pipeline, "fit", fit)
    run("fit", cohort / "normal", "--out", tmp_path / "p.lungpatch", "--device", "cpu")
    devices = {k: v for k, v in seen[0].get_params().items() if k.endswith("device")}
    assert len(devices) > 2
    assert set(devices.values()) == {"cpu"}


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("model", ["'model': a setting is given as KEY=VALUE"]),
        ("modell.epochs=3", ["unknown table 'modell'", "did you mean 'model'"]),
        ("model.epoch=3", ["'epoch'", "did you mean 'epochs'"]),
        ("model.epochs=many", ["epochs", "'many'"]),
        ("model.epochs=-1", ["epochs", "-1"]),
        ("pipeline.seeds=1", ["unknown setting 'seeds'", "seed"]),
        ("seed=1", ["unknown table 'seed'"]),
        ("model=3", ["model", "table"]),
        ("model.epochs.first=3", ["epochs"]),
        ("preset=paper", ["unknown table 'preset'"]),
    ],
)
def test_a_mistake_in_a_changed_setting_is_named(run, cohort, tmp_path, setting, words):
    out = tmp_path / "p.lungpatch"
    command = ["fit", cohort / "normal", "--preset", "paper", "--out", out]
    status, _, err = run(*command, "--set", setting)
    message = " ".join(err.split())
    assert status == 2
    for word in words:
        assert word in message
    assert "Traceback" not in message
    assert not out.exists()


@pytest.mark.parametrize("number", ["9", "-1", "first", "01"])
def test_a_member_that_is_not_there_is_named(run, cohort, tmp_path, number):
    command = ["fit", cohort / "normal", "--out", tmp_path / "p.lungpatch"]
    status, _, err = run(*command, "--set", f"model.members.{number}.weight=1.0")
    assert status == 2
    assert f"preset 'default': 'members' has no item '{number}'; its items: 0, 1" in err


def test_settings_that_contradict_each_other_are_named(run, cohort, tmp_path):
    command = ["fit", cohort / "normal", "--preset", "paper", "--out", tmp_path / "p.lungpatch"]
    status, _, err = run(*command, "--set", "model=3", "--set", "model.epochs=3")
    assert status == 2
    assert "model.epochs: 'model' is given as a value, too" in err
    status, _, err = run(*command, "--set", "model.epochs=3", "--set", "model=3")
    assert status == 2
    assert "model: 'model' is given twice" in err
