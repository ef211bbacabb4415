"""What conformal calibration promises, and whether it keeps it: simulations.

    python benchmarks/conformal.py

1,000 calibrations each with 25, 100 and 250 normal patients, at rates of 0.05, 0.1 and 0.2. Images
are replaced by numbers, so that the truth is known; p-values, lists and regions are computed by the
functions of lungpatch. Takes a minute on one core. Writes three tables:

`conformal.inc`: rates of false alarms with one held-out calibration set (split), with cross
calibration, of regions, and with several images per patient. The toy detector is a Gaussian model
whose score of an image is its Mahalanobis distance; as with any trained model, that of images it
was fitted to is lower than that of others. Cross calibration has two forms. *Final model* is what
lungpatch does: a new image is scored by the model that is fitted to all patients. *Fold models* is
cross-conformal prediction (CV+): it is scored by the model of each fold, and compared with the
patients of that fold. In four settings the detector depends more or less on its patients and its
training: it has few parameters; it has more of them than a fold of 25 has patients; or the unit of
its scores varies from fit to fit, by a fifth or by half, as with networks that are trained from
different random starts.

`conformal_lists.inc`: what lists with a bounded rate of false discoveries hold.

`conformal_contamination.inc`: what abnormal images among the normal ones do, and what helps.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import math
import time
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from scipy import ndimage
from tables import markdown_table, write_table

from lungpatch.containers import AnomalyMap
from lungpatch.pipeline.localisation import localise, region_score
from lungpatch.thresholders import (
    ConformalThresholder,
    conformal_p_values,
    false_discovery_labels,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Simulation = Callable[[int, np.random.Generator], Iterable[Floats]]
    """Gives for each calibration, with n patients, the p-values of new normal patients."""
    Calibrate = Callable[["Detector", Floats, Floats, np.random.Generator], Iterable[Floats]]
    """Gives, for several detectors, the p-values of new images; from images of normal patients."""
    Remedy = Callable[[Floats, NDArray[np.bool_], np.random.Generator], Floats]
    """Gives the scores that stay in the calibration; which are of abnormal images is known."""

CALIBRATIONS = 1000
SIZES = (25, 100, 250)
RATES = (0.05, 0.1, 0.2)
FOLDS = 5
TESTS = 1000
"""New patients per calibration."""
CHUNK = 50
"""Calibrations at once."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Simulations of conformal calibration.")
    parser.add_argument(
        "--publish", action="store_true", help="write the tables into the documentation, too"
    )
    publish = parser.parse_args().publish
    start = time.perf_counter()
    for name, table in (
        ("conformal", rates_table),
        ("conformal_lists", lists_table),
        ("conformal_contamination", contamination_table),
    ):
        write_table(name, table(), None, publish=publish)
        print(f"{time.perf_counter() - start:.0f} s")


def estimate(values: Floats) -> str:
    """Return the mean over calibrations and its 95 % interval."""
    error = 1.96 * values.std(ddof=1) / math.sqrt(len(values))
    low, high = max(values.mean() - error, 0), min(values.mean() + error, 1)
    return f"{values.mean():.3f} [{low:.3f}, {high:.3f}]"


# ----------------------------------------------------------------------------- rates


def rates_table() -> str:
    """Return the rates of false alarms of every way to calibrate."""
    rows = []
    for (name, simulate), size in itertools.product(SIMULATIONS.items(), SIZES):
        rates = np.array(
            [
                [np.mean(p_values <= rate) for rate in RATES]
                for p_values in simulate(size, np.random.default_rng(size))
            ]
        )
        low, high = np.quantile(rates[:, RATES.index(0.1)], [0.05, 0.95])
        rows.append((name, size, *map(estimate, rates.T), f"{low:.2f} to {high:.2f}"))
    asked = (f"at rate {rate:g}" for rate in RATES)
    return markdown_table(("calibration", "n", *asked, "middle 90 %, at 0.1"), rows)


