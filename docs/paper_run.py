"""Puts a run of `lungpatch reproduce` into the docs, so that no figure there is typed by hand.

    python docs/paper_run.py RUN NAME      # takes over results.json and the figures of a run
    python docs/paper_run.py               # writes the tables of all runs there are anew

A run lies in docs/paper-run/NAME; tables.inc there is made from results.json beside it, and
tests/test_paper_run.py sees that it still is what results.json says.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from lungpatch.reference.paper_report import verdict_sentences
from lungpatch.reference.settings import CLASSIFIER_IMAGES, GRID_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

RUNS = Path(__file__).parent / "paper-run"
WIDEST = 900
"""Pixels that a figure is made narrower to, to keep the repository small."""


def take_over(run: Path, name: str) -> None:
    """Copy results.json and the figures, small, of a run."""
    folder = RUNS / name
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(run / "results.json", folder / "results.json")
    for path in sorted((run / "figures").glob("*.png")):
        with Image.open(path) as image:
            small = image.convert("RGB")
            small.thumbnail((WIDEST, WIDEST))
            small.quantize(128, dither=Image.Dither.NONE).save(folder / path.name, optimize=True)


def tables(results: dict[str, Any]) -> str:
    """Return what a run found as Markdown."""
    found = {name: stage["figures"] for name, stage in results["stages"].items()}
    parts = [*verdict_sentences(results)]
    parts += [_patches(found), _scores(found), _losses(found, results["kinds"])]
    parts += [_pairs(found), _images(found), _proposals(found, results["kinds"])]
    parts += [_classifier(found["classifier"]), _stages(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


def two_class_table(result: dict[str, Any]) -> str:
    """Return what benchmarks/two_class_cnn.py found as Markdown."""
    figures = result["figures"]
    test = figures["test"]
    rows = [
        ("side of the images", GRID_SIZE, figures["image_size"]),
        *_learnt(figures),
        ("test images", "-", test["n_images"]),
        ("accuracy", f"{figures['paper_accuracy']:.1%}", f"{test['accuracy']:.1%}"),
        ("calling all by the more frequent class", "-", f"{test['majority']:.1%}"),
        ("AUROC", "-", f"{test['auroc']:.3f}"),
        ("sensitivity, specificity", "-", f"{test['sensitivity']:.2f}, {test['specificity']:.2f}"),
        ("confusion, rows true", "-", test["confusion"]),
    ]
    return (
        _table(("two-class CNN", "paper", f"{result['data']}, seed {result['seed']}"), rows) + "\n"
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join(lines)


def _range(row: dict[str, Any]) -> str:
    low, high = row["interval"]
    return f"{row['auroc']:.2f} [{low:.2f}, {high:.2f}]"


def _value(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _patches(found: dict[str, Any]) -> str:
    ours = found["patches"]
    paper = ours["paper"]
    images = sum(count for role, count in ours["normal_films"].items() if role != "held")
    rows = [("normal images learnt from", paper["normal_films"], images)]
    rows += [
        (f"{role} patches", f"{paper['normal_patches'][role]:,}", f"{count:,}")
        for role, count in ours["normal_patches"].items()
    ]
    rows += [
        (
            "patches a normal image",
            f"{paper['normal_patches_a_film_by_its_totals']:.1f} (totals), about "
            f"{paper['normal_patches_a_film_by_its_text']} (text)",
            f"{ours['normal_patches_a_film']:.1f}",
        ),
        ("pneumonia images", paper["pneumonia_films"], ours["pneumonia_films"]),
        (
            "patches a pneumonia image",
            f"{paper['pneumonia_patches_a_film']:.0f}; its sizes give "
            f"{ours['places_of_the_stated_sizes']}",
            ours["pneumonia_patches_a_film"],
        ),
    ]
    return _table(("patches", "paper", "here"), rows)


def _scores(found: dict[str, Any]) -> str:
    scores, model = found["scores"], found["model"]
    rows = [
        ("normal test patches", scores["paper"]["normal_sad"], f"{model['test_sad']['mean']:.2f}"),
        (
            "patches of pneumonia images",
            scores["paper"]["pneumonia_sad"],
            f"{scores['pneumonia']['mean_sad']:.2f}",
        ),
    ]
    rows += [
        (f"of them {kind} ({row['patches']:,})", "-", f"{row['mean_sad']:.2f}")
        for kind, row in scores["pneumonia"]["by_kind"].items()
    ]
    return _table(("mean SAD, grey levels", "paper", "here"), rows)


def _losses(found: dict[str, Any], kinds: list[str]) -> str:
    rows = []
    for row in found["losses"]["rows"]:
        head = (row["network"], row["loss"], row["output"])
        if "failed" in row:
            rows.append((*head, "failed", "-", "-", "-", "-"))
            continue
        rows.append(
            (
                *head,
                f"{row['sad']:.1f}",
                f"{row['output_low']:.0f} to {row['output_high']:.0f}",
                f"{row['white']:.0%}",
                _value(row["light_meter"]),
                ", ".join(_value(row["aurocs"][kind]) for kind in kinds[1:]),
            )
        )
    header = ("network", "loss", "output", "SAD", "outputs, 1 to 99 %", "white", "light meter")
    return _table((*header, f"AUROC: {', '.join(kinds[1:])}"), rows)


def _pairs(found: dict[str, Any]) -> str:
    rows = [
        (row["lower"], row["higher"], _range(row), f"{row['overlap']:.2f}")
        for row in found["verdict"]["pairs"]
    ]
    return _table(("expected lower SAD", "expected higher", "AUROC", "overlap"), rows)


def _images(found: dict[str, Any]) -> str:
    images = found["verdict"]["images"]
    names = list(dict.fromkeys(name for row in images for name in row["auroc"]))
    rows = [
        (
            row["comparison"],
            f"{row['n_lower']} / {row['n_higher']}",
            *(_value(row["auroc"].get(name)) for name in names),
        )
        for row in images
    ]
    return _table(("AUROC of whole images", "images", *names), rows)


def _proposals(found: dict[str, Any], kinds: list[str]) -> str:
    rows = []
    for row in found["proposals"]["rows"]:
        if "skipped" in row:
            rows.append((row["name"], "-", "-", f"not tried: {row['skipped']}"))
            continue
        aurocs = ", ".join(_value(row["aurocs"].get(kind)) for kind in kinds[1:])
        rows.append((row["name"], aurocs, _value(row["balanced_accuracy"]), row["separated"]))
    header = ("proposal", f"AUROC: {', '.join(kinds[1:])}", "balanced accuracy", "separated?")
    return _table(header, rows)


def _classifier(figures: dict[str, Any]) -> str:
    if "skipped" in figures:
        return ""
    test, attention = figures["test"], figures["attention"]
    rows = [
        ("accuracy", f"{figures['paper_accuracy']:.1%}", f"{test['accuracy']:.1%}"),
        ("calling all by the more frequent class", "-", f"{test['majority']:.1%}"),
        ("AUROC", "-", f"{test['auroc']:.3f}"),
        *_learnt(figures),
        ("test images", "-", test["n_images"]),
    ]
    if attention["share"] is not None:
        rows += [
            ("share of Grad-CAM within the lungs", "-", f"{attention['share']:.1%}"),
            ("share of the image that is lung", "-", f"{attention['chance']:.1%}"),
        ]
    if attention["n_empty"]:
        rows.append(("images on which Grad-CAM is empty", "-", attention["n_empty"]))
    return _table(("two-class CNN", "paper", "here"), rows)


def _learnt(figures: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return what the two-class CNN learnt from and how long, rows of a table."""
    images = {role: f"{sum(counts.values()):,}" for role, counts in figures["images"].items()}
    return [
        ("training images", f"{sum(CLASSIFIER_IMAGES.values()):,}", images["training"]),
        ("validation images", "-", images["validation"]),
        ("epochs; the one kept", "-", f"{figures['epochs']}; {figures['best_epoch']}"),
    ]


def _stages(results: dict[str, Any]) -> str:
    stages = results["stages"]
    total = sum(stage["seconds"] for stage in stages.values())
    settings = ", ".join(f"{name} {value}" for name, value in results["settings"].items())
    each = ", ".join(f"{name} {stage['seconds']:.0f}" for name, stage in stages.items())
    return f"Settings: {settings}. Seconds by the clock: {each}; {total:.0f} in all."


def main() -> None:
    """Take over a run, if one is named, and write the tables of all."""
    if len(sys.argv) == 3:
        take_over(Path(sys.argv[1]), sys.argv[2])
    for path in sorted(RUNS.glob("*/results.json")):
        text = tables(json.loads(path.read_text(encoding="utf-8")))
        path.with_name("tables.inc").write_text(text, encoding="utf-8")
    for path in sorted(RUNS.glob("*.json")):
        text = two_class_table(json.loads(path.read_text(encoding="utf-8")))
        path.with_suffix(".inc").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
