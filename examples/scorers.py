"""
Scorers compared
================

One reconstruction, several ways to say how far the image is from it. The model stays; only the
scorer is exchanged.
"""

import matplotlib.pyplot as plt
import numpy as np

import lungpatch
from lungpatch.datasets.phantom import phantom_cohort
from lungpatch.evaluation.metrics import score_localisation
from lungpatch.models.pca import PCA
from lungpatch.samplers.lung_crop import LungCropSampler
from lungpatch.scorers.feature import FeatureScorer
from lungpatch.scorers.l2 import L2Scorer
from lungpatch.scorers.sad import SADScorer
from lungpatch.scorers.ssim import SSIMScorer
from lungpatch.segmenters.unet import UNetSegmenter
from lungpatch.thresholders.quantile import QuantileThresholder

cases = list(phantom_cohort(28, 10, seed=3, size=256))
normal, opaque = cases[:28], cases[28:]

# %%
# The model draws both lungs as a mixture of ten typical normal ones. ``SAD``, ``L2`` and the
# distance of features see any difference; ``excess`` counts only what is brighter than expected,
# which an opacity is; ``SSIM`` sees structure.

scorers = {
    "SAD": SADScorer(),
    "L2": L2Scorer(),
    "1 - SSIM": SSIMScorer(sigma=1.5),
    "excess, smoothed": FeatureScorer(difference="excess", smoothing=0.04),
}
crop = LungCropSampler(patch_size=64)
results = {}
for name, scorer in scorers.items():
    pipeline = lungpatch.Pipeline(
        segmenter=UNetSegmenter(),
        fit_sampler=crop,
        sampler=crop,
        model=PCA(patch_size=64, n_components=10),
        scorer=scorer,
        thresholder=QuantileThresholder(q=0.9),
        map_detail="pixel",
    )
    pipeline.fit(case.image for case in normal)
    results[name] = list(pipeline.detect_many(case.image for case in opaque))

# %%
# Scales differ between scorers and are the same within a row: each pipeline's own colours, fixed by
# normal images.

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
# Where do they point? 0.5 is chance; the images are few and synthetic, so read this as "scorers
# matter", not as a ranking.

for name, detections in results.items():
    scores = [
        score_localisation(found.native_heatmap, case.opacity)
        for found, case in zip(detections, opaque, strict=True)
    ]
    print(
        f"{name:>17}: pixel AUROC {np.mean([s.pixel_auroc for s in scores]):.2f}, highest heat in "
        f"the opacity in {sum(s.pointing_hit for s in scores)} of {len(scores)} images"
    )
