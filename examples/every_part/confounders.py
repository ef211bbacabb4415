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
from lungpatch.datasets import CONFOUNDER_KINDS, paint_confounder, sample
from lungpatch.datasets.confounders import OVER_LUNGS

# %%
# Every kind of object
# --------------------
# Labels, borders and arms stay outside the lungs; a pacemaker and wires cross them.

images = sample()
chosen = np.flatnonzero(images.labels == "normal")[1]
normal = images.read(chosen)
pipeline = lungpatch.load_pipeline("default")
before = pipeline.detect(normal)
lungs = lungpatch.UNetSegmenter().segment(normal)
painted = [
    paint_confounder(normal, lungs, kind, np.random.default_rng(4)) for kind in CONFOUNDER_KINDS
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
# lungs matters only if it changes the lung mask, or how the detector normalises the image.

after = [pipeline.detect(confounded.image) for confounded in painted]
figure, axes = plt.subplots(1, 7, figsize=(13, 2.4), layout="constrained")
for ax, found, title in zip(axes, [before, *after], ["nothing", *CONFOUNDER_KINDS], strict=True):
    ax.imshow(found.image.pixels, cmap="gray", vmin=0, vmax=1)
    ax.imshow(found.anomaly_map.colour_scale.to_rgba(found.native_heatmap))
    ax.set_title(title, fontsize=9)
    ax.set_axis_off()
plt.show()

# %%
# In words and numbers: the p-value of the image, how far its lung mask overlaps with the one of
# the unchanged image (intersection over union), and where the anomaly score is high.

for found, title in zip([before, *after], ["nothing", *CONFOUNDER_KINDS], strict=True):
    intersection = found.native_lungs & before.native_lungs
    union = found.native_lungs | before.native_lungs
    print(
        f"{title:>9}: p = {found.decision.p_value:.2f}, "
        f"IoU {intersection.sum() / union.sum():.3f}; {found.regions.lines[0]}"
    )
