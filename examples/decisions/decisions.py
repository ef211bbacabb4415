"""
From scores to decisions
========================

A score becomes a p-value by counting normal patients who score as high. Move the rate, and see
who is flagged.
"""

import matplotlib.pyplot as plt
import numpy as np

import lungpatch
from lungpatch.datasets import sample

images = sample()
pipeline = lungpatch.load_pipeline("default")
detections = list(pipeline.detect_many(images))
pipeline.calibration_

# %%
# Count to the right
# ------------------
# Each dot is a patient. The p-value of a new image is the fraction of normal patients at or right
# of it. The lower the rate, the further right the threshold (orange).

scores = np.array([detection.pred_score for detection in detections])
p_values = np.array([detection.decision.p_value for detection in detections])
has_opacity = images.labels == "pneumonia"

figure, ax = plt.subplots(figsize=(9, 3.2), layout="constrained")
rng = np.random.default_rng(0)
rows = {
    "calibration": (np.array(pipeline.calibration_.image_scores), "0.5"),
    "sample, normal": (scores[~has_opacity], "C0"),
    "sample, opacity": (scores[has_opacity], "C3"),
}
for row, (values, colour) in enumerate(rows.values()):
    ax.plot(values, -row + rng.uniform(-0.2, 0.2, len(values)), "o", color=colour, alpha=0.7)
for rate in (0.2, 0.1, 0.05):
    threshold = pipeline.calibration_.at_rates(false_alarm_rate=rate).threshold
    ax.axvline(threshold, color="C1")
    ax.text(threshold, 0.55, f"{rate:g}", color="C1", ha="center")
ax.set(yticks=[0, -1, -2], yticklabels=rows, ylim=(-2.5, 0.5), xlabel="anomaly score")
plt.show()

# %%
# Move the rate
# -------------
# A decision at a rate is ``p <= rate``, so nothing is fitted or detected again. Eight images are
# too few to count rates on; :doc:`/evaluation` has those of more.

print("rate   normal images flagged   opacities flagged")
for rate in (0.02, 0.05, 0.1, 0.2, 0.3):
    flagged = p_values <= rate
    print(f"{rate:4} {flagged[~has_opacity].sum():14} of 4 {flagged[has_opacity].sum():17} of 4")

# %%
# A finer rate than the number of patients allows is refused.

from lungpatch import LungpatchError

try:
    pipeline.detect(images.images[0], false_alarm_rate=0.001)
except LungpatchError as error:
    print(error)

# %%
# Boxes have their own rate
# -------------------------
# The tolerated fraction of normal images that have any box. Each box has a p-value, too.

highest = images.images[np.argmax(scores)]
rates = (0.02, 0.1, 0.5)
figure, axes = plt.subplots(1, len(rates), figsize=(12, 4.4), layout="constrained")
for ax, rate in zip(axes, rates, strict=True):
    found = pipeline.detect(highest, false_box_rate=rate)
    ax.imshow(found.resized.pixels, cmap="gray", vmin=0, vmax=1)
    ax.imshow(found.anomaly_map.colour_scale.to_rgba(found.anomaly_map.heatmap))
    ax.contour(found.localisation.pred_mask, [0.5], colors="cyan")
    p_of_boxes = ", ".join(f"{p:.3f}" for p in found.localisation.box_p_values)
    ax.set_title(f"rate {rate:g}: p of boxes {p_of_boxes or '-'}")
    ax.set_axis_off()
plt.show()

# %%
# A list with a promise
# ---------------------
# Of what this list flags, at most a fifth is expected to be normal.

from lungpatch.thresholders import false_discovery_labels

flagged = false_discovery_labels(p_values, 0.2)
print(f"flagged {flagged.sum()}, of which {flagged[~has_opacity].sum()} were read as normal")
