"""The segmenter of the paper: the public U-Net of ``imlab-uiip/lung-segmentation-2d``."""

from __future__ import annotations

import json
import os
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from lungpatch._utils.component import EXECUTION, Component, plain_errors
from lungpatch._utils.devices import DEVICES, Device, choose_device
from lungpatch._utils.extras import import_extra
from lungpatch._utils.forks import IMPORTING
from lungpatch.containers import BoolImage, ChestImage, FloatImage, LungMask
from lungpatch.errors import ConfigurationError, MissingInputError
from lungpatch.networks.compact_unet import resize
from lungpatch.networks.torch_adapter import lies_on, reproducible
from lungpatch.segmenters.plausibility import implausibility

if TYPE_CHECKING:
    from collections.abc import Iterator

NETWORK_SIDE = 256
"""Side, in pixels, of the square images that the network was trained on."""

MIN_REGION_FRACTION = 0.02
"""Regions and holes below this fraction of the 256 x 256 mask are removed."""

ENCODER = ((1, 32, 32), (32, 64, 64), (64, 64, 64), (64, 128, 128))
"""Channels before, between and after the convolutions of each level; pooling follows each level."""

BOTTOM = (128, 256)
"""The same for the lowest level."""

DECODER = ((256, 256, 256, 256), (256, 256, 256, 256), (256, 128, 128, 128), (128, 64, 64, 64))
"""The same for the way up; the encoder's features join before the last convolution of a level."""


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class IMLABSegmenter(Component):
    """Find lungs with the public U-Net that the paper used on its normal images.

    The network [1]_ was trained on images without pneumonia (JSRT and Montgomery) and misses
    opacified parts of a lung; `UNetSegmenter` was made to include them.

    Parameters
    ----------
    weights : str or path
        The file ``trained_model.hdf5`` of that project (MIT licence), as Keras saved it. Reading it
        requires ``pip install "lungpatch[imlab]"``.
    device : {"auto", "cpu", "cuda", "mps"}
        Where the network runs; ``"auto"`` is the first available one of CUDA, MPS and the CPU.

    See Also
    --------
    UNetSegmenter : The default segmenter, with packaged weights.
    ThresholdSegmenter : A segmenter without a network.

    Notes
    -----
    The steps are those of the project's ``build_model.py``, ``load_data.py`` and ``inference.py``:

    1. The image is stretched to 256 x 256 pixels (`skimage.transform.resize`), its histogram is
       equalised (`skimage.exposure.equalize_hist`), and it is standardised to mean 0 and standard
       deviation 1. The project uses mean and deviation of the whole data set. Equalised images
       hardly differ in them, so each image is standardised by its own, and its mask depends on
       nothing else.
    2. The network is a U-Net of 22 convolutions of 3 x 3 (5.5 million weights) with ReLU, maximum
       pooling and nearest-neighbour up-sampling; its output is a sigmoid.
    3. Pixels above 0.5 are lung. Connected regions (4-connected) below 2 % of the image are
       removed, then holes below 2 %.

    The mask is then interpolated to the native grid of the image, which that project leaves to its
    users. Unlike the masks of the other segmenters it may have more than two components.

    References
    ----------
    .. [1] imlab-uiip, "Lung segmentation (2D)",
       https://github.com/imlab-uiip/lung-segmentation-2d

    Examples
    --------
    >>> from lungpatch import IMLABSegmenter
    >>> segmenter = IMLABSegmenter(weights="trained_model.hdf5")
    >>> segmenter
    IMLABSegmenter(weights='trained_model.hdf5', device='auto')
    """

    weights: str = attrs.field(converter=os.fspath, validator=attrs.validators.instance_of(str))
    device: Device = attrs.field(
        default="auto", validator=attrs.validators.in_(DEVICES), metadata={EXECUTION: True}
    )
    _loaded: _Loaded | None = attrs.field(init=False, default=None, repr=False)

    def segment(self, image: ChestImage) -> LungMask:
        """Find the lungs.

        Parameters
        ----------
        image : ChestImage
            Of any size.

        Returns
        -------
        LungMask
            Of the shape of the image; empty if the network finds no lung.

        Raises
        ------
        MissingExtraError
            If h5py is not installed.
        MissingInputError
            If the weights file does not exist.
        ConfigurationError
            If it is not the model of that project.
        """
        device = choose_device(self.device)
        network = self._network_on(device)
        images = torch.from_numpy(network_input(image.pixels))[None, None].to(device)
        with torch.inference_mode(), reproducible(device):
            probability = network(images)[0, 0].cpu()
        lungs = torch.from_numpy(without_small_regions(probability.numpy() > 0.5))
        # The distance from 0.5, with its sign changed where a pixel was removed or added: this
        # interpolates to a smooth border, and at 256 x 256 gives exactly the mask of the project.
        distance = (probability - 0.5).abs()
        signed = torch.where(lungs, distance, -distance)
        mask = (resize(signed[None, None], image.shape)[0, 0] > 0.0).numpy()
        return LungMask(pixels=mask, implausible=implausibility(image, mask))

    def _network_on(self, device: torch.device) -> IMLABNetwork:
        # Read once and replaced whole, since other threads do the same at the same time.
        loaded = self._loaded
        if loaded is None or loaded.path != self.weights or not lies_on(loaded.network, device):
            network = load_imlab_network(self.weights).to(device)
            loaded = self._loaded = _Loaded(self.weights, network)
        return loaded.network


