"""How detectors respond to objects that are not disease: labels, devices, collimator edges, arms.

    python benchmarks/confounders.py --normal ../shared/data/cxr/normal \
        --patients ../shared/data/cxr/metadata.csv --pipelines PIPELINE... --out confounders

Normal images of every second patient, those that `training/shipped_pipelines.py --half` does not
fit to, are scored without and with an object that `lungpatch.datasets.confounders` paints.
Writes one table per pipeline, NAME.inc. All columns but the last two are in per cent:

- outside lungs: fraction of the object's pixels outside the image's lungs that are above the map's
  threshold. Nothing outside a lung mask is scored, so the segmenter took these for lung.
- over lungs: the same for its pixels over the lungs, without and with the object.
- elsewhere: fraction of the lungs away from the object that is above the threshold, without and
  with it.
- lungs changed: 1 - Dice of the lung masks without and with it, the mean over images.
- images above: images above the threshold of the image score, without and with it.
- score shift: median over images of the change of the image score, in standard deviations of the
  scores of the images without objects.

A sheet of the first images is written for each pipeline and object.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import attrs
import numpy as np
from PIL import Image
from tables import markdown_table, write_table

import lungpatch
from lungpatch._utils.renderings import contact_sheet
from lungpatch.containers import LungMask
from lungpatch.datasets import (
    CONFOUNDER_KINDS,
    PaintedConfounder,
    paint_confounder,
    read_patients,
)
from lungpatch.datasets.confounders import OVER_LUNGS
from lungpatch.io import find_images
from lungpatch.pipeline import Detection

COLUMNS = (
    "object",
    "outside lungs",
    "over lungs",
    "elsewhere",
    "lungs changed",
    "images above",
    "score shift",
)
SHOWN = 4


@attrs.frozen(kw_only=True)
class Effect:
    """The effect of one object on one image; fractions of pixels, without and with it."""

    outside: float
    over: tuple[float, float]
    elsewhere: tuple[float, float]
    moved: float
    above: tuple[bool, bool]
    scores: tuple[float, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--normal", type=Path, required=True, help="folder of normal images")
    parser.add_argument("--patients", type=Path, required=True, help="CSV with file and patient")
    parser.add_argument("--pipelines", nargs="+", required=True, help="names or folders")
    parser.add_argument("--count", type=int, default=40, help="number of images")
    parser.add_argument("--out", type=Path, required=True, help="folder for tables and sheets")
    parser.add_argument(
        "--publish",
        action="store_true",
        help="write the tables of pipelines named default and paper into the documentation, too",
    )
    arguments = parser.parse_args()
    images = one_image_per_patient(arguments.normal, arguments.patients)[: arguments.count]
    for name in arguments.pipelines:
        pipeline = lungpatch.load_pipeline(name)
        before = [found for found in pipeline.detect_many(images) if usable(found)]
        rows = []
        spread = np.std([found.decision.pred_score for found in before])
        for number, kind in enumerate(CONFOUNDER_KINDS):
            painted = [
                paint_confounder(
                    found.image,
                    LungMask(pixels=found.native_lungs),
                    kind,
                    np.random.default_rng(seed),
                )
                for seed, found in enumerate(before, start=number * len(images))
            ]
            after = list(pipeline.detect_many(one.image for one in painted))
            triples = list(zip(before, painted, after, strict=True))
            effects = [effect(*triple) for triple in triples if usable(triple[2])]
            rows.append(row_of(kind, effects, spread, unusable=len(triples) - len(effects)))
            file = arguments.out / f"{Path(name).stem}-{kind}.png"
            write_sheet(file, triples[:SHOWN], pipeline)
        print(f"{Path(name).stem}, {len(before)} images")
        write_table(
            f"confounders-{Path(name).stem}",
            markdown_table(COLUMNS, rows),
            arguments.out,
            publish=arguments.publish,
        )


def one_image_per_patient(folder: Path, table: Path) -> list[Path]:
    patients = read_patients(table)
    first: dict[str, Path] = {}
    for image in find_images(folder):
        first.setdefault(patients[image.name], image)
    return [first[patient] for patient in sorted(first)[1::2]]


def usable(found: object) -> bool:
    return isinstance(found, Detection) and found.decision is not None


def effect(before: Detection, painted: PaintedConfounder, after: Detection) -> Effect:
    lungs, lungs_after = before.native_lungs, after.native_lungs
    above, above_after = (
        np.greater(found.native_heatmap, found.localisation.threshold) for found in (before, after)
    )
    over, outside = painted.mask & lungs, painted.mask & ~lungs
    elsewhere = lungs & ~painted.mask
    return Effect(
        outside=fraction(above_after, outside),
        over=(fraction(above, over), fraction(above_after, over)),
        elsewhere=(fraction(above, elsewhere), fraction(above_after, elsewhere)),
        moved=1 - 2 * (lungs & lungs_after).sum() / (lungs.sum() + lungs_after.sum()),
        above=(before.decision.pred_label, after.decision.pred_label),
        scores=(before.decision.pred_score, after.decision.pred_score),
    )


def fraction(above: np.ndarray, where: np.ndarray) -> float:
    return float(above[where].mean()) if where.any() else np.nan


def row_of(kind: str, effects: list[Effect], spread: float, *, unusable: int) -> tuple[str, ...]:
    over = np.nanmean([one.over for one in effects], axis=0) if kind in OVER_LUNGS else None
    elsewhere = np.mean([one.elsewhere for one in effects], axis=0)
    above = np.sum([one.above for one in effects], axis=0)
    shift = np.median([np.diff(one.scores) for one in effects]) / spread
    return (
        kind + (f" ({unusable} images unusable)" if unusable else ""),
        f"{100 * np.mean([one.outside for one in effects]):.2f}",
        "-" if over is None else f"{100 * over[0]:.1f} to {100 * over[1]:.1f}",
        f"{100 * elsewhere[0]:.1f} to {100 * elsewhere[1]:.1f}",
        f"{100 * np.mean([one.moved for one in effects]):.1f}",
        f"{above[0]} to {above[1]} of {len(effects)}",
        f"{shift:+.2f}",
    )


def write_sheet(
    file: Path,
    triples: list[tuple[Detection, PaintedConfounder, Detection]],
    pipeline: lungpatch.Pipeline,
) -> None:
    scale = pipeline.calibration_.colour_scale
    renderings = []
    for before, painted, after in triples:
        for image, found in ((before.image, before), (painted.image, after)):
            grey = np.rint(image.pixels * 255).astype(np.uint8)
            renderings.append(scale.paint(grey, found.native_heatmap))
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(contact_sheet(renderings, columns=4)).save(file)


if __name__ == "__main__":
    main()
