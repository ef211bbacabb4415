"""
Labels, devices, borders and arms
=================================

Objects that are no disease should not raise the anomaly score.
:py:func:`~lungpatch.datasets.confounders.paint_confounder` paints such objects on any image, so
that their effect on a detector can be seen and measured.
"""

import matplotlib.pyplot as plt
import numpy as np

import lungpatch
from lungpatch.containers import LungMask
from lungpatch.datasets.confounders import CONFOUNDER_KINDS, OVER_LUNGS, paint_confounder
from lungpatch.datasets.phantom import phantom_chest, phantom_cohort
from lungpatch.models import PCA
from lungpatch.samplers import LungCropSampler
from lungpatch.scorers import FeatureScorer
from lungpatch.segmenters import UNetSegmenter
from lungpatch.thresholders import QuantileThresholder

# %%
# Every kind of object
# --------------------
# Labels, borders and arms stay outside the lungs; a pacemaker and wires cross them.

chest = phantom_chest(23, size=384)
lungs = LungMask(pixels=chest.lungs)
painted = [
    paint_confounder(chest.image, lungs, kind, np.random.default_rng(4))
    for kind in CONFOUNDER_KINDS
]
figure, axes = plt.subplots(2, 3, figsize=(11, 7.6), layout="constrained")
for ax, confounded in zip(axes.ravel(), painted, strict=True):
    ax.imshow(confounded.image.pixels, cmap="gray", vmin=0, vmax=1)
    over_lungs = confounded.kind in OVER_LUNGS
    ax.set_title(confounded.kind + (", over the lungs" if over_lungs else ""))
    ax.set_axis_off()
plt.show()

# %%
# Their effect on a detector
# --------------------------
# The lungs are segmented in every image. Nothing outside them is scored, so an object beside the
# lungs matters only if it changes the lung mask.

crop = LungCropSampler(patch_size=64)
pipeline = lungpatch.Pipeline(
    segmenter=UNetSegmenter(),
    fit_sampler=crop,
    sampler=crop,
    model=PCA(patch_size=64, n_components=10),
    scorer=FeatureScorer(difference="excess", smoothing=0.04),
    thresholder=QuantileThresholder(q=0.9),
    map_detail="pixel",
)
pipeline.fit(case.image for case in phantom_cohort(30, 0, seed=11, size=256))
before = pipeline.detect(chest.image)
after = [pipeline.detect(confounded.image) for confounded in painted]

figure, axes = plt.subplots(1, 7, figsize=(13, 2.4), layout="constrained")
for ax, found, title in zip(axes, [before, *after], ["nothing", *CONFOUNDER_KINDS], strict=True):
    ax.imshow(found.image.pixels, cmap="gray", vmin=0, vmax=1)
    ax.imshow(found.anomaly_map.colour_scale.to_rgba(found.native_heatmap))
    ax.set_title(title, fontsize=9)
    ax.set_axis_off()
plt.show()

# %%
# In words and numbers: where the anomaly score is high, and how far the lung masks overlap with
# the one of the unchanged image (intersection over union).

for found, title in zip([before, *after], ["nothing", *CONFOUNDER_KINDS], strict=True):
    intersection = found.native_lungs & before.native_lungs
    union = found.native_lungs | before.native_lungs
    print(f"{title}: IoU {intersection.sum() / union.sum():.3f}; {found.regions.lines[0]}")
