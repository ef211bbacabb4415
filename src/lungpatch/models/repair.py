"""A network that learns to take lesions out again that were painted into normal lungs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import numpy as np
import torch
from torch import Tensor

from lungpatch._utils.component import plain_errors
from lungpatch.containers import PatchBatch, Reconstruction
from lungpatch.networks.compact_unet import resize
from lungpatch.networks.lesion_trained import LesionTrainedNetwork

if TYPE_CHECKING:
    from lungpatch.networks.lesion_painting import PaintedBatch


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class RepairModel(LesionTrainedNetwork):
    """The normal image under a lesion.

    A U-Net learns on normal lungs into which lesions are painted as it goes, by
    `lungpatch.synthesis.LesionSynthesiser`, to give back the image as it was before. What it would
    change in a new image is the anomaly. Made for patches that hold both lungs (sampler
    ``lung-crop``). Score it with ``sad``, or with ``feature``, ``difference="excess"``, where only
    what is brighter than expected counts.

    Parameters
    ----------
    patch_size : int
        Side P of the patches in pixels, a multiple of 32 times ``shrink``.
    shrink : int
        The network sees patches averaged over so many pixels a side; 2 is some four times faster
        than 1, and opacities are large.
    channels : tuple of int
        Of the network's five levels, the finest first.
    recipes : tuple of str
        What is painted, out of `lungpatch.synthesis.RECIPES`.
    normal_fraction : float
        Share of the training patches that stay normal, in [0, 1].
    max_lesions : int
        Most lesions in a patch.
    epochs : int
        At most so many passes over the training patches.
    patience : int
        Stop after so many epochs in a row without a lower validation loss.
    batch_size : int
        Patches a step of the training.
    learning_rate : float
        The highest of a one-cycle schedule over all ``epochs``.
    device : {"auto", "cpu", "cuda", "mps"}
        Where to train and to run.

    Notes
    -----
    Source: the reconstructing half of DRAEM (Zavrtanik et al., ICCV 2021, arXiv:2108.07610); the
    loss is the mean absolute difference within the lungs. The network gives the change, at half
    the resolution, which is added to the image: opacities are smooth, and what is fine stays.

    Examples
    --------
    >>> RepairModel(patch_size=64, channels=(4, 4, 8, 8, 8), epochs=2).patch_size
    64
    """

    def reconstruct(self, patches: PatchBatch) -> Reconstruction:
        """Return the patches as they would look if the lung were normal.

        Parameters
        ----------
        patches : PatchBatch
            N patches of P x P pixels; N may be 0.

        Returns
        -------
        Reconstruction
            ``target`` is the patches themselves; ``expected``, float32 (N, 1, P, P), lies in
            [0, 1].

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ConfigurationError
            If the patches have another size, or the device is absent.
        """
        target = patches.pixels[:, None]
        change = resize(torch.from_numpy(self._outputs(patches)), target.shape[2:]).numpy()
        return Reconstruction(target=target, expected=np.clip(target + change, 0.0, 1.0))

    def _loss(self, output: Tensor, painted: PaintedBatch) -> Tensor:
        repaired = painted.images + resize(output, painted.images.shape[2:])
        error = (repaired - painted.normal).abs() * painted.lung
        return error.sum() / painted.lung.sum().clamp_min(1.0)
