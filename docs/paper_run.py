"""Puts a run of `lungpatch reproduce` into the docs, so that no value there is typed by hand.

    python docs/paper_run.py RUN NAME      # copies results.json and the figures of a run
    python docs/paper_run.py               # writes the tables of all runs anew

A run lies in docs/paper-run/NAME. Its tables.inc is made from the results.json beside it, and
tests/docs/test_paper_run.py checks that it still agrees with results.json.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from lungpatch.reference.conclusions import conclusions
from lungpatch.reference.tables import classifier_table, result_tables

if TYPE_CHECKING:
    from collections.abc import Mapping

RUNS = Path(__file__).parent / "paper-run"
MAX_SIDE = 900
"""Maximum width and height of a figure in pixels, to keep the repository small."""


def copy_run(run: Path, name: str) -> None:
    """Copy results.json and the figures of a run, made smaller."""
    folder = RUNS / name
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(run / "results.json", folder / "results.json")
    for path in sorted((run / "figures").glob("*.png")):
        copy_figure(path, folder / path.name)


def copy_figure(path: Path, copy: Path) -> None:
    """Copy a figure, made smaller."""
    with Image.open(path) as image:
        small = image.convert("RGB")
        small.thumbnail((MAX_SIDE, MAX_SIDE))
        small.quantize(128, dither=Image.Dither.NONE).save(copy, optimize=True)


def run_page(results: Mapping[str, Any]) -> str:
    """Return what a run found as Markdown."""
    tables = [table.to_markdown() for table in result_tables(results).values()]
    return "\n\n".join([*conclusions(results), *tables, _settings(results)]) + "\n"


def classifier_page(result: Mapping[str, Any]) -> str:
    """Return what benchmarks/two_class_cnn.py found as Markdown."""
    here = f"{result['data']}, seed {result['seed']}"
    return classifier_table(result["values"], here=here).to_markdown() + "\n"


def _settings(results: Mapping[str, Any]) -> str:
    stages = results["stages"]
    total = sum(stage["seconds"] for stage in stages.values())
    settings = ", ".join(f"{name} {value}" for name, value in results["settings"].items())
    seconds = ", ".join(f"{name} {stage['seconds']:.0f}" for name, stage in stages.items())
    return f"Settings: {settings}. Seconds by the clock: {seconds}; {total:.0f} in all."


def main() -> None:
    """Copy a run, if one is named, and write the tables of all."""
    if len(sys.argv) == 3:
        copy_run(Path(sys.argv[1]), sys.argv[2])
    for path in sorted(RUNS.glob("*/results.json")):
        text = run_page(json.loads(path.read_text(encoding="utf-8")))
        path.with_name("tables.inc").write_text(text, encoding="utf-8")
    for path in sorted(RUNS.glob("*.json")):
        text = classifier_page(json.loads(path.read_text(encoding="utf-8")))
        path.with_suffix(".inc").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
