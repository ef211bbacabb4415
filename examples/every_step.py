"""
Every step of a detection
=========================

A :py:class:`~lungpatch.pipeline.Detection` keeps the result of every step, in order, so a wrong
result can be followed back to the step that it comes from.
"""

import matplotlib.pyplot as plt
import numpy as np

import lungpatch
from lungpatch.datasets.phantom import phantom_chest, phantom_cohort
from lungpatch.models import PCA
from lungpatch.samplers import GridSampler
from lungpatch.scorers import SADScorer
from lungpatch.segmenters import UNetSegmenter
from lungpatch.thresholders import QuantileThresholder

# %%
# Patches of 32 x 32 pixels, as in the paper, reconstructed from the first eight principal
# components of normal patches.

pipeline = lungpatch.Pipeline(
    segmenter=UNetSegmenter(),
    fit_sampler=GridSampler(patch_size=32, stride=16, min_lung_fraction=1.0),
    sampler=GridSampler(patch_size=32, stride=16, min_lung_fraction=0.5),
    model=PCA(patch_size=32, n_components=8),
    scorer=SADScorer(),
    thresholder=QuantileThresholder(q=0.95),
    map_weights="hann",
)
pipeline.fit(case.image for case in phantom_cohort(20, 0, seed=1, size=256))
case = phantom_chest(21, size=256, opacity="nodular", patient="nodules")
detection = pipeline.detect(case.image)
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
# 7 and 8. Decision and localisation
# ----------------------------------
# The image's score is a percentile of the patch scores; the predicted mask is where the anomaly
# map is above a threshold of its own. Both thresholds come from normal images that the model has
# not seen.

figure, (scores, mask) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
scores.hist(values, bins=40, color="0.7")
scores.axvline(detection.decision.pred_score, color="C0", label="image score")
scores.axvline(detection.decision.threshold, color="C3", ls="--", label="its threshold")
scores.set(xlabel="patch score (grey levels)", ylabel="patches")
scores.legend()
mask.imshow(detection.resized.pixels, cmap="gray")
mask.contour(detection.localisation.pred_mask, [0.5], colors="cyan")
mask.contour(case.opacity, [0.5], colors="yellow")
mask.set_title("found (cyan) and true (yellow)")
mask.set_axis_off()
plt.show()
print(detection.decision, detection.localisation, sep="\n")
