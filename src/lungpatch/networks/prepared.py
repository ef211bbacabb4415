"""Networks prepared for inference: the same function in fewer operations."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lungpatch.networks.torch_adapter import place

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_ACTIVATIONS: dict[type[nn.Module], tuple[str, list[float]]] = {
    nn.ReLU: ("relu", []),
    nn.ReLU6: ("hardtanh", [0.0, 6.0]),
}
"""Activations that oneDNN computes together with a convolution: its name and numbers for them."""


def prepare(network: nn.Module, device: torch.device, *, keep: Collection[str] = ()) -> nn.Module:
    """Return a copy of a network for inference on a device; the original stays as it is.

    Where layers follow each other in a ``torch.nn.Sequential``, batch normalisation is folded into
    the convolution before it, since with fixed statistics it is linear, and so is zero padding
    into the one after it. On a CPU the activation that follows becomes part of the convolution,
    too. Outputs are equal but for rounding.

    Parameters
    ----------
    network : torch.nn.Module
    device : torch.device
    keep : collection of str
        Layers, by their names in `torch.nn.Module.named_modules`, whose outputs are needed as they
        are.

    Returns
    -------
    torch.nn.Module
        In evaluation mode and without gradients.

    Examples
    --------
    >>> import torch
    >>> network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU())
    >>> prepare(network, torch.device("cpu"))
    Sequential(
      (0): OneDNNConvolution(1, 2, kernel_size=(3, 3), stride=(1, 1), activation=relu)
      (1): Identity()
      (2): Identity()
    )
    """
    twin = copy.deepcopy(network).eval().requires_grad_(False)
    kept = frozenset(keep)
    for name, module in list(twin.named_modules()):
        if isinstance(module, nn.Sequential):
            _fold(module, {each.removeprefix(f"{name}.") for each in kept} if name else kept)
    place(twin, device)
    if device.type == "cpu" and _has_onednn():
        _use_onednn(twin, kept)
    return twin


def _fold(layers: nn.Sequential, keep: Collection[str]) -> None:
    """Fold batch normalisation and zero padding into convolutions, unless an output is kept."""
    for first, second in pairwise(list(layers._modules)):
        before, after = layers.get_submodule(first), layers.get_submodule(second)
        if first in keep:
            continue
        if (
            isinstance(before, nn.Conv2d)
            and isinstance(after, nn.BatchNorm2d)
            and after.track_running_stats
        ):
            layers._modules[first] = fuse_conv_bn_eval(before, after)
            layers._modules[second] = nn.Identity()
        elif type(before) is nn.ZeroPad2d and type(after) is nn.Conv2d:
            padded = _padding_itself(after, before)
            if padded is not None:
                layers._modules[first] = nn.Identity()
                layers._modules[second] = padded


def _padding_itself(convolution: nn.Conv2d, zeros: nn.ZeroPad2d) -> nn.Conv2d | None:
    """Return a convolution with the padding before it, which has one row more at the end or none.

    A convolution pads both ends alike. One whose kernel begins with a row of zeros reads a row
    more at the beginning, and nothing comes of it.
    """
    left, right, top, bottom = zeros.padding
    more = right - left
    if convolution.padding != (0, 0) or (left, right) != (top, bottom) or more not in (0, 1):
        return None
    height, width = convolution.kernel_size
    padded = nn.Conv2d(
        convolution.in_channels,
        convolution.out_channels,
        (height + more, width + more),
        convolution.stride,  # type: ignore[arg-type]
        padding=right,
        groups=convolution.groups,
        bias=False,
        device="meta",
    )
    padded.weight = nn.Parameter(F.pad(convolution.weight, (more, 0, more, 0)), requires_grad=False)
    padded.bias = convolution.bias
    return padded


def _has_onednn() -> bool:
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return available and hasattr(torch.ops.mkldnn, "_convolution_pointwise")


def _use_onednn(network: nn.Module, keep: Collection[str]) -> None:
    """Let oneDNN compute convolutions, each with the activation after it unless one is kept."""
    for name, parent in list(network.named_modules()):
        layers = parent._modules
        for child, layer in list(layers.items()):
            if type(layer) is not nn.Conv2d or not _suits_onednn(layer):
                continue
            prefix = f"{name}." if name else ""
            after = _activation_after(parent, child, {each.removeprefix(prefix) for each in keep})
            if after is None:
                layers[child] = OneDNNConvolution(layer)
            else:
                layers[child] = OneDNNConvolution(layer, *_ACTIVATIONS[type(layers[after])])
                layers[after] = nn.Identity()


def _suits_onednn(layer: nn.Conv2d) -> bool:
    return (
        layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
        and layer.weight.dtype == torch.float32
    )


def _activation_after(parent: nn.Module, child: str, keep: Collection[str]) -> str | None:
    """Return the activation that nothing but folded layers, none of them kept, is before."""
    if not isinstance(parent, nn.Sequential):
        return None
    names = list(parent._modules)
    for before, name in pairwise(names[names.index(child) :]):
        if before in keep:
            return None
        if type(parent._modules[name]) is not nn.Identity:
            return name if type(parent._modules[name]) in _ACTIVATIONS else None
    return None


class OneDNNConvolution(nn.Conv2d):
    """A convolution and its activation in one operation of oneDNN, on a CPU.

    On one thread torch computes convolutions of 1x1 pixels on its own, in twice the time.

    Parameters
    ----------
    convolution : torch.nn.Conv2d
        Of float32, with a padding of zeros that is given in pixels.
    activation : {"none", "relu", "hardtanh"}
    limits : sequence of float
        Of ``"hardtanh"``: the lowest and the highest value.

    Examples
    --------
    >>> layer = OneDNNConvolution(nn.Conv2d(1, 2, 3), "relu")
    >>> bool((layer(torch.randn(1, 1, 8, 8)) >= 0).all())
    True
    """

    def __init__(
        self, convolution: nn.Conv2d, activation: str = "none", limits: Sequence[float] = ()
    ) -> None:
        super().__init__(
            convolution.in_channels,
            convolution.out_channels,
            convolution.kernel_size,  # type: ignore[arg-type]
            convolution.stride,  # type: ignore[arg-type]
            convolution.padding,  # type: ignore[arg-type]
            convolution.dilation,  # type: ignore[arg-type]
            convolution.groups,
            bias=False,
            device="meta",
        )
        self.weight, self.bias = convolution.weight, convolution.bias
        self.activation, self.limits = activation, list(limits)
        self._geometry = (self.padding, self.stride, self.dilation, self.groups)
        self._packed: tuple[torch.Size, Tensor] | None = None

    def forward(self, images: Tensor) -> Tensor:
        """Return the activations.

        Parameters
        ----------
        images : Tensor, float32 or, under autocast, another type, (N, C, H, W)

        Returns
        -------
        Tensor, (N, D, h, w)
            Of the type that convolutions compute in.
        """
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            images, weight = images.to(dtype), self.weight.to(dtype)
            bias = None if self.bias is None else self.bias.to(dtype)
        else:
            weight, bias = self._weight_for(images.shape), self.bias
        maps: Tensor = torch.ops.mkldnn._convolution_pointwise.default(
            images, weight, bias, *self._geometry, self.activation, self.limits, ""
        )
        return maps

    def _weight_for(self, shape: torch.Size) -> Tensor:
        """Return the weight in the order that oneDNN reads it in for images of a shape."""
        # Read once and replaced whole, since other threads do the same at the same time.
        packed = self._packed
        if packed is None or packed[0] != shape:
            weight = torch.ops.mkldnn._reorder_convolution_weight(
                self.weight, *self._geometry, list(shape)
            )
            packed = self._packed = (shape, weight)
        return packed[1]

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the packed weight, which cannot be copied."""
        return self.__dict__ | {"_packed": None}

    def extra_repr(self) -> str:
        """Return what the representation of a network shows."""
        own = super().extra_repr()  # type: ignore[no-untyped-call]
        return f"{own}, activation={self.activation}"
