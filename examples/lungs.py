"""
Lungs and lung coordinates
==========================

The segmenter decides what can be found at all: an opacity outside the lung mask is never scored.
"""

import matplotlib.pyplot as plt
import numpy as np

from lungpatch.datasets.phantom import phantom_chest
from lungpatch.segmenters import ThresholdSegmenter, UNetSegmenter

# %%
# Two segmenters, one opacity
# ---------------------------
# ``threshold`` takes the dark regions of the chest, so it misses opaque lung. ``unet``, the
# default, was trained on images with opaque lung.

case = phantom_chest(5, size=512, opacity="lobar")
figure, axes = plt.subplots(1, 3, figsize=(12, 4.3), layout="constrained")
masks = {
    "true lungs": case.lungs,
    "unet": UNetSegmenter().segment(case.image).pixels,
    "threshold": ThresholdSegmenter().segment(case.image).pixels,
}
for ax, (name, mask) in zip(axes, masks.items(), strict=True):
    covered = mask[case.opacity].mean()
    ax.imshow(case.image.pixels, cmap="gray")
    ax.contour(mask, [0.5], colors="limegreen")
    ax.contour(case.opacity, [0.5], colors="yellow", linewidths=0.8)
    ax.set_title(f"{name}: {covered:.0%} of the opacity is inside")
    ax.set_axis_off()
plt.show()

# %%
# Sides are the patient's
# -----------------------
# An image is displayed as if the patient faced you, so the right lung is on the left.

lungs = UNetSegmenter().segment(case.image)
coloured = np.repeat(case.image.pixels[..., None], 3, axis=2)
coloured[lungs.right] = 0.6 * coloured[lungs.right] + 0.4 * np.array([0.9, 0.4, 0.2])
coloured[lungs.left] = 0.6 * coloured[lungs.left] + 0.4 * np.array([0.2, 0.5, 0.9])
figure, ax = plt.subplots(figsize=(4, 4.3), layout="constrained")
ax.imshow(coloured)
ax.set_title("right (orange), left (blue)")
ax.set_axis_off()
plt.show()

# %%
# Coordinates that can be compared between people
# -----------------------------------------------
# Each lung pixel has coordinates: ``u`` from apex (0) to base (1), ``v`` from the medial border
# (0) to the lateral one (1).

u, v = lungs.frame.coordinates()
figure, axes = plt.subplots(1, 2, figsize=(9, 4.3), layout="constrained")
for ax, values, name in zip(axes, (u, v), ("u, apex to base", "v, medial to lateral"), strict=True):
    ax.imshow(case.image.pixels, cmap="gray")
    shown = ax.imshow(values, cmap="viridis", alpha=0.6, vmin=0, vmax=1)
    ax.contour(values, np.arange(0.1, 1, 0.1), colors="white", linewidths=0.6)
    ax.set_title(name)
    ax.set_axis_off()
    figure.colorbar(shown, ax=ax, shrink=0.8)
plt.show()

# %%
# The same position in other people: the middle of the left lung, and near the apex of the right.

figure, axes = plt.subplots(1, 4, figsize=(12, 3.2), layout="constrained")
for seed, ax in enumerate(axes):
    other = phantom_chest(seed, size=256)
    frame = UNetSegmenter().segment(other.image).frame
    ax.imshow(other.image.pixels, cmap="gray")
    for side, position, colour in (("left", (0.5, 0.5), "C0"), ("right", (0.15, 0.5), "C1")):
        row, column = frame.locate(side, *position)
        ax.plot(column, row, "o", color=colour, markeredgecolor="white")
    ax.set_axis_off()
plt.show()
