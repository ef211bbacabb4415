"""The whole command, on a tiny phantom."""

import html
import importlib.util
import json
import re
import sys

import pytest
from matplotlib import pyplot

from lungpatch import cli
from lungpatch._utils.progress import silent
from lungpatch.cli.exit_status import USAGE
from lungpatch.errors import MissingExtraError
from lungpatch.reference import (
    Reproduction,
    ReproductionSettings,
    phantom_dataset,
    reproduce,
    run_stages,
)
from lungpatch.reference.conclusions import conclusions, verdict
from lungpatch.reference.figures.drawing import CAPTIONS, draw_figures
from lungpatch.reference.report import write_report
from lungpatch.reference.reproduction import require_packages
from lungpatch.reference.settings import GRID_SIZE, NORMAL_PATCHES

STAGES = [
    "images",
    "patches",
    "model",
    "scores",
    "losses",
    "claims",
    "proposals",
    "classifier",
]


def _call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["lungpatch", "reproduce", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return caught.value.code or 0


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper")
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert _call(monkeypatch, "--phantom", "--quick", "--seed", 0, "--out", folder) == 0
    return folder


@pytest.fixture(scope="module")
def results(out):
    return json.loads((out / "results.json").read_text())


def test_every_stage_has_values_settings_and_seed(results):
    assert list(results["stages"]) == STAGES
    for stage in results["stages"].values():
        assert stage["values"]
        assert stage["settings"]
        assert stage["seed"] == 0


def test_every_figure_is_there_as_png_and_svg(out):
    for name in CAPTIONS:
        assert (out / "figures" / f"{name}.png").stat().st_size > 1000
        assert (out / "figures" / f"{name}.svg").read_text().startswith("<?xml")


def test_the_report_is_self_contained_and_complete(out, results):
    page = (out / "report.html").read_text()
    for caption in CAPTIONS.values():
        assert html.escape(caption) in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "<script" not in page
    for word in ("Claim.", "What we did.", "What came out", "Conclusions"):
        assert word in page
    assert len(conclusions(results)) >= 4


def test_the_report_opens_with_the_verdict_and_says_that_it_was_quick(out, results):
    page = html.unescape((out / "report.html").read_text())
    first, second, *_ = re.findall(r"<p>(.*?)</p>", page, flags=re.DOTALL)
    assert "<h1>The paper, reproduced: a quick run</h1>" in page
    assert "quick run (--quick): the network was trained for 10 steps" in first
    assert "means nothing" in first
    assert second == f"Verdict. {verdict(results)}"


def test_a_full_run_is_not_called_quick(results, tmp_path):
    full = results | {"settings": results["settings"] | {"training_steps": 1000}}
    page = html.unescape(write_report(full, {}, tmp_path / "report.html").read_text())
    assert "quick" not in re.sub(r"<table>.*?</table>", "", page, flags=re.DOTALL)
    assert re.search(r"<p>(.*?)</p>", page)[1] == f"Verdict. {verdict(results)}"


@pytest.mark.parametrize(
    ("accuracy", "answer"),
    [
        (0.4, "result holds: its score does not separate"),
        (0.6, "holds in part: its score separates"),
        (0.8, "does not hold: its score separates"),
    ],
)
def test_the_verdict_follows_from_the_best_thresholds(results, accuracy, answer):
    stages = json.loads(json.dumps(results["stages"]))
    claims = stages["claims"]["values"]
    claims["table_1"] = {"best_balanced_accuracy": accuracy, "kinds": ["a", "b", "c"]}
    said = verdict(results | {"stages": stages})
    assert answer in said
    assert f"of three kinds{', but not well' if accuracy == 0.6 else ''} (normal lung, " in said
    assert f"a balanced accuracy of {accuracy:.2f} (0.33 by chance" in said
    normal, opacity, _ = results["kinds"]
    (pair,) = (row for row in claims["pairs"] if {row["lower"], row["higher"]} == {normal, opacity})
    assert f"{pair['auroc']:.2f} [" in said


def test_a_result_that_could_not_be_tested_is_no_verdict(results):
    stages = json.loads(json.dumps(results["stages"]))
    stages["claims"]["values"] |= {"table_1": {"skipped": "no boxes are known"}, "pairs": []}
    said = verdict(results | {"stages": stages})
    assert said == "The paper's main result could not be tested: no boxes are known."


def test_paper_counts_stand_beside_ours(results):
    patches = results["stages"]["patches"]["values"]
    assert patches["paper"]["normal_patches"] == NORMAL_PATCHES
    assert patches["paper"]["normal_patches_per_image_by_its_totals"] == 60.5
    assert patches["positions_of_the_stated_sizes"] == 144
    assert patches["paper"]["pneumonia_patches_per_image"] == 420


def test_every_loss_and_proposal_has_a_row(results):
    losses = {
        (row["network"], row["loss"], row["output"])
        for row in results["stages"]["losses"]["values"]["rows"]
    }
    for network in ("U-Net", "autoencoder"):
        for loss in ("dice", "squared-dice", "l1", "l2", "ssim"):
            assert (network, loss, "sigmoid") in losses
        assert (network, "dice", "linear") in losses
    proposals = results["stages"]["proposals"]["values"]["rows"]
    assert sum("k-means" in row["name"] for row in proposals) == 3
    assert any("512" in row["name"] for row in proposals)
    assert all("separated" in row or "skipped" in row for row in proposals)


def test_finished_stages_are_not_done_again(out, monkeypatch, capsys):
    before = {path: path.stat().st_mtime_ns for path in (out / "stages").iterdir()}
    # A stage that only scores: the ones before it are kept, it and what follows is not.
    (out / "stages" / "claims.json").unlink()
    assert _call(monkeypatch, "--phantom", "--quick", "--seed", 0, "--out", out) == 0
    after = {path: path.stat().st_mtime_ns for path in (out / "stages").iterdir()}
    changed = {path.stem for path in after if after[path] != before[path]}
    assert changed == {"claims"}
    assert "images (kept)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--normal", "n"],
        ["--phantom", "--data", "x"],
        ["--phantom", "--boxes", "x.csv"],
        ["--normal", "n", "--pneumonia", "p", "--phantom"],
    ],
)
def test_one_source_of_images_is_needed(arguments, tmp_path, monkeypatch, capsys):
    assert _call(monkeypatch, *arguments, "--out", tmp_path) == USAGE
    assert "--phantom" in capsys.readouterr().err


