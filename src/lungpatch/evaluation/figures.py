"""Figures of an evaluation: ROC curve, FROC curve, scores by kind of image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lungpatch._utils.axes import axes_or_new
from lungpatch.evaluation.froc import FALSE_BOXES, froc_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from lungpatch.evaluation.protocol import Evaluation


def plot_roc(evaluation: Evaluation, *, axes: Axes | None = None) -> Axes:
    """Draw the ROC curves of positive images against normal ones.

    Of images that were read, those are the images read as opacity and as normal; see
    `lungpatch.evaluation.kinds.Kinds`.

    Parameters
    ----------
    evaluation : Evaluation
    axes : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> plot_roc(evaluation)                                           # doctest: +SKIP
    """
    axes = axes_or_new(axes, (5.0, 5.0))
    roles = np.array([case.role for case in evaluation.cases])
    for number, result in enumerate(evaluation.results):
        scores = np.nan_to_num(result.predictions.scores, nan=-np.inf)
        positive, negative = scores[roles == "positive"], scores[roles == "reference"]
        if not (positive.size and negative.size):
            continue
        thresholds = np.r_[np.inf, np.unique(np.r_[positive, negative])[::-1]]
        axes.plot(
            [(negative >= threshold).mean() for threshold in thresholds],
            [(positive >= threshold).mean() for threshold in thresholds],
            label=result.predictions.name,
            linewidth=_width(evaluation, number),
        )
    axes.plot([0, 1], [0, 1], color="0.7", linestyle=":", label="chance")
    axes.set(
        xlabel=f"false positive rate ({evaluation.kinds.reference_words})",
        ylabel=f"true positive rate ({evaluation.kinds.positive_words})",
    )
    axes.legend()
    return axes


def plot_froc(evaluation: Evaluation, *, axes: Axes | None = None) -> Axes:
    """Draw the FROC curves: fraction of lesions hit against false boxes per image.

    Parameters
    ----------
    evaluation : Evaluation
    axes : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> plot_froc(evaluation)                                          # doctest: +SKIP
    """
    axes = axes_or_new(axes, (5.0, 4.0))
    for number, result in enumerate(evaluation.results):
        if result.box_counts is None:
            continue
        weights = result.froc_images[None].astype(np.float64)
        sensitivity, false = froc_curve(result.box_counts, weights)
        order = np.argsort(false[0])
        axes.plot(
            false[0][order],
            np.maximum.accumulate(sensitivity[0][order]),
            label=result.predictions.name,
            linewidth=_width(evaluation, number),
        )
    axes.set(
        xlabel="false boxes per image",
        ylabel="fraction of lesions hit",
        xlim=(0, max(FALSE_BOXES)),
        ylim=(0, 1),
    )
    axes.legend()
    return axes


def plot_scores_by_kind(
    evaluation: Evaluation, *, number: int = 0, axes: Axes | None = None
) -> Axes:
    """Draw the histogram of the scores of each kind of image.

    The kinds ``read-normal`` and ``normal`` both show normal lungs, from two folders. If their
    scores differ, the score depends on how the images of a folder were made.

    Parameters
    ----------
    evaluation : Evaluation
    number : int
        Position of the detector in ``evaluation.results``.
    axes : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> plot_scores_by_kind(evaluation)                                # doctest: +SKIP
    """
    axes = axes_or_new(axes, (6.4, 4.0))
    predictions = evaluation.results[number].predictions
    kinds = evaluation.kinds
    known = ~np.isnan(predictions.scores)
    edges = np.histogram_bin_edges(predictions.scores[known], 30)
    for kind in kinds.roles:
        scores = predictions.scores[known & (kinds.names == kind)]
        if scores.size:
            fractions = np.histogram(scores, edges)[0] / scores.size
            axes.stairs(fractions, edges, linewidth=1.5, label=f"{kind} ({scores.size})")
    axes.set(xlabel=f"image score of {predictions.name}", ylabel="fraction of the kind's images")
    axes.legend()
    return axes


def _width(evaluation: Evaluation, number: int) -> float:
    return 2.5 if number < evaluation.n_pipelines else 1.0
