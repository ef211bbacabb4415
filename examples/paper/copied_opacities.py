"""
A network that copies opacities
===============================

The paper's network has seen patches of normal lung only. Here it is given patches of opacity.
"""

import matplotlib.pyplot as plt
import numpy as np

import lungpatch
from lungpatch.datasets import sample

images = sample()
paper = lungpatch.load_pipeline("paper")
index = int(np.flatnonzero(images.labels == "pneumonia")[1])
found = paper.detect(images.images[index])

# %%
# Inside the boxes and outside
# ----------------------------
# Radiologists boxed the opacities of this image. If the method worked, patches in their boxes
# would be reconstructed much worse than the others.

shape = found.resized.shape
boxed = np.zeros(shape, bool)
for row0, col0, row1, col1 in images.boxes(index, shape):
    boxed[row0:row1, col0:col1] = True
side = found.patches.pixels.shape[1]
fractions = [boxed[r : r + side, c : c + side].mean() for r, c in found.patches.corners]
inside = np.array(fractions) > 0.5
for name, of_these in (("in a box", inside), ("elsewhere", ~inside)):
    print(f"{name}: {of_these.sum()} patches, mean SAD {found.scores.values[of_these].mean():.2f}")

# %%
# Six patches of opacity, and what the network makes of them.

chosen = np.flatnonzero(inside)
chosen = chosen[np.linspace(0, len(chosen) - 1, 6).astype(int)]
figure, axes = plt.subplots(2, len(chosen), figsize=(11, 4), layout="constrained")
for column, patch in zip(axes.T, chosen, strict=True):
    column[0].imshow(found.reconstruction.target[patch, 0], cmap="gray", vmin=0, vmax=1)
    column[1].imshow(found.reconstruction.expected[patch, 0], cmap="gray", vmin=0, vmax=1)
    column[0].set_title(f"SAD {found.scores.values[patch]:.2f}")
axes[0, 0].set_ylabel("input")
axes[1, 0].set_ylabel("output")
for ax in axes.ravel():
    ax.set(xticks=[], yticks=[])
plt.show()

# %%
# So its map says little
# ----------------------
# Beside it the map of ``default``, which looks for lesions that were painted into normal lungs.
# Boxes of the radiologists are yellow.

# sphinx_gallery_thumbnail_number = 2
figure, axes = plt.subplots(1, 3, figsize=(12.5, 4.4), layout="constrained")
for ax, name in zip(axes, ("radiograph", "paper", "default"), strict=True):
    ax.imshow(found.image.pixels, cmap="gray", vmin=0, vmax=1)
    if name != "radiograph":
        detection = lungpatch.load_pipeline(name).detect(images.images[index])
        ax.imshow(detection.anomaly_map.colour_scale.to_rgba(detection.native_heatmap))
    truth = np.zeros(found.image.shape, bool)
    for row0, col0, row1, col1 in images.boxes(index, found.image.shape):
        truth[row0:row1, col0:col1] = True
    ax.contour(truth, [0.5], colors="yellow", linewidths=1)
    ax.set_title(name)
    ax.set_axis_off()
plt.show()

# %%
# The *identity shortcut* measures this without boxes, on normal images: at 0 a model restores the
# normal lung below a painted opacity, at 1 it copies it. Of the fitted pipeline:

paper.report_.identity_shortcut
