"""
One colour scale for all images
===============================

If every anomaly map is stretched from its own minimum to its own maximum, normal lungs look as
anomalous as abnormal ones. A pipeline has one scale for all images, fixed by normal ones.
"""

import matplotlib.pyplot as plt
import numpy as np

import lungpatch
from lungpatch.datasets.phantom import phantom_cohort
from lungpatch.models import PCA
from lungpatch.samplers import LungCropSampler
from lungpatch.scorers import FeatureScorer
from lungpatch.segmenters import UNetSegmenter
from lungpatch.thresholders import QuantileThresholder

cases = list(phantom_cohort(30, 3, seed=6, size=256))
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
pipeline.fit(case.image for case in cases[:26])
images = [*cases[26:29], *cases[30:]]
detections = list(pipeline.detect_many(case.image for case in images))
scale = pipeline.calibration_.colour_scale
print(scale)

# %%
# Above, each map on its own scale: which three are normal? Below, one scale for all. It begins at
# the median score of normal pixels, where it is transparent, and its middle is a score that
# normal pixels hardly ever reach.

figure, axes = plt.subplots(2, len(images), figsize=(13, 4.9), layout="constrained")
for (own, shared), case, found in zip(axes.T, images, detections, strict=True):
    heatmap = found.native_heatmap
    for ax in (own, shared):
        ax.imshow(case.image.pixels, cmap="gray")
        ax.set(xticks=[], yticks=[])
    low, high = np.nanmin(heatmap), np.nanmax(heatmap)
    own.imshow(heatmap, cmap="jet", alpha=0.45, vmin=low, vmax=high)
    shared.imshow(scale.to_rgba(heatmap))
    own.set_title(case.kind)
axes[0, 0].set_ylabel("its own minimum to maximum")
axes[1, 0].set_ylabel("the pipeline's scale")
plt.show()

# %%
# Every map has the scale with it, so ``detection.plot()``, the overlays of ``lungpatch detect``
# and a notebook all use it.

detections[-1].anomaly_map
