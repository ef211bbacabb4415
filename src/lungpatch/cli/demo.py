"""The demo: the shipped detector on real radiographs, a small fit, and the paper's method."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from lungpatch._utils.destinations import check_folder
from lungpatch._utils.files import atomic_folder
from lungpatch._utils.progress import ProgressCallback, silent
from lungpatch.archive import detect_folder, load_detections
from lungpatch.cli.demo_page import CopyResult, FitResult, SampleResult, write_page
from lungpatch.cli.model_card import read_flagged
from lungpatch.containers import PatchScores
from lungpatch.datasets.phantom import phantom_cohort
from lungpatch.datasets.sample import sample
from lungpatch.errors import InsufficientDataError
from lungpatch.evaluation.metrics import LocalisationScore, score_localisation
from lungpatch.pipeline import Detection, load_pipeline
from lungpatch.pipeline.configuration import build_pipeline
from lungpatch.pipeline.localisation import build_anomaly_map
from lungpatch.pipeline.storage import check_destination
from lungpatch.synthesis import LesionSynthesiser
from lungpatch.thresholders import ConformalThresholder

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from lungpatch.containers import FloatImage
    from lungpatch.datasets.dataset import Dataset
    from lungpatch.datasets.phantom import PhantomCase

IMAGE_SIZE = 256
N_NORMAL = 24
"""Number of synthetic normal chests that the small detector is fitted to."""
N_OPACITY = 8
"""Number of synthetic chests with an opacity that it is tried on."""

PAGE = "index.html"
SAMPLE = "sample"
FOUND = "found"
PIPELINE = "small.lungpatch"

_SMALL: dict[str, dict[str, Any]] = {
    "pipeline": {
        "grid_size": 256,
        "map_detail": "pixel",
        "calibration": "cross",
        "folds": 2,
        "seed": 1,
    },
    "segmenter": {"name": "unet"},
    "fit_sampler": {"name": "lung-crop", "patch_size": 256},
    "sampler": {"name": "lung-crop", "patch_size": 256},
    "model": {
        "name": "lesion-head",
        "patch_size": 256,
        "passes": 2,
        "extractor": {"name": "lung-encoder"},
    },
    "scorer": {"name": "feature", "difference": "excess", "smoothing": 0.05},
    "thresholder": {"name": "quantile", "q": 0.9},
}


def run_demo(
    out: str | os.PathLike[str], *, seed: int = 1, progress: ProgressCallback | None = None
) -> Path:
    """Run the demo and write a page about it.

    Parameters
    ----------
    out : path
        Folder, made if it is missing. It gets ``index.html``; ``sample/``, the radiographs of
        `lungpatch.datasets.sample`; ``found/``, what the shipped detector found in them, with its
        worklist; and ``small.lungpatch``, a detector fitted to synthetic chests.
    seed : int
        Seed of the synthetic images.
    progress : callable, optional
        See `lungpatch.progress_bar`.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    DestinationError, SavedPipelineError
        If the results cannot be written to ``out``; checked before any work.

    Examples
    --------
    >>> run_demo("lungpatch-demo")                                     # doctest: +SKIP
    PosixPath('lungpatch-demo/index.html')
    """
    start = time.perf_counter()
    notify = progress or silent
    out = Path(out)
    check_folder(out)
    check_destination(out / PIPELINE)
    images = sample()
    shipped = detect_in_sample(images, out, _named("shipped detector", notify))
    fitted = _fit_small(out / PIPELINE, seed, notify)
    copied = _copy_sample(images, shipped.false_alarm_rate, notify)
    page = out / PAGE
    write_page(page, shipped, fitted, copied, seconds=time.perf_counter() - start)
    return page


def _named(name: str, notify: ProgressCallback) -> ProgressCallback:
    def call(stage: str, done: int, total: int, metrics: Mapping[str, float]) -> None:
        notify(f"{name}: {stage}", done, total, metrics)

    return call


# ------------------------------------------------------------------------- the shipped detector


def detect_in_sample(images: Dataset, out: Path, notify: ProgressCallback) -> SampleResult:
    """Run the shipped detector on `lungpatch.datasets.sample`.

    Parameters
    ----------
    images : Dataset
        The sample.
    out : pathlib.Path
        Folder; it gets ``sample/``, a copy of the images, and ``found/``, the results.
    notify : callable
        See `lungpatch.progress_bar`.

    Returns
    -------
    SampleResult
    """
    shipped = [image for image in images.images if isinstance(image, Path)]
    with atomic_folder(out / SAMPLE, replace=True) as folder:
        shutil.copytree(shipped[0].parent, folder, dirs_exist_ok=True)
    files = [out / SAMPLE / image.name for image in shipped]
    pipeline = load_pipeline("default")
    assert isinstance(pipeline.thresholder, ConformalThresholder)
    detect_folder(files, out / FOUND, pipeline=pipeline, progress=notify)
    by_source = {saved.source: saved for saved in load_detections(out / FOUND)}
    return SampleResult(
        images=images,
        detections=tuple(by_source[str(file)] for file in files),
        calibration=pipeline.calibration_,
        false_alarm_rate=pipeline.thresholder.alpha,
        flagged=read_flagged("default", pipeline.thresholder.alpha),
        worklist=f"{FOUND}/{PAGE}",
    )


# ------------------------------------------------------------------------------- a small fit


def _fit_small(path: Path, seed: int, notify: ProgressCallback) -> FitResult:
    normal, opacities = _make_images(seed, notify)
    start = time.perf_counter()
    pipeline = build_pipeline(_SMALL, origin="demo")
    pipeline.fit([case.image for case in normal], progress=_named("small detector", notify))
    seconds = time.perf_counter() - start
    pipeline.save(path)
    detections = [pipeline.detect(case.image) for case in opacities]
    painted = LesionSynthesiser(recipes=("lobar",), normal_fraction=0.0, max_lesions=1).paint(
        normal[0].image.pixels,
        normal[0].lungs,
        np.random.default_rng(seed),
        other=normal[1].image.pixels,
    )
    return FitResult(
        normal=normal[0].image.pixels,
        painted=painted,
        unseen=opacities[0],
        detection=detections[0],
        calibration=pipeline.calibration_,
        n_normal=len(normal),
        scores=_localise(detections, opacities),
        seconds=seconds,
    )


def _make_images(
    seed: int, notify: ProgressCallback
) -> tuple[list[PhantomCase], list[PhantomCase]]:
    """Make the normal chests to fit on, and others with an opacity."""
    total = N_NORMAL + N_OPACITY
    cases: list[PhantomCase] = []
    for case in phantom_cohort(N_NORMAL, N_OPACITY, seed=seed, size=IMAGE_SIZE):
        cases.append(case)
        notify("synthetic chests", len(cases), total, {})
    normal = [case for case in cases if case.kind == "normal"]
    return normal, [case for case in cases if case.kind != "normal"]


def _localise(
    detections: Sequence[Detection], cases: Sequence[PhantomCase]
) -> list[LocalisationScore]:
    scores = []
    for detection, case in zip(detections, cases, strict=True):
        try:
            scores.append(score_localisation(detection.native_heatmap, case.opacity))
        except InsufficientDataError:
            continue  # the opacity fills the lungs and leaves nothing to compare with
    return scores


# -------------------------------------------------------------------------- the paper's method


def _copy_sample(images: Dataset, rate: float, notify: ProgressCallback) -> CopyResult:
    """Reconstruct the images with an opacity by the paper's network."""
    pipeline = load_pipeline("paper")
    inside: list[FloatImage] = []
    outside: list[FloatImage] = []
    chosen = np.flatnonzero(images.labels != "normal").tolist()
    for done, index in enumerate(chosen, start=1):
        detection = pipeline.detect(images.images[index])
        copy = _stitch(detection)
        boxed = np.zeros(copy.shape, dtype=np.bool_)
        for row0, col0, row1, col1 in images.boxes(index, detection.resized.shape):
            boxed[row0:row1, col0:col1] = True
        errors = np.abs(copy - detection.resized.pixels)
        inside.append(errors[boxed & ~np.isnan(errors)])
        outside.append(errors[~boxed & ~np.isnan(errors)])
        if done == 1:
            first = detection, copy, images.boxes(index, detection.resized.shape)
        notify("paper's network: detect", done, len(chosen), {})
    return CopyResult(
        detection=first[0],
        copy=first[1],
        boxes=first[2],
        calibration=pipeline.calibration_,
        errors=(255 * _mean_of_all(inside), 255 * _mean_of_all(outside)),
        flagged=read_flagged("paper", rate),
    )


def _mean_of_all(parts: Sequence[FloatImage]) -> float:
    return float(np.concatenate(parts).mean())


def _stitch(detection: Detection) -> FloatImage:
    """Put the reconstructed patches where they were cut; NaN where there was none."""
    expected = detection.reconstruction.expected[:, 0]
    as_scores = attrs.evolve(detection.scores, error_maps=expected)
    assert isinstance(as_scores, PatchScores)
    return build_anomaly_map(detection.patches, as_scores, detail="pixel").heatmap
