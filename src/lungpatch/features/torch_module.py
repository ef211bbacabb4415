"""Features of a trained network from a library of networks."""

from __future__ import annotations

import importlib
import os
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import attrs
from attrs import validators
from torch import nn

from lungpatch._utils.component import EXECUTION, plain_errors
from lungpatch._utils.extras import require_package
from lungpatch.errors import ConfigurationError
from lungpatch.features.local_weights import WEIGHT_FILES, load_local_weights
from lungpatch.features.network_extractor import NetworkExtractor, TrainedNetwork

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

Library = Literal["timm", "torchvision", "torchxrayvision"]
LIBRARIES: tuple[Library, ...] = get_args(Library)

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""How the networks of torchvision normalise photographs."""


PRETRAINED, RANDOM = "pretrained", "random"

_VISION_TRANSFORMERS = ("vision_transformer", "deit", "eva")
"""Modules of timm whose networks take any multiple of their patch size."""


def _layers(_: Any, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    if not value or not all(isinstance(name, str) and name for name in value):
        raise ValueError(f"{attribute.name!r} must be one or several names of layers, got {value}")


def _weights(_: Any, attribute: attrs.Attribute[Any], value: str) -> None:
    if value not in (PRETRAINED, RANDOM) and Path(value).suffix not in WEIGHT_FILES:
        raise ValueError(
            f"{attribute.name!r} must be {PRETRAINED!r}, {RANDOM!r} or a file that ends in "
            f"{', '.join(WEIGHT_FILES)}, got {value!r}"
        )


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class TorchModuleExtractor(NetworkExtractor):
    """Feature maps of any network of timm, torchvision or torchxrayvision.

    The library must be installed. Only names that it lists itself are accepted, so a saved pipeline
    cannot make it load anything else. Weights are the library's, a file of your own, or random.

    Parameters
    ----------
    library : {"timm", "torchvision", "torchxrayvision"}
    model : str
        The library's name of the network, such as ``"resnet18"`` or ``"densenet121-res224-nih"``.
    layers : tuple of str
        Layers by their names in `torch.nn.Module.named_modules`, such as ``("layer2", "layer3")``
        of a ResNet or ``("blocks.11",)`` of a vision transformer.
    weights : str or path
        ``"pretrained"``: the library downloads them at first use and keeps them. A file:
        ``.safetensors``, or a state dict as ``.pt``, ``.pth``, ``.bin`` or ``.ckpt``; nothing is
        downloaded, and no pickled object is read. ``"random"``: always the same ones, for controls
        and tests.
    mean, std : float, optional
        The network takes ``(x - mean) / std`` of grey levels x in [0, 1]; by default what the
        library says of the network.
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
    Networks that take one size of image only get patches resized to it. Vision transformers of timm
    take patches of any size, enlarged to the next multiple of the network's own patches: 256 pixels
    become 266 for those of 14. Of their tokens those of the image become a map; those of the class
    and the registers are left out.

    A file's names and shapes must be the network's, except for its classifier, which is not needed.
    The file's path is saved with a pipeline, and a digest of its weights, not the weights. Where
    the file lies elsewhere, set ``weights`` anew: the pipeline stays fitted, and other weights than
    those it was fitted with are refused.

    The networks of torchxrayvision were trained on radiographs *with* labels of disease, some of
    them on the images of public test sets: a detector on them is no longer unsupervised. Their
    pretrained weights are pickles, which the library downloads from its own site and trusts.

    A network of another kind becomes an extractor through a plugin; see `lungpatch.protocols`.

    Examples
    --------
    >>> from lungpatch.features import TorchModuleExtractor
    >>> TorchModuleExtractor(                                          # doctest: +SKIP
    ...     library="timm", model="resnet18", layers=("layer2", "layer3"),
    ...     weights="resnet18.safetensors")
    TorchModuleExtractor(grid=16, device='auto', precision='float32', library='timm', ...)
    """

    library: Library = attrs.field(validator=validators.in_(LIBRARIES))
    model: str = attrs.field(validator=validators.instance_of(str))
    layers: tuple[str, ...] = attrs.field(converter=tuple, validator=_layers)
    # Where weights lie. That they are the ones that were fitted with is checked by their digest.
    weights: str = attrs.field(
        default=PRETRAINED, converter=os.fspath, validator=_weights, metadata={EXECUTION: True}
    )
    mean: float | None = attrs.field(
        default=None, validator=validators.optional(validators.instance_of((int, float)))
    )
    std: float | None = attrs.field(
        default=None,
        validator=validators.optional(
            validators.and_(validators.instance_of((int, float)), validators.gt(0.0))
        ),
    )

    def __attrs_post_init__(self) -> None:
        require_package(
            self.library, needed_by="the extractor 'torch-module'", install=self.library
        )

    def _layer_names(self) -> tuple[str, ...]:
        return self.layers

    def _source(self) -> tuple[Any, ...]:
        return self.library, self.model, self.weights, self.mean, self.std

    def _read(self) -> TrainedNetwork:
        library = importlib.import_module(self.library)
        trained = _BUILDERS[self.library](library, self.model, self.weights == PRETRAINED)
        if self.weights not in (PRETRAINED, RANDOM):
            load_local_weights(trained.network, Path(self.weights))
        channels = len(trained.mean)
        return attrs.evolve(
            trained,
            mean=trained.mean if self.mean is None else [self.mean] * channels,
            std=trained.std if self.std is None else [self.std] * channels,
        )


def _build_timm(timm: ModuleType, name: str, pretrained: bool) -> TrainedNetwork:
    # Names with a colon mean files and hubs; the list has none.
    _require_listed(timm.is_model(name), name, "timm.list_models()")
    if timm.models.is_model_in_modules(name, _VISION_TRANSFORMERS):
        network = timm.create_model(name, pretrained=pretrained, dynamic_img_size=True)
        side, multiple = None, network.patch_embed.patch_size[0]
    else:
        network = timm.create_model(name, pretrained=pretrained)
        fixed = network.pretrained_cfg.get("fixed_input_size")
        side, multiple = network.pretrained_cfg["input_size"][-1] if fixed else None, 1
    return TrainedNetwork(
        network=network,
        mean=network.pretrained_cfg["mean"],
        std=network.pretrained_cfg["std"],
        side=side,
        multiple=multiple,
    )


def _build_torchvision(torchvision: ModuleType, name: str, pretrained: bool) -> TrainedNetwork:
    models = torchvision.models
    listed = name in models.list_models(module=models)
    _require_listed(listed, name, "torchvision.models.list_models(module=torchvision.models)")
    network = models.get_model(name, weights="DEFAULT" if pretrained else None)
    return TrainedNetwork(
        network=network,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        side=getattr(network, "image_size", None),  # its vision transformers have one
    )


def _build_torchxrayvision(
    torchxrayvision: ModuleType, name: str, pretrained: bool
) -> TrainedNetwork:
    models = torchxrayvision.models
    # Its short names, such as "nih", are none that its get_model takes.
    names = [name for name in models.model_urls if name.startswith(("densenet", "resnet"))]
    _require_listed(name in names, name, f"torchxrayvision: {', '.join(names)}")
    network: nn.Module
    if pretrained:
        network = models.get_model(name)
    elif name.startswith("densenet"):
        network = models.DenseNet(weights=None)
    else:
        network = _grey_resnet(name.partition("-")[0])
    # Its networks take grey levels from -1024 to 1024.
    return TrainedNetwork(
        network=network,
        mean=[0.5],
        std=[1 / 2048],
        side=models.model_urls[name]["input_resolution"],
    )


def _grey_resnet(name: str) -> nn.Module:
    """Build a ResNet as torchxrayvision does, which cannot without its download."""
    resnet = importlib.import_module("torchvision").models.get_model(name, weights=None)
    resnet.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    return nn.Sequential(OrderedDict(model=resnet))


_BUILDERS: dict[Library, Callable[[ModuleType, str, bool], TrainedNetwork]] = {
    "timm": _build_timm,
    "torchvision": _build_torchvision,
    "torchxrayvision": _build_torchxrayvision,
}


def _require_listed(listed: bool, name: str, where: str) -> None:
    if not listed:
        raise ConfigurationError(f"model: there is no {name!r} in {where}: give one of its names")
