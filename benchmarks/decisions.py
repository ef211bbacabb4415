"""What fitted pipelines decide on images of four sources, at shipped and other thresholds.

    python benchmarks/decisions.py --data ../shared/data --pipeline default --out decisions

For each set of images: the fraction of images flagged, and of images with a box, at the shipped
thresholds and at rates of 0.05, 0.1 and 0.2, with Wilson's intervals. Sets:

- Lung Opacity, read as normal: images of the pneumonia folder, by what readers of the RSNA called
  them. Of the boxes of the former, also the fraction that holds the maximum of a predicted box.
- free of findings: images of that folder in which the readers of ChestX-Det found nothing.
- COVID: images with a mask of lesions.
- children, normal: of another source.
- normal folder: the pipeline was fitted to it, so its calibration scores are decided instead, one
  per patient, each against the others (leave one out). The 13 images of the folder that are grossly
  abnormal are decided apart: without them, and with them. Patients of these images whose score is
  among the calibration scores are taken out of these first.

`--calibrate-on` also calibrates a copy of the pipeline on one half of the patients of a set of
normal images, and counts on the other half, for 20 random halves: mean and central 95 % of the
halves, and what is found in positive images of that source.

Writes `decisions.json`, the table `decisions.inc`, and what is found at a rate of 0.1 as the table
`decisions_short.inc`. `--publish` also writes what was counted into the model cards and the README,
between `<!-- decisions -->` and `<!-- end -->`.
"""

from __future__ import annotations

import argparse
import copy
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from scipy import stats
from tables import ROOT, TABLES, markdown_table, write_table

import lungpatch
from lungpatch._utils.files import atomic_write, write_json
from lungpatch.datasets import Dataset, load_folder
from lungpatch.datasets.tables import read_table
from lungpatch.errors import InsufficientDataError
from lungpatch.evaluation.cases import GRID_SIZE, distinct_boxes
from lungpatch.evaluation.froc import holds
from lungpatch.evaluation.operating_points import RATES, SHIPPED, decide, operating_points
from lungpatch.io import find_images
from lungpatch.pipeline import Failure
from lungpatch.thresholders import conformal_p_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lungpatch.evaluation.operating_points import OperatingPoint
    from lungpatch.pipeline import Detection, Pipeline
    from lungpatch.protocols import Thresholder

COLUMNS = (SHIPPED, *(f"rate {rate:g}" for rate in RATES))
HALVES = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of cxr, lungs, kermany")
    parser.add_argument(
        "--pipeline", action="append", help="name or path of a fitted pipeline; repeatable"
    )
    parser.add_argument("--calibrate-on", nargs="+", choices=sorted(SITES), default=[])
    parser.add_argument("--out", type=Path, help="folder for decisions.json and the table")
    parser.add_argument(
        "--publish", action="store_true", help="write into documentation, cards and README, too"
    )
    arguments = parser.parse_args()
    sets = read_sets(arguments.data)
    results: dict[str, Any] = {}
    for name in arguments.pipeline or ["default"]:
        pipeline = lungpatch.load_pipeline(name)
        calibration = pipeline.calibration_
        stem = Path(name).stem
        counts = decisions(pipeline, sets)
        halves = {}
        for site in arguments.calibrate_on:
            try:
                halves[site] = halves_of(pipeline, sets, site)
            except InsufficientDataError as error:
                print(f"{stem}: {site}: {error}\n")
        results[stem] = {
            "calibration_patients": calibration.n_patients,
            "method": calibration.method,
            "finest_rate": calibration.finest_rate,
            "points": [attrs.asdict(point) for point in operating_points(calibration)],
            "sets": {label: attrs.asdict(each) for label, each in counts.items()},
            "calibrated_on_halves": halves,
        }
        if arguments.out is not None:
            write_json(arguments.out / "decisions.json", results)
    if arguments.publish:
        write_json(TABLES / "decisions.json", results)
        for path, block in published_blocks(results).items():
            write_block(path, block)
    for table, text in (("decisions", full_text(results)), ("decisions_short", short(results))):
        write_table(table, text, arguments.out, publish=arguments.publish)


