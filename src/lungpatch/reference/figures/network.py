"""The paper's figure 6: the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from lungpatch._utils.axes import axes_or_new
from lungpatch.errors import ConfigurationError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from lungpatch.models.convolutional import ConvolutionalModel

_COLOURS = {
    "convolution": "0.35",
    "max-pooling": "tab:red",
    "up-sampling": "tab:green",
    "skip connection": "tab:blue",
}
_MAX_HEIGHT = 4.0
_MAX_WIDTH = 1.2
_MIN_WIDTH = 0.12
_GAP = 0.8
_DROP = 1.3
"""How much lower the boxes of a size begin than those of the next larger size."""


def plot_network(model: ConvolutionalModel, *, axes: Axes | None = None) -> Axes:
    """Draw the U-Net, or the plain autoencoder: the paper's figure 6.

    Each box is a set of feature maps: its height shows their size, its width and the number above
    it their channels. What to look for: sizes 32, 16, 8 and back; channels that double on the way
    down and halve on the way up; skip connections, which pass the encoder's features (the blue part
    of a box) to the decoder around the bottom, and with them the patch itself. The plain
    autoencoder has none.

    Parameters
    ----------
    model : UNet or Autoencoder
        Fitted or not. Drawn is what its network computes, with its settings.
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
        If it is another kind of model.

    Examples
    --------
    >>> from lungpatch.models import UNet
    >>> from lungpatch.reference import plot_network
    >>> axes = plot_network(UNet(base_channels=8))                       # doctest: +SKIP
    >>> axes.figure.savefig("network.pdf")                               # doctest: +SKIP
    """
    maps = _feature_maps(model)
    boxes = _boxes(maps)
    axes = axes_or_new(axes, (11.0, 4.6))
    from matplotlib.lines import Line2D

    for index, (each, box) in enumerate(zip(maps, boxes, strict=True)):
        _draw_box(axes, each, box)
        if each.skipped:
            level = box.top - 0.1 * (box.top - box.bottom)
            sender = boxes[_sender(maps, index)]
            _draw_arrow(axes, (sender.right, level), (box.left, level), "skip connection")
        if index == 0 or each.size != maps[index - 1].size:
            size = f"{each.size}x{each.size}"
            axes.text(box.centre, box.bottom - 0.08, size, ha="center", va="top", fontsize=9)
        if index > 0:
            # At half height of the lower of the two, which the higher one reaches beside it.
            level = min(boxes[index - 1].half_height, box.half_height)
            _draw_arrow(axes, (boxes[index - 1].right, level), (box.left, level), each.step)
    axes.set_xlim(-_GAP, boxes[-1].right + _GAP)
    axes.set_ylim(min(box.bottom for box in boxes) - 0.9, 0.5)
    axes.set_axis_off()
    used = {each.step for each in maps[1:]} | {"skip connection" for m in maps if m.skipped}
    axes.legend(
        handles=[Line2D([], [], color=c, label=n) for n, c in _COLOURS.items() if n in used],
        loc="lower center",
        ncols=len(used),
        frameon=False,
    )
    axes.set_title(f"{type(model).__name__}, output {model.output}")
    return axes


@attrs.frozen(kw_only=True)
class _FeatureMaps:
    """Feature maps between two steps of a network, and the step that makes them."""

    step: str
    channels: int
    size: int
    skipped: int = 0
    """Number of channels that a skip connection adds to them."""


@attrs.frozen(kw_only=True)
class _Box:
    """Position of feature maps in the figure; those of a skip connection lie left of ``border``."""

    left: float
    border: float
    right: float
    top: float
    bottom: float

    @property
    def centre(self) -> float:
        return (self.left + self.right) / 2

    @property
    def half_height(self) -> float:
        return (self.top + self.bottom) / 2


def _feature_maps(model: ConvolutionalModel) -> list[_FeatureMaps]:
    """Run an empty patch through the model's network and record the sizes at its convolutions."""
    import torch

    from lungpatch.models.convolutional import ConvolutionalModel

    if not isinstance(model, ConvolutionalModel):
        raise ConfigurationError(
            f"plot_network draws the U-Net and the plain autoencoder, not a {type(model).__name__}"
        )
    seen: list[tuple[torch.Size, torch.Size]] = []
    network = model._new_network(seed=0)
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(
                lambda _, given, made: seen.append((given[0].shape, made.shape))
            )
    with torch.inference_mode():
        network(torch.zeros(1, 1, model.patch_size, model.patch_size))

    maps = [_FeatureMaps(step="input", channels=1, size=model.patch_size)]
    for (_, channels_in, size_in, _), (_, channels, size, _) in seen:
        last = maps[-1]
        if size_in != last.size:
            step = "max-pooling" if size_in < last.size else "up-sampling"
            maps.append(_FeatureMaps(step=step, channels=last.channels, size=size_in))
        skipped = channels_in - maps[-1].channels
        maps[-1] = attrs.evolve(maps[-1], skipped=skipped)
        maps.append(_FeatureMaps(step="convolution", channels=channels, size=size))
    return maps


def _boxes(maps: list[_FeatureMaps]) -> list[_Box]:
    """Arrange feature maps from left to right, the smaller the lower."""
    max_channels = max(each.channels + each.skipped for each in maps)
    sizes = sorted({each.size for each in maps}, reverse=True)
    boxes: list[_Box] = []
    for each in maps:
        left = boxes[-1].right + _GAP if boxes else 0.0
        border = left + _MAX_WIDTH * each.skipped / max_channels
        top = -_DROP * sizes.index(each.size)
        boxes.append(
            _Box(
                left=left,
                border=border,
                right=border + max(_MAX_WIDTH * each.channels / max_channels, _MIN_WIDTH),
                top=top,
                bottom=top - _MAX_HEIGHT * each.size / sizes[0],
            )
        )
    return boxes


def _draw_box(axes: Axes, maps: _FeatureMaps, box: _Box) -> None:
    from matplotlib.patches import Rectangle

    for left, right, colour in ((box.left, box.border, "#b9d3ee"), (box.border, box.right, "0.88")):
        if left < right:
            axes.add_patch(
                Rectangle(
                    (left, box.bottom),
                    right - left,
                    box.top - box.bottom,
                    facecolor=colour,
                    edgecolor="black",
                    linewidth=0.8,
                )
            )
    channels = f"{maps.skipped}+{maps.channels}" if maps.skipped else f"{maps.channels}"
    axes.text(box.centre, box.top + 0.06, channels, ha="center", va="bottom", fontsize=9)


def _draw_arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], name: str
) -> None:
    style = {"arrowstyle": "-|>", "color": _COLOURS[name], "shrinkA": 1, "shrinkB": 1}
    # Behind the boxes: a skip connection passes the maps that were up-sampled.
    axes.annotate("", xy=end, xytext=start, arrowprops=style, zorder=0.5)


def _sender(maps: list[_FeatureMaps], receiver: int) -> int:
    """Return the index of the encoder's last maps of the receiver's size, before pooling."""
    return next(
        index
        for index in range(receiver)
        if maps[index].size == maps[receiver].size and maps[index + 1].size < maps[index].size
    )
