"""Batches of normal patches with lesions painted in, for networks that are trained on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import numpy as np
import torch
from attrs import validators
from torch import Tensor, nn

from lungpatch._utils.component import plain_errors
from lungpatch.networks.image_augmentation import vary_exposure, vary_framing
from lungpatch.synthesis import RECIPES, LesionSynthesiser, Recipe
from lungpatch.synthesis.lesions import are_recipes, as_recipes, is_fraction

if TYPE_CHECKING:
    from lungpatch.containers import BoolImage, FloatImage, PatchBatch

VALIDATION_SEED = 0
"""Validation lesions are the same in every epoch, so that epochs can be compared."""


# Without slots, so that it can be a second base of components that have some.
@attrs.define(kw_only=True, eq=False, slots=False, field_transformer=plain_errors)
class LesionSettings:
    """The settings of every component that is trained on painted lesions.

    Parameters
    ----------
    recipes : tuple of str
        What is painted, out of `lungpatch.synthesis.RECIPES`.
    normal_fraction : float
        Fraction of the training patches that stay normal, in [0, 1].
    max_lesions : int
        Maximum number of lesions per patch, at least 1.
    distractor_fraction : float
        Fraction of the training patches with objects that are no lesions, such as wires, in [0, 1].

    Examples
    --------
    >>> LesionSettings(recipes=["lobar", "veil"])
    LesionSettings(recipes=('lobar', 'veil'), normal_fraction=0.25, max_lesions=2, ...)
    """

    recipes: tuple[Recipe, ...] = attrs.field(
        default=RECIPES, converter=as_recipes, validator=are_recipes
    )
    normal_fraction: float = attrs.field(default=0.25, validator=is_fraction)
    max_lesions: int = attrs.field(
        default=2, validator=[validators.instance_of(int), validators.ge(1)]
    )
    distractor_fraction: float = attrs.field(default=0.5, validator=is_fraction)

    def _synthesiser(self) -> LesionSynthesiser:
        return LesionSynthesiser(
            recipes=self.recipes,
            normal_fraction=self.normal_fraction,
            max_lesions=self.max_lesions,
            distractor_fraction=self.distractor_fraction,
        )


@attrs.frozen(eq=False, kw_only=True)
class PaintedBatch:
    """What a network is trained on. All are float32 tensors (N, 1, P, P).

    Parameters
    ----------
    images : Tensor
        With lesions, grey levels in [0, 1].
    normal : Tensor
        The same images without lesions, but with the same distractors.
    alpha : Tensor
        How anomalous each pixel is, in [0, 1].
    lung : Tensor
        1 within the lungs, 0 elsewhere.
    """

    images: Tensor
    normal: Tensor
    alpha: Tensor
    lung: Tensor


class LesionPainter:
    """Paints lesions into normal patches.

    While ``network`` is in training mode, framing and exposure are varied and new lesions are
    painted each time. In evaluation mode nothing is varied, and the same lesions are painted
    whenever that mode is entered.

    Parameters
    ----------
    network : torch.nn.Module
        Its mode decides.
    synthesiser : LesionSynthesiser
    device : torch.device
        Where the tensors are returned.
    rng : numpy.random.Generator

    Attributes
    ----------
    generators : tuple
        All generators that it draws from.
    """

    def __init__(
        self,
        network: nn.Module,
        synthesiser: LesionSynthesiser,
        device: torch.device,
        rng: np.random.Generator,
    ) -> None:
        self._network, self._synthesiser, self._device = network, synthesiser, device
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        self.generators = (rng, generator)
        self._fixed_rng: np.random.Generator | None = None

    def __call__(self, batch: PatchBatch) -> PaintedBatch:
        """Return the batch with lesions."""
        if self._network.training:
            self._fixed_rng = None
            painted = paint_varied(batch, self._synthesiser, *self.generators)
        else:
            self._fixed_rng = self._fixed_rng or np.random.default_rng(VALIDATION_SEED)
            normal, lung = _as_tensors(batch)
            images, normal, alpha = _paint(normal, lung, self._synthesiser, self._fixed_rng)
            painted = PaintedBatch(images=images, normal=normal, alpha=alpha, lung=lung)
        return PaintedBatch(
            images=painted.images.to(self._device),
            normal=painted.normal.to(self._device),
            alpha=painted.alpha.to(self._device),
            lung=painted.lung.to(self._device),
        )


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
    images, normal, alpha = _paint(normal, lung, synthesiser, rng)
    # Both at once, so that they differ by the lesion alone.
    both = vary_exposure(torch.cat([images, normal], dim=1), generator)
    return PaintedBatch(images=both[:, :1], normal=both[:, 1:], alpha=alpha, lung=lung)


def _as_tensors(batch: PatchBatch) -> tuple[Tensor, Tensor]:
    images = torch.from_numpy(np.array(batch.pixels, order="C"))[:, None]
    return images, torch.from_numpy(batch.lung.astype(np.float32))[:, None]


def _paint(
    normal: Tensor, lung: Tensor, synthesiser: LesionSynthesiser, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Return every image with lesions, the same without them, and how anomalous each pixel is.

    What is pasted comes from the image before it.
    """
    images: FloatImage = normal[:, 0].numpy()
    lungs: BoolImage = lung[:, 0].numpy() > 0.5
    pixels, without, alpha = images.copy(), images.copy(), np.zeros_like(images)
    for index, (image, mask) in enumerate(zip(images, lungs, strict=True)):
        if mask.any():
            without[index] = synthesiser.distract(image, mask, rng)
            lesion = synthesiser.paint(without[index], mask, rng, other=images[index - 1])
            pixels[index], alpha[index] = lesion.pixels, lesion.alpha
    with_lesions, without_lesions, anomalous = (
        torch.from_numpy(maps)[:, None] for maps in (pixels, without, alpha)
    )
    return with_lesions, without_lesions, anomalous
