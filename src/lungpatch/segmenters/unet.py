"""Lungs by a small U-Net with packaged weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import numpy as np
from scipy import ndimage, special

from lungpatch._utils.component import EXECUTION, Component, plain_errors
from lungpatch._utils.devices import DEVICES, Device, choose_device
from lungpatch._utils.forks import IMPORTING
from lungpatch.containers import BoolImage, ChestImage, FloatImage, LungMask
from lungpatch.segmenters.plausibility import implausibility

if TYPE_CHECKING:
    from torch import Tensor

LUNG_PROBABILITY = 0.4
"""Minimum probability of lung. It is a little below one half: on the training pairs Dice is as
good to 0.001, and opaque lung, which a detector must not lose, is covered better."""

MIN_FRACTION = 0.1
"""Minimum area of the second component, as a fraction of the first; a smaller one is no lung."""


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class UNetSegmenter(Component):
    """Find lungs with a U-Net that includes the opacified parts of a lung.

    The network [1]_ was trained on 92 radiographs with lung masks and on 236 normal ones, with
    opacities painted into the lungs until nothing of a border is left; see the model card beside
    the weights.

    Parameters
    ----------
    flip_average : bool
        Whether to average over the image and its mirror image, which takes twice as long.
    device : {"auto", "cpu", "cuda", "mps"}
        Where the network runs; ``"auto"`` is the first available one of CUDA, MPS and the CPU.

    See Also
    --------
    IMLABSegmenter : The network that the paper used.
    ThresholdSegmenter : A segmenter without a network.

    Notes
    -----
    The image is stretched to 256 x 256 pixels for the network. In its output of 128 x 128 cells all
    but two components are removed and holes are filled; then it is interpolated to the native grid
    of the image.

    References
    ----------
    .. [1] O. Ronneberger, P. Fischer, T. Brox, "U-Net: convolutional networks for biomedical image
       segmentation", MICCAI 2015. doi:10.1007/978-3-319-24574-4_28

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch import ChestImage, UNetSegmenter
    >>> pixels = np.zeros((300, 250), np.float32)
    >>> UNetSegmenter(device="cpu").segment(ChestImage(pixels=pixels, image_id="black"))
    LungMask(300x250, 0.0% lung)
    """

    flip_average: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool))
    device: Device = attrs.field(
        default="auto", validator=attrs.validators.in_(DEVICES), metadata={EXECUTION: True}
    )

    def segment(self, image: ChestImage) -> LungMask:
        """Find the lungs.

        Parameters
        ----------
        image : ChestImage
            Of any size.

        Returns
        -------
        LungMask
            Of the shape of the image: at most two components without holes. Empty if the network
            finds no lung.
        """
        logits = self._logits(image)
        lungs = lungs_from_logits(logits, image.shape)
        doubt = implausibility(image, lungs, probability=logits.sigmoid()[0, 0].numpy())
        return LungMask(pixels=lungs, implausible=doubt)

    def probability(self, image: ChestImage) -> FloatImage:
        """Return the probability of lung, before components are removed and holes are filled.

        Parameters
        ----------
        image : ChestImage
            Of any size.

        Returns
        -------
        ndarray of float32, shape (H, W), values in [0, 1]
            One probability per pixel of the image.
        """
        with IMPORTING:
            from lungpatch.networks.compact_unet import resize

        probability: FloatImage = resize(self._logits(image), image.shape).sigmoid()[0, 0].numpy()
        return probability

    def _logits(self, image: ChestImage) -> Tensor:
        """Return the logits of lung on the CPU, float32, (1, 1, 128, 128)."""
        with IMPORTING:
            import torch

            from lungpatch.networks.lung_network import network_input, prepared_lung_network
            from lungpatch.networks.torch_adapter import reproducible

        device = choose_device(self.device)
        network = prepared_lung_network(device)
        # torch warns of read-only arrays, so it gets a copy.
        pixels = torch.from_numpy(image.pixels.copy())[None, None].to(device)
        with torch.inference_mode(), reproducible(device):
            images = network_input(pixels)
            logits: Tensor = network(images)
            if self.flip_average:
                logits = (logits + network(images.flip(3)).flip(3)) / 2.0
        return logits.cpu()


def lungs_from_logits(logits: Tensor, shape: tuple[int, int]) -> BoolImage:
    """Return the lung mask of a given shape from the output of the network.

    Parameters
    ----------
    logits : Tensor, float32, (1, 1, h, w)
        Log-odds of lung of each cell.
    shape : tuple of int
        Shape (H, W) of the mask.

    Returns
    -------
    ndarray of bool, shape (H, W)
        At most two components, without holes.

    Examples
    --------
    >>> import torch
    >>> logits = torch.full((1, 1, 4, 4), -5.0)
    >>> logits[..., :2, :2] = 5.0
    >>> lungs_from_logits(logits, (4, 4)).sum()
    np.int64(4)
    """
    with IMPORTING:
        import torch

        from lungpatch.networks.compact_unet import resize

    margin = logits - float(special.logit(LUNG_PROBABILITY))
    lungs = two_solid_components(margin[0, 0].numpy() > 0.0)
    # Where a cell was removed or added its margin changes sign, so that borders stay smooth.
    signed = torch.where(torch.from_numpy(lungs), margin.abs(), -margin.abs())
    mask: BoolImage = resize(signed, shape)[0, 0].numpy() > 0.0
    # Interpolation itself neither splits a component nor opens a hole, but in the mask a neck or a
    # channel that is thinner than a pixel does.
    if set(euler_numbers(mask)) != {euler_numbers(lungs)[0]}:
        mask = two_solid_components(mask)
    return mask


def two_solid_components(mask: BoolImage) -> BoolImage:
    """Keep the two largest components (4-connected) and fill their holes.

    The second one is removed too if its area is less than a tenth of the first.

    Examples
    --------
    >>> import numpy as np
    >>> ring = np.array([[1, 1, 1, 0, 1], [1, 0, 1, 0, 1], [1, 1, 1, 0, 0]], bool)
    >>> two_solid_components(ring).astype(int)
    array([[1, 1, 1, 0, 1],
           [1, 1, 1, 0, 1],
           [1, 1, 1, 0, 0]])
    """
    components, _ = ndimage.label(mask)
    sizes = np.bincount(components.ravel(), minlength=2)
    sizes[0] = 0
    kept = np.zeros(len(sizes), bool)
    kept[np.argsort(sizes)[-2:]] = True
    kept &= sizes > MIN_FRACTION * sizes.max()
    solid: BoolImage = kept[components]
    if set(euler_numbers(solid)) == {kept.sum()}:
        return solid
    background, _ = ndimage.label(~solid)
    edges = (background[0], background[-1], background[:, 0], background[:, -1])
    outside = np.zeros(background.max() + 1, bool)
    outside[np.concatenate(edges)] = True
    outside[0] = False
    filled: BoolImage = ~outside[background]
    return filled


def euler_numbers(mask: BoolImage) -> tuple[int, int]:
    """Return the number of components less the number of holes, for 4- and 8-connected pixels.

    If both equal the number of components there is no hole, whether the background is 4- or
    8-connected.

    Examples
    --------
    >>> import numpy as np
    >>> euler_numbers(np.eye(3, dtype=bool)), euler_numbers(np.ones((3, 3), bool))
    ((3, 1), (1, 1))
    """
    beside = mask[:, 1:] & mask[:, :-1]
    below = mask[1:] & mask[:-1]
    squares = beside[1:] & beside[:-1]
    unlike = mask[:, 1:] ^ mask[:, :-1]
    corners = unlike[1:] & unlike[:-1] & (mask[1:, 1:] ^ mask[:-1, 1:])
    pixels, rows, columns, blocks, touching = (
        int(np.count_nonzero(cells)) for cells in (mask, beside, below, squares, corners)
    )
    by_sides = pixels - rows - columns + blocks
    return by_sides, by_sides - touching
