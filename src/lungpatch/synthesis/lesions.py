"""Whole synthetic lesions: one recipe after another, painted into normal lungs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import attrs
import numpy as np
from attrs import validators
from scipy import ndimage

from lungpatch._utils.component import plain_errors
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
"""The kinds of `opacity_alpha`, and the blends of `paste_foreign`."""

SOFT_TISSUE_PERCENTILE = 80.0
"""Of the grey levels outside the lungs: how bright soft tissue is on this image."""


are_recipes: _Validator = validators.and_(
    validators.min_len(1), validators.deep_iterable(validators.in_(RECIPES))
)
"""Validator of a setting that lists recipes."""

is_fraction: _Validator = validators.and_(
    validators.instance_of((int, float)), validators.ge(0), validators.le(1)
)
"""Validator of a setting in [0, 1]."""


def as_recipes(names: Iterable[Recipe]) -> tuple[Recipe, ...]:
    """Return recipes as a tuple, as settings keep them.

    Examples
    --------
    >>> as_recipes(["lobar", "veil"])
    ('lobar', 'veil')
    """
    return tuple(names)


@attrs.frozen(eq=False, kw_only=True, repr=False)
class SyntheticLesion:
    """An image with lesions that were painted into it.

    Parameters
    ----------
    pixels : ndarray of float32, shape (H, W), values in [0, 1]
        With the lesions.
    alpha : ndarray of float32, shape (H, W), values in [0, 1]
        How anomalous each pixel is; 0 where no change can be seen.
    recipes : tuple of str
        In the order in which they were painted; empty where nothing was.

    Examples
    --------
    >>> import numpy as np
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

    An opacity moves grey levels towards the soft tissue of the same image, or adds brightness, by
    a random strength, with mottle; so faint and dense, smooth and coarse ones arise.

    Parameters
    ----------
    recipes : tuple of str
        Out of `RECIPES`; each lesion's is drawn with equal chances. One that is named twice is
        drawn twice as often.
    normal_fraction : float
        Chance that nothing is painted, in [0, 1].
    max_lesions : int
        One to so many lesions an image, drawn with equal chances; at least 1.

    Notes
    -----
    Source: the idea of training against painted anomalies is that of DRAEM (arXiv:2108.07610), of
    natural synthetic anomalies (arXiv:2109.15222) and, within the lungs of a chest radiograph, of
    AnatPaste (arXiv:2205.04282).

    Examples
    --------
    >>> import numpy as np
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

    def paint(
        self, pixels: FloatImage, lung: BoolImage, rng: np.random.Generator, *, other: FloatImage
    ) -> SyntheticLesion:
        """Paint lesions into one image.

        Parameters
        ----------
        pixels : ndarray of float32, shape (H, W), values in [0, 1]
            A normal image.
        lung : ndarray of bool, shape (H, W)
        rng : numpy.random.Generator
        other : ndarray of float32, shape (H, W), values in [0, 1]
            Another normal image, for recipes that paste.

        Returns
        -------
        SyntheticLesion

        Raises
        ------
        InvalidMaskError
            If the mask is empty.
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
    share = np.clip(strength * alpha * (1 + mottle), 0, 1)
    if rng.random() < 0.6:
        outside = pixels[~lung]
        bright = np.percentile(outside, SOFT_TISSUE_PERCENTILE) if outside.size else 0.8
        bright = np.float32(np.clip(bright + rng.uniform(-0.15, 0.1), 0.3, 1.0))
        added = share * np.maximum(bright - pixels, 0)
    else:
        added = share * np.float32(rng.uniform(0.2, 0.5)) * (1 - pixels)
    changed = np.minimum(pixels + added, np.float32(1))
    # What cannot be seen is no lesion: a network that must find it learns to guess.
    seen = lung & (added >= MIN_CHANGE)
    # Half of the way to soft tissue is a lesion beyond doubt.
    return changed, np.where(seen, np.minimum(2 * share, 1), np.float32(0))


def _feathered(alpha: FloatImage, lung: BoolImage, sigma: float) -> FloatImage:
    """Carry an opacity a little over the lung's border, fading, so that no edge gives it away."""
    weight = ndimage.gaussian_filter(lung.astype(np.float32), sigma)
    spread = ndimage.gaussian_filter(alpha, sigma) / np.maximum(weight, np.float32(0.05))
    beyond: FloatImage = np.minimum(spread, 1) * np.minimum(2 * weight, 1)
    return np.where(lung, alpha * np.minimum(2 * weight, 1), beyond)