# ------------------------------------------------------------------------------------ images


def read_sets(data: Path) -> dict[str, Dataset]:
    cxr = load_folder(
        data / "cxr", metadata=data / "cxr/metadata.csv", boxes=data / "cxr/boxes.csv"
    )
    in_pneumonia = cxr.labels != "normal"
    read = cxr.columns["rsna_class"]
    names = np.array([image.name for image in cxr.images])
    free = files_where(data / "cxr/chestxdet_films.csv", "n_findings", "0")
    gross = files_where(data / "cxr/normal_doubtful.csv", "degree", "gross")
    return {
        "Lung Opacity": cxr.select(in_pneumonia & (read == "Lung Opacity")),
        "read as normal": cxr.select(in_pneumonia & (read == "Normal")),
        "free of findings": cxr.select(np.isin(names, free)),
        "COVID": covid(data / "lungs"),
        "children, normal": children(data, "normal"),
        "children, pneumonia": children(data, "pneumonia"),
        "normal folder, grossly abnormal": cxr.select(np.isin(names, gross)),
    }


def files_where(table: Path, column: str, value: str) -> list[str]:
    rows = read_table(table, ["file", column])
    return [row.values["file"] for row in rows if row.values[column] == value]


def covid(folder: Path) -> Dataset:
    patients = {
        row.values["file"]: row.values["patient"]
        for row in read_table(folder / "films.csv", ["file", "patient"])
    }
    images = [folder / "image" / mask.name for mask in find_images(folder / "lesion")]
    return Dataset(name="COVID", images=images, patients=[patients[i.name] for i in images])


def children(data: Path, kind: str) -> Dataset:
    full = [
        image
        for image in find_images(data / "kermany_full")
        if image.name.startswith("person") == (kind == "pneumonia")
    ]
    images = [*find_images(data / "kermany" / kind), *full]
    # NORMAL2-IM-1427-0001 and IM-0011-0001-0002 are of the patients 1427 and 0011.
    owners = [
        name.split("_")[0] if kind == "pneumonia" else name.split("IM-")[1].split("-")[0]
        for name in (image.name for image in images)
    ]
    return Dataset(name=f"children, {kind}", images=images, patients=owners)


# --------------------------------------------------------------------------------- decisions


@attrs.frozen(kw_only=True)
class Found:
    """What was decided about N images at P operating points: arrays of bool (P, N)."""

    flagged: np.ndarray
    boxed: np.ndarray
    hits: np.ndarray
    n_true_boxes: int
    scores: np.ndarray
    out_of_scope: int


@attrs.frozen(kw_only=True)
class Count:
    """Fractions of a set, one per operating point, as (value, low, high); None if there is none."""

    n: int
    unit: str
    out_of_scope: int
    flagged: list[tuple[float, float, float] | None]
    boxed: list[tuple[float, float, float] | None]
    boxes_hit: list[tuple[float, float, float] | None] | None = None
    n_true_boxes: int = 0


def detect_all(pipeline: Pipeline, dataset: Dataset) -> list[Detection]:
    detections = []
    for found in pipeline.detect_many(dataset):
        if isinstance(found, Failure):
            raise found.error
        detections.append(found)
    return detections


def outcomes(
    detections: Sequence[Detection], dataset: Dataset, points: Sequence[OperatingPoint]
) -> Found:
    decided = [decide(found, points) for found in detections]
    boxes = [
        distinct_boxes(dataset.boxes(index, (GRID_SIZE, GRID_SIZE)))
        for index in range(len(dataset))
    ]
    hits = [
        [holds(known, peaks).any(axis=1).sum() for _, peaks in image]
        for known, image in zip(boxes, decided, strict=True)
    ]
    return Found(
        flagged=np.array([[flag for flag, _ in image] for image in decided]).T,
        boxed=np.array([[len(peaks) > 0 for _, peaks in image] for image in decided]).T,
        hits=np.array(hits).T,
        n_true_boxes=sum(map(len, boxes)),
        scores=np.array([found.pred_score for found in detections], dtype=np.float64),
        out_of_scope=sum(found.status == "out_of_scope" for found in detections),
    )


