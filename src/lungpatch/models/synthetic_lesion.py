"""A network that is trained to find lesions painted into normal lungs."""

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
    """Return evidence of a lesion at every pixel, against an expectation of none.

    A U-Net is trained on normal lungs, into which `lungpatch.synthesis.LesionSynthesiser` paints
    lesions, to say where these are; it never sees a real one. This is DRAEM [1]_ without its
    reconstructing half, and close to AnatPaste [2]_. Use it with patches that hold both lungs
    (sampler ``lung-crop``): the mirrored patch is a second input, so that one lung can be compared
    with the other, and the lung mask a third. Use the scorer ``feature`` with
    ``difference="excess"``.

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
    RepairModel : The same network, trained to return the image without the lesions.
    LesionHeadModel : Painted lesions too, on features of a network that is trained already.
    LesionEncoder : The features of this network.

    Notes
    -----
    The loss is binary cross-entropy plus 1 - Dice, within the lungs.

    References
    ----------
    .. [1] V. Zavrtanik, M. Kristan, D. Skocaj, "DRAEM: a discriminatively trained reconstruction
       embedding for surface anomaly detection", ICCV 2021. arXiv:2108.07610
    .. [2] J. Sato et al., "Anatomy-aware self-supervised learning for anomaly detection in chest
       radiographs", 2022. arXiv:2205.04282

    Examples
    --------
    >>> from lungpatch.models import SyntheticLesionModel
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
            lesion is at each pixel, as learned from painted ones; the mean over the patch and its
            mirror image. ``expected`` is 0.

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
