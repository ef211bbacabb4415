"""The kit as the author of a plugin uses it: in pytest, and by the documentation."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from lungpatch.errors import ConfigurationError
from lungpatch.scorers.sad import SADScorer
from lungpatch.segmenters.whole_image import WholeImageSegmenter
from lungpatch.testing import CHECKS, check_scorer, check_segmenter, parametrize_checks

PAGE = Path(__file__).parents[2] / "docs" / "testing-plugins.md"
BLOCKS = re.findall(
    r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
)


@attrs.define(kw_only=True, eq=False)
class NoScores:
    def score(self, patches, reconstruction):
        return None


def checks_of(mark):
    """The checks of `parametrize_checks` by name."""
    return {parameter.id.partition("-")[2]: parameter.values[0] for parameter in mark.args[1]}


def test_one_item_a_check():
    mark = parametrize_checks("scorer", SADScorer(), NoScores())
    names = [check.name for check in CHECKS["scorer"]]
    ids = [parameter.id for parameter in mark.args[1]]
    assert ids == [f"{name}-{check}" for name in ("SADScorer", "NoScores") for check in names]


def test_outcomes_are_those_of_pytest():
    checks = checks_of(
        parametrize_checks("scorer", NoScores(), expected_failures={"readable_repr": "a guess"})
    )
    checks["settings_round_trip"]()
    with pytest.raises(AssertionError, match=r"returns_patch_scores: .*It returned NoneType"):
        checks["returns_patch_scores"]()
    with pytest.raises(AssertionError, match=r"declared to fail \(a guess\), but it passes"):
        checks["readable_repr"]()
    with pytest.raises(pytest.skip.Exception, match="needs 'returns_patch_scores' to pass first"):
        checks["order_kept"]()


def test_expected_failures_are_xfailed():
    checks = checks_of(
        parametrize_checks(
            "scorer", NoScores(), expected_failures={"returns_patch_scores": "not written yet"}
        )
    )
    with pytest.raises(pytest.xfail.Exception, match="not written yet"):
        checks["returns_patch_scores"]()


def test_expected_failure_keeps_the_report_ok():
    name = "lungless_image_gives_empty_mask"
    report = check_segmenter(WholeImageSegmenter(), expected_failures={name: "a control"})
    (result,) = [result for result in report if result.status != "passed"]
    assert (result.name, result.status) == (name, "expected failure")
    assert result.message.startswith("a control (")
    assert report.raise_on_failure() is report


def test_unexpected_pass_is_wrong():
    report = check_scorer(SADScorer(), expected_failures={"order_kept": "a guess"})
    assert [result.status for result in report.wrong] == ["unexpected pass"]
    with pytest.raises(AssertionError, match="take it out of expected_failures"):
        report.raise_on_failure()


def test_misspelt_check_is_refused():
    with pytest.raises(ConfigurationError, match="did you mean 'order_kept'"):
        check_scorer(SADScorer(), expected_failures={"order_keep": "a guess"})
    with pytest.raises(ConfigurationError, match="no check 'nonsense'"):
        parametrize_checks("scorer", SADScorer(), expected_failures={"nonsense": "a guess"})


def test_class_instead_of_instance_is_refused():
    with pytest.raises(ConfigurationError, match=r"pass SADScorer\(\.\.\.\)"):
        check_scorer(SADScorer)


def test_unknown_kind_is_refused():
    with pytest.raises(ConfigurationError, match="no kind 'score' of component: segmenter"):
        parametrize_checks("score", SADScorer())


def test_component_of_another_kind_is_told_once():
    report = check_segmenter(SADScorer())
    assert [result.name for result in report.wrong] == ["loads_by_name"]
    assert "it lacks segment" in report.wrong[0].message


def test_kit_needs_no_pytest():
    code = "import sys, lungpatch.testing; assert not {'pytest', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_example_of_the_documentation(tmp_path):
    files = {block.partition("\n")[0].removeprefix("# "): block for block in BLOCKS}
    written = {"lungpatch_edges.py", "conftest.py", "test_edges.py"}
    assert written <= set(files)
    for name in written:
        (tmp_path / name).write_text(files[name], encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"{len(CHECKS['scorer']) + 2} passed" in run.stdout


def test_other_code_of_the_documentation_runs(capsys):
    for block in BLOCKS:
        if not block.startswith("# "):
            exec(block, {})
    printed = capsys.readouterr().out
    assert "order_kept passed" in printed
    assert "order_kept: Scores come in the order of the patches." in printed
