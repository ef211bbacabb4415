"""The page that the demo writes. Its first screen says what lungpatch does, and how well."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import attrs
import numpy as np
from numpy.typing import NDArray

from lungpatch._utils.html_page import HtmlPage
from lungpatch.archive import SavedDetection
from lungpatch.cli.demo_drawing import (
    FOUND,
    TRUTH,
    add_boxes,
    add_outline,
    draw_grey,
    draw_map,
)
from lungpatch.cli.model_card import Flagged
from lungpatch.containers import FloatImage
from lungpatch.datasets.dataset import Dataset
from lungpatch.datasets.phantom import PhantomCase
from lungpatch.evaluation.metrics import LocalisationScore
from lungpatch.pipeline import Calibration, Detection
from lungpatch.synthesis import SyntheticLesion

if TYPE_CHECKING:
    from pathlib import Path

    from lungpatch._utils.renderings import Rendering

_OPACITY, _NORMAL, _CHILDREN = "Lung Opacity", "read as normal", "children, normal"
"""Kinds of images, as the model cards call them."""

_VERDICTS = {
    ("Opacity", True): "flagged",
    ("Opacity", False): "missed",
    ("Normal", True): "false alarm",
    ("Normal", False): "not flagged",
}


@attrs.frozen(eq=False, kw_only=True)
class SampleResult:
    """What the shipped detector found in the sample.

    Parameters
    ----------
    images : Dataset
    detections : tuple of SavedDetection
        One per image, in order.
    calibration : Calibration
    false_alarm_rate : float
        At which the detector was shipped.
    flagged : mapping of str to Flagged
        What its model card says about that rate, by kind of images.
    worklist : str
        Its worklist page, relative to the demo's page.
    """

    images: Dataset
    detections: tuple[SavedDetection, ...]
    calibration: Calibration
    false_alarm_rate: float
    flagged: Mapping[str, Flagged]
    worklist: str

    def order(self) -> list[int]:
        """Return the images in the order in which they are shown: with an opacity, then normal."""
        normal = self.images.labels == "normal"
        return [*np.flatnonzero(~normal).tolist(), *np.flatnonzero(normal).tolist()]

    def draw(self, index: int) -> Rendering:
        """Draw an image with its anomaly map, its boxes, and those of readers; uint8 (H, W, 3)."""
        image, saved = self.images.read(index), self.detections[index]
        rendering = draw_map(image.pixels, saved.heatmap(), self.calibration.colour_scale)
        add_boxes(rendering, self.images.boxes(index, image.shape), TRUTH)
        add_boxes(rendering, saved.boxes, FOUND)
        return rendering

    def verdict(self, index: int) -> str:
        """Say what an image is, and whether it was flagged."""
        truth = "Normal" if self.images.labels[index] == "normal" else "Opacity"
        decision = self.detections[index].decision
        return (
            f"{truth}, not scored"
            if decision is None
            else (f"{truth}, {_VERDICTS[truth, decision.pred_label]}")
        )


@attrs.frozen(eq=False, kw_only=True)
class FitResult:
    """A small detector, fitted to synthetic chests.

    Parameters
    ----------
    normal : ndarray of float32, shape (H, W)
        The first chest that it was fitted to.
    painted : SyntheticLesion
        The same with a lesion.
    unseen : PhantomCase
        A chest with an opacity that it was not fitted to.
    detection : Detection
        What it found there.
    calibration : Calibration
    n_normal : int
        Number of chests that it was fitted to.
    scores : list of LocalisationScore
        One per chest with an opacity.
    seconds : float
        How long fitting took.
    """

    normal: FloatImage
    painted: SyntheticLesion
    unseen: PhantomCase
    detection: Detection
    calibration: Calibration
    n_normal: int
    scores: Sequence[LocalisationScore]
    seconds: float


@attrs.frozen(eq=False, kw_only=True)
class CopyResult:
    """What the paper's network makes of images with an opacity.

    Parameters
    ----------
    detection : Detection
        In the first of them.
    copy : ndarray of float32, shape (H, W)
        Its reconstruction on the model grid, NaN where there is none.
    boxes : ndarray of int64, shape (K, 4)
        Those of readers, on the model grid.
    calibration : Calibration
    errors : tuple of float
        Mean absolute difference between image and reconstruction, in grey levels (0 to 255), inside
        the boxes of all images, and in the rest of their lungs.
    flagged : mapping of str to Flagged
        What the model card of the paper's pipeline says about the same rate.
    """

    detection: Detection
    copy: FloatImage
    boxes: NDArray[np.int64]
    calibration: Calibration
    errors: tuple[float, float]
    flagged: Mapping[str, Flagged]


def write_page(
    path: Path, shipped: SampleResult, fitted: FitResult, copied: CopyResult, *, seconds: float
) -> None:
    """Write the page.

    Parameters
    ----------
    path : pathlib.Path
    shipped : SampleResult
    fitted : FitResult
    copied : CopyResult
    seconds : float
        Time that the demo took.

    Examples
    --------
    >>> write_page(Path("index.html"), shipped, fitted, copied, seconds=30.0)  # doctest: +SKIP
    """
    page = HtmlPage("lungpatch finds what does not look like normal lung")
    _say_how_good(page, shipped)
    _show_sample(page, shipped)
    _show_fit(page, fitted)
    _show_copy(page, copied)
    _next_steps(page, shipped.images, seconds)
    page.write(path)


def _say_how_good(page: HtmlPage, shipped: SampleResult) -> None:
    rate = shipped.false_alarm_rate
    page.paragraph(
        "It is fitted to normal chest radiographs only. In others it colours and boxes what does "
        "not look like normal lung, and flags the image if there is much of it. At a false-alarm "
        f"rate of {_percent(rate)} (of 100 normal images like those that it was fitted to, about "
        f"{100 * rate:.0f} are flagged) it flags:"
    )
    kinds = (
        (_OPACITY, "images in which radiologists saw an opacity"),
        (_NORMAL, "images of the same hospital that they called normal"),
        (_CHILDREN, "normal images of children in another hospital"),
    )
    rows = []
    for kind, words in kinds:
        each = shipped.flagged[kind]
        interval = f"{100 * each.low:.0f} to {_percent(each.high)}"
        rows.append((f"{each.n} {words}", f"{_percent(each.fraction)} ({interval})"))
    page.table(rows, header=("of these", "flagged (95\u00a0% interval)"))


def _show_sample(page: HtmlPage, shipped: SampleResult) -> None:
    images, detections = shipped.images, shipped.detections
    normal = images.labels == "normal"
    n_known = shipped.flagged[_OPACITY].n + shipped.flagged[_NORMAL].n
    page.heading(f"{len(images)} images of the first two rows, run just now")
    page.paragraph(
        "White boxes: what lungpatch found. Green boxes: what radiologists marked. Colour: how "
        "unusual the lung looks, from violet to yellow. An image is flagged if its score is above "
        f"that of {_percent(1 - shipped.false_alarm_rate)} of normal images."
    )
    page.figures([(shipped.draw(index), *_words_of(shipped, index)) for index in shipped.order()])
    counts = [
        sum(_is_flagged(detections[index]) for index in np.flatnonzero(which))
        for which in (~normal, normal)
    ]
    page.paragraph(
        f"Flagged here: {counts[0]} of {int((~normal).sum())} with an opacity and {counts[1]} of "
        f"{int(normal.sum())} normal ones. {len(images)} of {n_known} images are no evaluation; "
        "the table is. They were chosen by their file names, before any score was known, and none "
        "of them trained anything that comes with lungpatch."
    )
    page.paragraph(
        "Images from elsewhere, like the children's, raise more false alarms until lungpatch "
        "calibrate has set the thresholds anew on normal images from there. None of the images in "
        "the table trained the detector, but some of its settings were chosen with a look at "
        "results on such images. A research tool, not a medical device."
    )
    page.link("Look at them closely: the worklist, the most unusual first", shipped.worklist)


def _words_of(shipped: SampleResult, index: int) -> tuple[str, str]:
    """Return the caption of an image, and its description for readers who cannot see it."""
    images, saved = shipped.images, shipped.detections[index]
    caption = shipped.verdict(index)
    if saved.decision is not None and saved.decision.p_value is not None:
        below = math.floor(100 * (1 - saved.decision.p_value))
        caption += f": score above that of {below}\u00a0% of normal images"
    boxes = f"{len(saved.boxes)} found, {len(images.box_labels[index])} by radiologists"
    return caption, f"radiograph {images.image_ids[index]} with its anomaly map; boxes: {boxes}"


def _is_flagged(saved: SavedDetection) -> bool:
    return saved.decision is not None and saved.decision.pred_label


def _show_fit(page: HtmlPage, fitted: FitResult) -> None:
    page.heading("How it learns without disease")
    page.paragraph(
        "Lesions are painted into normal lungs, and a detector is fitted to find them. Here is a "
        f"small one, fitted to {fitted.n_normal} synthetic chests in {fitted.seconds:.0f} seconds "
        "just now. The shipped one was fitted in the same way to real radiographs."
    )
    lesion, truth = draw_grey(fitted.painted.pixels), draw_grey(fitted.unseen.image.pixels)
    add_outline(lesion, fitted.painted.alpha > 0.05, TRUTH)
    add_outline(truth, fitted.unseen.opacity, TRUTH)
    scale = fitted.calibration.colour_scale
    found = draw_map(fitted.unseen.image.pixels, fitted.detection.native_heatmap, scale)
    add_boxes(found, fitted.detection.native_boxes, FOUND)
    captions = (
        (draw_grey(fitted.normal), "1. A normal chest, synthetic"),
        (lesion, "2. A lesion is painted into it: outlined, what is to be found"),
        (truth, "3. A chest that it was not fitted to, its opacity outlined"),
        (found, "4. What the fitted detector finds there"),
    )
    page.figures([(rendering, caption, caption) for rendering, caption in captions])
    hits = sum(score.pointing_hit for score in fitted.scores)
    by_chance = sum(score.chance for score in fitted.scores)
    page.paragraph(
        f"In {hits:.3g} of {len(fitted.scores)} such chests its highest score lies in the opacity; "
        f"a random point of the lungs would in about {by_chance:.0f}. Synthetic chests flatter a "
        "detector, since they are more alike than people are: they show how it works, not how good "
        "it is."
    )


def _show_copy(page: HtmlPage, copied: CopyResult) -> None:
    page.heading("Why the paper's method finds little")
    page.paragraph(
        "lungpatch began as a reproduction of a paper that fits a U-Net to reconstruct patches of "
        "normal lung, 32 pixels a side, and looks for patches that it reconstructs badly. But so "
        "small a patch is easy to copy, whatever it shows."
    )
    image = copied.detection.resized.pixels
    seen, copy = draw_grey(image), draw_grey(np.where(np.isnan(copied.copy), image, copied.copy))
    heatmap = copied.detection.anomaly_map.heatmap
    mapped = draw_map(image, heatmap, copied.calibration.colour_scale)
    for rendering in (seen, copy, mapped):
        add_boxes(rendering, copied.boxes, TRUTH)
    captions = (
        (seen, "1. The first image above, with the radiologists' boxes"),
        (copy, "2. Its lungs as the paper's network reconstructs them: opacities included"),
        (mapped, "3. Its anomaly map: where the two differ most"),
    )
    page.figures([(rendering, caption, caption) for rendering, caption in captions])
    opacity, normal = copied.flagged[_OPACITY], copied.flagged[_NORMAL]
    inside, outside = copied.errors
    page.paragraph(
        "In the images with an opacity, the reconstruction differs from the image by "
        f"{inside:.1f} of 255 grey levels inside the radiologists' boxes, and by {outside:.1f} in "
        "the rest of the lungs. So the score says little about disease: at the same false-alarm "
        f"rate, the paper's method flags {_percent(opacity.fraction)} of the {opacity.n} images "
        f"with an opacity and {_percent(normal.fraction)} of the {normal.n} normal ones."
    )


def _next_steps(page: HtmlPage, images: Dataset, seconds: float) -> None:
    page.heading("Next: your own images")
    page.code(
        "lungpatch detect images/ --out found               # with the shipped detector\n"
        "lungpatch calibrate normal/ --out site.lungpatch   # thresholds from your normal images\n"
        "lungpatch fit normal/ --out mine.lungpatch         # a detector of your own"
    )
    page.paragraph(
        "Beside this page lie sample/ (the radiographs, with the radiologists' tables), found/ "
        "(what the shipped detector found in them) and small.lungpatch (the small detector). All "
        f"of this took {seconds:.0f} seconds."
    )
    page.paragraph(f"Sources: {images.attribution}.")


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.0f}\u00a0%"
