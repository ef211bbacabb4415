"""The tables of numbers in the docs, and what the model cards say, are up to date."""

import importlib
import json
import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLES = ROOT / "docs" / "detectors-run"
CARDS = ROOT / "src" / "lungpatch" / "weights"


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("tables")


@pytest.fixture
def shipped_pipelines(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "training")
    return importlib.import_module("shipped_pipelines")


@pytest.fixture
def checkout(tables, tmp_path):
    """A small checkout with one table that was just written."""
    for folder in ("src/lungpatch/weights", "src/lungpatch/models", "docs/detectors-run"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "src/lungpatch/weights/lung_unet.safetensors").write_bytes(b"weights")
    (tmp_path / "src/lungpatch/models/pca.py").write_text('"""Text."""\n\nRANK = 3\n"""Text."""\n')
    tables.record_sources("whole_image", tmp_path)
    return tmp_path


def rows_of(name):
    lines = (TABLES / f"{name}.inc").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line]
    head = cells[0]
    return {row[0]: dict(zip(head, row, strict=False)) for row in cells[2:]}


def test_every_table_is_known_and_in_a_page(tables):
    written = {path.stem for path in TABLES.glob("*.inc")}
    pages = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").rglob("*.md"))
    assert written <= tables.INPUTS.keys()
    included = set(re.findall(r"detectors-run/(\S+?)\.inc", pages))
    assert written == included | {"lung_network"}  # which is in a model card


def test_no_table_is_older_than_its_weights_and_settings(tables):
    recorded = json.loads((TABLES / "sources.json").read_text(encoding="utf-8"))
    assert recorded.keys() == tables.INPUTS.keys()
    old = {name: changes for name in tables.INPUTS if (changes := tables.changed_inputs(name))}
    assert old == {}, "run the benchmarks again with --publish; see benchmarks/tables.py"


def test_changed_weights_are_noticed(tables, checkout):
    weights = "src/lungpatch/weights/lung_unet.safetensors"
    assert tables.changed_inputs("whole_image", checkout) == []
    (checkout / weights).write_bytes(b"Weights")
    assert tables.changed_inputs("whole_image", checkout) == [weights]
    (checkout / weights).unlink()
    assert tables.changed_inputs("whole_image", checkout) == [weights]
    assert tables.changed_inputs("detectors", checkout) == []  # not recorded, and nothing is there


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ('"""Other text."""\nRANK = 3  # comment\n', False),
        ('"""Text."""\n\nRANK = 4\n"""Text."""\n', True),
        ("RANK = 3\nOTHER = 1\n", True),
    ],
)
def test_changed_code_is_noticed_and_changed_words_are_not(tables, checkout, text, changed):
    (checkout / "src/lungpatch/models/pca.py").write_text(text)
    assert tables.changed_code("whole_image", checkout) == (["models"] if changed else [])


def test_changed_settings_are_noticed_and_their_comments_are_not(tables, tmp_path):
    presets = tmp_path / "src" / "lungpatch" / "presets"
    presets.mkdir(parents=True)
    (tmp_path / "docs" / "detectors-run").mkdir(parents=True)
    preset = presets / "paper.toml"
    preset.write_text("[model]\nepochs = 3\n")
    tables.record_sources("detection", tmp_path)
    preset.write_text("# Comment\n[model]\nepochs   =  3\n")
    assert tables.changed_inputs("detection", tmp_path) == []
    preset.write_text("[model]\nepochs = 4\n")
    assert tables.changed_inputs("detection", tmp_path) == ["src/lungpatch/presets/paper.toml"]


def test_the_controls_are_the_same_in_every_table():
    # The table of peers is older than the lung network, as its page says.
    controls, detectors = (rows_of(name) for name in ("controls", "detectors"))
    names = {"lung atlas", "mean lung grey", "vertical position", "mask area", "view AP", "chance"}
    assert controls.keys() == names
    for name, row in controls.items():
        shared = row.keys() & detectors[name].keys()
        assert len(shared) >= 5
        for metric in shared:
            assert row[metric] == detectors[name][metric], f"{name}: {metric}"


@pytest.mark.parametrize("name", ["default", "paper"])
def test_the_cards_say_what_the_pipelines_were_fitted_to(shipped_pipelines, name):
    card = (CARDS / f"{name}.md").read_text(encoding="utf-8")
    (said,) = re.findall(r"<!-- fit -->\n(.*?)\n<!-- end -->", card, flags=re.DOTALL)
    assert said == shipped_pipelines.fit_facts(CARDS / f"{name}.lungpatch")


def test_a_card_is_written_anew_by_the_fit(shipped_pipelines, saved, tmp_path):
    copy = tmp_path / "fast.lungpatch"
    shutil.copytree(saved, copy)
    card = tmp_path / "fast.md"
    shipped_pipelines.write_card(copy)
    assert not card.exists()
    card.write_text("Before.\n<!-- fit -->\nold\n<!-- end -->\nAfter.\n")
    shipped_pipelines.write_card(copy)
    facts = shipped_pipelines.fit_facts(copy)
    assert card.read_text() == f"Before.\n<!-- fit -->\n{facts}\n<!-- end -->\nAfter.\n"
    assert facts.startswith("12 of 12 images could be used: 8 images of 8 patients train the model")


def test_the_card_of_the_lung_network_holds_its_table():
    card = (CARDS / "lung_unet.md").read_text(encoding="utf-8")
    (said,) = re.findall(r"<!-- measured -->\n(.*?)<!-- end -->", card, flags=re.DOTALL)
    assert said == (TABLES / "lung_network.inc").read_text(encoding="utf-8")


def test_the_table_of_the_detectors_names_every_configuration():
    configurations = {path.stem for path in (ROOT / "benchmarks" / "detectors").glob("*.toml")}
    assert configurations | {"default", "paper"} <= rows_of("detectors").keys()
