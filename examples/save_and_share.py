"""
Save and share a pipeline
=========================

A fitted pipeline is a folder of JSON and safetensors: names and numbers, no code, no pickle.
"""

import json
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import lungpatch
from lungpatch.datasets.phantom import phantom_chest, phantom_cohort
from lungpatch.models import PCA
from lungpatch.samplers import LungCropSampler
from lungpatch.scorers import FeatureScorer
from lungpatch.segmenters import UNetSegmenter
from lungpatch.thresholders import QuantileThresholder

crop = LungCropSampler(patch_size=64)
pipeline = lungpatch.Pipeline(
    segmenter=UNetSegmenter(),
    fit_sampler=crop,
    sampler=crop,
    model=PCA(patch_size=64, n_components=8),
    scorer=FeatureScorer(difference="excess", smoothing=0.04),
    thresholder=QuantileThresholder(q=0.9),
    map_detail="pixel",
)
pipeline.fit(case.image for case in phantom_cohort(24, 0, seed=2, size=256))

# %%
# What is in the folder
# ---------------------

saved = pipeline.save(Path(tempfile.mkdtemp()) / "mine.lungpatch")
for path in sorted(saved.iterdir()):
    print(f"{path.name:<22} {path.stat().st_size:>8} bytes")

# %%
# Components are saved by name, with their settings, so loading a pipeline runs no code from its
# folder. Digests are checked first.

description = json.loads((saved / "pipeline.json").read_text(encoding="utf-8"))
print(json.dumps(description, indent=1)[:900], "...")

# %%
# It comes back the same
# ----------------------

image = phantom_chest(31, size=256, opacity="patchy", patient="patchy").image
loaded = lungpatch.load_pipeline(saved)
before, after = pipeline.detect(image), loaded.detect(image)
difference = np.nanmax(np.abs(before.native_heatmap - after.native_heatmap))
print("maximum difference of the two maps:", difference)

figure, axes = plt.subplots(2, 3, figsize=(12, 7.6), layout="constrained")
before.plot(axes=axes[0])
after.plot(axes=axes[1])
axes[0, 0].set_title("the pipeline that was fitted")
axes[1, 0].set_title("the same, saved and loaded")
plt.show()

# %%
# Whoever gets it needs the plugins that are named in it, if any, and runs
#
# .. code-block:: console
#
#    $ lungpatch detect images/ --pipeline mine.lungpatch --out found
