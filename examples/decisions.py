"""
From scores to decisions
========================

A score becomes a p-value by counting normal patients who score as high. Move the rate, and see
who is flagged.
"""

import matplotlib.pyplot as plt
import numpy as np

import lungpatch
from lungpatch.datasets.phantom import phantom_cohort
from lungpatch.models import PCA
from lungpatch.samplers import LungCropSampler
from lungpatch.scorers import FeatureScorer
from lungpatch.segmenters import UNetSegmenter
from lungpatch.thresholders import ConformalThresholder

cases = list(phantom_cohort(80, 20, seed=6, size=256))
normal, new = cases[:60], cases[60:]  # of the new ones, 20 are normal and 20 have an opacity

# %%
# With cross calibration all 60 normal patients train the model, and all calibrate: each is scored
# by a model that was trained without it.

crop = LungCropSampler(patch_size=64)
pipeline = lungpatch.Pipeline(
    segmenter=UNetSegmenter(),
    fit_sampler=crop,
    sampler=crop,
    model=PCA(patch_size=64, n_components=10),
    scorer=FeatureScorer(difference="excess", smoothing=0.04),
    thresholder=ConformalThresholder(alpha=0.1),
    map_detail="pixel",
    image_score="mean",
    calibration="cross",
)
pipeline.fit(case.image for case in normal)
pipeline.calibration_

# %%
# Count to the right
# ------------------
# Each dot is a patient. The p-value of a new image is the fraction of normal patients at or right
# of it. The lower the rate, the further right the threshold (orange).

detections = list(pipeline.detect_many(case.image for case in new))
scores = np.array([detection.pred_score for detection in detections])
p_values = np.array([detection.decision.p_value for detection in detections])
has_opacity = np.array([case.opacity.any() for case in new])

figure, ax = plt.subplots(figsize=(9, 3.2), layout="constrained")
rng = np.random.default_rng(0)
rows = {
    "calibration": (np.array(pipeline.calibration_.image_scores), "0.5"),
    "new, normal": (scores[~has_opacity], "C0"),
    "new, opacity": (scores[has_opacity], "C3"),
}
for row, (values, colour) in enumerate(rows.values()):
    ax.plot(values, -row + rng.uniform(-0.2, 0.2, len(values)), "o", color=colour, alpha=0.7)
for rate in (0.2, 0.1, 0.05):
    threshold = pipeline.calibration_.at_rates(false_alarm_rate=rate).threshold
    ax.axvline(threshold, color="C1")
    ax.text(threshold, 0.55, f"{rate:g}", color="C1", ha="center")
ax.set(yticks=[0, -1, -2], yticklabels=rows, ylim=(-2.5, 0.5))
ax.set(xscale="log", xlabel="anomaly score")
plt.show()

# %%
# Move the rate
# -------------
# A decision at a rate is ``p <= rate``, so nothing is fitted or detected again.

print("rate   false alarms   opacities flagged")
for rate in (0.02, 0.05, 0.1, 0.2):
    flagged = p_values <= rate
    print(
        f"{rate:4}   {flagged[~has_opacity].sum():4} of 20   {flagged[has_opacity].sum():8} of 20"
    )

# %%
# All rates at once. The false alarms of twenty images scatter around the rate that was asked for;
# the p-values of more normal images would lie on the dashed line.

rates = np.linspace(0, 0.5, 251)
figure, ax = plt.subplots(figsize=(5.5, 4), layout="constrained")
for name, chosen, colour in (("normal", ~has_opacity, "C0"), ("opacity", has_opacity, "C3")):
    fractions = (p_values[chosen][:, None] <= rates).mean(axis=0)
    ax.step(rates, fractions, where="post", color=colour, label=f"new, {name}")
ax.plot(rates, rates, color="0.4", ls="--", label="asked for")
ax.axvspan(0, pipeline.calibration_.finest_rate, color="0.9", label="too fine for 60 patients")
ax.set(xlabel="false-alarm rate", ylabel="fraction flagged", ylim=(0, 1.02))
ax.legend(loc="center right")
plt.show()

# %%
# A finer rate than the number of patients allows is refused.

from lungpatch import LungpatchError

try:
    pipeline.detect(new[0].image, false_alarm_rate=0.01)
except LungpatchError as error:
    print(error)

# %%
# Boxes have their own rate
# -------------------------
# The tolerated fraction of normal images that have any box. Each box has a p-value, too.

image = new[21].image
for rate in (0.02, 0.1, 0.3):
    found = pipeline.detect(image, false_box_rate=rate).localisation
    print(f"{rate:4}: {len(found.boxes)} boxes, p-values {found.box_p_values.round(3).tolist()}")

# %%
# A list with a promise
# ---------------------
# Of what this list flags, at most a tenth is expected to be normal.

from lungpatch.thresholders import false_discovery_labels

flagged = false_discovery_labels(p_values, 0.1)
print(f"flagged {flagged.sum()}, of which {flagged[~has_opacity].sum()} are normal")
