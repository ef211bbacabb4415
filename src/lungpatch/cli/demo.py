"""The demo: make chests, learn the healthy ones, find the opacities, tell how well that went."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from lungpatch._utils.html_page import HtmlPage
from lungpatch._utils.progress import ProgressCallback, silent
from lungpatch._utils.renderings import contact_sheet
from lungpatch.datasets.phantom import PhantomCase, phantom_cohort, save_cohort
from lungpatch.errors import InsufficientDataError
from lungpatch.evaluation.metrics import auroc, bootstrap_interval, score_localisation
from lungpatch.pipeline import Detection, Pipeline, pipeline_settings
from lungpatch.pipeline.configuration import build_pipeline, load_preset
from lungpatch.reports import overlay

FILM_SIZE = 256
COARSE_SIZE = 64
N_LEARNT = 60
N_HEALTHY = 20
N_OPAQUE = 20
N_SHOWN = 4
EPOCHS = 20


@attrs.frozen(eq=False, kw_only=True)
class DetectorResult:
    """How well one detector found the opacities of the test films.

    Parameters
    ----------
    name, about : str
    pipeline : Pipeline
    detections : tuple of Detection
        One a test film, in order.
    image_auroc : float
        Films with an opacity against healthy films, by image score.
    image_auroc_interval : tuple of float
        Its bootstrap 95 % interval.
    pixel_auroc : float
        Pixels in the opacity against the other lung pixels of the same film; mean over films.
    pointing : float
        Share of films whose highest heat lies in the opacity.
    chance : float
        The same for a random point in the lungs.
    false_alarms : int
        Healthy test films above the threshold.
    milliseconds : float
        Median time a film.

    Examples
    --------
    >>> result.pixel_auroc, result.pointing > result.chance            # doctest: +SKIP
    """

    name: str
    about: str
    pipeline: Pipeline
    detections: tuple[Detection, ...]
    image_auroc: float
    image_auroc_interval: tuple[float, float]
    pixel_auroc: float
    pointing: float
    chance: float
    false_alarms: int
    milliseconds: float


def run_demo(
    out: str | os.PathLike[str], *, seed: int = 1, progress: ProgressCallback | None = None
) -> Path:
    """Run the demo on a phantom cohort and write a page about it.

    Parameters
    ----------
    out : path
        Folder, made if it is missing: ``index.html``, the films and true masks in ``films/``, and
        the fitted pipelines, ready for ``lungpatch detect``.
    seed : int
        Of the cohort.
    progress : callable, optional
        See `lungpatch.progress_bar`.

    Returns
    -------
    pathlib.Path
        The page.

    Examples
    --------
    >>> run_demo("lungpatch-demo")                                     # doctest: +SKIP
    PosixPath('lungpatch-demo/index.html')
    """
    start = time.perf_counter()
    notify = progress or silent
    out = Path(out)
    cases = []
    total = N_LEARNT + N_HEALTHY + N_OPAQUE
    for case in phantom_cohort(N_LEARNT + N_HEALTHY, N_OPAQUE, seed=seed, size=FILM_SIZE):
        cases.append(case)
        notify("films", len(cases), total, {})
    save_cohort(cases, out / "films")
    learnt = [_film(out, case) for case in cases[:N_LEARNT]]
    test = cases[N_LEARNT:]

    results = []
    for name, about, pipeline in _detectors():
        pipeline.fit(learnt, progress=_named(notify, name))
        pipeline.save(out / f"{name}.lungpatch")
        results.append(_evaluate(name, about, pipeline, out, test, _named(notify, name)))
    page = out / "index.html"
    _write_page(page, results, test, seconds=time.perf_counter() - start)
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
        ("coarse-pca", "PCA of the whole film, 64x64", build_pipeline(tables, origin="demo")),
    ]


def _film(out: Path, case: PhantomCase) -> Path:
    group = "healthy" if case.kind == "healthy" else "opacity"
    return out / "films" / group / f"{case.patient}.png"


def _named(notify: ProgressCallback, name: str) -> ProgressCallback:
    def call(stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        notify(f"{name}: {stage}", done, total, figures)

    return call


def _evaluate(
    name: str,
    about: str,
    pipeline: Pipeline,
    out: Path,
    test: Sequence[PhantomCase],
    notify: ProgressCallback,
) -> DetectorResult:
    detections: list[Detection] = []
    for result in pipeline.detect_many(_film(out, case) for case in test):
        assert isinstance(result, Detection)  # the films were written a moment ago
        detections.append(result)
        notify("detect", len(detections), len(test), {})
    scored = [
        (case, found, found.decision)
        for case, found in zip(test, detections, strict=True)
        if found.decision is not None
    ]
    scores = np.array([decision.pred_score for _, _, decision in scored])
    opaque = np.array([case.kind != "healthy" for case, _, _ in scored])
    places = []
    for case, found, _ in scored:
        try:
            places.append(score_localisation(found.native_heatmap, case.opacity))
        except InsufficientDataError:
            continue  # healthy, or the opacity fills the lungs: nowhere else to point at
    return DetectorResult(
        name=name,
        about=about,
        pipeline=pipeline,
        detections=tuple(detections),
        image_auroc=auroc(scores, opaque),
        image_auroc_interval=bootstrap_interval(
            auroc, [scores, opaque], rng=np.random.default_rng(0)
        ),
        pixel_auroc=float(np.mean([place.pixel_auroc for place in places])),
        pointing=float(np.mean([place.pointing_hit for place in places])),
        chance=float(np.mean([place.chance for place in places])),
        false_alarms=sum(
            decision.pred_label for case, _, decision in scored if case.kind == "healthy"
        ),
        milliseconds=1000 * float(np.median([found.seconds for found in detections])),
    )


def _write_page(
    path: Path, results: Sequence[DetectorResult], test: Sequence[PhantomCase], *, seconds: float
) -> None:
    best = max(results, key=lambda result: result.pixel_auroc)
    page = HtmlPage("lungpatch demo: where does a chest depart from healthy lung?")
    page.paragraph(
        f"Two detectors learnt from {N_LEARNT} synthetic healthy chests, without seeing a single "
        f"opacity. Then they looked at {N_HEALTHY} other healthy chests and {N_OPAQUE} with an "
        f"opacity whose place is known. All of this took {seconds:.0f} seconds."
    )
    page.paragraph(
        f"Found best by: {best.about}. Its heat ranks a pixel of the opacity above another "
        f"lung pixel of the same film {best.pixel_auroc:.0%} of the time (50 % is chance), and its "
        f"hottest point lies in the opacity in {best.pointing:.0%} of the films (a random point "
        f"would in {best.chance:.0%})."
    )
    page.table(
        [_row(result) for result in results],
        header=(
            "detector",
            "opaque or healthy? AUROC [95 % interval]",
            "where? pixel AUROC",
            "hottest point hits",
            "by chance",
            "healthy films above the threshold",
            "identity shortcut",
            "ms a film",
        ),
    )
    page.paragraph(
        "AUROC: 0.5 is chance, 1 is perfect; below 0.5 the score points the wrong way. Identity "
        "shortcut: 0 if the model restores healthy lung under an opacity, 1 if it copies the "
        "opacity, above 1 if it reconstructs opacities even better than healthy lung. Near 1 the "
        "model has learnt to copy, since small smooth patches are easy to copy: that is how the "
        "paper's method fails. The thresholds come from healthy films alone."
    )
    shown = _shown(test)
    page.heading("The truth")
    page.picture(
        contact_sheet(
            [_outlined(test[index]) for index in shown],
            columns=len(shown),
            labels=[_kind(test[index]) for index in shown],
        ),
        caption="Some of the test films, the opacities outlined.",
        alt="test films with their opacities outlined",
    )
    for result in results:
        page.heading(f"What was found by {result.about}")
        page.paragraph(
            "Colour is heat above the usual. All maps of a detector share one scale, fixed by "
            "healthy films, so the same colour means the same score."
        )
        for index in shown:
            found = result.detections[index]
            page.picture(
                overlay(found, result.pipeline.calibration.colour_scale),
                caption=f"{test[index].patient}: {_kind(test[index])}",
                alt=f"film {test[index].patient} ({_kind(test[index])}) and its anomaly map",
            )
    page.heading("Go on")
    page.paragraph(
        "The films, their true masks and both fitted pipelines lie beside this page. On your own "
        "films: lungpatch fit healthy/ --out mine.lungpatch, then lungpatch detect others/ "
        "--pipeline mine.lungpatch --out found. Synthetic chests flatter a detector: they are "
        "more alike than people are. lungpatch is a research tool, not a medical device."
    )
    page.write(path)


def _row(result: DetectorResult) -> list[Any]:
    low, high = result.image_auroc_interval
    report = result.pipeline.report_
    shortcut = report.identity_shortcut if report else None
    return [
        result.about,
        f"{result.image_auroc:.2f} [{low:.2f}, {high:.2f}]",
        f"{result.pixel_auroc:.2f}",
        f"{result.pointing:.0%}",
        f"{result.chance:.0%}",
        f"{result.false_alarms} of {N_HEALTHY}",
        "-" if shortcut is None else f"{shortcut['shortcut']:.2f}",
        f"{result.milliseconds:.0f}",
    ]


def _shown(test: Sequence[PhantomCase]) -> list[int]:
    """Choose the first films with an opacity, of a kind each, and the first healthy one."""
    opaque = [index for index, case in enumerate(test) if case.kind != "healthy"]
    healthy = [index for index, case in enumerate(test) if case.kind == "healthy"]
    return opaque[:N_SHOWN] + healthy[:1]


def _kind(case: PhantomCase) -> str:
    return "healthy" if case.kind == "healthy" else f"{case.kind} opacity"


def _outlined(case: PhantomCase) -> NDArray[np.uint8]:
    from scipy.ndimage import binary_dilation

    picture = np.repeat((case.image.pixels[..., None] * 255).round().astype(np.uint8), 3, axis=2)
    picture[binary_dilation(case.opacity) & ~case.opacity] = (80, 220, 100)
    return picture
