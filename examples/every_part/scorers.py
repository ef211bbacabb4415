"""
Scorers compared
================

Several ways to measure how far an image is from its reconstruction. The model stays the same;
only the scorer is exchanged.
"""

import matplotlib.pyplot as plt
import numpy as np

import lungpatch
from lungpatch.datasets import phantom_cohort
from lungpatch.evaluation.metrics import score_localisation

cases = list(phantom_cohort(28, 10, seed=3, size=256))
normal, opaque = cases[:28], cases[28:]

# %%
# The model reconstructs both lungs from the first ten principal components of normal lungs.
# ``SAD`` and ``L2`` measure any difference; ``excess`` counts only what is brighter than
# expected, as opacities are; ``SSIM`` compares structure.

scorers = {
    "SAD": lungpatch.SADScorer(),
    "L2": lungpatch.L2Scorer(),
    "1 - SSIM": lungpatch.SSIMScorer(sigma=1.5),
    "excess, smoothed": lungpatch.FeatureScorer(difference="excess", smoothing=0.04),
}
crop = lungpatch.LungCropSampler(patch_size=64)
results = {}
for name, scorer in scorers.items():
    pipeline = lungpatch.Pipeline(
        segmenter=lungpatch.UNetSegmenter(),
        fit_sampler=crop,
        sampler=crop,
        model=lungpatch.PCA(patch_size=64, n_components=10),
        scorer=scorer,
        thresholder=lungpatch.QuantileThresholder(q=0.9),
        map_detail="pixel",
    )
    pipeline.fit(case.image for case in normal)
    results[name] = list(pipeline.detect_many(case.image for case in opaque))

# %%
# Scorers have different units, so each row has a colour scale of its own, fixed by normal images.

shown = [0, 1, 3, 4]
figure, axes = plt.subplots(len(scorers) + 1, len(shown), figsize=(10, 12.5), layout="constrained")
for column, index in zip(axes.T, shown, strict=True):
    case = opaque[index]
    column[0].imshow(case.image.pixels, cmap="gray")
    column[0].contour(case.opacity, [0.5], colors="yellow", linewidths=1)
    column[0].set_title(case.kind)
    for ax, name in zip(column[1:], scorers, strict=True):
        found = results[name][index]
        ax.imshow(case.image.pixels, cmap="gray")
        ax.imshow(found.anomaly_map.colour_scale.to_rgba(found.native_heatmap))
for ax, name in zip(axes[:, 0], ("truth", *scorers), strict=True):
    ax.set_ylabel(name)
for ax in axes.ravel():
    ax.set(xticks=[], yticks=[])
plt.show()

# %%
# How well do they localise? A pixel AUROC of 0.5 is chance. The images are few and synthetic, so
# this shows that scorers matter, and is no ranking.

for name, detections in results.items():
    scores = [
        score_localisation(found.native_heatmap, case.opacity)
        for found, case in zip(detections, opaque, strict=True)
    ]
    print(
        f"{name:>17}: pixel AUROC {np.mean([s.pixel_auroc for s in scores]):.2f}, maximum in the "
        f"opacity in {sum(s.pointing_hit for s in scores)} of {len(scores)} images"
    )
