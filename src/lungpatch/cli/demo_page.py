"""The page that the demo writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import numpy as np
from scipy.ndimage import binary_dilation

from lungpatch._utils.html_page import HtmlPage
from lungpatch._utils.renderings import Rendering, contact_sheet
from lungpatch.pipeline import Detection, Pipeline
from lungpatch.reports import overlay

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lungpatch.datasets.phantom import PhantomCase

N_SHOWN = 4
"""Number of test images with an opacity on the page, besides one normal image."""

_HEADER = (
    "detector",
    "opacity or normal? AUROC [95 % interval]",
    "where? pixel AUROC",
    "maximum lies in the opacity",
    "by chance",
    "normal images above the threshold",
    "identity shortcut",
    "ms per image",
)

_EXPLANATION = (
    "AUROC: 0.5 is chance, 1 is perfect; below 0.5 the score points the wrong way. Identity "
    "shortcut: 0 if the model restores normal lung under an opacity, 1 if it copies the opacity, "
    "above 1 if it reconstructs opacities even better than normal lung. Near 1 the model has "
    "become a copier, since small smooth patches are easy to copy: that is how the paper's method "
    "fails. The thresholds come from normal images alone."
)

_NEXT_STEPS = (
    "The images, their true masks and both fitted pipelines are in the folder of this page. For "
    "your own images: lungpatch fit normal/ --out mine.lungpatch, then lungpatch detect others/ "
    "--pipeline mine.lungpatch --out found. Synthetic chests flatter a detector: they are more "
    "alike than people are. lungpatch is a research tool, not a medical device."
)


@attrs.frozen(eq=False, kw_only=True)
class DetectorResult:
    """How well one detector found the opacities of the test images.

    Parameters
    ----------
    name, about : str
        Name of its saved pipeline, and what it is.
    pipeline : Pipeline
    detections : tuple of Detection
        One per test image, in order.
    image_auroc : float
        AUROC of the image scores: images with an opacity against normal images.
    image_auroc_interval : tuple of float
        Its bootstrap 95 % interval.
    pixel_auroc : float
        AUROC of the anomaly scores of one image: pixels in the opacity against all other pixels of
        the lungs; mean over images.
    pointing : float
        Fraction of images whose maximum lies in the opacity.
    chance : float
        The same for a random point in the lungs.
    false_alarms : int
        Number of normal test images above the threshold.
    milliseconds : float
        Median time per image.

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


def write_page(
    path: Path,
    results: Sequence[DetectorResult],
    test: Sequence[PhantomCase],
    *,
    n_training: int,
    seconds: float,
) -> None:
    """Write the page about what the detectors found.

    Parameters
    ----------
    path : pathlib.Path
    results : sequence of DetectorResult
    test : sequence of PhantomCase
        The test images, as in ``detections`` of each result.
    n_training : int
        Number of normal images that the detectors were fitted to.
    seconds : float
        Time that the demo took.

    Examples
    --------
    >>> write_page(Path("index.html"), results, cases, n_training=60,
    ...            seconds=120.0)                                      # doctest: +SKIP
    """
    shown = _shown(test)
    n_normal = sum(case.kind == "normal" for case in test)
    page = HtmlPage("lungpatch demo: where does a chest depart from normal lung?")
    page.paragraph(
        f"Two detectors were fitted to {n_training} synthetic normal chests and did not see a "
        f"single opacity. Then they were tried on {n_normal} other normal chests and on "
        f"{len(test) - n_normal} with an opacity whose position is known. All of this took "
        f"{seconds:.0f} seconds."
    )
    _summarise(page, results, n_normal)
    page.heading("The truth")
    page.figure(
        contact_sheet(
            [_outlined(test[index]) for index in shown],
            columns=len(shown),
            labels=[_kind(test[index]) for index in shown],
        ),
        caption="Some of the test images, the opacities outlined.",
        alt="test images with their opacities outlined",
    )
    for result in results:
        _show_detections(page, result, [(index, test[index]) for index in shown])
    page.heading("Next steps")
    page.paragraph(_NEXT_STEPS)
    page.write(path)


def _summarise(page: HtmlPage, results: Sequence[DetectorResult], n_normal: int) -> None:
    best = max(results, key=lambda result: result.pixel_auroc)
    page.paragraph(
        f"The better one is {best.about}. Its anomaly map ranks a pixel of the opacity above "
        f"another lung pixel of the same image {best.pixel_auroc:.0%} of the time (50 % is "
        f"chance), and its maximum lies in the opacity in {best.pointing:.0%} of the images (a "
        f"random point would in {best.chance:.0%})."
    )
    page.table([_row(result, n_normal) for result in results], header=_HEADER)
    page.paragraph(_EXPLANATION)


def _row(result: DetectorResult, n_normal: int) -> list[str]:
    low, high = result.image_auroc_interval
    report = result.pipeline.report_
    shortcut = report.identity_shortcut if report else None
    return [
        result.about,
        f"{result.image_auroc:.2f} [{low:.2f}, {high:.2f}]",
        f"{result.pixel_auroc:.2f}",
        f"{result.pointing:.0%}",
        f"{result.chance:.0%}",
        f"{result.false_alarms} of {n_normal}",
        "-" if shortcut is None else f"{shortcut['shortcut']:.2f}",
        f"{result.milliseconds:.0f}",
    ]


def _show_detections(
    page: HtmlPage, result: DetectorResult, shown: Sequence[tuple[int, PhantomCase]]
) -> None:
    page.heading(f"Results of {result.about}")
    page.paragraph(
        "Colour shows anomaly scores that are high for normal lung. All maps of a detector share "
        "one scale, which comes from normal images, so the same colour means the same score."
    )
    for index, case in shown:
        page.figure(
            overlay(result.detections[index], result.pipeline.calibration_.colour_scale),
            caption=f"{case.patient}: {_kind(case)}",
            alt=f"image {case.patient} ({_kind(case)}) and its anomaly map",
        )


def _shown(test: Sequence[PhantomCase]) -> list[int]:
    """Choose the first images with an opacity and the first normal one; return their numbers."""
    with_opacity = [index for index, case in enumerate(test) if case.kind != "normal"]
    normal = [index for index, case in enumerate(test) if case.kind == "normal"]
    return with_opacity[:N_SHOWN] + normal[:1]


def _kind(case: PhantomCase) -> str:
    return "normal" if case.kind == "normal" else f"{case.kind} opacity"


def _outlined(case: PhantomCase) -> Rendering:
    """Draw an image with a green line around its opacity."""
    grey = (case.image.pixels * 255).round().astype(np.uint8)
    rendering = np.repeat(grey[..., None], 3, axis=2)
    rendering[binary_dilation(case.opacity) & ~case.opacity] = (80, 220, 100)
    return rendering
