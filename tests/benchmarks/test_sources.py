"""The protocol that chooses on some sources and counts on another."""

import importlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def sources(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("sources")


MARKS = {
    "boxes": {"small": 0.7, "large": 0.8, "tuned": 0.95},
    "lesions": {"small": 0.7, "large": 0.75, "tuned": 0.6},
    "severity": {"small": 0.8, "large": 0.78, "tuned": 0.6},
}


def rows_of(text, number):
    """The rows of one of the tables, without its head."""
    table = [block for block in text.split("\n\n") if block.startswith("|")][number]
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.strip().splitlines()[2:]
    ]


def test_the_highest_mean_is_chosen(sources):
    assert sources.choose(MARKS, ["boxes"]) == "tuned"
    assert sources.choose(MARKS, ["lesions", "severity"]) == "large"  # 1.53, 1.50 and 1.20
    assert sources.choose(MARKS, list(MARKS)) == "large"
    assert sources.choose({"one": {"a": 0.5, "b": 0.5}}, ["one"]) == "a"


def test_what_a_source_chose_is_read_on_the_others(sources):
    by_one = rows_of(sources.choice_text(MARKS), 0)
    assert by_one == [
        ["boxes", "`tuned`", "0.950 (chose)", "0.600", "0.600"],
        ["lesions", "`large`", "0.800", "0.750 (chose)", "0.780"],
        ["severity", "`small`", "0.700", "0.700", "0.800 (chose)"],
    ]


def test_each_source_is_left_out_in_turn(sources):
    left_out = rows_of(sources.choice_text(MARKS), 1)
    # boxes and severity: small 1.50, large 1.58, tuned 1.55; boxes and lesions: 1.40, 1.55, 1.55.
    assert left_out == [
        ["boxes", "`large`", "0.800", "0.950 (`tuned`)"],
        ["lesions", "`large`", "0.750", "0.750 (`large`)"],
        ["severity", "`large`", "0.780", "0.800 (`small`)"],
    ]


def test_every_look_is_counted(sources):
    assert rows_of(sources.choice_text(MARKS), 2) == [
        ["boxes", "3"],
        ["lesions", "3"],
        ["severity", "3"],
    ]


def write_results(path, candidate, **metrics):
    """Results with two parts of the source boxes, severity and devices."""

    def row(source, part, **values):
        measured = {metric: {"value": value} for metric, value in values.items()}
        return {"source": source, "part": part, "metrics": {candidate: measured, "chance": {}}}

    record = {
        "pipelines": {candidate: {}},
        "sources": {"boxes": {}, "severity": {}, "devices": {}},
        "rows": [
            row("boxes", "all", **metrics),
            row("boxes", "PA", **{"pixel AUROC": 0.1}),
            row("severity", "extent", **{"rank correlation": 0.6}),
            row("devices", "all", **{"pixel AUROC": 0.9}),
        ],
    }
    path.write_text(json.dumps(record))
    return path


def test_a_mark_is_the_mean_of_the_metrics_of_the_whole_source(sources, tmp_path):
    metrics = {"image AUROC": 0.9, "pixel AUROC": 0.8, "pointing game": 0.7, "patch AUROC": 0.0}
    files = [
        write_results(tmp_path / "a.json", "one", **metrics),
        write_results(tmp_path / "b.json", "two", **{"pixel AUROC": 0.5}),
    ]
    marks = sources.read_marks(files)
    assert marks.keys() == {"boxes", "severity"}
    assert marks["boxes"] == pytest.approx({"one": 0.8, "two": 0.5})
    assert marks["severity"] == pytest.approx({"one": 0.6, "two": 0.6})
    with pytest.raises(SystemExit, match="a second candidate 'one'"):
        sources.read_marks([files[0], files[0]])


def test_candidates_must_be_seen_on_the_same_sources(sources, tmp_path):
    one = write_results(tmp_path / "a.json", "one", **{"pixel AUROC": 0.5})
    other = write_results(tmp_path / "b.json", "two", **{"pixel AUROC": 0.5})
    record = json.loads(other.read_text())
    del record["sources"]["severity"]
    other.write_text(json.dumps(record))
    with pytest.raises(SystemExit, match="the same sources"):
        sources.read_marks([one, other])
