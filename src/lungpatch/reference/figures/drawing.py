"""All figures of a reproduction, drawn into a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import attrs
import numpy as np

from lungpatch._utils.axes import figure_or_new, load_pyplot
from lungpatch._utils.files import atomic_write
from lungpatch._utils.marks import RESULT_MARK
from lungpatch.containers import PatchBatch, PatchScores
from lungpatch.reference.figures.images import (
    plot_examples,
    plot_gradcam,
    plot_patch_frames,
    plot_patches,
    plot_reconstructions,
    plot_segmentation,
)
from lungpatch.reference.figures.network import plot_network
from lungpatch.reference.figures.scores import plot_confusion, plot_kind_table, plot_score_histogram
from lungpatch.reference.patch_table import (
    LUNG_SAMPLER,
    SCORER,
    WHOLE_IMAGE_SAMPLER,
    PatchTable,
)
from lungpatch.reference.settings import N_PNEUMONIA_IMAGES
from lungpatch.reference.study import Reproduction

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lungpatch._utils.progress import ProgressCallback
    from lungpatch.reference.stages import StageResult

CAPTIONS = {
    "figure-01": "Figure 1. Images of the two classes.",
    "figure-02": "Figure 2. Grad-CAM of the two-class CNN, for the class that it predicts for each "
    "image; the lungs are outlined.",
    "figure-03": "Figure 3. Patches of normal lungs.",
    "figure-04": "Figure 4. Patches from all over images of pneumonia.",
    "figure-05-normal": "Figure 5. A normal image, its lungs, and the background in one colour.",
    "figure-05-pneumonia": "Figure 5, for a pneumonia image, where the paper's segmenter failed.",
    "figure-06": "Figure 6. The network.",
    "figure-07": "Figure 7. Normal patches, their reconstructions, and both histograms.",
    "figure-08": "Figure 8. The same for patches of pneumonia images.",
    "figure-09": "Figure 9. SAD of the patches of pneumonia images, and of each kind.",
    "figure-10": "Figure 10. Patches framed by their SAD: lower, middle and upper third.",
    "table-1": "Table 1. The rule that turns a SAD into a kind; thresholds by multi-level Otsu.",
    "table-1-confusion": "Kinds of patches: true (rows) and predicted by table 1's rule (columns).",
    "two-class-confusion": "Confusion table of the two-class CNN on its test images.",
}
"""Caption of each figure, by name, in the paper's order."""

_DPI = 110
_N_EXAMPLES = 4
_N_RANGES = 3


def draw_figures(
    found: Reproduction, folder: Path, *, progress: ProgressCallback
) -> dict[str, Path]:
    """Draw figures 1 to 10 and table 1, each as PNG and SVG.

    Parameters
    ----------
    found : Reproduction
    folder : path
    progress : callable

    Returns
    -------
    dict of str to pathlib.Path
        The PNG of each figure by its name, in the order of `CAPTIONS`. Figure 2 and the confusion
        tables are missing where the data do not allow them.
    """
    pyplot = load_pyplot()
    functions = _Figures(found=found).functions()
    paths = {}
    for done, (name, draw) in enumerate(functions.items(), start=1):
        # Drawn the same way everywhere: SVG ids are random and dated otherwise.
        with pyplot.rc_context({"svg.hashsalt": "lungpatch", "svg.fonttype": "none"}):
            figure = draw()
            for suffix, metadata in (("png", {"Comment": RESULT_MARK}), ("svg", {"Date": None})):
                with atomic_write(folder / f"{name}.{suffix}") as temporary:
                    figure.savefig(temporary, dpi=_DPI, metadata=metadata)
            pyplot.close(figure)
        paths[name] = folder / f"{name}.png"
        progress("figures", done, len(functions), {})
    return paths


