"""
Detect in three lines
=====================

The detector that comes with lungpatch, on the radiographs that come with it.
"""

# %%
# The images are files, such as yours. Radiologists read them, and drew boxes around opacities.

from lungpatch.datasets import sample

images = sample()
images

# %%
# Three lines. ``detect_many`` also takes a folder; ``detect`` takes one image: a path or an array.

import lungpatch

pipeline = lungpatch.load_pipeline("default")
detections = list(pipeline.detect_many(images))

# %%
# What it says of each image. The p-value is the fraction of normal patients that score as high; by
# default 0.1 or less is flagged.

for index, detection in enumerate(detections):
    flagged = "flagged" if detection.decision.pred_label else ""
    print(
        f"{images.image_ids[index]}  read as {images.columns['rsna_class'][index]:<12}  "
        f"p = {detection.decision.p_value:.3f}  {flagged}"
    )

# %%
# The image with the highest score, what the detector found in it, and the boxes of the
# radiologists (yellow), which it never saw.

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

highest = int(np.argmax([detection.pred_score for detection in detections]))
detection = detections[highest]


def draw_boxes(ax, boxes, colour):
    """Draw half-open boxes (row0, col0, row1, col1)."""
    for row0, col0, row1, col1 in boxes:
        corner, width, height = (col0 - 0.5, row0 - 0.5), col1 - col0, row1 - row0
        ax.add_patch(Rectangle(corner, width, height, fill=False, color=colour, linewidth=1.6))


figure, axes = plt.subplots(1, 3, figsize=(12.5, 4.4), layout="constrained")
for ax in axes:
    ax.imshow(detection.image.pixels, cmap="gray", vmin=0, vmax=1)
    ax.set_axis_off()
axes[1].contour(detection.native_lungs, [0.5], colors="limegreen", linewidths=1)
for ax in axes[1:]:
    ax.imshow(detection.anomaly_map.colour_scale.to_rgba(detection.native_heatmap))
draw_boxes(axes[1], detection.native_boxes, "cyan")
draw_boxes(axes[2], images.boxes(highest, detection.image.shape), "yellow")
axes[0].set_title("radiograph")
axes[1].set_title("lungs, anomaly map, boxes of lungpatch")
axes[2].set_title("boxes of the radiologists")
plt.show()

# %%
# In words:

print(*detection.regions.lines, sep="\n")

# %%
# In a notebook, a detection shows itself.

detection

# %%
# All eight on one colour scale, the most unusual first, with the boxes of the radiologists. It is
# right on some and wrong on others; :doc:`/detectors` says how often, on images enough to count.

order = np.argsort([detection.decision.p_value for detection in detections])
figure, axes = plt.subplots(2, 4, figsize=(12.5, 6.9), layout="constrained")
for ax, index in zip(axes.ravel(), order, strict=True):
    found = detections[index]
    ax.imshow(found.image.pixels, cmap="gray", vmin=0, vmax=1)
    ax.imshow(found.anomaly_map.colour_scale.to_rgba(found.native_heatmap))
    draw_boxes(ax, images.boxes(index, found.image.shape), "yellow")
    ax.set_title(f"p = {found.decision.p_value:.3f}, read as {images.columns['rsna_class'][index]}")
    ax.set_axis_off()
plt.show()
