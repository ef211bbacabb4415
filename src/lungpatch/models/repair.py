"""A network that is trained to remove lesions painted into normal lungs."""

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
    """Reconstruct the normal image under a lesion.

    A U-Net is trained on normal lungs, into which `lungpatch.synthesis.LesionSynthesiser` paints
    lesions, to return the image without them. What it changes in a new image is the anomaly. This
    is the reconstructing half of DRAEM [1]_. Use it with patches that hold both lungs (sampler
    ``lung-crop``), and with the scorer ``sad``, or ``feature`` with ``difference="excess"``, where
    only what is brighter than expected counts.

    Parameters
    ----------
    patch_size : int
        Side P of the patches in pixels, a multiple of 32 times ``shrink``.
    shrink : int
        The network takes patches averaged over blocks of this many pixels a side; 2 is about four
        times faster than 1, and opacities are large.
    channels : tuple of int
        Number of channels of the network's five levels, the finest first.
    recipes : tuple of str
        What is painted, out of `lungpatch.synthesis.RECIPES`.
    normal_fraction : float
        Fraction of the training patches that stay normal, in [0, 1].
    max_lesions : int
        Maximum number of lesions per patch, at least 1.
    distractor_fraction : float
        Fraction of the training patches with objects that are no lesions, such as wires, in [0, 1].
    epochs : int
        Maximum number of passes over the training patches.
    patience : int
        Training stops after this many epochs in a row without a lower validation loss.
    batch_size : int
        Number of patches per training step.
    learning_rate : float
        Highest learning rate of a one-cycle schedule over all ``epochs``; above 0.
    device : {"auto", "cpu", "cuda", "mps"}
        Where to train and to run; ``"auto"`` is the first of CUDA, MPS and CPU that is available.
    precision : {"float32", "bfloat16"}
        What the fitted network computes in.

    See Also
    --------
    SyntheticLesionModel : The same network, trained to say where the lesions are.

    Notes
    -----
    The loss is the mean absolute difference within the lungs. The network's output is the change,
    at half the resolution, which is added to the image: opacities are smooth, and fine structures
    are kept.

    References
    ----------
    .. [1] V. Zavrtanik, M. Kristan, D. Skocaj, "DRAEM: a discriminatively trained reconstruction
       embedding for surface anomaly detection", ICCV 2021. arXiv:2108.07610

    Examples
    --------
    >>> from lungpatch.models import RepairModel
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
