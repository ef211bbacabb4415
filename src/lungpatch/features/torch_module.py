"""Features of a trained network from a library of networks."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Literal, get_args

import attrs
from attrs import validators

from lungpatch._utils.component import plain_errors
from lungpatch._utils.extras import require_package
from lungpatch.errors import ConfigurationError
from lungpatch.features.network_extractor import NetworkExtractor, TrainedNetwork

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

Library = Literal["timm", "torchvision", "torchxrayvision"]
LIBRARIES: tuple[Library, ...] = get_args(Library)

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""How the networks of torchvision normalise photographs."""


def _layers(_: Any, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    if not value or not all(isinstance(name, str) and name for name in value):
        raise ValueError(f"{attribute.name!r} must be one or several names of layers, got {value}")


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class TorchModuleExtractor(NetworkExtractor):
    """Feature maps of any trained network of timm, torchvision or torchxrayvision.

    The library must be installed. It downloads the weights at first use and keeps them. Only names
    that the library itself lists are accepted, so a saved pipeline cannot make it load anything
    else.

    Parameters
    ----------
    library : {"timm", "torchvision", "torchxrayvision"}
    model : str
        The library's name of the network, such as ``"resnet18"`` or ``"densenet121-res224-nih"``.
    layers : tuple of str
        Convolutional layers, by their names in `torch.nn.Module.named_modules`, such as
        ``("layer2", "layer3")`` of a ResNet.
    grid : int
        Cells per side of the feature grid, at least 1; features of all layers are brought to it.
    device : {"auto", "cpu", "cuda", "mps"}
        Where the network runs.
    precision : {"float32", "bfloat16"}
        What the network computes in.

    Raises
    ------
    MissingExtraError
        If the library is not installed.

    See Also
    --------
    ImageNetExtractor : A network trained on photographs, without a download.
    LungEncoder : A network trained on radiographs, without a download.

    Notes
    -----
    The networks of torchxrayvision were trained on radiographs *with* labels of disease, some of
    them on the images of public test sets: a detector on them is no longer unsupervised. Their
    weights are pickles, which the library downloads from its own site and trusts.

    A network of your own becomes an extractor through a plugin; see `lungpatch.protocols`.

    Examples
    --------
    >>> from lungpatch.features import TorchModuleExtractor
    >>> TorchModuleExtractor(                                          # doctest: +SKIP
    ...     library="timm", model="resnet18", layers=("layer2", "layer3"))
    TorchModuleExtractor(grid=16, device='auto', precision='float32', library='timm', ...)
    """

    library: Library = attrs.field(validator=validators.in_(LIBRARIES))
    model: str = attrs.field(validator=validators.instance_of(str))
    layers: tuple[str, ...] = attrs.field(converter=tuple, validator=_layers)

    def __attrs_post_init__(self) -> None:
        require_package(
            self.library, needed_by="the extractor 'torch-module'", install=self.library
        )

    def _layer_names(self) -> tuple[str, ...]:
        return self.layers

    def _read(self) -> TrainedNetwork:
        library = importlib.import_module(self.library)
        return _READERS[self.library](library, self.model)


def _read_timm(timm: ModuleType, name: str) -> TrainedNetwork:
    # Names with a colon mean files and hubs; the list has none.
    _require_listed(timm.is_model(name), name, "timm.list_models()")
    network = timm.create_model(name, pretrained=True)
    settings = network.pretrained_cfg
    return TrainedNetwork(network=network, mean=settings["mean"], std=settings["std"])


def _read_torchvision(torchvision: ModuleType, name: str) -> TrainedNetwork:
    listed = name in torchvision.models.list_models(module=torchvision.models)
    _require_listed(listed, name, "torchvision.models.list_models(module=torchvision.models)")
    network = torchvision.models.get_model(name, weights="DEFAULT")
    return TrainedNetwork(network=network, mean=IMAGENET_MEAN, std=IMAGENET_STD)


def _read_torchxrayvision(torchxrayvision: ModuleType, name: str) -> TrainedNetwork:
    models = torchxrayvision.models
    _require_listed(name in models.model_urls, name, "torchxrayvision.models.model_urls")
    # Its networks take grey levels from -1024 to 1024.
    return TrainedNetwork(network=models.get_model(name), mean=[0.5], std=[1 / 2048])


_READERS: dict[Library, Callable[[ModuleType, str], TrainedNetwork]] = {
    "timm": _read_timm,
    "torchvision": _read_torchvision,
    "torchxrayvision": _read_torchxrayvision,
}


def _require_listed(listed: bool, name: str, where: str) -> None:
    if not listed:
        raise ConfigurationError(f"model: there is no {name!r} in {where}: give one of its names")
