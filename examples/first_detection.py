"""
Detect in three lines
=====================

Fit on normal images, detect in another, look at what was found.
"""

# %%
# Images first. Yours come from a folder: ``pipeline.fit("normal/")`` and
# ``pipeline.detect("patient.png")`` take paths. Here they are synthetic: 30 normal chests to fit
# on, and one with an opacity.

import lungpatch
from lungpatch.datasets.phantom import phantom_chest, phantom_cohort

normal = [case.image for case in phantom_cohort(30, 0, seed=1, size=256)]
patient = phantom_chest(8, size=256, opacity="lobar", patient="patient")

# %%
# A pipeline has a component for every step. This one brings both lungs to one size and position.
# Its model is trained to find lesions that it paints into normal lungs itself; no opacity of an
# image is shown to it.

from lungpatch.models import SyntheticLesionModel
from lungpatch.samplers import LungCropSampler
from lungpatch.scorers import FeatureScorer
from lungpatch.segmenters import UNetSegmenter
from lungpatch.thresholders import QuantileThresholder

crop = LungCropSampler(patch_size=128)
pipeline = lungpatch.Pipeline(
    segmenter=UNetSegmenter(),
    fit_sampler=crop,
    sampler=crop,
    model=SyntheticLesionModel(patch_size=128, channels=(8, 8, 16, 16, 24), epochs=30),
    scorer=FeatureScorer(difference="excess"),
    thresholder=QuantileThresholder(q=0.95),
    map_detail="pixel",
)

# %%
# The three lines. In a notebook the last one shows what is below: the image, and the image with
# its lungs (green), its anomaly map, and boxes around the regions above the threshold.

pipeline.fit(normal)
detection = pipeline.detect(patient.image)
detection

# %%
# The numbers behind it:

print(detection.decision)
print("boxes:", detection.native_boxes.tolist())
print("maximum score in each:", detection.localisation.box_scores.round(2).tolist())

# %%
# For a paper, draw it with matplotlib: input, lungs, anomaly map, and the true opacity.

import matplotlib.pyplot as plt

figure, axes = plt.subplots(1, 4, figsize=(13, 3.4), layout="constrained")
detection.plot(axes=axes[:3])
axes[0].set_title("input")
axes[1].set_title("lungs and boxes")
axes[3].imshow(patient.image.pixels, cmap="gray")
axes[3].contour(patient.opacity, [0.5], colors="yellow")
axes[3].set_title("the true opacity")
axes[3].set_axis_off()
plt.show()
