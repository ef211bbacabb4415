"""
Labels, devices, borders and arms
=================================

What is no disease must not light up. :py:func:`~lungpatch.datasets.confounders.paint_confounder`
paints such objects on any image, so that what they do to a detector can be seen and counted.
"""

import matplotlib.pyplot as plt
import numpy as np

import lungpatch
from lungpatch.containers import LungMask
from lungpatch.datasets.confounders import CONFOUNDER_KINDS, OVER_LUNGS, paint_confounder
from lungpatch.datasets.phantom import phantom_chest, phantom_cohort
from lungpatch.models.pca import PCA
from lungpatch.samplers.lung_crop import LungCropSampler
from lungpatch.scorers.feature import FeatureScorer
from lungpatch.segmenters.unet import UNetSegmenter
from lungpatch.thresholders.quantile import QuantileThresholder

# %%
# Every kind
# ----------
# Labels, borders and arms stay outside the lungs; a pacemaker and wires cross them.

chest = phantom_chest(23, size=384)
lungs = LungMask(pixels=chest.lungs)
painted = [
    paint_confounder(chest.image, lungs, kind, np.random.default_rng(4))
    for kind in CONFOUNDER_KINDS
]
figure, axes = plt.subplots(2, 3, figsize=(11, 7.6), layout="constrained")
for ax, one in zip(axes.ravel(), painted, strict=True):
    ax.imshow(one.image.pixels, cmap="gray", vmin=0, vmax=1)
    ax.set_title(one.kind + (", over the lungs" if one.kind in OVER_LUNGS else ""))
    ax.set_axis_off()
plt.show()

# %%
# What they do to a detector
# --------------------------
# The lungs are found anew on every image. Nothing outside them is scored, so what lies beside the
# lungs can light up only if the segmenter takes it for lung.

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
after = [pipeline.detect(one.image) for one in painted]

figure, axes = plt.subplots(1, 7, figsize=(13, 2.4), layout="constrained")
for ax, found, title in zip(axes, [before, *after], ["nothing", *CONFOUNDER_KINDS], strict=True):
    ax.imshow(found.image.pixels, cmap="gray", vmin=0, vmax=1)
    ax.imshow(found.anomaly_map.colour_scale.to_rgba(found.native_heatmap))
    ax.set_title(title, fontsize=9)
    ax.set_axis_off()
plt.show()

# %%
# In words and numbers: where the heat is, and how much the lungs moved.

for found, title in zip([before, *after], ["nothing", *CONFOUNDER_KINDS], strict=True):
    both, either = (
        found.native_lungs & before.native_lungs,
        found.native_lungs | before.native_lungs,
    )
    print(f"{title}: lungs' overlap {both.sum() / either.sum():.3f}; {found.places.lines[0]}")
