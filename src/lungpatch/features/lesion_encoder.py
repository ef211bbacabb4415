"""Features of a network that learnt to see painted lesions: trained here, nothing downloaded."""

from __future__ import annotations

from typing import cast

import attrs
import torch
from attrs import validators
from torch import Tensor, nn

from lungpatch.containers import FloatImage, PatchBatch
from lungpatch.models.compact_unet import CompactUNet, resize
from lungpatch.models.network_model import at_least_1
from lungpatch.models.synthetic_lesion import SyntheticLesionModel


@attrs.define(kw_only=True, eq=False)
class LesionEncoder(SyntheticLesionModel):
    """What the encoder of a `SyntheticLesionModel` makes of every place.

    To tell lesions, the network had to learn what ribs, vessels and opacities look like: its
    middle levels describe lung well, and better than networks trained on photographs do on the
    films of ``benchmarks/detectors.py``.

    Parameters
    ----------
    levels : tuple of int
        Whose features are joined: 0 is the finest of the five, 4 the coarsest.
    places : int
        Places a side, at least 1; features of all levels are interpolated to them.
    patch_size, shrink, channels, recipes, healthy_share, max_lesions
        As in `lungpatch.models.synthetic_lesion.SyntheticLesionModel`.
    epochs, patience, batch_size, learning_rate, device
        As in `lungpatch.models.synthetic_lesion.SyntheticLesionModel`.

    Examples
    --------
    >>> LesionEncoder(patch_size=64, channels=(4, 4, 8, 8, 8), places=8).levels
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
    places: int = attrs.field(default=16, validator=at_least_1())

    def extract(self, patches: PatchBatch) -> FloatImage:
        """Return the features of patches.

        Parameters
        ----------
        patches : PatchBatch
            N patches of P x P pixels; N may be 0.

        Returns
        -------
        ndarray of float32, shape (N, C, places, places)
            C is the sum of the channels of ``levels``.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ConfigurationError
            If the patches have another size, or the device is absent.
        """
        shape = (self.places, self.places)

        def output_of(network: nn.Module, part: PatchBatch, device: torch.device) -> Tensor:
            levels = cast(CompactUNet, network).encode(self._network_input(part, device))
            return torch.cat([resize(levels[level], shape) for level in self.levels], dim=1)

        return self._run(patches, output_of)
