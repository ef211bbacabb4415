"""Kill a fit at random moments, let it go on, and compare with an undisturbed one.

    python benchmarks/killed_fit.py --kills 10

Fits a small ensemble of the kinds of members that the preset `default` has, on a synthetic
cohort, by the command line in a process of its own. The process is killed (SIGKILL) after random
times, started again with the same command, and at last left alone. Writes the table
`killed_fit.inc`: when each process was killed and at what it was, whether it had gone on from
checkpoints, and the largest difference of weights, and whether calibration and thresholds are
those of a fit that was never killed.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from tables import markdown_table, write_table

from lungpatch.datasets import phantom_cohort, save_cohort

CONFIG = """
preset = "default"

[pipeline]
grid_size = 256
[fit_sampler]
patch_size = 64
[sampler]
patch_size = 64
[thresholder]
name = "quantile"
[model]
name = "ensemble"
[[model.members]]
weight = 1.0
[model.members.model]
name = "lesion-head"
patch_size = 64
passes = 20
[model.members.model.extractor]
name = "lung-encoder"
[model.members.scorer]
name = "feature"
difference = "excess"
[[model.members]]
weight = 0.5
[model.members.model]
name = "synthetic-lesion"
patch_size = 64
channels = [4, 4, 8, 8, 8]
epochs = 300
patience = 300
device = "cpu"
[model.members.scorer]
name = "feature"
difference = "excess"
"""
BETWEEN_CHECKPOINTS = (
    "from lungpatch.networks import checkpoints; checkpoints.SECONDS_BETWEEN = 1.0; "
    "from lungpatch.cli import main; main()"
)


def main() -> None:
    arguments = parse_arguments()
    rng = random.Random(arguments.seed)
    rows: list[tuple[object, ...]] = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        save_cohort(phantom_cohort(24, 0, seed=arguments.seed, size=256), work / "cohort")
        (work / "config.toml").write_text(CONFIG)
        start = time.perf_counter()
        run(work, "undisturbed")
        whole = time.perf_counter() - start
        rows.append(("undisturbed", f"ended after {whole:.0f} s", "", ""))
        code, number = None, 0
        while code != 0:
            number += 1
            seconds = rng.uniform(0.1, 0.4) * whole if number <= arguments.kills else None
            code, output = run(work, "killed", kill_after=seconds)
            assert code in (0, -signal.SIGKILL), output
            ended = "ended" if code == 0 else f"killed after {seconds:.1f} s"
            stages = re.findall(r"^(\w+): \d+/\d+", output, flags=re.MULTILINE)
            went_on = "yes" if "going on from" in output else "no"
            rows.append((number, ended, stages[-1] if stages else "start", went_on))
            print(*rows[-1], flush=True)
        differences = compare(work / "undisturbed.lungpatch", work / "killed.lungpatch")
    head = ("process", "end", "stage", "went on from checkpoints")
    text = f"{markdown_table(head, rows)}\n{differences}\n"
    write_table("killed_fit", text, arguments.out, publish=arguments.publish)


def run(work: Path, name: str, kill_after: float | None = None) -> tuple[int, str]:
    """Run `lungpatch fit`; return its exit status and what it said on standard error."""
    command = ["fit", "cohort/normal", "--config", "config.toml", "--out", f"{name}.lungpatch"]
    process = subprocess.Popen(
        [sys.executable, "-c", BETWEEN_CHECKPOINTS, *command],
        cwd=work,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _, output = process.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        process.kill()
        _, output = process.communicate()
    return process.returncode, output


def compare(one: Path, other: Path) -> str:
    """Say how two saved pipelines differ."""
    weights, others = (load_file(path / "weights.safetensors") for path in (one, other))
    assert weights.keys() == others.keys()
    largest = max(
        float(np.abs(weights[key].astype(float) - others[key].astype(float)).max(initial=0.0))
        for key in weights
    )
    calibrations = [
        json.loads((path / "pipeline.json").read_text())["calibration"] for path in (one, other)
    ]
    same = "the same" if calibrations[0] == calibrations[1] else "not the same"
    return (
        f"Largest difference of weights from the undisturbed fit: {largest:g}. Calibration scores "
        f"and thresholds: {same}."
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder for the table")
    parser.add_argument(
        "--publish", action="store_true", help="write the table into the documentation, too"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
