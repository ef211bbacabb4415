"""
Every step of a detection
=========================

A :py:class:`~lungpatch.pipeline.Detection` keeps the result of every step, in order, so a wrong
result can be followed back to the step that it comes from.
"""

# %%
# The paper's pipeline shows the steps best, since it compares small patches with what a network
# makes of them. (It finds little: :doc:`/paper`.)

import matplotlib.pyplot as plt
import numpy as np

import lungpatch
from lungpatch.datasets import sample

images = sample()
pipeline = lungpatch.load_pipeline("paper")
detection = pipeline.detect(images.images[1])
detection

# %%
# 1 and 2. The image and its lungs
# --------------------------------
# Both show themselves in a notebook.

detection.image

# %%
detection.lungs

# %%
# 3. Patches
# ----------
# Pixels outside the lungs are shown darker; they do not count in the score.

detection.patches

# %%
# 4 and 5. Reconstruction and scores
# ----------------------------------
# From left to right three patches each with the lowest, middle and highest scores: the patch,
# what the model would have expected, and where they differ.

values = detection.scores.values
order = np.argsort(values)
chosen = np.r_[order[:3], order[len(order) // 2 - 1 : len(order) // 2 + 2], order[-3:]]
figure, axes = plt.subplots(3, len(chosen), figsize=(12, 4.4), layout="constrained")
highest = detection.scores.error_maps.max()
for column, patch in zip(axes.T, chosen, strict=True):
    column[0].imshow(detection.reconstruction.target[patch, 0], cmap="gray", vmin=0, vmax=1)
    column[1].imshow(detection.reconstruction.expected[patch, 0], cmap="gray", vmin=0, vmax=1)
    column[2].imshow(detection.scores.error_maps[patch], cmap="magma", vmin=0, vmax=highest)
    column[0].set_title(f"{values[patch]:.1f}")
for ax, name in zip(axes[:, 0], ("target", "expected", "error"), strict=True):
    ax.set_ylabel(name)
for ax in axes.ravel():
    ax.set(xticks=[], yticks=[])
plt.show()

# %%
# 6. Anomaly map
# --------------
# The scores where the patches were cut, overlaps averaged. Where nothing was scored the map is
# NaN (black here), never 0.

detection.anomaly_map

# %%
# 7. Decision
# -----------
# The image's score is a percentile of the patch scores. Its threshold comes from normal images
# that the model has not seen.

figure, ax = plt.subplots(figsize=(8, 3), layout="constrained")
ax.hist(values, bins=40, color="0.7")
ax.axvline(detection.decision.pred_score, color="C0", label="image score")
ax.axvline(detection.decision.threshold, color="C3", ls="--", label="its threshold")
ax.set(xlabel="patch score (grey levels)", ylabel="patches")
ax.legend()
plt.show()
print(detection.decision)

# %%
# 8. Localisation
# ---------------
# The mask and the boxes are where the anomaly map is above a threshold of its own. In words:

print(detection.localisation)
print(*detection.regions.lines, sep="\n")
