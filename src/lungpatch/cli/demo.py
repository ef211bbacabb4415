"""The demo: make synthetic chests, fit two detectors, find the opacities, and write a page."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lungpatch._utils.destinations import check_folder
from lungpatch._utils.progress import ProgressCallback, silent
from lungpatch.cli.demo_page import DetectorResult, write_page
from lungpatch.datasets.phantom import PhantomCase, phantom_cohort, save_cohort
from lungpatch.errors import InsufficientDataError
from lungpatch.evaluation.metrics import auroc, bootstrap_interval, score_localisation
from lungpatch.pipeline import Detection, Pipeline, pipeline_settings
from lungpatch.pipeline.configuration import build_pipeline, load_preset
from lungpatch.pipeline.storage import check_destination

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

IMAGE_SIZE = 256
COARSE_SIZE = 64
N_TRAINING = 60
N_NORMAL = 20
N_OPACITY = 20
EPOCHS = 20

PAGE = "index.html"


def run_demo(
    out: str | os.PathLike[str], *, seed: int = 1, progress: ProgressCallback | None = None
) -> Path:
    """Run the demo on synthetic images and write a page about it.

    Parameters
    ----------
    out : path
        Folder, made if it is missing. It gets ``index.html``, the images and true masks in
        ``images/``, and the fitted pipelines, ready for ``lungpatch detect``.
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
    detectors = _detectors()
    check_folder(out)
    for name, _, _ in detectors:
        check_destination(_pipeline_path(out, name))

    cases = _make_images(out, seed, notify)
    training, test = cases[:N_TRAINING], cases[N_TRAINING:]
    results = []
    for name, about, pipeline in detectors:
        pipeline.fit([_image_path(out, case) for case in training], progress=_named(notify, name))
        pipeline.save(_pipeline_path(out, name))
        detections = _detect(pipeline, out, test, _named(notify, name))
        results.append(_evaluate(name, about, pipeline, detections, test))
    page = out / PAGE
    write_page(page, results, test, n_training=len(training), seconds=time.perf_counter() - start)
    return page


def _detectors() -> list[tuple[str, str, Pipeline]]:
    tables = pipeline_settings(load_preset("paper"))
    tables["model"]["epochs"] = EPOCHS
    paper = build_pipeline(tables, origin="demo")
    whole = {"patch_size": COARSE_SIZE, "min_lung_fraction": 0.0}
    tables["pipeline"] |= {"grid_size": COARSE_SIZE, "map_detail": "pixel"}
    tables["fit_sampler"] |= whole
    tables["sampler"] |= whole
    tables["model"] = {"name": "pca", "patch_size": COARSE_SIZE, "n_components": 10}
    return [
        ("paper", "the paper: U-Net on 32x32 patches", paper),
        ("coarse-pca", "PCA of the whole image, 64x64", build_pipeline(tables, origin="demo")),
    ]


def _make_images(out: Path, seed: int, notify: ProgressCallback) -> list[PhantomCase]:
    """Make and save normal images, first those to train on, then images with an opacity."""
    total = N_TRAINING + N_NORMAL + N_OPACITY
    cases: list[PhantomCase] = []
    for case in phantom_cohort(N_TRAINING + N_NORMAL, N_OPACITY, seed=seed, size=IMAGE_SIZE):
        cases.append(case)
        notify("images", len(cases), total, {})
    save_cohort(cases, out / "images")
    return cases


def _image_path(out: Path, case: PhantomCase) -> Path:
    group = "normal" if case.kind == "normal" else "opacity"
    return out / "images" / group / f"{case.patient}.png"


def _pipeline_path(out: Path, name: str) -> Path:
    return out / f"{name}.lungpatch"


def _named(notify: ProgressCallback, name: str) -> ProgressCallback:
    def call(stage: str, done: int, total: int, metrics: Mapping[str, float]) -> None:
        notify(f"{name}: {stage}", done, total, metrics)

    return call


def _detect(
    pipeline: Pipeline, out: Path, test: Sequence[PhantomCase], notify: ProgressCallback
) -> list[Detection]:
    detections: list[Detection] = []
    for result in pipeline.detect_many(_image_path(out, case) for case in test):
        assert isinstance(result, Detection)  # the images were written a moment ago
        detections.append(result)
        notify("detect", len(detections), len(test), {})
    return detections


def _evaluate(
    name: str,
    about: str,
    pipeline: Pipeline,
    detections: Sequence[Detection],
    test: Sequence[PhantomCase],
) -> DetectorResult:
    scored = [
        (case, detection, detection.decision)
        for case, detection in zip(test, detections, strict=True)
        if detection.decision is not None
    ]
    scores = np.array([decision.pred_score for _, _, decision in scored])
    labels = np.array([case.kind != "normal" for case, _, _ in scored])
    localisations = []
    for case, detection, _ in scored:
        try:
            localisations.append(score_localisation(detection.native_heatmap, case.opacity))
        except InsufficientDataError:
            continue  # normal, or the opacity fills the lungs and leaves nothing to compare with
    return DetectorResult(
        name=name,
        about=about,
        pipeline=pipeline,
        detections=tuple(detections),
        image_auroc=auroc(scores, labels),
        image_auroc_interval=bootstrap_interval(
            auroc, [scores, labels], rng=np.random.default_rng(0)
        ),
        pixel_auroc=float(np.mean([score.pixel_auroc for score in localisations])),
        pointing=float(np.mean([score.pointing_hit for score in localisations])),
        chance=float(np.mean([score.chance for score in localisations])),
        false_alarms=sum(
            decision.pred_label for case, _, decision in scored if case.kind == "normal"
        ),
        milliseconds=1000 * float(np.median([detection.seconds for detection in detections])),
    )
