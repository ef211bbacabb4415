"""Batches of normal patches with lesions painted in, for networks that learn from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import numpy as np
import torch
from torch import Tensor, nn

from lungpatch.networks.image_augmentation import vary_exposure, vary_framing

if TYPE_CHECKING:
    from collections.abc import Callable

    from lungpatch.containers import BoolImage, FloatImage, PatchBatch
    from lungpatch.synthesis import LesionSynthesiser

VALIDATION_SEED = 0
"""Validation lesions are the same in every epoch, so that epochs can be compared."""


@attrs.frozen(eq=False, kw_only=True)
class PaintedBatch:
    """What a network learns from: all are float32 tensors (N, 1, P, P).

    Parameters
    ----------
    images : Tensor
        With lesions, grey levels in [0, 1].
    normal : Tensor
        The same images without.
    alpha : Tensor
        How anomalous each pixel is, in [0, 1].
    lung : Tensor
        1 within the lungs, 0 elsewhere.
    """

    images: Tensor
    normal: Tensor
    alpha: Tensor
    lung: Tensor


def lesion_painter(
    network: nn.Module,
    synthesiser: LesionSynthesiser,
    device: torch.device,
    rng: np.random.Generator,
) -> Callable[[PatchBatch], PaintedBatch]:
    """Return a function that paints lesions into normal patches.

    While ``network`` is in training mode it varies framing and exposure and paints anew each time.
    In evaluation mode it paints the same lesions whenever that mode is entered, and nothing else
    is varied.

    Parameters
    ----------
    network : torch.nn.Module
        Whose mode decides.
    synthesiser : LesionSynthesiser
    device : torch.device
        Where the tensors are to be.
    rng : numpy.random.Generator

    Returns
    -------
    callable
        From a `PatchBatch` to a `PaintedBatch`.
    """
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    fixed_rng: np.random.Generator | None = None

    def paint(batch: PatchBatch) -> PaintedBatch:
        nonlocal fixed_rng
        if network.training:
            fixed_rng = None
            painted = paint_varied(batch, synthesiser, rng, generator)
        else:
            fixed_rng = fixed_rng or np.random.default_rng(VALIDATION_SEED)
            normal, lung = _as_tensors(batch)
            images, alpha = _paint(normal, lung, synthesiser, fixed_rng)
            painted = PaintedBatch(images=images, normal=normal, alpha=alpha, lung=lung)
        return PaintedBatch(
            images=painted.images.to(device),
            normal=painted.normal.to(device),
            alpha=painted.alpha.to(device),
            lung=painted.lung.to(device),
        )

    return paint


def paint_varied(
    batch: PatchBatch,
    synthesiser: LesionSynthesiser,
    rng: np.random.Generator,
    generator: torch.Generator,
) -> PaintedBatch:
    """Vary framing, paint lesions, then vary exposure.

    Parameters
    ----------
    batch : PatchBatch
        Normal.
    synthesiser : LesionSynthesiser
    rng : numpy.random.Generator
        Draws the lesions.
    generator : torch.Generator
        Draws the rest; on the CPU.

    Returns
    -------
    PaintedBatch
        On the CPU.
    """
    normal, lung = vary_framing(*_as_tensors(batch), generator)
    images, alpha = _paint(normal, lung, synthesiser, rng)
    # Both at once, so that they differ by the lesion alone.
    both = vary_exposure(torch.cat([images, normal], dim=1), generator)
    return PaintedBatch(images=both[:, :1], normal=both[:, 1:], alpha=alpha, lung=lung)


def _as_tensors(batch: PatchBatch) -> tuple[Tensor, Tensor]:
    images = torch.from_numpy(np.array(batch.pixels, order="C"))[:, None]
    return images, torch.from_numpy(batch.lung.astype(np.float32))[:, None]


def _paint(
    normal: Tensor, lung: Tensor, synthesiser: LesionSynthesiser, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Paint into every image of a batch; another one of the batch gives what is pasted."""
    images: FloatImage = normal[:, 0].numpy()
    lungs: BoolImage = lung[:, 0].numpy() > 0.5
    pixels, alpha = images.copy(), np.zeros_like(images)
    for index, (image, mask) in enumerate(zip(images, lungs, strict=True)):
        if mask.any():
            lesion = synthesiser.paint(image, mask, rng, other=images[index - 1])
            pixels[index], alpha[index] = lesion.pixels, lesion.alpha
    return torch.from_numpy(pixels)[:, None], torch.from_numpy(alpha)[:, None]
