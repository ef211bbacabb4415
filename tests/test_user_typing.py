"""Type checkers are happy in user code, and catch what is wrong in it: mypy on sample scripts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")

GOOD = """
from pathlib import Path

import attrs
import numpy as np

import lungpatch
from lungpatch import PatchBatch, PatchScores, Reconstruction
from lungpatch.protocols import Scorer
from lungpatch.scorers import SADScorer


@attrs.define(kw_only=True, eq=False)
class MeanScorer(lungpatch.Component):
    power: float = 1.0

    def score(self, patches: PatchBatch, reconstruction: Reconstruction) -> PatchScores:
        error = np.abs(reconstruction.target - reconstruction.expected).mean(axis=1)
        return PatchScores(
            values=error.mean(axis=(1, 2), dtype=np.float64) ** self.power,
            support=np.ones(patches.pixels.shape, dtype=np.bool_),
            error_maps=error,
        )


def found_in(folder: Path) -> list[float]:
    pipeline = lungpatch.load_preset("paper")
    pipeline.scorer = MeanScorer(power=2.0)
    pipeline.fit(folder).save("mine.lungpatch")
    scores: list[float] = []
    for result in lungpatch.load_pipeline("mine.lungpatch").detect_many(folder):
        if isinstance(result, lungpatch.Failure):
            print(result.error)
        elif result.decision is not None:
            scores.append(result.decision.pred_score)
    return scores


scorers: list[Scorer] = [SADScorer(), lungpatch.L2Scorer(), MeanScorer().set_params(power=2.0)]
heatmap = lungpatch.load_pipeline("mine.lungpatch").detect("a.png").native_heatmap
maximum: float = float(np.nanmax(heatmap))
"""

BAD = """
import lungpatch
from lungpatch.protocols import Scorer


class NoScorer:
    def score(self, patches: int) -> int:
        return patches


scorer: Scorer = NoScorer()
lungpatch.load_preset(3)
lungpatch.load_preset("paper").detect("a.png").decision.pred_score
"""


def mypy(script, folder):
    """Run mypy --strict on a script outside the checkout; returns status and output."""
    path = folder / "script.py"
    path.write_text(script)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(folder / "cache"), path.name],
        cwd=folder,
        env=os.environ | {"MYPYPATH": str(Path(__file__).parents[1] / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("script.py")]
    return lines, done.stdout + done.stderr


def test_user_code_checks_and_its_mistakes_are_found(tmp_path):
    good, output = mypy(GOOD, tmp_path)
    assert good == [], output
    bad, output = mypy(BAD, tmp_path)
    assert [line.split(": error: ")[1].split("[")[-1] for line in bad if "error" in line] == [
        "assignment]",
        "arg-type]",
        "union-attr]",
    ], output
