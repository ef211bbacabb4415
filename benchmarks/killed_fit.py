"""Kill a fit at random moments, let it go on, and compare with an undisturbed one.

    python benchmarks/killed_fit.py --kills 10

Fits a small ensemble of the kinds of members that the preset `default` has, on a synthetic
cohort, by the command line in a process of its own. The process is killed (SIGKILL) after random
times, started again with the same command, and at last left alone. Prints when it was killed,
what the next process found, and the largest difference of weights, calibration scores and
thresholds from those of a fit that was never killed.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

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
passes = 4
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
epochs = 30
patience = 30
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
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        save_cohort(phantom_cohort(24, 0, seed=arguments.seed, size=256), work / "cohort")
        (work / "config.toml").write_text(CONFIG)
        start = time.perf_counter()
        run(work, "undisturbed")
        whole = time.perf_counter() - start
        print(f"undisturbed: {whole:.0f} s")
        for number in range(arguments.kills):
            seconds = rng.uniform(0.1, 0.6) * whole
            code, output = run(work, "killed", kill_after=seconds)
            found = "went on from checkpoints" if "going on from" in output else "found none"
            ended = "killed" if code == -signal.SIGKILL else f"ended by itself ({code})"
            print(f"run {number + 1}: {found}, {ended} after {seconds:.1f} s")
            if code == 0:
                break
        if code != 0:
            _, output = run(work, "killed")
            print("last run:", "went on" if "going on from" in output else "found none")
        print_differences(work / "undisturbed.lungpatch", work / "killed.lungpatch")


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


def print_differences(one: Path, other: Path) -> None:
    """Print the largest difference between two saved pipelines."""
    weights, others = (load_file(path / "weights.safetensors") for path in (one, other))
    assert weights.keys() == others.keys()
    largest = max(
        float(np.abs(weights[key].astype(float) - others[key].astype(float)).max(initial=0.0))
        for key in weights
    )
    calibrations = [
        json.loads((path / "pipeline.json").read_text())["calibration"] for path in (one, other)
    ]
    print(f"largest difference of weights: {largest}")
    print(f"calibration scores and thresholds equal: {calibrations[0] == calibrations[1]}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
