"""What pages, model cards and README say that the shipped pipelines decide is what was counted."""

import importlib
import json
import re
from pathlib import Path

import pytest
from scipy import stats

import lungpatch

ROOT = Path(__file__).parents[2]
TABLES = ROOT / "docs" / "detectors-run"
CARDS = ROOT / "src" / "lungpatch" / "weights"
RATE_0_1, RATE_0_2 = 2, 3


@pytest.fixture(scope="module")
def results():
    return json.loads((TABLES / "decisions.json").read_text(encoding="utf-8"))


@pytest.fixture
def decisions(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("decisions")


def block_of(path):
    text = path.read_text(encoding="utf-8")
    (block,) = re.findall(r"<!-- decisions -->\n(.*?)\n<!-- end -->", text, flags=re.DOTALL)
    return block


def test_tables_cards_and_readme_are_written_from_what_was_counted(decisions, results):
    assert results.keys() == {"default", "paper"}
    assert (TABLES / "decisions.inc").read_text() == decisions.full_text(results)
    assert (TABLES / "decisions_short.inc").read_text() == decisions.short(results)
    blocks = decisions.published_blocks(results)
    assert set(blocks) == {CARDS / "default.md", CARDS / "paper.md", ROOT / "README.md"}
    for path, block in blocks.items():
        assert block_of(path) == block, path


@pytest.mark.parametrize("name", ["default", "paper"])
def test_what_was_counted_is_of_the_shipped_pipeline(results, name):
    calibration = lungpatch.load_pipeline(name).calibration_
    assert results[name]["calibration_patients"] == calibration.n_patients
    shipped = results[name]["points"][0]
    assert shipped["threshold"] == pytest.approx(calibration.threshold)
    assert shipped["region_threshold"] == pytest.approx(calibration.region_threshold)


def test_intervals_by_the_formula_of_wilson(results):
    for each in results["default"]["sets"].values():
        for value, low, high in each["flagged"]:
            n, z = each["n"], stats.norm.ppf(0.975)
            middle = (value + z**2 / (2 * n)) / (1 + z**2 / n)
            half = z / (1 + z**2 / n) * (value * (1 - value) / n + z**2 / (4 * n**2)) ** 0.5
            assert (low, high) == pytest.approx((middle - half, middle + half), abs=1e-9)


def test_the_readme_says_what_is_flagged(results):
    readme = " ".join(block_of(ROOT / "README.md").split())
    sets = results["default"]["sets"]
    for label in ("Lung Opacity", "COVID", "read as normal", "children, normal"):
        value, low, high = sets[label]["flagged"][RATE_0_1]
        assert f"{value:.2f} [{low:.2f}, {high:.2f}] of {sets[label]['n']} " in readme, label


def test_the_home_page_shows_the_rows_of_the_default_detector():
    page = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    (end,) = re.findall(r"\{include\} detectors-run/decisions_short.inc\n:end-line: (\d+)\n", page)
    rows = (TABLES / "decisions_short.inc").read_text(encoding="utf-8").splitlines()
    is_default = [row.startswith("| `default` |") for row in rows]
    assert [index for index, row in enumerate(is_default) if row] == list(range(2, int(end)))


def test_the_aims_are_reached_or_missed_as_the_page_says(results):
    """docs/detectors.md, "What they find", says this in words."""
    flagged = {label: each["flagged"] for label, each in results["default"]["sets"].items()}
    assert flagged["Lung Opacity"][RATE_0_1][0] >= 0.6
    assert 0.58 <= flagged["COVID"][RATE_0_2][0] < 0.6  # "narrowly"
    for normal in ("read as normal", "normal folder, without them, one against the others"):
        assert flagged[normal][RATE_0_1][0] <= 0.12
    assert 0.35 <= flagged["children, normal"][RATE_0_1][0] <= 0.45  # "four times"
    paper = {
        label: each["flagged"][RATE_0_1][0] for label, each in results["paper"]["sets"].items()
    }
    assert paper["Lung Opacity"] < paper["read as normal"]


def test_a_block_is_written_between_its_marks_only(decisions, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("Before.\n<!-- decisions -->\nold\n<!-- end -->\nAfter.\n<!-- end -->\n")
    decisions.write_block(page, r"new \1")
    assert page.read_text() == (
        "Before.\n<!-- decisions -->\nnew \\1\n<!-- end -->\nAfter.\n<!-- end -->\n"
    )
    page.write_text("no marks")
    with pytest.raises(SystemExit, match="needs the marks"):
        decisions.write_block(page, "new")
