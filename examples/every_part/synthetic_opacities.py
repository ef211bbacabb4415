"""
Synthetic chests and opacities
==============================

Tests, demos and this gallery need images whose ground truth is known. Some models are trained on
synthetic lesions, so that no real one is needed. ``lungpatch.synthesis`` paints both.
"""

import matplotlib.pyplot as plt
import numpy as np

from lungpatch.datasets import phantom_chest, sample
from lungpatch.segmenters import UNetSegmenter
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
# :py:class:`~lungpatch.synthesis.LesionSynthesiser` paints lesions into normal images, here into a
# real one. Red shows where, and how dense. The recipe ``foreign`` takes its texture from another.

images = sample()
normal, other = (images.read(index) for index in np.flatnonzero(images.labels == "normal")[1:3])
lungs = UNetSegmenter().segment(normal).pixels
figure, axes = plt.subplots(3, 6, figsize=(12.5, 6.6), layout="constrained")
for plain, marked, recipe in zip(axes[:, ::2].ravel(), axes[:, 1::2].ravel(), RECIPES, strict=True):
    painter = LesionSynthesiser(recipes=(recipe,), normal_fraction=0.0, max_lesions=1)
    rng = np.random.default_rng(1)
    lesion = painter.paint(normal.pixels, lungs, rng, other=other.pixels)
    plain.imshow(lesion.pixels, cmap="gray", vmin=0, vmax=1)
    marked.imshow(normal.pixels, cmap="gray", vmin=0, vmax=1)
    alpha = np.ma.masked_less(lesion.alpha, 0.02)
    marked.imshow(alpha, cmap="Reds", vmin=0, vmax=1, alpha=0.8)
    plain.set_title(recipe, fontsize=10)
for ax in axes.ravel():
    ax.set_axis_off()
plt.show()
