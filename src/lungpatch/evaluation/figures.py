"""Figures of an evaluation: ROC curve, FROC curve, scores by kind of image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lungpatch._utils.axes import axes_or_new
from lungpatch.evaluation.cases import KINDS
from lungpatch.evaluation.froc import FALSE_BOXES, froc_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from lungpatch.evaluation.protocol import Evaluation


def plot_roc(evaluation: Evaluation, *, axes: Axes | None = None) -> Axes:
    """Draw the ROC curves of images read as opaque against images read as normal.

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
    kinds = _kinds(evaluation)
    for number, judgement in enumerate(evaluation.judgements):
        scores = np.nan_to_num(judgement.outcome.scores, nan=-np.inf)
        ill, well = scores[kinds == "opacity"], scores[kinds == "read-normal"]
        if not (ill.size and well.size):
            continue
        thresholds = np.r_[np.inf, np.unique(np.r_[ill, well])[::-1]]
        axes.plot(
            [(well >= threshold).mean() for threshold in thresholds],
            [(ill >= threshold).mean() for threshold in thresholds],
            label=judgement.outcome.name,
            linewidth=_width(evaluation, number),
        )
    axes.plot([0, 1], [0, 1], color="0.7", linestyle=":", label="chance")
    axes.set(xlabel="images read as normal called ill", ylabel="opaque images called ill")
    axes.legend()
    return axes


def plot_froc(evaluation: Evaluation, *, axes: Axes | None = None) -> Axes:
    """Draw the FROC curves: share of lesions hit against false boxes an image.

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
    for number, judgement in enumerate(evaluation.judgements):
        if judgement.counts is None:
            continue
        weights = judgement.froc_images[None].astype(np.float64)
        sensitivity, false = froc_curve(judgement.counts, weights)
        order = np.argsort(false[0])
        axes.plot(
            false[0][order],
            np.maximum.accumulate(sensitivity[0][order]),
            label=judgement.outcome.name,
            linewidth=_width(evaluation, number),
        )
    axes.set(
        xlabel="false boxes an image",
        ylabel="lesions hit",
        xlim=(0, max(FALSE_BOXES)),
        ylim=(0, 1),
    )
    axes.legend()
    return axes


def plot_scores_by_kind(
    evaluation: Evaluation, *, number: int = 0, axes: Axes | None = None
) -> Axes:
    """Draw the histogram of the scores of each kind of image.

    What to look for: ``read-normal`` and ``normal`` hold the same lungs in two folders. Where they
    do not overlap, the score tells the folders apart.

    Parameters
    ----------
    evaluation : Evaluation
    number : int
        Which of the judgements.
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
    outcome = evaluation.judgements[number].outcome
    kinds = _kinds(evaluation)
    known = ~np.isnan(outcome.scores)
    edges = np.histogram_bin_edges(outcome.scores[known], 30)
    for kind in KINDS:
        scores = outcome.scores[known & (kinds == kind)]
        if scores.size:
            shares = np.histogram(scores, edges)[0] / scores.size
            axes.stairs(shares, edges, linewidth=1.5, label=f"{kind} ({scores.size})")
    axes.set(xlabel=f"image score of {outcome.name}", ylabel="share of the kind's images")
    axes.legend()
    return axes


def _kinds(evaluation: Evaluation) -> NDArray[np.str_]:
    return np.array([case.kind for case in evaluation.cases])


def _width(evaluation: Evaluation, number: int) -> float:
    return 2.5 if number < evaluation.n_pipelines else 1.0