def decisions(pipeline: Pipeline, sets: dict[str, Dataset]) -> dict[str, Count]:
    points = operating_points(pipeline.calibration_)
    possible = [not point.reason for point in points]
    found = {
        name: outcomes(detect_all(pipeline, dataset), dataset, points)
        for name, dataset in sets.items()
    }
    counts = {
        name: Count(
            n=each.flagged.shape[1],
            unit="images",
            out_of_scope=each.out_of_scope,
            flagged=wilson_of(each.flagged, possible),
            boxed=wilson_of(each.boxed, possible),
            boxes_hit=hits_of(each, possible) if name == "Lung Opacity" else None,
            n_true_boxes=each.n_true_boxes,
        )
        for name, each in found.items()
    }
    doubtful = "normal folder, grossly abnormal"
    return counts | normal_folder(pipeline, found[doubtful], sets[doubtful].patients, possible)


def hits_of(found: Found, possible: list[bool]) -> list[tuple[float, float, float] | None]:
    return [
        wilson(int(hit), found.n_true_boxes) if known else None
        for hit, known in zip(found.hits.sum(axis=1), possible, strict=True)
    ]


def normal_folder(
    pipeline: Pipeline, doubtful: Found, patients: np.ndarray, possible: list[bool]
) -> dict[str, Count]:
    """Decide the calibration scores of each patient against those of the others."""
    calibration = pipeline.calibration_
    owners = sorted(set(patients.tolist()))
    highest = [doubtful.scores[patients == owner].max() for owner in owners]
    # Both rules list the patients in the same order.
    kept = [not np.isclose(s, highest, rtol=1e-6).any() for s in calibration.image_scores]
    without, with_doubtful = [], []
    for scores, flags, thresholder in (
        (calibration.image_scores, doubtful.flagged, pipeline.thresholder),
        (calibration.region_scores, doubtful.boxed, pipeline.region_thresholder),
    ):
        own = leave_one_out(np.array(scores)[kept], thresholder)
        of_doubtful = [flags[:, patients == owner].any(axis=1) for owner in owners]
        without.append(own)
        with_doubtful.append(np.concatenate([own, np.transpose(of_doubtful)], axis=1))
    return {
        name: Count(
            n=flagged.shape[1],
            unit="patients",
            out_of_scope=0,
            flagged=wilson_of(flagged, possible),
            boxed=wilson_of(boxed, possible),
        )
        for name, (flagged, boxed) in (
            ("normal folder, without them, one against the others", without),
            ("normal folder, with them", with_doubtful),
        )
    }


def leave_one_out(scores: np.ndarray, thresholder: Thresholder) -> np.ndarray:
    """Return the decision on each score by all others, bool (P, n)."""
    others = [np.delete(scores, i) for i in range(scores.size)]
    shipped = []
    for score, rest in zip(scores, others, strict=True):
        try:
            shipped.append(score > copy.deepcopy(thresholder).fit(rest).threshold_)
        except InsufficientDataError:
            shipped.append(False)
    p_values = np.array(
        [conformal_p_values([s], rest)[0] for s, rest in zip(scores, others, strict=True)]
    )
    return np.array([shipped, *(p_values <= rate for rate in RATES)], dtype=bool)


def wilson_of(
    chosen: np.ndarray, possible: Sequence[bool]
) -> list[tuple[float, float, float] | None]:
    return [
        wilson(int(row.sum()), row.size) if known else None
        for row, known in zip(chosen, possible, strict=True)
    ]


def wilson(number: int, of: int) -> tuple[float, float, float]:
    interval = stats.binomtest(number, of).proportion_ci(method="wilson")
    return number / of, float(interval.low), float(interval.high)


# ------------------------------------------------------------------- calibration on one half

