"""Synthetic lesions, in numpy and scipy.

`opacity_alpha` draws where and how densely a lung is opacified, `blend_opacity` brightens grey
levels accordingly, `paste_foreign` inserts a piece of another image, and `LesionSynthesiser` paints
random lesions by all of these recipes. `paint_distractors` draws what is bright and no lesion. They
serve networks that detect or repair lesions, the
phantom, and the measurement of identity shortcuts, on whole images and on patches that are all
lung.
"""

from lungpatch.synthesis.distractors import DISTRACTORS, Distractor, paint_distractors
from lungpatch.synthesis.foreign import paste_foreign
from lungpatch.synthesis.lesions import RECIPES, LesionSynthesiser, Recipe, SyntheticLesion
from lungpatch.synthesis.opacities import (
    OPACITY_KINDS,
    OpacityKind,
    blend_opacity,
    opacity_alpha,
    smooth_noise,
    smoothstep,
)

__all__ = [
    "DISTRACTORS",
    "OPACITY_KINDS",
    "RECIPES",
    "Distractor",
    "LesionSynthesiser",
    "OpacityKind",
    "Recipe",
    "SyntheticLesion",
    "blend_opacity",
    "opacity_alpha",
    "paint_distractors",
    "paste_foreign",
    "smooth_noise",
    "smoothstep",
]
