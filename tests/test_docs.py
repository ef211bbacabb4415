"""What the documentation tells people to type works."""

import re
import sys
import types
from pathlib import Path

import pytest

import lungpatch
from lungpatch.config import build_pipeline

DOCS = Path(__file__).parents[1] / "docs"


def _blocks(page, language):
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", ["configuration.md", "thresholds.md"])
def test_configurations_are_valid(page, tmp_path):
    blocks = [block for block in _blocks(page, "toml") if "preset" in block]
    assert blocks
    for block in blocks:
        path = tmp_path / "mine.toml"
        path.write_text(block, encoding="utf-8")
        lungpatch.load_config(path)


def test_the_plugin_of_the_tutorial_works(fast_tables, cohort, monkeypatch):
    module = types.ModuleType("lungpatch_median")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(_blocks("plugins.md", "python")[0], module.__dict__)
    registry = lungpatch.Registry(plugins=[module])
    fast_tables["scorer"] = {"name": "median"}
    pipeline = build_pipeline(fast_tables, origin="test", registry=registry)
    pipeline.fit(cohort / "healthy")
    (detection,) = pipeline.detect_many(sorted((cohort / "opacity").iterdir())[:1])
    assert detection.status == "ok"
    assert len(detection.scores) > 0
