import json
import shutil

import numpy as np
import pytest
import tifffile
from made_dicoms import save_dicom
from PIL import Image

import lungpatch
from lungpatch.cli import commands
from lungpatch.errors import ConfigurationError
from lungpatch.plugins.hookspecs import KINDS


def _records(folder):
    lines = (folder / "detections.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_fit_then_detect(run, config, cohort, tmp_path):
    pipeline, found = tmp_path / "p.lungpatch", tmp_path / "found"
    status, out, _ = run("fit", cohort / "normal", "--config", config, "--out", pipeline)
    assert status == 0
    assert "identity shortcut" in out
    status, out, _ = run("detect", cohort / "opacity", "--pipeline", pipeline, "--out", found)
    assert status == 0
    records = _records(found)
    assert len(records) == 4
    for record in records:
        assert record["status"] == "ok"
        assert record["pred_label"] == (record["pred_score"] > record["threshold"])
        heatmap = tifffile.imread(found / record["anomaly_map"])
        with Image.open(record["image"]) as image:
            assert heatmap.shape == (image.height, image.width)
        assert heatmap.dtype == np.float32
        assert np.isnan(heatmap).any()
        for (row0, col0, row1, col1), score in zip(
            record["boxes"], record["box_scores"], strict=True
        ):
            assert np.nanmax(heatmap[row0:row1, col0:col1]) == pytest.approx(score)
        assert (found / record["overlay"]).is_file()
        with Image.open(found / record["mask"]) as mask:
            assert mask.size == heatmap.shape[::-1]
        assert record["n_patches"] > 0
        assert 0 < record["lung_fraction"] < 1
        assert record["seconds"] > 0


def test_the_regions_of_a_single_image_are_printed(run, saved, cohort, tmp_path):
    images = sorted((cohort / "opacity").iterdir())
    status, out, _ = run("detect", images[0], "--pipeline", saved, "--out", tmp_path / "one")
    assert status == 0
    (record,) = _records(tmp_path / "one")
    assert record["regions"] == []
    maximum = record["maximum"]
    assert out.splitlines()[:-1] == [
        f"nothing above {record['region_threshold']:.3g}; maximum: {maximum['side']} "
        f"{maximum['zone']} zone, {maximum['position']}, {maximum['score']:.3g}"
    ]
    _, out, _ = run("detect", *images[:2], "--pipeline", saved, "--out", tmp_path / "two")
    assert len(out.splitlines()) == 1


def test_of_a_second_run_only_its_own_image_is_printed(run, saved, cohort, tmp_path):
    found = tmp_path / "found"
    printed = []
    for image in sorted((cohort / "opacity").iterdir())[:2]:
        status, out, _ = run("detect", image, "--pipeline", saved, "--out", found)
        assert status == 0
        printed.append(out.splitlines()[:-1])
    first, second = (record["summary"] for record in _records(found))
    assert printed == [first, second]
    assert first != second


def test_an_image_out_of_scope_is_named_so_and_counted_apart(run, saved, cohort, tmp_path):
    chest = lungpatch.read_image(sorted((cohort / "opacity").iterdir())[0])
    grey = (chest.pixels * 255).round().astype(np.uint8)
    lateral = save_dicom(tmp_path / "lateral.dcm", grey, bits=8, Modality="DX", ViewPosition="LL")
    status, out, _ = run("detect", lateral, "--pipeline", saved, "--out", tmp_path / "found")
    assert status == 0
    reason, counts = out.splitlines()
    assert reason == "out of scope: ViewPosition is LL"
    assert "0 above the threshold, 0 not, 1 out of scope" in " ".join(counts.split())
    (record,) = _records(tmp_path / "found")
    assert record["status"] == "out_of_scope"
    assert record["pred_label"] is None


def test_some_images_fail(run, saved, cohort, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    good = sorted((cohort / "opacity").iterdir())[0]
    shutil.copy(good, folder / "a.png")
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("hello")
    (folder / "cut.png").write_bytes(good.read_bytes()[:2000])
    found = tmp_path / "found"
    missing = tmp_path / "missing.png"
    status, out, err = run("detect", folder, missing, "--pipeline", saved, "--out", found)
    assert status == 3
    records = {record["image"]: record for record in _records(found)}
    assert len(records) == 5
    assert records[str(folder / "a.png")]["status"] == "ok"
    for name in ("empty.png", "text.png", "cut.png"):
        record = records[str(folder / name)]
        assert record["status"] == "error"
        assert name in record["error"]
        assert name in err
    assert "missing.png" in records[str(missing)]["error"]
    assert "4 failed" in out


def test_stems_stay_apart(run, saved, cohort, tmp_path):
    good = sorted((cohort / "opacity").iterdir())[:2]
    for name, path in zip(("one", "two"), good, strict=True):
        (tmp_path / name).mkdir()
        shutil.copy(path, tmp_path / name / "x.png")
    found = tmp_path / "found"
    status, _, _ = run(
        "detect", tmp_path / "one", tmp_path / "two", "--pipeline", saved, "--out", found
    )
    assert status == 0
    assert [r["overlay"] for r in _records(found)] == ["x.overlay.jpg", "x-2.overlay.jpg"]
    assert (found / "x-2.anomaly.tiff").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "{tmp}/nowhere", "--out", "{tmp}/p"], "nowhere"),
        (["fit", "{tmp}/void", "--out", "{tmp}/p"], "void"),
        (["fit", "{images}", "--preset", "papr", "--out", "{tmp}/p"], "no preset 'papr'"),
        (["fit", "{images}", "--config", "{tmp}/no.toml", "--out", "{tmp}/p"], "no.toml"),
        (["fit", "{images}", "--config", "c", "--preset", "paper", "--out", "p"], "not both"),
        (["fit", "{images}", "--out", "{images}"], "something else is there"),
        (["fit", "{images}", "--patients", "{tmp}/no.csv", "--out", "{tmp}/p"], "no.csv"),
        (
            ["detect", "{images}", "--pipeline", "{tmp}/no.lungpatch", "--out", "{tmp}/o"],
            "no saved",
        ),
        (["detect", "{tmp}/no.png", "--pipeline", "{saved}", "--out", "{tmp}/o"], "no.png"),
        (["detect", "{images}"], "--out"),
        (["plugins", "--kind", "scorrer"], "scorer"),
        (["detekt"], "detekt"),
    ],
)
def test_usage_errors(run, arguments, message, cohort, saved, tmp_path):
    (tmp_path / "void").mkdir()
    paths = {"tmp": tmp_path, "images": cohort / "normal", "saved": saved}
    status, _, err = run(*(argument.format(**paths) for argument in arguments))
    assert status == 2
    assert message in err
    assert "Traceback" not in err