@attrs.frozen(eq=False)
class _Loaded:
    """The network of a weights file. It is not changed any more."""

    path: str
    network: IMLABNetwork


def network_input(pixels: FloatImage) -> FloatImage:
    """Resize, equalise and standardise an image as the training images of the network were.

    Parameters
    ----------
    pixels : ndarray of float32, shape (H, W), values in [0, 1]

    Returns
    -------
    ndarray of float32, shape (256, 256)
        With mean 0 and standard deviation 1; all 0 for an image of one grey level.

    Examples
    --------
    >>> values = network_input(np.eye(300, 200, dtype=np.float32))
    >>> values.shape, round(float(values.std()), 3)
    ((256, 256), 1.0)
    """
    with IMPORTING:
        from skimage.exposure import equalize_hist
        from skimage.transform import resize as resize_pixels

    side = (NETWORK_SIDE, NETWORK_SIDE)
    equalised = equalize_hist(resize_pixels(pixels.astype(np.float64), side))
    centred = equalised - equalised.mean()
    standardised: FloatImage = (centred / max(centred.std(), 1e-6)).astype(np.float32)
    return standardised


def without_small_regions(mask: BoolImage) -> BoolImage:
    """Remove regions, and then holes, of less than 2 % of the mask (4-connected).

    Examples
    --------
    >>> mask = np.zeros((20, 20), bool)
    >>> mask[2:8, 2:8] = mask[15, 10:17] = True
    >>> mask[4, 4] = False
    >>> int(without_small_regions(mask).sum())
    36
    """

    def large(regions: BoolImage) -> BoolImage:
        components, _ = ndimage.label(regions)
        kept = np.bincount(components.ravel()) >= MIN_REGION_FRACTION * regions.size
        kept[0] = False
        large_regions: BoolImage = kept[components]
        return large_regions

    return ~large(~large(mask))


# ---------------------------------------------------------------------------------- network