def test_no_figure_stays_open(out):
    assert pyplot.get_fignums() == []


def test_quick_settings_take_a_seed():
    assert ReproductionSettings.quick(seed=4).seed == 4


@pytest.fixture
def dataset():
    settings = ReproductionSettings.quick()
    counts = settings.phantom_normal, settings.phantom_pneumonia
    return phantom_dataset(*counts, seed=0, size=GRID_SIZE)


def test_stages_run_from_python_as_from_the_command_line(out, dataset, tmp_path):
    kept = {path: path.stat().st_mtime_ns for path in (out / "stages").iterdir()}
    found = run_stages(dataset, out / "stages", settings=ReproductionSettings.quick())
    # The same images and settings: no stage is computed again, and the results are the same.
    assert {path: path.stat().st_mtime_ns for path in (out / "stages").iterdir()} == kept
    assert isinstance(found, Reproduction)
    assert found.results == json.loads((out / "results.json").read_text())
    assert repr(found) == f"Reproduction('phantom', {len(found.table)} patches scored)"
    drawn = draw_figures(found, tmp_path, progress=silent)
    assert list(drawn) == list(CAPTIONS)
    for name, path in drawn.items():
        assert path.read_bytes() == (out / "figures" / f"{name}.png").read_bytes()


@pytest.mark.parametrize("module", ["captum", "diptest", "matplotlib", "sklearn"])
@pytest.mark.parametrize(
    "run",
    [reproduce, run_stages, lambda *_: require_packages()],
    ids=["reproduce", "run_stages", "require_packages"],
)
def test_a_missing_extra_is_reported_before_the_work_begins(
    run, module, dataset, tmp_path, monkeypatch
):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == module else find_spec(name)
    )
    with pytest.raises(MissingExtraError, match=rf'{module}.*pip install "lungpatch\[reproduce\]"'):
        run(dataset, tmp_path / "paper")
    assert list(tmp_path.iterdir()) == []
