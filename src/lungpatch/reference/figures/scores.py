"""Figures of the paper that show scores: the histogram (9), table 1, and confusion tables."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from lungpatch._utils.axes import axes_or_new
from lungpatch.errors import ConfigurationError, InsufficientDataError
from lungpatch.reference.settings import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

_INCHES_PER_LETTER = 0.1
"""Width of columns per letter of their longest label, so that labels do not overlap."""


def plot_score_histogram(
    scores: ArrayLike,
    *,
    kinds: Mapping[str, ArrayLike] | None = None,
    thresholds: Sequence[float] | None = None,
    bins: int = 60,
    label: str = "SAD (grey levels)",
    title: str | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Draw the histogram of patch scores: the paper's figure 9.

    What to look for: three peaks, one for each kind of patch, which thresholds could separate. The
    paper found one. Where the kinds of patches are known, ``kinds`` shows what lies below it: no
    threshold can separate kinds with the same range.

    Parameters
    ----------
    scores : array_like of float, shape (N,)
        Scores of all patches. NaN (unscored) is left out.
    kinds : mapping of str to array_like of float, optional
        Scores of each kind of patches, drawn as outlines in the same bins.
    thresholds : sequence of float, optional
        Drawn as lines.
    bins : int
        Number of bins from the lowest score to the highest, at least 1.
    label : str
        Name of the scores.
    title : str, optional
    axes : matplotlib.axes.Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    InsufficientDataError
        If there is no score.
    ConfigurationError
        If ``bins`` is below 1.

    Examples
    --------
    >>> from lungpatch.reference import plot_score_histogram
    >>> axes = plot_score_histogram(                                     # doctest: +SKIP
    ...     scores.values, kinds={"normal lung": scores.values[normal]}, thresholds=[2.5, 6.0])
    """
    if bins < 1:
        raise ConfigurationError(f"bins must be at least 1, got {bins}")
    everything = _scored(scores)
    groups = {} if kinds is None else {name: _scored(values) for name, values in kinds.items()}
    together = np.concatenate([everything, *groups.values()])
    if not together.size:
        raise InsufficientDataError("there is no score to draw a histogram of")
    axes = axes_or_new(axes, (6.4, 4.0))
    edges = np.histogram_bin_edges(together, bins)
    counts = np.histogram(everything, edges)[0]
    axes.stairs(counts, edges, fill=True, color="0.8", label=f"all {len(everything)} patches")
    for name, values in groups.items():
        axes.stairs(
            np.histogram(values, edges)[0], edges, linewidth=1.5, label=f"{name} ({len(values)})"
        )
    for number, threshold in enumerate(() if thresholds is None else thresholds):
        entry = "thresholds" if number == 0 else None  # one in the legend for all
        axes.axvline(threshold, color="black", linestyle="--", linewidth=1.0, label=entry)
    axes.set(xlabel=label, ylabel="patches")
    axes.legend()
    if title is not None:
        axes.set_title(title, parse_math=False)
    return axes


