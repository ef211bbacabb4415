"""What objects that are no disease do to a detector: labels, devices, shutters, arms.

    python benchmarks/confounders.py --images ../shared/data/cxr/normal \
        --patients ../shared/data/cxr/metadata.csv --pipelines PIPELINE...

Normal images of every second patient, those that `training/shipped_pipelines.py --half` does not
learn from, are looked at without and with an object that `lungpatch.datasets.confounders` paints.
Prints a table of Markdown a pipeline:

- object outside lungs hot: share of its pixels outside the image's lungs that are above the map's
  threshold. Nothing outside a lung mask is scored, so this is where the segmenter took it for lung.
- over lungs hot: the same for its pixels over the lungs, in per cent, without and with the object.
- elsewhere hot: share of the lungs away from the object that is above the threshold, without and
  with it.
- lungs moved: 1 - Dice of the lung masks without and with it, the mean over images.
- images above: above the threshold of the image score, without and with it.
- score shift: median over images of the change of the image score, in standard deviations of the
  scores of the images without objects.

With `--out` a sheet of the first images is written for each pipeline.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import attrs
import numpy as np
from PIL import Image

import lungpatch
from lungpatch._utils.renderings import contact_sheet
from lungpatch.containers import LungMask
from lungpatch.datasets import read_patients
from lungpatch.datasets.confounders import (
    CONFOUNDER_KINDS,
    OVER_LUNGS,
    PaintedConfounder,
    paint_confounder,
)
from lungpatch.io import find_images
from lungpatch.pipeline import Detection

SHOWN = 4


@attrs.frozen(kw_only=True)
class Effect:
    """What one object does to one image; shares of pixels, without and with it."""

    outside: float
    over: tuple[float, float]
    elsewhere: tuple[float, float]
    moved: float
    above: tuple[bool, bool]
    scores: tuple[float, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, required=True, help="folder of normal images")
    parser.add_argument("--patients", type=Path, required=True, help="CSV with file and patient")
    parser.add_argument("--pipelines", nargs="+", required=True, help="names or folders")
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--out", type=Path, help="folder for the sheets")
    arguments = parser.parse_args()
    films = one_image_a_patient(arguments.images, arguments.patients)[: arguments.films]
    for name in arguments.pipelines:
        pipeline = lungpatch.load_pipeline(name)
        before = [found for found in pipeline.detect_many(films) if usable(found)]
        print(f"\n{Path(name).stem}, {len(before)} images\n")
        print_header()
        spread = np.std([found.decision.pred_score for found in before])
        for number, kind in enumerate(CONFOUNDER_KINDS):
            painted = [
                paint_confounder(
                    found.image,
                    LungMask(pixels=found.native_lungs),
                    kind,
                    np.random.default_rng(seed),
                )
                for seed, found in enumerate(before, start=number * len(films))
            ]
            after = list(pipeline.detect_many(one.image for one in painted))
            triples = list(zip(before, painted, after, strict=True))
            effects = [effect(*triple) for triple in triples if usable(triple[2])]
            print_row(kind, effects, spread, unusable=len(triples) - len(effects))
            if arguments.out:
                file = arguments.out / f"{Path(name).stem}-{kind}.png"
                write_sheet(file, triples[:SHOWN], pipeline)


def one_image_a_patient(folder: Path, table: Path) -> list[Path]:
    patients = read_patients(table)
    first: dict[str, Path] = {}
    for film in find_images(folder):
        first.setdefault(patients[film.name], film)
    return [first[patient] for patient in sorted(first)[1::2]]


def usable(found: object) -> bool:
    return isinstance(found, Detection) and found.decision is not None


def effect(before: Detection, painted: PaintedConfounder, after: Detection) -> Effect:
    lungs, lungs_after = before.native_lungs, after.native_lungs
    hot, hot_after = (
        np.greater(found.native_heatmap, found.localisation.threshold) for found in (before, after)
    )
    over, outside = painted.mask & lungs, painted.mask & ~lungs
    elsewhere = lungs & ~painted.mask
    return Effect(
        outside=share(hot_after, outside),
        over=(share(hot, over), share(hot_after, over)),
        elsewhere=(share(hot, elsewhere), share(hot_after, elsewhere)),
        moved=1 - 2 * (lungs & lungs_after).sum() / (lungs.sum() + lungs_after.sum()),
        above=(before.decision.pred_label, after.decision.pred_label),
        scores=(before.decision.pred_score, after.decision.pred_score),
    )


def share(hot: np.ndarray, where: np.ndarray) -> float:
    return float(hot[where].mean()) if where.any() else np.nan


def print_header() -> None:
    columns = (
        "object",
        "outside lungs hot, %",
        "over lungs hot, %",
        "elsewhere hot, %",
        "lungs moved, %",
        "images above",
        "score shift",
    )
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))


def print_row(kind: str, effects: list[Effect], spread: float, *, unusable: int) -> None:
    over = np.nanmean([one.over for one in effects], axis=0) if kind in OVER_LUNGS else None
    elsewhere = np.mean([one.elsewhere for one in effects], axis=0)
    above = np.sum([one.above for one in effects], axis=0)
    shift = np.median([np.diff(one.scores) for one in effects]) / spread
    cells = (
        kind + (f" ({unusable} images unusable)" if unusable else ""),
        f"{100 * np.mean([one.outside for one in effects]):.2f}",
        "-" if over is None else f"{100 * over[0]:.1f} to {100 * over[1]:.1f}",
        f"{100 * elsewhere[0]:.1f} to {100 * elsewhere[1]:.1f}",
        f"{100 * np.mean([one.moved for one in effects]):.1f}",
        f"{above[0]} to {above[1]} of {len(effects)}",
        f"{shift:+.2f}",
    )
    print("| " + " | ".join(cells) + " |")


def write_sheet(
    file: Path,
    triples: list[tuple[Detection, PaintedConfounder, Detection]],
    pipeline: lungpatch.Pipeline,
) -> None:
    scale = pipeline.calibration.colour_scale
    pictures = []
    for before, painted, after in triples:
        for image, found in ((before.image, before), (painted.image, after)):
            grey = np.rint(image.pixels * 255).astype(np.uint8)
            pictures.append(scale.paint(grey, found.native_heatmap))
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(contact_sheet(pictures, columns=4)).save(file)


if __name__ == "__main__":
    main()