class Detector(NamedTuple):
    """Several detectors at once: Gaussian models of images, which are ``dimensions`` numbers."""

    dimensions: int
    unit: float = 0.0
    """Standard deviation, from fit to fit, of the logarithm of the unit of the scores."""

    def draw(self, rng: np.random.Generator, count: int) -> Floats:
        """Draw normal images for each detector: Student's t with 5 degrees of freedom."""
        images = rng.normal(size=(CHUNK, count, self.dimensions))
        return images * np.sqrt(5 / rng.chisquare(5, (CHUNK, count, 1)))

    def fit(self, images: Floats, rng: np.random.Generator) -> Callable[[Floats], Floats]:
        """Fit, and return what scores images."""
        mean = images.mean(axis=1, keepdims=True)
        centred = images - mean
        covariance = centred.swapaxes(1, 2) @ centred / images.shape[1]
        variance = np.trace(covariance, axis1=1, axis2=2) / self.dimensions
        covariance += 0.01 * variance[:, None, None] * np.eye(self.dimensions)
        whitening = np.linalg.cholesky(np.linalg.inv(covariance))
        unit = np.exp(self.unit * rng.normal(size=(len(images), 1)))
        return lambda new: unit * np.linalg.norm((new - mean) @ whitening, axis=2)


FEW = Detector(dimensions=4)
MANY = Detector(dimensions=32)


def split(
    detector: Detector, images: Floats, new: Floats, rng: np.random.Generator
) -> Iterable[Floats]:
    """Calibrate on patients a model that was fitted to as many others."""
    score = detector.fit(detector.draw(rng, images.shape[1]), rng)
    return map(conformal_p_values, score(new), score(images))


def cross_final(
    detector: Detector, images: Floats, new: Floats, rng: np.random.Generator
) -> Iterable[Floats]:
    """Compare scores by the model of all patients with scores of patients by the fold models."""
    held_out = np.empty(images.shape[:2])
    for inside, score in fold_models(detector, images, rng):
        held_out[:, inside] = score(images[:, inside])
    return map(conformal_p_values, detector.fit(images, rng)(new), held_out)


def cross_folds(
    detector: Detector, images: Floats, new: Floats, rng: np.random.Generator
) -> Iterable[Floats]:
    """Compare within each fold: its patients and new images, all by the model of the fold."""
    as_high = np.zeros(new.shape[:2])
    for inside, score in fold_models(detector, images, rng):
        for counts, ours, theirs in zip(as_high, score(images[:, inside]), score(new), strict=True):
            counts += len(ours) - np.searchsorted(np.sort(ours), theirs)
    return (1 + as_high) / (images.shape[1] + 1)


def fold_models(
    detector: Detector, images: Floats, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.bool_], Callable[[Floats], Floats]]]:
    """Give for each fold who is in it, and the model that was fitted to all others."""
    fold = rng.permutation(images.shape[1]) % FOLDS
    for number in range(FOLDS):
        yield fold == number, detector.fit(images[:, fold != number], rng)