def plot_kind_table(
    thresholds: Sequence[float],
    *,
    kinds: Sequence[str] = KINDS,
    scores: ArrayLike | None = None,
    label: str = "SAD",
    axes: Axes | None = None,
) -> Axes:
    """Draw the rule that turns a score into a kind of patch: the paper's table 1.

    What to look for: the paper assumes that normal lung scores as in training, opacity higher,
    and what lies outside the lung highest. The rule always predicts a kind; `plot_confusion` shows
    whether it is the right one.

    Parameters
    ----------
    thresholds : sequence of float
        In ascending order, one fewer than there are kinds.
    kinds : sequence of str
        In the order of their scores.
    scores : array_like of float, shape (N,), optional
        Adds a column with the number of patches that the rule puts into each kind. NaN (unscored)
        is left out.
    label : str
        Name of the scores.
    axes : matplotlib.axes.Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    ConfigurationError
        If the thresholds do not ascend, or are not one fewer than the kinds.

    Examples
    --------
    >>> from lungpatch.reference import plot_kind_table
    >>> axes = plot_kind_table([2.5, 6.0], scores=scores.values)         # doctest: +SKIP
    """
    if len(thresholds) != len(kinds) - 1 or any(low >= high for low, high in pairwise(thresholds)):
        raise ConfigurationError(
            f"{len(kinds)} kinds need {len(kinds) - 1} ascending thresholds, got {list(thresholds)}"
        )
    at_most = "\N{LESS-THAN OR EQUAL TO}"
    bounds = [f"{threshold:.3g}" for threshold in thresholds]
    rules = [f"{low} < {label} {at_most} {high}" for low, high in pairwise(bounds)]
    if bounds:
        rules = [f"{label} {at_most} {bounds[0]}", *rules, f"{label} > {bounds[-1]}"]
    columns = {"kind of patch": list(kinds), "rule": rules}
    if scores is not None:
        kind = np.searchsorted(thresholds, _scored(scores), side="left")
        columns["patches"] = [str(n) for n in np.bincount(kind, minlength=len(kinds))]
    longest = max(len(cell) for cells in columns.values() for cell in cells)
    width = max(2.0, _INCHES_PER_LETTER * longest)
    axes = axes_or_new(axes, (width * len(columns), 0.3 * (len(kinds) + 1) + 0.3))
    from matplotlib.transforms import Bbox

    axes.set_axis_off()
    table = axes.table(
        cellText=list(zip(*columns.values(), strict=True)),
        colLabels=list(columns),
        cellLoc="left",
        colLoc="left",
        bbox=Bbox.unit(),
    )
    for (row, _), cell in table.get_celld().items():
        cell.visible_edges = "B" if row else "BT"
        cell.get_text().set_parse_math(False)
    return axes


def plot_confusion(
    counts: ArrayLike, names: Sequence[str], *, title: str | None = None, axes: Axes | None = None
) -> Axes:
    """Draw how often each class was predicted for each true class: a confusion table.

    Used for the kinds of patches by the rule of the paper's table 1, and for the two-class CNN.
    What to look for: the diagonal holds what is classified correctly. The darker a cell, the larger
    its fraction of its row. A rule that uses no information has the same colours in every row.

    Parameters
    ----------
    counts : array_like of int, shape (K, K)
        Rows are true classes, columns predicted ones.
    names : sequence of str
        Names of the K classes.
    title : str, optional
    axes : matplotlib.axes.Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    ConfigurationError
        If ``counts`` is not K x K, or a count is below 0.

    Examples
    --------
    >>> from lungpatch.reference import plot_confusion
    >>> axes = plot_confusion([[8, 2], [5, 35]], ["normal", "pneumonia"])  # doctest: +SKIP
    """
    table = np.asarray(counts)
    if table.shape != (len(names), len(names)) or not len(names) or (table < 0).any():
        raise ConfigurationError(
            f"a confusion table of {len(names)} classes has {len(names)} x {len(names)} counts of "
            f"at least 0, got shape {table.shape}"
        )
    width = max(1.5, _INCHES_PER_LETTER * max(map(len, names)))
    axes = axes_or_new(axes, (width * len(names) + 1.5, 1.1 * len(names) + 1.2))
    totals = table.sum(axis=1, keepdims=True)
    fractions = np.divide(table, totals, out=np.zeros(table.shape), where=totals > 0)
    axes.imshow(fractions, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    for (row, column), fraction in np.ndenumerate(fractions):
        axes.text(
            column,
            row,
            f"{table[row, column]}\n{fraction:.0%}" if totals[row, 0] else "0",
            ha="center",
            va="center",
            color="white" if fraction > 0.6 else "black",
        )
    positions = range(len(names))
    axes.set_xticks(positions, names)
    axes.set_yticks(positions, names)
    axes.tick_params(length=0)
    for text in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        text.set_parse_math(False)
    axes.set(xlabel="predicted", ylabel="true")
    if title is not None:
        axes.set_title(title, parse_math=False)
    return axes


def _scored(scores: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(scores, dtype=np.float64).ravel()
    return values[~np.isnan(values)]