def test_plugins_lists_the_built_ins(run):
    status, out, _ = run("plugins", "--json", "--check")
    rows = json.loads(out)
    assert status == 0
    assert {("model", "unet"), ("scorer", "sad"), ("segmenter", "masks")} <= {
        (row["kind"], row["name"]) for row in rows
    }
    assert all(row["status"] == "ok" for row in rows)
    status, out, _ = run("plugins", "--kind", "scorer")
    assert status == 0
    assert "ssim" in out
    assert "quantile" not in out


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_and_version(run, option):
    status, out, _ = run(option)
    assert status == 0
    assert "not a medical device" in out
    status, out, _ = run("detect", option)
    assert status == 0
    assert "STEM.overlay.jpg" in out
    status, out, _ = run("plugins", "new", option)
    assert status == 0
    status, out, _ = run("--version")
    assert status == 0
    assert out.startswith("lungpatch ")


def test_segment(run, cohort, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    good = sorted((cohort / "opacity").iterdir())[0]
    shutil.copy(good, folder / "a.png")
    (folder / "text.png").write_text("hello")
    found = tmp_path / "found"
    status, out, err = run("segment", folder, "--out", found, "--set", "device=cpu")
    assert status == 3
    assert "1 segmented" in out
    assert "text.png" in err
    lines = (found / "segmentations.jsonl").read_text().splitlines()
    good_record, bad_record = (json.loads(line) for line in lines)
    assert bad_record["status"] == "error"
    assert good_record["status"] == "ok"
    sides = good_record["right_fraction"] + good_record["left_fraction"]
    assert sides == pytest.approx(good_record["fraction"])
    with Image.open(found / good_record["mask"]) as mask, Image.open(good) as image:
        assert mask.size == image.size
        levels = np.asarray(mask)
    assert set(np.unique(levels)) == {0, 255}
    assert (levels > 0).mean() == pytest.approx(good_record["fraction"])
    with Image.open(cohort / "masks" / "lungs" / good.name) as truth:
        true_lungs = np.asarray(truth) > 0
    overlap = 2 * (true_lungs & (levels > 0)).sum() / (true_lungs.sum() + (levels > 0).sum())
    assert overlap > 0.75
    assert (found / "segmentations-001.png").is_file()


def test_segment_by_another_name(run, cohort, tmp_path):
    arguments = ["segment", cohort / "opacity", "--out", tmp_path, "--segmenter", "masks"]
    status, _, err = run(*arguments, "--set", f"folder={cohort / 'masks' / 'lungs'}")
    assert status == 0, err
    status, _, err = run(*arguments, "--set", "foldr=x")
    assert status == 2
    assert "did you mean 'folder'" in err


def test_help_shows_the_way_from_images_to_results(run):
    _, out, _ = run("--help")
    steps = [f"lungpatch {name}" for name in ("demo", "segment", "detect", "fit", "plugins")]
    positions = [out.index(step) for step in steps]
    assert positions == sorted(positions)
    assert "--install-completion" in out


@pytest.mark.parametrize("command", [("plugins",), ("plugins", "new")])
def test_help_names_every_kind(run, command):
    _, out, _ = run(*command, "--help")
    for kind in KINDS:
        assert kind in out


def test_plugins_new_writes_a_package_and_says_what_is_next(run, tmp_path):
    status, out, _ = run("plugins", "new", "soft", "--kind", "scorer", "--into", str(tmp_path))
    assert status == 0
    assert (tmp_path / "lungpatch-soft" / "pyproject.toml").is_file()
    assert "pip install" in out
    (component,) = (tmp_path / "lungpatch-soft" / "src").glob("*/scorer.py")
    assert str(component) in out
    status, _, err = run("plugins", "new", "Soft", "--kind", "scorer", "--into", str(tmp_path))
    assert status == 2
    assert "lower-case" in err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands(shell, monkeypatch, capsys):
    typed = "lungpatch de"
    words = {"COMP_WORDS": typed, "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": typed}
    for name, value in (words | {"_LUNGPATCH_COMPLETE": f"complete_{shell}"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    with pytest.raises(SystemExit) as end:
        commands.app(prog_name="lungpatch")
    assert end.value.code == 0
    completed = capsys.readouterr().out
    assert "detect" in completed
    assert "demo" in completed
    assert "segment" not in completed


def test_two_pipelines_of_one_name_are_kept_apart(run, saved, cohort, tmp_path, monkeypatch):
    def names_only(pipelines, *args, **options):
        raise ConfigurationError(f"names: {', '.join(pipelines)}")

    monkeypatch.setattr("lungpatch.evaluation.protocol.evaluate", names_only)
    again = tmp_path / "elsewhere" / saved.name
    shutil.copytree(saved, again)
    row = "opacity-000.png,pneumonia,opacity-000,PA,"
    (tmp_path / "m.csv").write_text(f"file,label,patient,view,rsna_class\n{row}\n")
    (tmp_path / "b.csv").write_text("file,x,y,w,h\nopacity-000.png,0.2,0.3,0.2,0.2\n")
    tables = ["--metadata", tmp_path / "m.csv", "--boxes", tmp_path / "b.csv"]
    pipelines = ["--pipeline", saved, "--compare", again]
    images = ["--images", cohort / "opacity"]
    status, _, err = run("evaluate", *pipelines, *images, *tables, "--out", tmp_path / "found")
    assert status == 2
    assert "names: fast, fast-2" in err