def _convolutions(channels: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels_in, channels_out in pairwise(channels):
        layers += [nn.Conv2d(channels_in, channels_out, 3, padding=1), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class UpLevel(nn.Module):
    """One level of the decoder: up-sampling, two convolutions, a skip connection, a convolution.

    Parameters
    ----------
    channels : tuple of int
        Channels before the first and after the first, second and last convolution.
    skipped : int
        Channels of the encoder's features.

    Examples
    --------
    >>> level = UpLevel((8, 4, 4, 4), skipped=2)
    >>> level(torch.zeros(1, 8, 4, 4), torch.zeros(1, 2, 8, 8)).shape
    torch.Size([1, 4, 8, 8])
    """

    def __init__(self, channels: tuple[int, ...], skipped: int) -> None:
        super().__init__()
        self.before = _convolutions(channels[:-1])
        self.after = _convolutions((skipped + channels[-2], channels[-1]))

    def forward(self, features: Tensor, skip: Tensor) -> Tensor:
        """Return features at the resolution of ``skip``.

        Parameters
        ----------
        features : Tensor, float32, (N, C, H, W)
        skip : Tensor, float32, (N, D, 2 H, 2 W)

        Returns
        -------
        Tensor, float32, (N, E, 2 H, 2 W)
        """
        features = self.before(F.interpolate(features, scale_factor=2.0, mode="nearest"))
        joined: Tensor = self.after(torch.cat([skip, features], dim=1))
        return joined


class IMLABNetwork(nn.Module):
    """The U-Net of ``imlab-uiip/lung-segmentation-2d`` (its function ``build_UNet2D_4L``).

    Examples
    --------
    >>> network = IMLABNetwork()
    >>> network(torch.zeros(1, 1, 32, 32)).shape, sum(p.numel() for p in network.parameters())
    (torch.Size([1, 1, 32, 32]), 5468897)
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(map(_convolutions, ENCODER))
        self.bottom = _convolutions(BOTTOM)
        self.decoder = nn.ModuleList(
            UpLevel(level, shallow[-1])
            for level, shallow in zip(DECODER, reversed(ENCODER), strict=True)
        )
        self.head = nn.Conv2d(DECODER[-1][-1], 1, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Return the probability of lung.

        Parameters
        ----------
        images : Tensor, float32, (N, 1, H, W)
            From `network_input`; H and W multiples of 16.

        Returns
        -------
        Tensor, float32, (N, 1, H, W)
        """
        features = images
        skips: list[Tensor] = []
        for level in self.encoder:
            features = level(features)
            skips.append(features)
            features = F.max_pool2d(features, 2)
        features = self.bottom(features)
        for level in self.decoder:
            features = level(features, skips.pop())
        probability: Tensor = self.head(features).sigmoid()
        return probability


def keras_layers() -> list[str]:
    """Describe each layer of the Keras model of the project, in order.

    Examples
    --------
    >>> for line in keras_layers()[:5]:
    ...     print(line)
    0: InputLayer
    1: Conv2D of 0, filters 32, kernel 3x3, activation relu, padding same
    2: Conv2D of 1, filters 32, kernel 3x3, activation relu, padding same
    3: MaxPooling2D of 2, pool 2x2
    4: Conv2D of 3, filters 64, kernel 3x3, activation relu, padding same
    """
    lines = ["0: InputLayer"]

    def add(text: str) -> int:
        lines.append(f"{len(lines)}: {text}")
        return len(lines) - 1

    def convolve(source: int, filters: int, activation: str = "relu") -> int:
        return add(
            f"Conv2D of {source}, filters {filters}, kernel 3x3, activation {activation}, "
            "padding same"
        )

    last = 0
    skips: list[int] = []
    for _, *filters in ENCODER:
        for count in filters:
            last = convolve(last, count)
        skips.append(last)
        last = add(f"MaxPooling2D of {last}, pool 2x2")
    last = convolve(last, BOTTOM[-1])
    for _, *filters in DECODER:
        last = add(f"UpSampling2D of {last}, size 2x2")
        for count in filters[:-1]:
            last = convolve(last, count)
        last = add(f"Concatenate of {skips.pop()} and {last}")
        last = convolve(last, filters[-1])
    convolve(last, 1, "sigmoid")
    return lines


# --------------------------------------------------------------------------------- weights


def load_imlab_network(path: str | os.PathLike[str]) -> IMLABNetwork:
    """Load the network from the HDF5 file that Keras saved.

    Parameters
    ----------
    path : path
        A whole model in Keras's HDF5 format (of Keras 2 or 3): its layers in the attribute
        ``model_config``, their weights in the group ``model_weights``.

    Returns
    -------
    IMLABNetwork
        In evaluation mode and without gradients.

    Raises
    ------
    MissingExtraError
        If h5py is not installed.
    MissingInputError
        If there is no such file.
    ConfigurationError
        If it is not HDF5 or not a Keras model, has another architecture, or lacks weights.

    Examples
    --------
    >>> network = load_imlab_network("trained_model.hdf5")             # doctest: +SKIP
    """
    h5py = _h5py()
    path = Path(path)
    if not path.is_file():
        raise MissingInputError(
            f"{path}: no such weights file; get trained_model.hdf5 from "
            "https://github.com/imlab-uiip/lung-segmentation-2d"
        )
    with torch.device("meta"):  # spends neither time nor random numbers on weights
        network = IMLABNetwork()
    state = network.state_dict()
    try:
        with h5py.File(path, "r") as file:
            convolutions = _checked_layers(file)
            weights = _read_weights(file["model_weights"], convolutions, list(state.values()))
    except _UnfitFileError as unfit:
        raise ConfigurationError(
            f"{path}: {unfit}; expected trained_model.hdf5 of imlab-uiip/lung-segmentation-2d as "
            "Keras saved it"
        ) from unfit.__cause__
    except OSError as error:
        raise ConfigurationError(
            f"{path}: not a readable HDF5 file ({error}); expected trained_model.hdf5 of "
            "imlab-uiip/lung-segmentation-2d, downloaded raw and whole"
        ) from error
    network.load_state_dict(dict(zip(state, weights, strict=True)), assign=True)
    return network.eval().requires_grad_(False)


class _UnfitFileError(Exception):
    """Why an HDF5 file cannot be used, without its name."""


def _h5py() -> Any:
    return import_extra("h5py", needed_by="the segmenter 'imlab'", extra="imlab")


def _checked_layers(file: Any) -> list[str]:
    """Check the layers of a file, and return the names of its convolutions in order."""
    if "model_config" not in file.attrs or "model_weights" not in file:
        raise _UnfitFileError(
            "HDF5, but not a whole Keras model (no model_config or no model_weights)"
        )
    try:
        layers = json.loads(file.attrs["model_config"])["config"]["layers"]
        found = list(_described(layers))
        convolutions = [layer["name"] for layer in layers if layer["class_name"] == "Conv2D"]
    except (ValueError, TypeError, KeyError) as error:
        raise _UnfitFileError(f"its model_config cannot be understood ({error!r})") from error
    expected = keras_layers()
    for have, want in zip(found, expected, strict=False):
        if have != want:
            raise _UnfitFileError(f"another architecture: layer '{have}' instead of '{want}'")
    if len(found) != len(expected):
        raise _UnfitFileError(
            f"another architecture: {len(found)} layers instead of {len(expected)}"
        )
    return convolutions


def _described(layers: list[dict[str, Any]]) -> Iterator[str]:
    """Yield one line per layer: its kind, its inputs, and all that its output depends on."""
    index = {layer["name"]: number for number, layer in enumerate(layers)}
    for number, layer in enumerate(layers):
        kind, config = layer["class_name"], layer["config"]
        sources = [index[name] for name in _strings(layer["inbound_nodes"]) if name in index]
        text = f"{number}: {kind}"
        if sources:
            text += f" of {' and '.join(map(str, sources))}"
        # Settings without effect, or that every layer here has, are left out.
        if kind == "Conv2D":
            text += f", filters {config['filters']}, kernel {_by(config['kernel_size'])}"
            text += f", activation {config['activation']}, padding {config['padding']}"
        for name, label in (("pool_size", "pool"), ("size", "size")):
            if name in config:
                text += f", {label} {_by(config[name])}"
        usual = {
            "strides": config.get("pool_size", [1, 1]),
            "dilation_rate": [1, 1],
            "groups": 1,
            "use_bias": True,
            "data_format": "channels_last",
            "interpolation": "nearest",
            "axis": -1,
        }
        for name, value in usual.items():
            if config.get(name, value) != value:
                text += f", {name} {config[name]}"
        yield text


def _by(sizes: list[int]) -> str:
    return "x".join(map(str, sizes))


def _strings(value: Any) -> Iterator[str]:
    """Yield all strings in nested lists and dicts: Keras 2 and 3 nest inputs differently."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _read_weights(group: Any, convolutions: list[str], expected: list[Tensor]) -> list[Tensor]:
    """Read kernel and bias of each convolution, in order, in the shapes that torch expects."""
    weights: list[Tensor] = []
    for name, kernel, bias in zip(convolutions, expected[::2], expected[1::2], strict=True):
        # Keras keeps kernels as (row, column, channel in, channel out).
        shapes = [tuple(kernel.permute(2, 3, 1, 0).shape), tuple(bias.shape)]
        try:
            # "conv2d_1/kernel:0" in Keras 2, "conv2d_1/kernel" in Keras 3; kernel before bias.
            names = group[name].attrs["weight_names"]
            stored = [group[name][_text(weight)] for weight in names]
            found = [dataset.shape for dataset in stored]
            if found != shapes:
                raise _UnfitFileError(
                    f"weights of its layer {name} of shapes {found}, not {shapes}"
                )
            arrays = [torch.from_numpy(np.asarray(dataset, np.float32)) for dataset in stored]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise _UnfitFileError(f"no weights of its layer {name} ({error})") from error
        weights += [arrays[0].permute(3, 2, 0, 1).contiguous(), arrays[1]]
    return weights


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