@attrs.frozen(eq=False, kw_only=True)
class _Figures:
    """Draws each figure of a reproduction."""

    found: Reproduction

    def functions(self) -> dict[str, Callable[[], Figure]]:
        """Return what draws each figure that the data allow, by name, in the paper's order."""
        drawn: dict[str, Callable[[], Figure]] = {
            "figure-01": self.examples,
            "figure-03": self.normal_patches,
            "figure-04": self.pneumonia_patches,
            "figure-05-normal": lambda: self.segmentation(self.normal[0]),
            "figure-05-pneumonia": lambda: self.segmentation(self.shown),
            "figure-06": lambda: _figure_of(plot_network(self.found.model)),
            "figure-07": self.normal_reconstructions,
            "figure-08": self.pneumonia_reconstructions,
            "figure-09": self.histogram,
            "figure-10": self.frames,
        }
        classified, rule = self.found.classifier, self.rule
        if classified is not None:
            drawn["figure-02"] = lambda: self.gradcam(classified)
            drawn["two-class-confusion"] = lambda: self.two_class_confusion(classified)
        if rule is not None:
            drawn["table-1"] = lambda: self.kind_table(rule)
            drawn["table-1-confusion"] = lambda: self.kind_confusion(rule)
        return {name: drawn[name] for name in CAPTIONS if name in drawn}

    @property
    def normal(self) -> list[int]:
        """Normal images that were not used for training."""
        return self.found.study.normal_images

    @property
    def shown(self) -> int:
        """A pneumonia image, with boxes if there is one."""
        study = self.found.study
        images = study.pneumonia_images
        return next((index for index in images if study.images.boxed[index]), images[0])

    @property
    def pneumonia(self) -> list[int]:
        """As many pneumonia images as the paper has."""
        first = self.found.study.pneumonia_images[:N_PNEUMONIA_IMAGES]
        return sorted({self.shown, *first})[:N_PNEUMONIA_IMAGES]

    @property
    def rule(self) -> dict[str, Any] | None:
        """Table 1's rule; None where it could not be found."""
        rule: dict[str, Any] = self.found.results["stages"]["claims"]["values"]["table_1"]
        return None if "skipped" in rule else rule

    @property
    def pneumonia_table(self) -> PatchTable:
        """Scored patches of pneumonia images."""
        return self.found.table.select(self.found.study.of_pneumonia(self.found.table))

    def cut(self, indices: list[int], *, normal: bool) -> PatchBatch:
        sampler = LUNG_SAMPLER if normal else WHOLE_IMAGE_SAMPLER
        images = self.found.study.images
        return PatchBatch.concatenate([sampler.sample(*images.read(index)) for index in indices])

    def examples(self) -> Figure:
        study = self.found.study
        normal, pneumonia = (
            [study.images.read(index)[0] for index in indices[:_N_EXAMPLES]]
            for indices in (study.normal_images, study.pneumonia_images)
        )
        return plot_examples(normal, pneumonia)

    def gradcam(self, classified: StageResult) -> Figure:
        images, arrays = self.found.study.images, classified.arrays
        shown = arrays["shown"].tolist()
        return plot_gradcam(
            np.stack([images.read(index)[0].pixels for index in shown]),
            arrays["cams"],
            arrays["probabilities"],
            np.stack([images.lungs(index) for index in shown]),
            titles=[str(images.dataset.labels[index]) for index in shown],
        )

    def normal_patches(self) -> Figure:
        patches = self.cut(self.normal[:N_PNEUMONIA_IMAGES], normal=True)
        seed = self.found.study.settings.seed
        return _figure_of(plot_patches(patches, seed=seed, title="patches of normal lungs"))

    def pneumonia_patches(self) -> Figure:
        patches = self.cut(self.pneumonia, normal=False)
        seed = self.found.study.settings.seed
        return _figure_of(plot_patches(patches, seed=seed, title="patches of pneumonia images"))

    def segmentation(self, index: int) -> Figure:
        return plot_segmentation(*self.found.study.images.read(index))

    def normal_reconstructions(self) -> Figure:
        patches = self.cut(self.normal[:_N_EXAMPLES], normal=True)
        return self.reconstructions(patches, "normal patches")

    def pneumonia_reconstructions(self) -> Figure:
        patches = self.cut(self.pneumonia, normal=False)
        return self.reconstructions(patches, "patches of pneumonia images")

    def reconstructions(self, patches: PatchBatch, title: str) -> Figure:
        reconstruction = self.found.model.reconstruct(patches)
        scores = SCORER.score(patches, reconstruction)
        seed = self.found.study.settings.seed
        figure = plot_reconstructions(patches, reconstruction, scores, seed=seed)
        figure.suptitle(title)
        return figure

    def histogram(self) -> Figure:
        table = self.pneumonia_table
        table = table.select(table.scores <= float(np.quantile(table.scores, 0.995)))
        axes = plot_score_histogram(
            table.scores,
            kinds={
                kind: table.scores[table.kinds == kind]
                for kind in self.found.study.kinds
                if (table.kinds == kind).any()
            },
            thresholds=None if self.rule is None else self.rule["thresholds"],
            title="patches of pneumonia images (highest 0.5 % not drawn)",
        )
        return _figure_of(axes)

    def frames(self) -> Figure:
        """Frame the lower, middle and upper third of one image's patches."""
        table = self.found.table.select(self.found.table.image == self.shown)
        image, _ = self.found.study.images.read(self.shown)
        patches = self.cut([self.shown], normal=False)
        scores = PatchScores(values=table.scores, support=np.ones_like(patches.lung))
        edges = [-np.inf, *np.quantile(table.scores, (1 / 3, 2 / 3)), np.inf]
        figure = figure_or_new(None, (4.0 * _N_RANGES, 4.6))
        panels = figure.subplots(1, _N_RANGES)
        for axes, low, high in zip(panels, edges[:-1], edges[1:], strict=True):
            plot_patch_frames(image, patches, scores, (float(low), float(high)), axes=axes)
        return figure

    def kind_table(self, rule: dict[str, Any]) -> Figure:
        kinds, scores = self.found.study.kinds, self.pneumonia_table.scores
        return _figure_of(plot_kind_table(rule["thresholds"], kinds=kinds, scores=scores))

    def kind_confusion(self, rule: dict[str, Any]) -> Figure:
        title = "kinds by table 1's rule"
        return _figure_of(plot_confusion(rule["confusion"], rule["kinds"], title=title))

    def two_class_confusion(self, classified: StageResult) -> Figure:
        counts = classified.values["test"]["confusion"]
        names = ("normal", "pneumonia")
        return _figure_of(plot_confusion(counts, names, title="two-class CNN"))


def _figure_of(axes: Axes) -> Figure:
    return cast("Figure", axes.figure)  # never part of another figure here