SITES = {
    "kermany-half": ("children, normal", "children, pneumonia"),
    "pneumonia-half": ("read as normal", "Lung Opacity"),
}
"""Normal images to calibrate on, and positive ones of the same source."""


def halves_of(pipeline: Pipeline, sets: dict[str, Dataset], site: str) -> dict[str, Any]:
    """Calibrate on one half of the patients, count on the other, for random halves."""
    normal, positive = (sets[name] for name in SITES[site])
    found_normal, found_positive = (detect_all(pipeline, each) for each in (normal, positive))
    patients = np.unique(normal.patients)
    rows: dict[str, list[np.ndarray]] = {}
    for seed in range(HALVES):
        drawn = np.random.default_rng(seed).permutation(patients)[: patients.size // 2]
        chosen = np.isin(normal.patients, drawn)
        half = normal.select(chosen)
        # Calibration changes thresholds, not scores, so the images are detected once.
        site_pipeline = pipeline.calibrate(half, patients=half.patient_by_image)
        points = operating_points(site_pipeline.calibration_)
        possible = np.array([not point.reason for point in points])
        on_normal = outcomes(found_normal, normal, points)
        on_positive = outcomes(found_positive, positive, points)
        for name, found, counted in (
            ("normal", on_normal, ~chosen),
            ("positive", on_positive, np.ones(len(positive), dtype=bool)),
        ):
            for what, flags in (("flagged", found.flagged), ("with a box", found.boxed)):
                fractions = np.where(possible, flags[:, counted].mean(axis=1), np.nan)
                rows.setdefault(f"{SITES[site][name == 'positive']}: {what}", []).append(fractions)
    return {
        "calibration_patients": int(patients.size // 2),
        **{
            name: [
                None
                if np.isnan(column).all()
                else [
                    float(np.nanmean(column)),
                    *map(float, np.nanquantile(column, [0.025, 0.975])),
                ]
                for column in np.array(fractions).T
            ]
            for name, fractions in rows.items()
        },
    }


# -------------------------------------------------------------------------------------- text


CARDS = ROOT / "src" / "lungpatch" / "weights"
OPACITY, COVID, NORMAL, CHILDREN = "Lung Opacity", "COVID", "read as normal", "children, normal"
NORMAL_FOLDER = "normal folder, without them, one against the others"
SHORT = {
    OPACITY: "opacity",
    COVID: "COVID",
    NORMAL: "read as normal",
    NORMAL_FOLDER: "normal folder",
    CHILDREN: "normal children",
}
"""Sets of the short table, and what it calls them."""
AT_0_1, AT_0_2 = (COLUMNS.index(f"rate {rate:g}") for rate in (0.1, 0.2))


def full_text(results: dict[str, Any]) -> str:
    """Return all that was counted, as tables."""
    return "".join(
        tables_of(name, result) + halves_text(name, result["calibrated_on_halves"])
        for name, result in results.items()
    )


def tables_of(name: str, result: dict[str, Any]) -> str:
    sets = result["sets"]
    flagged, boxed = (
        [
            [f"{label} ({each['n']} {each['unit']})", *map(cell, each[what])]
            for label, each in sets.items()
        ]
        for what in ("flagged", "boxed")
    )
    boxed += [
        [f"true boxes of {label} hit ({each['n_true_boxes']})", *map(cell, each["boxes_hit"])]
        for label, each in sets.items()
        if each["boxes_hit"] is not None
    ]
    return (
        f"`{name}`, calibrated on {result['calibration_patients']} patients: fraction flagged\n\n"
        + markdown_table(("images", *COLUMNS), flagged)
        + f"\n`{name}`: fraction with a box\n\n"
        + markdown_table(("images", *COLUMNS), boxed)
        + "\n"
    )


def halves_text(name: str, halves: dict[str, Any]) -> str:
    text = ""
    for site, rows in halves.items():
        text += (
            f"`{name}` calibrated on {rows['calibration_patients']} patients of {site}, "
            f"{HALVES} halves: mean and central 95 %\n\n"
            + markdown_table(
                (f"the other half ({site})", *COLUMNS),
                [
                    [label, *map(cell, values)]
                    for label, values in rows.items()
                    if isinstance(values, list)
                ],
            )
            + "\n"
        )
    return text


def short(results: dict[str, Any]) -> str:
    """Return what each pipeline finds at a rate of 0.1, as one table."""
    rows = []
    for name, result in results.items():
        sets = result["sets"]
        for what, called in (("flagged", "flagged"), ("boxed", "with a box")):
            rows.append(
                [
                    f"`{name}`",
                    called,
                    *(cell(sets[label][what][AT_0_1]) for label in SHORT),
                ]
            )
    head = [f"{called} ({sets[label]['n']})" for label, called in SHORT.items()]
    return markdown_table(("detector", "", *head), rows)


# ------------------------------------------------------------------------- cards and README


def published_blocks(results: dict[str, Any]) -> dict[Path, str]:
    """Return what the model cards and the README say, by file."""
    cards = {CARDS / f"{name}.md": card_text(name, result) for name, result in results.items()}
    cards = {card: text for card, text in cards.items() if card.exists()}
    return cards | {ROOT / "README.md": readme_text(results["default"])}


def card_text(name: str, result: dict[str, Any]) -> str:
    return (
        "In brackets: Wilson's intervals of 95 %. The sets are described on the page "
        '"Evaluation" of the documentation.\n\n'
        + tables_of(name, result)
        + f"At a rate of 0.1 it flags {plain(result['sets'][CHILDREN]['flagged'][AT_0_1])} of the "
        "normal images of children: for them, as for images of another site, calibrate it first "
        "(`lungpatch calibrate`)."
    )


def readme_text(result: dict[str, Any]) -> str:
    sets = result["sets"]
    opacity, covid, normal, folder, children = (
        sets[label]["flagged"] for label in (OPACITY, COVID, NORMAL, NORMAL_FOLDER, CHILDREN)
    )
    sentences = (
        f"At a false-alarm rate of 0.1, `default` flags {cell(opacity[AT_0_1])} of "
        f"{sets[OPACITY]['n']} images with opacities and {cell(covid[AT_0_1])} of "
        f"{sets[COVID]['n']} COVID images (at 0.2: {plain(opacity[AT_0_2])} and "
        f"{plain(covid[AT_0_2])}).",
        f"False alarms: {cell(normal[AT_0_1])} of {sets[NORMAL]['n']} images of the same folder "
        f"that readers called normal, {cell(folder[AT_0_1])} of the {sets[NORMAL_FOLDER]['n']} "
        f"patients that calibrate it, each against the others, and {cell(children[AT_0_1])} of "
        f"{sets[CHILDREN]['n']} normal images of children, so "
        "[calibrate](docs/how-to/calibrate.md) it on normal images of your own. In brackets: "
        "intervals of 95~%.",
    )
    lines = textwrap.fill(" ".join(sentences), 100, break_on_hyphens=False, break_long_words=False)
    return lines.replace("~", " ")  # where no line may end


def write_block(path: Path, text: str) -> None:
    """Write a text between the marks of a file."""
    old = path.read_text(encoding="utf-8")
    new, found = BLOCK.subn(lambda _: f"<!-- decisions -->\n{text}\n<!-- end -->", old)
    if found != 1:
        raise SystemExit(f"{path} needs the marks <!-- decisions --> and <!-- end --> once")
    with atomic_write(path) as temporary:
        temporary.write_text(new, encoding="utf-8")


BLOCK = re.compile(r"<!-- decisions -->.*?<!-- end -->", flags=re.DOTALL)


def plain(value: Sequence[float]) -> str:
    return f"{value[0]:.2f}"


def cell(value: Sequence[float] | None) -> str:
    return "-" if value is None else f"{value[0]:.2f} [{value[1]:.2f}, {value[2]:.2f}]"


if __name__ == "__main__":
    main()
