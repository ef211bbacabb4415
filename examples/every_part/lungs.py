"""
Lungs and lung coordinates
==========================

The segmenter decides what can be found at all: an opacity outside the lung mask is never scored.
"""

import matplotlib.pyplot as plt
import numpy as np

from lungpatch.datasets import sample
from lungpatch.segmenters import ThresholdSegmenter, UNetSegmenter

images = sample()

# %%
# Two segmenters, four lungs with opacities
# -----------------------------------------
# ``threshold`` takes the dark regions of the chest, so it misses opaque lung. ``unet``, the
# default, was trained on images with opaque lung. The boxes of radiologists are yellow; parts of
# them lie outside the lungs in any case.

segmenters = {"unet": UNetSegmenter(), "threshold": ThresholdSegmenter()}
boxed = np.flatnonzero(images.labels == "pneumonia")
figure, axes = plt.subplots(2, len(boxed), figsize=(12.5, 6.9), layout="constrained")
for line, (name, segmenter) in zip(axes, segmenters.items(), strict=True):
    for ax, index in zip(line, boxed, strict=True):
        image = images.read(index)
        mask = segmenter.segment(image).pixels
        boxes = np.zeros(image.shape, bool)
        for row0, col0, row1, col1 in images.boxes(index, image.shape):
            boxes[row0:row1, col0:col1] = True
        ax.imshow(image.pixels, cmap="gray", vmin=0, vmax=1)
        ax.contour(mask, [0.5], colors="limegreen")
        ax.contour(boxes, [0.5], colors="yellow", linewidths=0.8)
        ax.set_title(f"{name}: {mask[boxes].mean():.0%} of the boxes inside", fontsize=10)
        ax.set_axis_off()
plt.show()

# %%
# Sides are the patient's
# -----------------------
# An image is displayed as if the patient faced you, so the right lung is on the left.

normal = np.flatnonzero(images.labels == "normal")
image = images.read(normal[0])
lungs = UNetSegmenter().segment(image)
coloured = np.repeat(image.pixels[..., None], 3, axis=2)
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
    ax.imshow(image.pixels, cmap="gray")
    shown = ax.imshow(values, cmap="viridis", alpha=0.6, vmin=0, vmax=1)
    ax.contour(values, np.arange(0.1, 1, 0.1), colors="white", linewidths=0.6)
    ax.set_title(name)
    ax.set_axis_off()
    figure.colorbar(shown, ax=ax, shrink=0.8)
plt.show()

# %%
# The same position in other people: the middle of the left lung, and near the apex of the right.

figure, axes = plt.subplots(1, 4, figsize=(12, 3.2), layout="constrained")
for ax, index in zip(axes, normal, strict=True):
    other = images.read(index)
    frame = UNetSegmenter().segment(other).frame
    ax.imshow(other.pixels, cmap="gray")
    for side, position, colour in (("left", (0.5, 0.5), "C0"), ("right", (0.15, 0.5), "C1")):
        row, column = frame.locate(side, *position)
        ax.plot(column, row, "o", color=colour, markeredgecolor="white")
    ax.set_axis_off()
plt.show()
