"""The demo: make chests, learn the normal ones, find the opacities, tell how well that went."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from lungpatch._utils.html_page import HtmlPage
from lungpatch._utils.progress import ProgressCallback, silent
from lungpatch._utils.renderings import contact_sheet
from lungpatch.datasets.phantom import PhantomCase, phantom_cohort, save_cohort
from lungpatch.errors import InsufficientDataError
from lungpatch.evaluation.metrics import auroc, bootstrap_interval, score_localisation
from lungpatch.pipeline import Detection, Pipeline, pipeline_settings
from lungpatch.pipeline.configuration import build_pipeline, load_preset
from lungpatch.reports import overlay

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

IMAGE_SIZE = 256
COARSE_SIZE = 64
N_LEARNT = 60
N_NORMAL = 20
N_OPAQUE = 20
N_SHOWN = 4
EPOCHS = 20


@attrs.frozen(eq=False, kw_only=True)
class DetectorResult:
    """How well one detector found the opacities of the test images.

    Parameters
    ----------
    name, about : str
    pipeline : Pipeline
    detections : tuple of Detection
        One a test image, in order.
    image_auroc : float
        Images with an opacity against normal images, by image score.
    image_auroc_interval : tuple of float
        Its bootstrap 95 % interval.
    pixel_auroc : float
        Pixels in the opacity against the other lung pixels of the same image; mean over images.
    pointing : float
        Share of images whose highest heat lies in the opacity.
    chance : float
        The same for a random point in the lungs.
    false_alarms : int
        Normal test images above the threshold.
    milliseconds : float
        Median time an image.

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
        Folder, made if it is missing: ``index.html``, the images and true masks in ``images/``, and
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
    total = N_LEARNT + N_NORMAL + N_OPAQUE
    for case in phantom_cohort(N_LEARNT + N_NORMAL, N_OPAQUE, seed=seed, size=IMAGE_SIZE):
        cases.append(case)
        notify("images", len(cases), total, {})
    save_cohort(cases, out / "images")
    learnt = [_image(out, case) for case in cases[:N_LEARNT]]
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
        ("coarse-pca", "PCA of the whole image, 64x64", build_pipeline(tables, origin="demo")),
    ]


def _image(out: Path, case: PhantomCase) -> Path:
    group = "normal" if case.kind == "normal" else "opacity"
    return out / "images" / group / f"{case.patient}.png"


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
    for result in pipeline.detect_many(_image(out, case) for case in test):
        assert isinstance(result, Detection)  # the images were written a moment ago
        detections.append(result)
        notify("detect", len(detections), len(test), {})
    scored = [
        (case, found, found.decision)
        for case, found in zip(test, detections, strict=True)
        if found.decision is not None
    ]
    scores = np.array([decision.pred_score for _, _, decision in scored])
    opaque = np.array([case.kind != "normal" for case, _, _ in scored])
    places = []
    for case, found, _ in scored:
        try:
            places.append(score_localisation(found.native_heatmap, case.opacity))
        except InsufficientDataError:
            continue  # normal, or the opacity fills the lungs: nowhere else to point at
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
            decision.pred_label for case, _, decision in scored if case.kind == "normal"
        ),
        milliseconds=1000 * float(np.median([found.seconds for found in detections])),
    )


def _write_page(
    path: Path, results: Sequence[DetectorResult], test: Sequence[PhantomCase], *, seconds: float
) -> None:
    best = max(results, key=lambda result: result.pixel_auroc)
    page = HtmlPage("lungpatch demo: where does a chest depart from normal lung?")
    page.paragraph(
        f"Two detectors learnt from {N_LEARNT} synthetic normal chests, without seeing a single "
        f"opacity. Then they looked at {N_NORMAL} other normal chests and {N_OPAQUE} with an "
        f"opacity whose place is known. All of this took {seconds:.0f} seconds."
    )
    page.paragraph(
        f"Found best by: {best.about}. Its heat ranks a pixel of the opacity above another "
        f"lung pixel of the same image {best.pixel_auroc:.0%} of the time (50 % is chance), and its "
        f"hottest point lies in the opacity in {best.pointing:.0%} of the images (a random point "
        f"would in {best.chance:.0%})."
    )
    page.table(
        [_row(result) for result in results],
        header=(
            "detector",
            "opaque or normal? AUROC [95 % interval]",
            "where? pixel AUROC",
            "hottest point hits",
            "by chance",
            "normal images above the threshold",
            "identity shortcut",
            "ms an image",
        ),
    )
    page.paragraph(
        "AUROC: 0.5 is chance, 1 is perfect; below 0.5 the score points the wrong way. Identity "
        "shortcut: 0 if the model restores normal lung under an opacity, 1 if it copies the "
        "opacity, above 1 if it reconstructs opacities even better than normal lung. Near 1 the "
        "model has learnt to copy, since small smooth patches are easy to copy: that is how the "
        "paper's method fails. The thresholds come from normal images alone."
    )
    shown = _shown(test)
    page.heading("The truth")
    page.picture(
        contact_sheet(
            [_outlined(test[index]) for index in shown],
            columns=len(shown),
            labels=[_kind(test[index]) for index in shown],
        ),
        caption="Some of the test images, the opacities outlined.",
        alt="test images with their opacities outlined",
    )
    for result in results:
        page.heading(f"What was found by {result.about}")
        page.paragraph(
            "Colour is heat above the usual. All maps of a detector share one scale, fixed by "
            "normal images, so the same colour means the same score."
        )
        for index in shown:
            found = result.detections[index]
            page.picture(
                overlay(found, result.pipeline.calibration.colour_scale),
                caption=f"{test[index].patient}: {_kind(test[index])}",
                alt=f"image {test[index].patient} ({_kind(test[index])}) and its anomaly map",
            )
    page.heading("Go on")
    page.paragraph(
        "The images, their true masks and both fitted pipelines lie beside this page. On your own "
        "images: lungpatch fit normal/ --out mine.lungpatch, then lungpatch detect others/ "
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
        f"{result.false_alarms} of {N_NORMAL}",
        "-" if shortcut is None else f"{shortcut['shortcut']:.2f}",
        f"{result.milliseconds:.0f}",
    ]


def _shown(test: Sequence[PhantomCase]) -> list[int]:
    """Choose the first images with an opacity, of a kind each, and the first normal one."""
    opaque = [index for index, case in enumerate(test) if case.kind != "normal"]
    normal = [index for index, case in enumerate(test) if case.kind == "normal"]
    return opaque[:N_SHOWN] + normal[:1]


def _kind(case: PhantomCase) -> str:
    return "normal" if case.kind == "normal" else f"{case.kind} opacity"


def _outlined(case: PhantomCase) -> NDArray[np.uint8]:
    from scipy.ndimage import binary_dilation

    picture = np.repeat((case.image.pixels[..., None] * 255).round().astype(np.uint8), 3, axis=2)
    picture[binary_dilation(case.opacity) & ~case.opacity] = (80, 220, 100)
    return picture
