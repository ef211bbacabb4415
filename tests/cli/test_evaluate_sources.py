"""`lungpatch evaluate --data`: several sources of truth."""

import json

import pytest
from made_sources import write_sources

from lungpatch.segmenters import WholeImageSegmenter


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_sources(tmp_path_factory.mktemp("sources"))


def test_the_command_evaluates_a_fitted_pipeline(run, saved, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("lungpatch.segmenters.unet.UNetSegmenter.segment", _whole)
    chosen = ["--data", folder, "--source", "boxes", "--source", "severity"]
    status, out, _ = run("evaluate", "--pipeline", saved, *chosen, "--out", tmp_path / "found")
    assert status == 0
    assert "fast: sources" in out
    assert "severity: extent" in out
    assert "3 images left out" in out
    record = json.loads((tmp_path / "found" / "results.json").read_text())
    assert record["sources"].keys() == {"boxes", "severity"}


def _whole(self, image):
    return WholeImageSegmenter().segment(image)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --images, or --data"),
        (["--images", "a", "--data", "b"], "give --images, or --data"),
        (["--data", "b", "--boxes", "c"], "--metadata and --boxes describe --images"),
        (["--images", "a", "--source", "boxes"], "--source chooses from --data"),
        (["--data", "nowhere", "--source", "boxes"], "nowhere"),
        (["--data", "nowhere", "--source", "rumours"], "unknown source 'rumours'"),
    ],
)
def test_the_command_refuses_what_does_not_fit(run, saved, tmp_path, arguments, message):
    status, _, err = run("evaluate", "--pipeline", saved, *arguments, "--out", tmp_path / "o")
    assert status == 2
    assert message in " ".join(err.split())
    assert not (tmp_path / "o").exists()
