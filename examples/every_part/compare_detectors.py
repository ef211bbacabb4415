"""
Detectors compared
==================

Every detector is a reconstruction compared by a scorer, so each of these is the same pipeline
with other components: two see small patches, as the paper does, and two see whole lungs.
"""

import copy
import time

import matplotlib.pyplot as plt
import numpy as np

from lungpatch import load_preset
from lungpatch.datasets.phantom import phantom_cohort
from lungpatch.evaluation.metrics import score_localisation
from lungpatch.pipeline import build_pipeline, pipeline_settings

cases = list(phantom_cohort(36, 10, seed=1, size=256))
normal, opaque = cases[:36], cases[36:]

# %%
# Settings are plain tables, the same as in a TOML file. Training is kept short here.

paper = pipeline_settings(load_preset("paper"))
paper["model"] |= {"epochs": 4, "base_channels": 8}

whole_lungs = copy.deepcopy(paper)
whole_lungs["pipeline"]["map_detail"] = "pixel"
whole_lungs["fit_sampler"] = {"name": "lung-crop", "patch_size": 64}
whole_lungs["sampler"] = {"name": "lung-crop", "patch_size": 64}
excess = {"name": "feature", "difference": "excess"}
small = {"patch_size": 64, "channels": [8, 8, 16, 16, 24], "epochs": 40}

detectors = {
    "paper: U-Net on 32x32": paper,
    "PCA of small patches": paper | {"model": {"name": "pca", "n_components": 8}},
    "PCA of whole lungs": whole_lungs
    | {"model": {"name": "pca", "patch_size": 64, "n_components": 10}},
    "synthetic lesions": whole_lungs
    | {"model": {"name": "synthetic-lesion", **small}, "scorer": excess},
}
results = {}
for name, tables in detectors.items():
    pipeline = build_pipeline(tables, origin=name).fit(case.image for case in normal)
    start = time.perf_counter()
    results[name] = list(pipeline.detect_many(case.image for case in opaque))
    scores = [
        score_localisation(detection.native_heatmap, case.opacity)
        for detection, case in zip(results[name], opaque, strict=True)
    ]
    print(
        f"{name:>22}: pixel AUROC {np.mean([s.pixel_auroc for s in scores]):.2f}, "
        f"pointing {np.mean([s.pointing_hit for s in scores]):.1f}, "
        f"{(time.perf_counter() - start) / len(opaque) * 1000:.0f} ms per image"
    )
print(f"{'a random point':>22}: pointing {np.mean([s.chance for s in scores]):.1f}")

# %%
# Ten images are few, and the phantom flatters the detector that is trained on painted lesions:
# its opacities are painted by the same functions. What carries over to real images is the pattern
# of the first two rows: small patches of opacity are easy to reconstruct, so they are not found.

shown = [0, 1, 2, 3, 4]
rows = ["truth", *results]
figure, axes = plt.subplots(len(rows), len(shown), figsize=(11, 11.5), layout="constrained")
for ax, name in zip(axes[:, 0], rows, strict=True):
    ax.set_ylabel(name)
for column, index in zip(axes.T, shown, strict=True):
    case = opaque[index]
    for ax in column:
        ax.imshow(case.image.pixels, cmap="gray")
        ax.set(xticks=[], yticks=[])
    column[0].contour(case.opacity, [0.5], colors="yellow", linewidths=1)
    column[0].set_title(case.kind)
    for ax, detections in zip(column[1:], results.values(), strict=True):
        detection = detections[index]
        ax.imshow(detection.anomaly_map.colour_scale.to_rgba(detection.native_heatmap))
plt.show()
