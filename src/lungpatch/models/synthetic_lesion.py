"""A network that learns to see lesions from lesions painted into normal lungs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import numpy as np
from scipy.special import expit

from lungpatch._utils.component import plain_errors
from lungpatch.containers import PatchBatch, Reconstruction
from lungpatch.networks.lesion_trained import LesionTrainedNetwork, lesion_loss

if TYPE_CHECKING:
    from torch import Tensor

    from lungpatch.networks.lesion_painting import PaintedBatch


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class SyntheticLesionModel(LesionTrainedNetwork):
    """Evidence of a lesion at every place, against an expectation of none.

    A U-Net learns on normal lungs into which lesions are painted as it goes, by
    `lungpatch.synthesis.LesionSynthesiser`, to say where they are. It never sees a real one. Made
    for patches that hold both lungs (sampler ``lung-crop``): the mirrored patch is a second
    input, so that one lung can be compared with the other, and the lung mask a third. Score it
    with ``feature``, ``difference="excess"``.

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
    Source: the approach is that of DRAEM (Zavrtanik et al., ICCV 2021, arXiv:2108.07610) without
    its reconstructing half, and of AnatPaste (Sato et al. 2022, arXiv:2205.04282). The loss is
    binary cross-entropy plus 1 - Dice, within the lungs.

    Examples
    --------
    >>> SyntheticLesionModel(patch_size=64, channels=(4, 4, 8, 8, 8), epochs=2).patch_size
    64
    """

    def reconstruct(self, patches: PatchBatch) -> Reconstruction:
        """Return the evidence of a lesion, against none.

        Parameters
        ----------
        patches : PatchBatch
            N patches of P x P pixels; N may be 0.

        Returns
        -------
        Reconstruction
            ``target``, float32 (N, 1, p/2, p/2) for p = P / ``shrink``, in [0, 1]: how likely a
            lesion is at each place, as far as painted ones tell; over the patch and its mirror
            image. ``expected`` is 0.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ConfigurationError
            If the patches have another size, or the device is absent.
        """
        evidence = expit(self._outputs(patches))
        return Reconstruction(target=evidence, expected=np.zeros_like(evidence))

    def _loss(self, output: Tensor, painted: PaintedBatch) -> Tensor:
        return lesion_loss(output, painted.alpha, painted.lung)
