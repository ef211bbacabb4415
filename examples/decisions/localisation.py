"""
Evaluate the localisation
=========================

The score of a whole image can be right for a wrong reason: brightness, position, the scanner.
Such differences between images have no effect on localisation within one image, so evaluate that
first.
"""

import matplotlib.pyplot as plt
import numpy as np

import lungpatch
from lungpatch.datasets import phantom_cohort
from lungpatch.evaluation.metrics import auroc, bootstrap_interval, score_localisation

cases = list(phantom_cohort(42, 15, seed=11, size=256))
training, test = cases[:30], cases[30:]
crop = lungpatch.LungCropSampler(patch_size=64)
pipeline = lungpatch.Pipeline(
    segmenter=lungpatch.UNetSegmenter(),
    fit_sampler=crop,
    sampler=crop,
    model=lungpatch.PCA(patch_size=64, n_components=10),
    scorer=lungpatch.FeatureScorer(difference="excess", smoothing=0.04),
    thresholder=lungpatch.QuantileThresholder(q=0.9),
    map_detail="pixel",
)
pipeline.fit(case.image for case in training)
detections = list(pipeline.detect_many(case.image for case in test))

# %%
# Within each image
# -----------------
# Pixel AUROC: the probability that a pixel of the opacity has a higher score than another lung
# pixel of the same image. Pointing: whether the pixel of the maximum score lies in the opacity.
# The probability of that for a random lung pixel, the fraction of the lung that is opaque, is
# printed below it.

opaque = [(case, found) for case, found in zip(test, detections, strict=True) if case.opacity.any()]
scores = [score_localisation(found.native_heatmap, case.opacity) for case, found in opaque]


def mean_with_interval(values):
    """Mean and its bootstrap 95 % interval over images."""
    values = np.array(values, float)
    low, high = bootstrap_interval(np.mean, [values], rng=np.random.default_rng(0))
    return f"{values.mean():.2f} [{low:.2f}, {high:.2f}]"


print("pixel AUROC     ", mean_with_interval([score.pixel_auroc for score in scores]))
print("pointing        ", mean_with_interval([score.pointing_hit for score in scores]))
print("pointing, chance", mean_with_interval([score.chance for score in scores]))

# %%
# The best two, the middle one and the worst two. Looking at the worst is the most useful step on
# this page.

order = np.argsort([score.pixel_auroc for score in scores])[::-1]
chosen = [*order[:2], order[len(order) // 2], *order[-2:]]
figure, axes = plt.subplots(1, 5, figsize=(13, 3.2), layout="constrained")
for ax, index in zip(axes, chosen, strict=True):
    case, found = opaque[index]
    ax.imshow(case.image.pixels, cmap="gray")
    ax.imshow(found.anomaly_map.colour_scale.to_rgba(found.native_heatmap))
    ax.contour(case.opacity, [0.5], colors="yellow", linewidths=1)
    row, column = np.unravel_index(np.nanargmax(found.native_heatmap), found.native_heatmap.shape)
    ax.plot(column, row, "c+", markersize=12, markeredgewidth=2)
    ax.set_title(f"{case.kind}: {scores[index].pixel_auroc:.2f}")
    ax.set_axis_off()
plt.show()

# %%
# Between images
# --------------
# How well the score of an image separates images with an opacity from normal ones. On real data
# ask first what else differs between the two groups.

pred = np.array([found.decision.pred_score for found in detections])
truth = np.array([case.opacity.any() for case in test])
low, high = bootstrap_interval(auroc, [pred, truth], rng=np.random.default_rng(0))
print(f"image AUROC {auroc(pred, truth):.2f} [{low:.2f}, {high:.2f}]")
figure, ax = plt.subplots(figsize=(8, 2.6), layout="constrained")
for label in (0, 1):
    values = pred[truth == label]
    ax.plot(values, np.full(values.shape, label), "o", alpha=0.6)
ax.axvline(pipeline.calibration_.threshold, color="C3", ls="--", label="threshold")
ax.set(yticks=[0, 1], yticklabels=["normal", "opacity"], ylim=(-0.6, 1.6), xlabel="image score")
ax.legend(loc="center right")
plt.show()
