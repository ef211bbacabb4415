"""
Synthetic chests and opacities
==============================

Tests, demos and this gallery need images whose ground truth is known. Some models are trained on
synthetic lesions, so that no real one is needed. ``lungpatch.synthesis`` paints both.
"""

import matplotlib.pyplot as plt
import numpy as np

from lungpatch.datasets.phantom import phantom_chest
from lungpatch.synthesis import OPACITY_KINDS, RECIPES, LesionSynthesiser

# %%
# One chest, every kind of opacity
# --------------------------------
# One seed is one patient and one exposure. The ground truth (yellow) is known to the pixel.

figure, axes = plt.subplots(2, 3, figsize=(11, 7.6), layout="constrained")
axes = axes.ravel()
for ax, kind in zip(axes, (None, *OPACITY_KINDS), strict=False):
    case = phantom_chest(12, size=384, opacity=kind)
    ax.imshow(case.image.pixels, cmap="gray")
    if kind:
        ax.contour(case.opacity, [0.5], colors="yellow", linewidths=1)
    ax.set_title(kind or "normal")
for ax in axes:
    ax.set_axis_off()
plt.show()

# %%
# Many patients
# -------------
# Size, pose, heart, ribs, exposure, markers and collimation vary.

figure, axes = plt.subplots(2, 6, figsize=(12, 4.1), layout="constrained")
for seed, ax in enumerate(axes.ravel()):
    ax.imshow(phantom_chest(100 + seed, size=192).image.pixels, cmap="gray")
    ax.set_axis_off()
plt.show()

# %%
# Lesions to train on
# -------------------
# :py:class:`~lungpatch.synthesis.LesionSynthesiser` paints lesions into images, real ones too.
# Red shows where, and how dense.

normal = phantom_chest(12, size=256)
other = phantom_chest(13, size=256)
figure, axes = plt.subplots(2, len(RECIPES), figsize=(13, 3.6), layout="constrained")
for column, recipe in zip(axes.T, RECIPES, strict=True):
    painter = LesionSynthesiser(recipes=(recipe,), normal_fraction=0.0, max_lesions=1)
    rng = np.random.default_rng(1)
    lesion = painter.paint(normal.image.pixels, normal.lungs, rng, other=other.image.pixels)
    column[0].imshow(lesion.pixels, cmap="gray", vmin=0, vmax=1)
    column[1].imshow(normal.image.pixels, cmap="gray", vmin=0, vmax=1)
    alpha = np.ma.masked_less(lesion.alpha, 0.02)
    column[1].imshow(alpha, cmap="Reds", vmin=0, vmax=1, alpha=0.8)
    column[0].set_title(recipe, fontsize=9)
for ax in axes.ravel():
    ax.set_axis_off()
plt.show()
