"""Random synthetic lesions, painted into normal lungs by several recipes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import attrs
import numpy as np
from attrs import validators
from scipy import ndimage

from lungpatch._utils.component import plain_errors
from lungpatch.synthesis.distractors import paint_distractors
from lungpatch.synthesis.foreign import MIN_CHANGE, paste_foreign
from lungpatch.synthesis.opacities import (
    BoolImage,
    FloatImage,
    OpacityKind,
    opacity_alpha,
    smooth_noise,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    _Validator = Callable[[Any, attrs.Attribute[Any], Any], Any]

Recipe = Literal[
    "ground-glass",
    "lobar",
    "patchy",
    "effusion",
    "nodular",
    "veil",
    "interstitial",
    "foreign",
    "poisson",
]
RECIPES: tuple[Recipe, ...] = get_args(Recipe)
"""The kinds of opacity of `opacity_alpha`, and the two ways of blending of `paste_foreign`."""

SOFT_TISSUE_PERCENTILE = 80.0
"""Percentile of the grey levels outside the lungs that stands for the soft tissue of an image."""


are_recipes: _Validator = validators.and_(
    validators.min_len(1), validators.deep_iterable(validators.in_(RECIPES))
)
"""Validator of a setting that lists recipes."""

is_fraction: _Validator = validators.and_(
    validators.instance_of((int, float)), validators.ge(0), validators.le(1)
)
"""Validator of a setting in [0, 1]."""


def as_recipes(names: Iterable[Recipe]) -> tuple[Recipe, ...]:
    """Return recipes as a tuple: the converter of a setting that lists recipes.

    Examples
    --------
    >>> as_recipes(["lobar", "veil"])
    ('lobar', 'veil')
    """
    return tuple(names)


@attrs.frozen(eq=False, kw_only=True, repr=False)
class SyntheticLesion:
    """An image with synthetic lesions.

    Parameters
    ----------
    pixels : ndarray of float32, shape (H, W), values in [0, 1]
        The image with the lesions.
    alpha : ndarray of float32, shape (H, W), values in [0, 1]
        How anomalous each pixel is; 0 where there is no visible change.
    recipes : tuple of str
        The recipes of the lesions, in the order in which they were painted; empty if nothing was
        painted.

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch.synthesis import SyntheticLesion
    >>> flat = np.zeros((4, 4), np.float32)
    >>> SyntheticLesion(pixels=flat, alpha=flat, recipes=())
    SyntheticLesion(4x4, normal)
    """

    pixels: FloatImage
    alpha: FloatImage
    recipes: tuple[Recipe, ...]

    def __repr__(self) -> str:
        what = " + ".join(self.recipes) or "normal"
        return f"SyntheticLesion({'x'.join(map(str, self.pixels.shape))}, {what})"


@attrs.frozen(eq=False, kw_only=True, field_transformer=plain_errors)
class LesionSynthesiser:
    """Paints random lesions into normal lungs, by several recipes.

    An opacity moves grey levels towards the soft tissue of the same image, or adds brightness. Its
    strength is random, and mottle is added, so that opacities are faint or dense, smooth or coarse.
    Training with synthetic anomalies is the idea of DRAEM [1]_, of natural synthetic anomalies
    [2]_ and, within the lungs of a chest radiograph, of AnatPaste [3]_.

    Parameters
    ----------
    recipes : tuple of str
        Elements of `RECIPES`. The recipe of each lesion is drawn with equal probabilities; one that
        is listed twice is drawn twice as often.
    normal_fraction : float
        Probability that nothing is painted, in [0, 1].
    max_lesions : int
        Maximum number of lesions per image, at least 1; the number is drawn with equal
        probabilities.
    distractor_fraction : float
        Probability that `distract` paints anything, in [0, 1].

    Raises
    ------
    ConfigurationError
        If a setting is of the wrong type or out of range.

    See Also
    --------
    opacity_alpha, blend_opacity, paste_foreign
    lungpatch.SyntheticLesionModel, lungpatch.RepairModel, lungpatch.LesionHeadModel

    References
    ----------
    .. [1] V. Zavrtanik, M. Kristan, D. Skocaj, "DRAEM: a discriminatively trained reconstruction
       embedding for surface anomaly detection", ICCV 2021. arXiv:2108.07610
    .. [2] H. M. Schlueter et al., "Natural synthetic anomalies for self-supervised anomaly
       detection and localization", ECCV 2022. arXiv:2109.15222
    .. [3] J. Sato et al., "Anatomy-aware self-supervised learning for anomaly detection in chest
       radiographs", 2022. arXiv:2205.04282

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch.synthesis import LesionSynthesiser
    >>> lung = np.zeros((64, 64), bool)
    >>> lung[8:56, 8:28] = lung[8:56, 36:56] = True
    >>> image = np.where(lung, 0.3, 0.8).astype(np.float32)
    >>> synthesiser = LesionSynthesiser(normal_fraction=0.0, max_lesions=1)
    >>> synthesiser.paint(image, lung, np.random.default_rng(0), other=image)
    SyntheticLesion(64x64, ...)
    """

    recipes: tuple[Recipe, ...] = attrs.field(
        default=RECIPES, converter=as_recipes, validator=are_recipes
    )
    normal_fraction: float = attrs.field(default=0.25, validator=is_fraction)
    max_lesions: int = attrs.field(
        default=2, validator=[validators.instance_of(int), validators.ge(1)]
    )
    distractor_fraction: float = attrs.field(default=0.5, validator=is_fraction)

    def distract(self, pixels: FloatImage, lung: BoolImage, rng: np.random.Generator) -> FloatImage:
        """Return a normal image, sometimes with objects on it that are no lesions.

        Parameters
        ----------
        pixels : ndarray of float32, shape (H, W), values in [0, 1]
        lung : ndarray of bool, shape (H, W)
        rng : numpy.random.Generator

        Returns
        -------
        ndarray of float32, shape (H, W), values in [0, 1]

        Raises
        ------
        InvalidMaskError
            If the mask is not bool of shape (H, W), or is empty.

        See Also
        --------
        paint_distractors
        """
        if rng.random() < self.distractor_fraction:
            return paint_distractors(pixels, lung, rng)
        return pixels

    def paint(
        self, pixels: FloatImage, lung: BoolImage, rng: np.random.Generator, *, other: FloatImage
    ) -> SyntheticLesion:
        """Paint lesions into an image.

        Parameters
        ----------
        pixels : ndarray of float32, shape (H, W), values in [0, 1]
            A normal image.
        lung : ndarray of bool, shape (H, W)
        rng : numpy.random.Generator
        other : ndarray of float32, shape (H, W), values in [0, 1]
            Another normal image, for the recipes that insert a piece of it.

        Returns
        -------
        SyntheticLesion

        Raises
        ------
        InvalidMaskError
            If the mask is not bool of shape (H, W), or is empty.
        """
        alpha = np.zeros(pixels.shape, np.float32)
        painted: list[Recipe] = []
        if rng.random() >= self.normal_fraction:
            for _ in range(int(rng.integers(1, self.max_lesions + 1))):
                recipe = self.recipes[rng.integers(len(self.recipes))]
                if recipe == "foreign" or recipe == "poisson":
                    pixels, added = paste_foreign(
                        pixels, lung, other, rng, blend="mix" if recipe == "foreign" else "poisson"
                    )
                else:
                    pixels, added = _opacify(pixels, lung, rng, recipe)
                alpha = np.maximum(alpha, added)
                painted.append(recipe)
        return SyntheticLesion(pixels=pixels, alpha=alpha, recipes=tuple(painted))


def _opacify(
    pixels: FloatImage, lung: BoolImage, rng: np.random.Generator, kind: OpacityKind
) -> tuple[FloatImage, FloatImage]:
    side = float(np.sqrt(pixels.size))
    alpha = _feathered(opacity_alpha(lung, rng, kind=kind), lung, rng.uniform(0.006, 0.02) * side)
    strength = np.float32(rng.uniform(0.25, 1.0))
    scale = side * np.exp(rng.uniform(np.log(0.008), np.log(0.04)))
    mottle = np.float32(rng.uniform(0, 0.2)) * smooth_noise(pixels.shape, rng, scale=max(scale, 1))
    weight = np.clip(strength * alpha * (1 + mottle), 0, 1)
    if rng.random() < 0.6:
        outside = pixels[~lung]
        bright = np.percentile(outside, SOFT_TISSUE_PERCENTILE) if outside.size else 0.8
        bright = np.float32(np.clip(bright + rng.uniform(-0.15, 0.1), 0.3, 1.0))
        added = weight * np.maximum(bright - pixels, 0)
    else:
        added = weight * np.float32(rng.uniform(0.2, 0.5)) * (1 - pixels)
    changed = np.minimum(pixels + added, np.float32(1))
    # An invisible change is no lesion: a network trained to find it would be trained to guess.
    seen = lung & (added >= MIN_CHANGE)
    # Half of the way to soft tissue is a definite lesion.
    return changed, np.where(seen, np.minimum(2 * weight, 1), np.float32(0))


def _feathered(alpha: FloatImage, lung: BoolImage, sigma: float) -> FloatImage:
    """Let an opacity fade out beyond the border of the lung, so that no edge reveals it."""
    weight = ndimage.gaussian_filter(lung.astype(np.float32), sigma)
    spread = ndimage.gaussian_filter(alpha, sigma) / np.maximum(weight, np.float32(0.05))
    beyond: FloatImage = np.minimum(spread, 1) * np.minimum(2 * weight, 1)
    return np.where(lung, alpha * np.minimum(2 * weight, 1), beyond)
