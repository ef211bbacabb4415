"""What abnormal images among the normal ones do to the shipped detector.

    python benchmarks/contamination.py --data ../shared/data --publish

100 scores calibrate: of them 0, 2, 5 or 10 are of abnormal patients, the others of normal patients,
drawn from the calibration scores of the pipeline. Counted are the other normal patients and the
Lung Opacity images of the other patients, at several rates, over 200 draws. The abnormal ones come
from two sources: patients of Lung Opacity images, and those whose images in the folder of normal
images are grossly abnormal. Of a patient the highest score counts. *A reader* looks at the 20
highest scores and removes the abnormal ones. They only calibrate; the model was not trained on any.

The calibration scores are by models without the patient's fold, the others by the final model.
Writes the table `contamination.inc`; takes a quarter of a minute.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from decisions import detect_all, read_sets
from tables import markdown_table, write_table

import lungpatch
from lungpatch.thresholders import conformal_p_values

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lungpatch.datasets import Dataset
    from lungpatch.pipeline import Pipeline

    Floats = NDArray[np.float64]

DRAWS = 200
N_CALIBRATION = 100
N_ABNORMAL = (0, 2, 5, 10)
N_READ = 20
RATES = (0.05, 0.1, 0.2)
POSITIVE = "Lung Opacity"
SOURCES = {POSITIVE: POSITIVE, "normal folder, grossly abnormal": "grossly abnormal"}
"""Where abnormal images come from, and what the table calls them."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of cxr, lungs, kermany")
    parser.add_argument("--pipeline", default="default", help="name or path of a fitted pipeline")
    parser.add_argument("--out", type=Path, help="folder for the table")
    parser.add_argument(
        "--publish", action="store_true", help="write the table into the documentation, too"
    )
    arguments = parser.parse_args()
    pipeline = lungpatch.load_pipeline(arguments.pipeline)
    normal = np.array(pipeline.calibration_.image_scores)
    sets = read_sets(arguments.data)
    scores = {name: scores_by_patient(pipeline, sets[name]) for name in SOURCES}
    rows = []
    for source, called in SOURCES.items():
        for reader in (False, True):
            for rate in RATES:
                cells = [
                    cell(draws(normal, scores, source, n_abnormal, rate=rate, reader=reader))
                    for n_abnormal in N_ABNORMAL
                    if n_abnormal <= len(scores[source])
                ]
                cells += ["-"] * (len(N_ABNORMAL) - len(cells))
                rows.append([called, "yes" if reader else "no", f"{rate:g}", *cells])
    head = ("abnormal ones", "a reader looks", "rate", *(f"{n} of 100" for n in N_ABNORMAL))
    write_table(
        "contamination", markdown_table(head, rows), arguments.out, publish=arguments.publish
    )


def scores_by_patient(pipeline: Pipeline, dataset: Dataset) -> list[Floats]:
    """Return the image scores of each patient."""
    found = np.array([detection.pred_score for detection in detect_all(pipeline, dataset)], float)
    return [found[dataset.patients == patient] for patient in np.unique(dataset.patients)]


def draws(
    normal: Floats,
    scores: dict[str, list[Floats]],
    source: str,
    n_abnormal: int,
    *,
    rate: float,
    reader: bool,
) -> Floats:
    """Return false-alarm rate and sensitivity of each draw, shape (DRAWS, 2)."""
    outcomes = []
    for seed in range(DRAWS):
        rng = np.random.default_rng(seed)
        drawn = rng.permutation(normal)
        order = rng.permutation(len(scores[source]))
        n_normal = N_CALIBRATION - n_abnormal
        abnormal = np.array([scores[source][i].max() for i in order[:n_abnormal]])
        if reader:
            highest = np.sort(np.concatenate([drawn[:n_normal], abnormal]))[-N_READ]
            abnormal = abnormal[abnormal < highest]
        calibration = np.concatenate([drawn[:n_normal], abnormal])
        counted = order[n_abnormal:] if source == POSITIVE else range(len(scores[POSITIVE]))
        positive = np.concatenate([scores[POSITIVE][i] for i in counted])
        outcomes.append(
            [
                np.mean(conformal_p_values(each, calibration) <= rate)
                for each in (drawn[n_normal:], positive)
            ]
        )
    return np.array(outcomes)


def cell(outcomes: Floats) -> str:
    means = outcomes.mean(axis=0)
    low, high = np.quantile(outcomes, [0.025, 0.975], axis=0)
    return "; ".join(
        f"{mean:.2f} [{a:.2f}, {b:.2f}]" for mean, a, b in zip(means, low, high, strict=True)
    )


if __name__ == "__main__":
    main()
