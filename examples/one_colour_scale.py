"""
One colour scale for all images
==============================

Stretch every heat-map from its own lowest to its own highest value, and normal lungs glow as
brightly as sick ones. A pipeline fixes one scale, by normal images, and keeps to it.
"""

import matplotlib.pyplot as plt
import numpy as np

import lungpatch
from lungpatch.datasets.phantom import phantom_cohort
from lungpatch.models.pca import PCA
from lungpatch.samplers.lung_crop import LungCropSampler
from lungpatch.scorers.feature import FeatureScorer
from lungpatch.segmenters.unet import UNetSegmenter
from lungpatch.thresholders.quantile import QuantileThresholder

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
scale = pipeline.calibration.colour_scale
print(scale)

# %%
# Above, each map in its own colours: which three are normal? Below, one scale. It begins at the
# median of normal heat, where nothing is painted, and its middle is what normal pixels hardly
# ever reach.

figure, axes = plt.subplots(2, len(images), figsize=(13, 4.9), layout="constrained")
for (own, shared), case, found in zip(axes.T, images, detections, strict=True):
    heat = found.native_heatmap
    for ax in (own, shared):
        ax.imshow(case.image.pixels, cmap="gray")
        ax.set(xticks=[], yticks=[])
    own.imshow(heat, cmap="jet", alpha=0.45, vmin=np.nanmin(heat), vmax=np.nanmax(heat))
    shared.imshow(scale.to_rgba(heat))
    own.set_title(case.kind)
axes[0, 0].set_ylabel("its own minimum to maximum")
axes[1, 0].set_ylabel("the pipeline's scale")
plt.show()

# %%
# The scale goes with every map, so a detection, ``detection.plot()``, the overlays of ``lungpatch
# detect`` and a notebook all use it.

detections[-1].anomaly_map
