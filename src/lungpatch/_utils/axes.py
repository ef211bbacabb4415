"""Helpers for all figures: late import of matplotlib, new axes, grey levels and outlines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lungpatch._utils.extras import import_extra

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

LUNGS = "limegreen"
"""Colour of the outline of the lungs."""


def load_pyplot() -> ModuleType:
    """Return ``matplotlib.pyplot``.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    pyplot: ModuleType = import_extra("matplotlib.pyplot", needed_by="plotting", extra="plot")
    return pyplot


def figure_or_new(figure: Figure | None, size: tuple[float, float]) -> Figure:
    """Return the caller's figure, or a new one of ``size`` (width, height) in inches."""
    if figure is None:
        figure = load_pyplot().figure(figsize=size, layout="constrained")
    return figure


def axes_or_new(axes: Axes | None, size: tuple[float, float]) -> Axes:
    """Return the caller's axes, or those of a new figure of ``size`` in inches."""
    return figure_or_new(None, size).subplots() if axes is None else axes


def show_grey(axes: Axes, pixels: NDArray[Any]) -> None:
    """Draw grey levels in [0, 1], or a mask, without ticks or frame."""
    axes.imshow(pixels, cmap="gray", vmin=0.0, vmax=1.0)
    # Not set_axis_off, which would take the labels along.
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def draw_outline(axes: Axes, mask: NDArray[np.bool_], colour: str, *, width: float = 0.8) -> None:
    """Draw the border of a mask, if it has one."""
    # A single row or column has no contour for matplotlib.
    if mask.any() and not mask.all() and min(mask.shape) > 1:
        axes.contour(mask, levels=[0.5], colors=colour, linewidths=width)
