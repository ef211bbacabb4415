"""Figures of detections and of trainings, drawn with matplotlib."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from lungpatch._utils.axes import LUNGS, axes_or_new, draw_outline, load_pyplot, show_grey

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from lungpatch.containers import ColourScale, TrainingHistory
    from lungpatch.reports.fields import DetectionFields

_TITLE_WIDTH = 45
"""Letters per line of a panel's title."""


def plot_detection(
    detection: DetectionFields, scale: ColourScale, *, axes: Any = None
) -> NDArray[np.object_]:
    """Draw the radiograph, the lungs with the boxes, and the anomaly map, on the native grid.

    Parameters
    ----------
    detection : Detection
    scale : ColourScale
        The fitted pipeline's ``calibration.colour_scale``: the same colours for every image.
    axes : array-like of matplotlib.axes.Axes, shape (3,), optional
        Where to draw; by default on a new figure.

    Returns
    -------
    ndarray of matplotlib.axes.Axes, shape (3,)
        Radiograph, lungs and boxes, anomaly map. ``axes[0].figure`` is the figure.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    ValueError
        If ``axes`` are not three.

    See Also
    --------
    overlay : The same as one image, without matplotlib.
    lungpatch.Detection.plot : Calls this function with the colours of its pipeline.

    Examples
    --------
    >>> axes = plot_detection(detection, pipeline.calibration_.colour_scale)        # doctest: +SKIP
    >>> axes[0].figure.savefig("detection.pdf")                         # doctest: +SKIP
    """
    pyplot = load_pyplot()
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize
    from matplotlib.patches import Rectangle

    if axes is None:
        _, axes = pyplot.subplots(1, 3, figsize=(13, 4.6), layout="constrained")
    panels: NDArray[np.object_] = np.asarray(axes, dtype=object).ravel()
    if len(panels) != 3:
        raise ValueError(f"plot_detection draws on three axes, got {len(panels)}")

    for ax in panels:
        show_grey(ax, detection.image.pixels)
    plain, found, mapped = panels
    plain.set_title(detection.image.image_id, parse_math=False)
    decision = detection.decision
    if detection.status == "out_of_scope":
        reason = textwrap.fill(f"out of scope: {detection.reason}", _TITLE_WIDTH)
        found.set_title(reason, parse_math=False)
    elif decision is None:
        found.set_title(f"not scored ({detection.status})", parse_math=False)
    else:
        sign = ">" if decision.pred_label else "\N{LESS-THAN OR EQUAL TO}"
        found.set_title(f"image score {decision.pred_score:.4g} {sign} {decision.threshold:.4g}")
    mapped.set_title("anomaly map")

    draw_outline(found, detection.native_lungs, LUNGS)
    for row0, col0, row1, col1 in detection.native_boxes:
        # Pixel centres lie on whole numbers, so a pixel begins half a pixel before its number.
        corner = (col0 - 0.5, row0 - 0.5)
        found.add_patch(
            Rectangle(corner, col1 - col0, row1 - row0, fill=False, edgecolor="red", linewidth=1.2)
        )

    heatmap = detection.native_heatmap
    mapped.imshow(scale.to_rgba(heatmap))
    threshold = detection.localisation.threshold
    draw_outline(mapped, heatmap > threshold, "cyan", width=1.0)
    colours = ListedColormap(scale.bar(256) / 255.0)
    mappable = ScalarMappable(Normalize(scale.low, scale.high), colours)
    bar = mapped.figure.colorbar(mappable, ax=mapped, extend="both", label="anomaly score")
    if np.isfinite(threshold):  # out of scope there is none
        bar.ax.axhline(threshold, color="cyan", linewidth=2.0)
    return panels


def plot_history(history: TrainingHistory, *, axes: Axes | None = None) -> Axes:
    """Draw the losses of a training over its epochs, and mark the epoch whose weights were kept.

    Parameters
    ----------
    history : TrainingHistory
    axes : matplotlib.axes.Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.

    See Also
    --------
    lungpatch.pipeline.FitReport : Holds the history of a pipeline's training.

    Examples
    --------
    >>> axes = plot_history(pipeline.report_.history)                   # doctest: +SKIP
    >>> axes.figure.savefig("training.pdf")                             # doctest: +SKIP
    """
    axes = axes_or_new(axes, (6, 4))
    from matplotlib.ticker import MaxNLocator

    names = dict.fromkeys(n for epoch in history.epochs for n in epoch if n.endswith("loss"))
    for name in names:
        losses = [epoch.get(name, np.nan) for epoch in history.epochs]
        epochs = np.arange(1, len(losses) + 1)
        axes.plot(epochs, losses, marker="o", markersize=3, label=name.replace("_", " "))
    if history.best_epoch is not None:
        axes.axvline(history.best_epoch, color="gray", linestyle="--", label="weights kept")
    if names:
        axes.legend()
    axes.set(xlabel="epoch", ylabel="loss", title=f"training ({history.stopped})")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return axes
