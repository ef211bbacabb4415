"""
One colour scale for all images
===============================

If every anomaly map is stretched from its own minimum to its own maximum, normal lungs look as
anomalous as abnormal ones. A pipeline has one scale for all images, fixed by normal ones.
"""

import matplotlib.pyplot as plt
import numpy as np

import lungpatch
from lungpatch.datasets import sample

images = sample()
pipeline = lungpatch.load_pipeline("default")
detections = list(pipeline.detect_many(images))
scale = pipeline.calibration_.colour_scale
print(scale)

# %%
# Above, each map on its own scale: which of these are normal? Below, one scale for all. It begins
# at the median score of normal pixels, where it is transparent, and its middle is a score that
# normal pixels hardly ever reach.

normal = np.flatnonzero(images.labels == "normal")[:3]
others = np.flatnonzero(images.labels != "normal")
scores = [detections[index].pred_score for index in others]
shown = [*normal, *others[np.argsort(scores)[-3:]]]
figure, axes = plt.subplots(2, len(shown), figsize=(13, 4.9), layout="constrained")
for (own, shared), index in zip(axes.T, shown, strict=True):
    heatmap = detections[index].native_heatmap
    for ax in (own, shared):
        ax.imshow(detections[index].image.pixels, cmap="gray", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
    low, high = np.nanmin(heatmap), np.nanmax(heatmap)
    own.imshow(heatmap, cmap="jet", alpha=0.45, vmin=low, vmax=high)
    shared.imshow(scale.to_rgba(heatmap))
    own.set_title(f"read as {images.columns['rsna_class'][index]}", fontsize=10)
axes[0, 0].set_ylabel("its own minimum to maximum")
axes[1, 0].set_ylabel("the pipeline's scale")
plt.show()

# %%
# Every map has the scale with it, so ``detection.plot()``, the overlays of ``lungpatch detect``
# and a notebook all use it.

detections[others[np.argmax(scores)]].anomaly_map