def of_detector(
    size: int, rng: np.random.Generator, *, calibrate: Calibrate, detector: Detector
) -> Iterator[Floats]:
    """Simulate one way to calibrate one detector."""
    for _ in range(CALIBRATIONS // CHUNK):
        images, new = detector.draw(rng, size), detector.draw(rng, TESTS)
        yield from calibrate(detector, images, new, rng)


POPULATION = 4000
"""Number of normal maps; calibrations and new images are drawn from them without replacement."""


@functools.cache
def normal_maps() -> tuple[list[AnomalyMap], Floats]:
    """Draw smooth noise, in some maps stronger than in others; with their region scores."""
    rng = np.random.default_rng(0)
    fine = rng.normal(size=(POPULATION, 64, 64))
    smooth = ndimage.gaussian_filter(fine, (0, 4, 4), mode="wrap")
    strength = np.exp(0.2 * rng.normal(size=(POPULATION, 1, 1)))
    values = strength * (smooth / smooth.std() + 0.2 * fine)
    maps = [AnomalyMap(heatmap=heatmap.astype(np.float32)) for heatmap in values]
    return maps, np.array([region_score(one) for one in maps])


def regions(size: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Give the p-value of the highest region of new maps."""
    maps, scores = normal_maps()
    for _ in range(CALIBRATIONS):
        calibration, new = np.split(rng.permutation(POPULATION)[: size + TESTS], [size])
        p_values = conformal_p_values(scores[new], scores[calibration])
        for rate, one, p_value in zip(RATES, new, p_values, strict=False):
            threshold = ConformalThresholder(alpha=rate).fit(scores[calibration]).threshold_
            boxes = localise(maps[one], threshold, calibration_scores=scores[calibration])
            # A map has a box where its p-value says so, and the box has that p-value.
            assert (len(boxes.boxes) > 0) == (p_value <= rate)
            assert min(boxes.box_p_values, default=p_value) == p_value
        yield p_values


def one_image(size: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Calibrate on the highest score of each patient; one new image of each new patient."""
    for _ in range(CALIBRATIONS):
        scores, first = patients(size, rng)
        new, first_new = patients(TESTS, rng)
        yield conformal_p_values(new[first_new], np.maximum.reduceat(scores, first))


def all_images(size: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Likewise; a new patient is above if any image is."""
    for _ in range(CALIBRATIONS):
        scores, first = patients(size, rng)
        new, first_new = patients(TESTS, rng)
        yield conformal_p_values(
            np.maximum.reduceat(new, first_new), np.maximum.reduceat(scores, first)
        )


def pooled_images(size: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Calibrate, wrongly, on all images as if they were of different patients."""
    for _ in range(CALIBRATIONS):
        scores, _ = patients(size, rng)
        new, first_new = patients(TESTS, rng)
        yield conformal_p_values(np.maximum.reduceat(new, first_new), scores)


def patients(count: int, rng: np.random.Generator) -> tuple[Floats, NDArray[np.int64]]:
    """Draw scores of one to four images of each patient, and where each patient begins."""
    images = rng.integers(1, 5, count)
    of_patient = np.repeat(rng.normal(size=count), images)
    return of_patient + 0.7 * rng.normal(size=images.sum()), np.cumsum(images) - images


DETECTORS = {
    "few parameters": FEW,
    "many parameters": MANY,
    "unit varies by a fifth": Detector(dimensions=4, unit=0.2),
    "unit varies by half": Detector(dimensions=4, unit=0.5),
}
WAYS: dict[str, Calibrate] = {
    "split": split,
    "cross, final model": cross_final,
    "cross, fold models": cross_folds,
}
SIMULATIONS: dict[str, Simulation] = {
    f"{way}; {kind}": functools.partial(of_detector, calibrate=calibrate, detector=detector)
    for (way, calibrate), (kind, detector) in itertools.product(WAYS.items(), DETECTORS.items())
} | {
    "regions: normal maps with a box": regions,
    "highest image of each patient; one new image": one_image,
    "highest image of each patient; any image of a new patient": all_images,
    "all images, wrongly, as if of different patients; any image of a new patient": pooled_images,
}


# ----------------------------------------------------------------------------- lists

BATCH = 200
ABNORMAL = (0.0, 0.1, 0.5)
"""Fractions of a batch that are abnormal."""
SHIFT = 3.0
"""How far abnormal images lie from normal ones in each dimension, in standard deviations."""


def lists_table() -> str:
    """Return the false discoveries and the sensitivity of lists."""
    rows = []
    ways = (("split", split), ("cross", cross_final))
    for fraction, (way, calibrate), size in itertools.product(ABNORMAL, ways, SIZES):
        rng = np.random.default_rng(size)
        abnormal = np.arange(BATCH) < fraction * BATCH
        false, found = np.zeros((2, len(RATES), CALIBRATIONS))
        for number in range(CALIBRATIONS // CHUNK):
            images, batch = FEW.draw(rng, size), FEW.draw(rng, BATCH)
            batch[:, abnormal] += SHIFT
            p_values = list(calibrate(FEW, images, batch, rng))
            at = slice(number * CHUNK, (number + 1) * CHUNK)
            for row, rate in enumerate(RATES):
                flagged = np.array([false_discovery_labels(one, rate) for one in p_values])
                false[row, at] = flagged[:, ~abnormal].sum(axis=1) / flagged.sum(axis=1).clip(1)
                found[row, at] = flagged[:, abnormal].mean(axis=1) if fraction else 0.0
        cells = map(_cell, false, found if fraction else itertools.repeat(None))
        rows.append((percent(fraction), way, size, *cells))
    asked = (f"fdr {rate:g}" for rate in RATES)
    return markdown_table(("abnormal in the batch", "calibration", "n", *asked), rows)


def _cell(false: Floats, found: Floats | None) -> str:
    return estimate(false) if found is None else f"{estimate(false)}; {found.mean():.2f}"


def percent(fraction: float) -> str:
    return f"{100 * fraction:g} %"


# ----------------------------------------------------------------------------- contamination

CONTAMINATED = 100
"""Number of patients, of whom some are abnormal though labelled normal."""
CONTAMINATION = (0.0, 0.02, 0.05, 0.1)
LOOKED_AT = 20
READER_ERROR = 0.2
"""Fraction of normal images that a doubtful reader calls abnormal."""


def as_they_are(scores: Floats, _: NDArray[np.bool_], __: np.random.Generator) -> Floats:
    return scores


def read_highest(
    scores: Floats, abnormal: NDArray[np.bool_], rng: np.random.Generator, *, error: float = 0.0
) -> Floats:
    """Let a reader look at the highest scores, and remove what the reader calls abnormal."""
    looked_at = np.argsort(np.argsort(-scores)) < LOOKED_AT
    return scores[~(looked_at & called_abnormal(abnormal, rng, error))]


def read_random(scores: Floats, abnormal: NDArray[np.bool_], rng: np.random.Generator) -> Floats:
    looked_at = rng.permutation(len(scores)) < LOOKED_AT
    return scores[~(looked_at & abnormal)]


def read_all(
    scores: Floats, abnormal: NDArray[np.bool_], rng: np.random.Generator, *, error: float = 0.0
) -> Floats:
    return scores[~called_abnormal(abnormal, rng, error)]


def called_abnormal(
    abnormal: NDArray[np.bool_], rng: np.random.Generator, error: float
) -> NDArray[np.bool_]:
    """Return what a reader calls abnormal, who does not know the scores."""
    return abnormal | (rng.random(len(abnormal)) < error)


def trim(scores: Floats, _: NDArray[np.bool_], __: np.random.Generator) -> Floats:
    """Drop the highest 5 % because they are the highest."""
    return np.sort(scores)[: -round(0.05 * len(scores))]


REMEDIES = {
    "nothing is removed": as_they_are,
    "a reader looks at 20 at random": read_random,
    "a reader looks at the 20 highest": read_highest,
    "a reader looks at all": read_all,
    "a doubtful reader looks at all": functools.partial(read_all, error=READER_ERROR),
    "a doubtful reader looks at the 20 highest": functools.partial(
        read_highest, error=READER_ERROR
    ),
    "the 5 highest are dropped unseen": trim,
}


TRAINED_TOO = {
    "nothing is removed, and they train the model too": "all",
    "a reader looks at all before the model is trained": "normal",
}


def contamination_table(rate: float = 0.1) -> str:
    """Return rate and sensitivity by how many calibration images are abnormal."""
    heads = (f"{percent(fraction)} abnormal" for fraction in CONTAMINATION)
    rows = [
        (name, *(_cell(*contaminated(remedy, fraction, rate)) for fraction in CONTAMINATION))
        for name, remedy in REMEDIES.items()
    ]
    rows += [
        (name, *(_cell(*trained_too(used, fraction, rate)) for fraction in CONTAMINATION))
        for name, used in TRAINED_TOO.items()
    ]
    return markdown_table(("calibration images", *heads), rows)


def contaminated(remedy: Remedy, fraction: float, rate: float) -> tuple[Floats, Floats]:
    """Return the rate of false alarms and the sensitivity of each calibration."""
    rng = np.random.default_rng(0)
    abnormal = np.arange(CONTAMINATED) < fraction * CONTAMINATED
    alarms, found = np.empty((2, CALIBRATIONS))
    for number in range(CALIBRATIONS):
        kept = remedy(rng.normal(SHIFT * abnormal), abnormal, rng)
        new = rng.normal(size=TESTS)
        alarms[number] = np.mean(conformal_p_values(new, kept) <= rate)
        found[number] = np.mean(conformal_p_values(new + SHIFT, kept) <= rate)
    return alarms, found


def trained_too(
    used: Literal["all", "normal"], fraction: float, rate: float
) -> tuple[Floats, Floats]:
    """Likewise with cross calibration, whose images train the models too."""
    rng = np.random.default_rng(0)
    count = round(fraction * CONTAMINATED)
    alarms, found = [], []
    for _ in range(CALIBRATIONS // CHUNK):
        images, new = FEW.draw(rng, CONTAMINATED), FEW.draw(rng, 2 * TESTS)
        images[:, :count] += SHIFT
        new[:, TESTS:] += SHIFT
        kept = images if used == "all" else images[:, count:]
        for p_values in cross_final(FEW, kept, new, rng):
            normal, abnormal = np.split(p_values <= rate, 2)
            alarms.append(normal.mean())
            found.append(abnormal.mean())
    return np.array(alarms), np.array(found)


if __name__ == "__main__":
    main()
