"""Features of a network that is trained to find painted lesions."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import attrs
import torch
from attrs import validators
from torch import Tensor, nn

from lungpatch._utils.component import plain_errors
from lungpatch.networks.compact_unet import CompactUNet, resize
from lungpatch.networks.lesion_trained import LesionTrainedNetwork, lesion_loss
from lungpatch.networks.network_model import at_least_1

if TYPE_CHECKING:
    from lungpatch.containers import FloatImage, PatchBatch
    from lungpatch.networks.lesion_painting import PaintedBatch


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class LesionEncoder(LesionTrainedNetwork):
    """Features from the encoder of a network that is trained to find painted lesions.

    To find lesions, the network of a `SyntheticLesionModel` must distinguish ribs, vessels and
    opacities. Its middle levels describe lung well, and better than networks trained on
    photographs do on the images of ``benchmarks/detectors.py``. It is trained by ``fit``; nothing
    is downloaded.

    Parameters
    ----------
    levels : tuple of int
        Levels whose features are joined: 0 is the finest of the five, 4 the coarsest.
    grid : int
        Cells per side of the feature grid, at least 1; features of all levels are interpolated to
        it.
    patch_size, shrink, channels, recipes, normal_fraction, max_lesions, distractor_fraction
        As in `SyntheticLesionModel`.
    epochs, patience, batch_size, learning_rate, device, precision
        As in `SyntheticLesionModel`.

    See Also
    --------
    LungEncoder : Features of a network that is trained already.
    SyntheticLesionModel : Its settings, and a detector from the same network.

    Examples
    --------
    >>> from lungpatch.features import LesionEncoder
    >>> LesionEncoder(patch_size=64, channels=(4, 4, 8, 8, 8), grid=8).levels
    (2, 3)
    """

    levels: tuple[int, ...] = attrs.field(
        default=(2, 3),
        converter=tuple,
        validator=[
            validators.min_len(1),
            validators.deep_iterable(validators.in_((0, 1, 2, 3, 4))),
        ],
    )
    grid: int = attrs.field(default=16, validator=at_least_1())

    def extract(self, patches: PatchBatch) -> FloatImage:
        """Return the features of patches.

        Parameters
        ----------
        patches : PatchBatch
            N patches of P x P pixels; N may be 0.

        Returns
        -------
        ndarray of float32, shape (N, C, grid, grid)
            C is the sum of the channels of ``levels``.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ConfigurationError
            If the patches have another size, or the device is absent.
        """
        shape = (self.grid, self.grid)

        def output_of(network: nn.Module, part: PatchBatch, device: torch.device) -> Tensor:
            levels = cast("CompactUNet", network).encode(self._network_input(part, device))
            return torch.cat([resize(levels[level], shape) for level in self.levels], dim=1)

        return self._run(patches, output_of)

    def _loss(self, output: Tensor, painted: PaintedBatch) -> Tensor:
        return lesion_loss(output, painted.alpha, painted.lung)
