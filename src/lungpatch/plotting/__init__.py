"""Figures for notebooks and papers: detections, training, and the paper's own; needs matplotlib.

Each function draws on a new figure of ``matplotlib.pyplot``, or on the ``figure`` or ``axes`` that
it is given, and opens no window. Whoever draws many closes them: ``pyplot.close(figure)``.
"""

from lungpatch.plotting.detections import plot_detection, plot_history
from lungpatch.plotting.evaluation_figures import plot_froc, plot_roc, plot_scores_by_kind
from lungpatch.plotting.network_figure import plot_network
from lungpatch.plotting.paper_figures import (
    plot_examples,
    plot_gradcam,
    plot_patch_frames,
    plot_patches,
    plot_reconstructions,
    plot_segmentation,
)
from lungpatch.plotting.score_figures import (
    KINDS,
    plot_confusion,
    plot_kind_table,
    plot_score_histogram,
)

__all__ = [
    "KINDS",
    "plot_confusion",
    "plot_detection",
    "plot_examples",
    "plot_froc",
    "plot_gradcam",
    "plot_history",
    "plot_kind_table",
    "plot_network",
    "plot_patch_frames",
    "plot_patches",
    "plot_reconstructions",
    "plot_roc",
    "plot_score_histogram",
    "plot_scores_by_kind",
    "plot_segmentation",
]
