"""The values on the page "The paper, reproduced" are those of the committed runs."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
RUNS = sorted((DOCS / "paper-run").glob("*/results.json"))


@pytest.fixture(scope="module")
def paper_run():
    spec = importlib.util.spec_from_file_location("paper_run", DOCS / "paper_run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_is_a_run_on_each_data_set():
    assert {"cxr", "kermany"} <= {path.parent.name for path in RUNS}


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.parent.name)
def test_tables_are_those_of_the_results(paper_run, path):
    results = json.loads(path.read_text(encoding="utf-8"))
    written = path.with_name("tables.inc").read_text(encoding="utf-8")
    assert written == paper_run.run_page(results), "run: python docs/paper_run.py"


def test_every_figure_of_the_page_is_there():
    page = (DOCS / "paper.md").read_text(encoding="utf-8")
    figures = re.findall(r"paper-run/\S+?\.png", page)
    assert len(figures) >= 12
    assert [name for name in figures if not (DOCS / name).is_file()] == []


def test_table_of_the_two_class_cnn_is_that_of_its_result(paper_run):
    result = json.loads((DOCS / "paper-run" / "pneumoniamnist.json").read_text(encoding="utf-8"))
    written = (DOCS / "paper-run" / "pneumoniamnist.inc").read_text(encoding="utf-8")
    assert written == paper_run.classifier_page(result), "run: python docs/paper_run.py"
