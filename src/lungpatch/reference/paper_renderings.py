"""The paper's figures, drawn from a reproduction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lungpatch._utils.axes import figure_or_new, load_pyplot
from lungpatch._utils.files import atomic_write
from lungpatch.containers import PatchBatch, PatchScores
from lungpatch.reference.network_figure import plot_network
from lungpatch.reference.paper_figures import (
    plot_examples,
    plot_gradcam,
    plot_patch_frames,
    plot_patches,
    plot_reconstructions,
    plot_segmentation,
)
from lungpatch.reference.score_figures import plot_confusion, plot_kind_table, plot_score_histogram
from lungpatch.reference.settings import N_PNEUMONIA_IMAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from matplotlib.figure import Figure

    from lungpatch._utils.progress import ProgressCallback
    from lungpatch.reference.reproduction import Reproduction

_DPI = 110
_EXAMPLES = 4
_RANGES = 3


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
        The PNG of each figure by its name, in the paper's order. Figure 2 and the confusion
        tables are missing where the data do not allow them.
    """
    pyplot = load_pyplot()
    drawers = _drawers(found)
    paths = {}
    for done, (name, draw) in enumerate(drawers.items(), start=1):
        # Drawn the same way everywhere: SVG ids are random and dated otherwise.
        with pyplot.rc_context({"svg.hashsalt": "lungpatch", "svg.fonttype": "none"}):
            figure = draw()
            for suffix, metadata in (("png", {}), ("svg", {"Date": None})):
                with atomic_write(folder / f"{name}.{suffix}") as temporary:
                    figure.savefig(temporary, dpi=_DPI, metadata=metadata)
            pyplot.close(figure)
        paths[name] = folder / f"{name}.png"
        progress("figures", done, len(drawers), {})
    return paths


def _drawers(found: Reproduction) -> dict[str, Callable[[], Figure]]:
    images, roles, settings = found.images, found.roles, found.settings
    normal = np.flatnonzero(np.isin(roles, ("test", "held"))).tolist()
    sick = np.flatnonzero(roles == "pneumonia").tolist()
    shown = next((index for index in sick if images.boxed()[index]), sick[0])
    five = sorted({shown, *sick[:N_PNEUMONIA_IMAGES]})[:N_PNEUMONIA_IMAGES]
    verdict = found.results["stages"]["verdict"]["figures"]
    rule = verdict["table_1"]
    thresholds = rule.get("thresholds")

    drawers: dict[str, Callable[[], Figure]] = {
        "figure-01": lambda: plot_examples(
            [images.read(index)[0] for index in normal[:_EXAMPLES]],
            [images.read(index)[0] for index in sick[:_EXAMPLES]],
        )
    }
    if found.preliminary is not None:
        arrays = found.preliminary.arrays
        drawers["figure-02"] = lambda: plot_gradcam(
            np.stack([images.read(int(index))[0].pixels for index in arrays["shown"]]),
            arrays["cams"],
            arrays["probabilities"],
            np.stack([images.lungs(int(index)) for index in arrays["shown"]]),
            titles=[str(images.dataset.labels[index]) for index in arrays["shown"]],
        )
    drawers |= {
        "figure-03": lambda: _of(
            plot_patches(
                _cut(found, normal[:N_PNEUMONIA_IMAGES], healthy=True),
                seed=settings.seed,
                title="patches of normal lungs",
            )
        ),
        "figure-04": lambda: _of(
            plot_patches(
                _cut(found, five, healthy=False), seed=settings.seed, title="pneumonia patches"
            )
        ),
        "figure-05-normal": lambda: plot_segmentation(*images.read(normal[0])),
        "figure-05-pneumonia": lambda: plot_segmentation(*images.read(shown)),
        "figure-06": lambda: _of(plot_network(found.model)),
        "figure-07": lambda: _reconstructions(found, normal[:_EXAMPLES], healthy=True),
        "figure-08": lambda: _reconstructions(found, five, healthy=False),
        "figure-09": lambda: _histogram(found, thresholds),
        "figure-10": lambda: _frames(found, shown),
    }
    if thresholds is not None:
        drawers["table-1"] = lambda: _of(
            plot_kind_table(thresholds, kinds=found.kinds, scores=_sick_scores(found))
        )
        drawers["table-1-confusion"] = lambda: _of(
            plot_confusion(rule["confusion"], found.kinds, title="kinds by table 1's rule")
        )
    if found.preliminary is not None:
        test: Mapping[str, Any] = found.preliminary.figures["test"]
        drawers["two-class-confusion"] = lambda: _of(
            plot_confusion(test["confusion"], ("normal", "pneumonia"), title="two-class CNN")
        )
    return drawers


def _of(axes: Any) -> Figure:
    figure: Figure = axes.figure
    return figure


def _cut(found: Reproduction, indices: list[int], *, healthy: bool) -> PatchBatch:
    from lungpatch.reference.reproduction import EXHAUSTIVE, NORMAL

    sampler = NORMAL if healthy else EXHAUSTIVE
    return PatchBatch.concatenate([sampler.sample(*found.images.read(index)) for index in indices])


def _reconstructions(found: Reproduction, indices: list[int], *, healthy: bool) -> Figure:
    from lungpatch.reference.reproduction import SCORER

    patches = _cut(found, indices, healthy=healthy)
    reconstruction = found.model.reconstruct(patches)
    return plot_reconstructions(
        patches,
        reconstruction,
        SCORER.score(patches, reconstruction),
        seed=found.settings.seed,
        title="normal patches" if healthy else "patches of pneumonia images",
    )


def _sick_scores(found: Reproduction) -> Any:
    return found.table.scores[found.roles[found.table.film] == "pneumonia"]


def _histogram(found: Reproduction, thresholds: Any) -> Figure:
    table = found.table.select(found.roles[found.table.film] == "pneumonia")
    top = float(np.quantile(table.scores, 0.995))
    axes = plot_score_histogram(
        table.scores[table.scores <= top],
        kinds={
            kind: table.scores[(table.kinds == kind) & (table.scores <= top)]
            for kind in found.kinds
            if (table.kinds == kind).any()
        },
        thresholds=thresholds,
        title="patches of pneumonia images (highest 0.5 % not drawn)",
    )
    return _of(axes)


def _frames(found: Reproduction, index: int) -> Figure:
    """Frame the lower, middle and upper third of one image's patches."""
    table = found.table.select(found.table.film == index)
    image, _ = found.images.read(index)
    patches = _cut(found, [index], healthy=False)
    scores = PatchScores(values=table.scores, support=np.ones_like(patches.lung))
    edges = [-np.inf, *np.quantile(table.scores, (1 / 3, 2 / 3)), np.inf]
    figure = figure_or_new(None, (4.0 * _RANGES, 4.6))
    for axes, low, high in zip(figure.subplots(1, _RANGES), edges[:-1], edges[1:], strict=True):
        plot_patch_frames(image, patches, scores, (float(low), float(high)), axes=axes)
    return figure
