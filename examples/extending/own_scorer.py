"""
Write a scorer
==============

A component is a small class that keeps a contract. It can be used in a pipeline at once; a
package makes it available by name (:doc:`/plugins`).
"""

import attrs
import matplotlib.pyplot as plt
import numpy as np
from scipy import ndimage

import lungpatch
from lungpatch.datasets import phantom_cohort
from lungpatch.testing import check_scorer

# %%
# The contract of a scorer: patches and their reconstruction in, one score per patch out, higher
# is more anomalous. This one blurs the difference first, so that a misplaced rib edge, dark on
# one side and bright on the other, cancels out.


@attrs.define(kw_only=True, eq=False)
class BlurredScorer(lungpatch.Component):
    """Absolute difference in grey levels, after a Gaussian blur.

    Parameters
    ----------
    sigma : float
        Standard deviation of the blur, in pixels of the patch.
    """

    sigma: float = 2.0

    def score(self, patches, reconstruction):
        """Return one score per patch."""
        difference = 255.0 * (reconstruction.target - reconstruction.expected).mean(axis=1)
        error = np.abs(ndimage.gaussian_filter(difference, (0, self.sigma, self.sigma)))
        count = np.maximum(patches.lung.sum(axis=(1, 2)), 1)
        return lungpatch.PatchScores(
            values=(error * patches.lung).sum(axis=(1, 2), dtype=np.float64) / count,
            support=patches.lung,
            error_maps=error,
        )


# %%
# Does it keep the contract? Named checks on a synthetic chest say whether it does, and what to
# change if not.

report = check_scorer(BlurredScorer())
for result in report:
    print(f"{result.status:>8}  {result.name}")

# %%
# In a pipeline, compared with the paper's scorer:

cases = list(phantom_cohort(24, 4, seed=9, size=256))
crop = lungpatch.LungCropSampler(patch_size=64)
found = {}
for scorer in (lungpatch.SADScorer(), BlurredScorer(sigma=3.0)):
    pipeline = lungpatch.Pipeline(
        segmenter=lungpatch.UNetSegmenter(),
        fit_sampler=crop,
        sampler=crop,
        model=lungpatch.PCA(patch_size=64, n_components=8),
        scorer=scorer,
        thresholder=lungpatch.QuantileThresholder(q=0.9),
        map_detail="pixel",
    )
    pipeline.fit(case.image for case in cases[:24])
    found[type(scorer).__name__] = list(pipeline.detect_many(case.image for case in cases[24:]))

figure, axes = plt.subplots(2, 4, figsize=(12, 6), layout="constrained")
for row, (name, detections) in zip(axes, found.items(), strict=True):
    for ax, case, detection in zip(row, cases[24:], detections, strict=True):
        ax.imshow(case.image.pixels, cmap="gray")
        ax.imshow(detection.anomaly_map.colour_scale.to_rgba(detection.native_heatmap))
        ax.contour(case.opacity, [0.5], colors="yellow", linewidths=0.8)
        ax.set(xticks=[], yticks=[], title=case.kind)
    row[0].set_ylabel(name)
plt.show()
