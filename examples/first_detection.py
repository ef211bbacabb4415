"""
Detect in three lines
=====================

Fit on normal images, detect in another, look at what was found.
"""

# %%
# Images first. Yours come from a folder: ``pipeline.fit("normal/")`` and
# ``pipeline.detect("patient.png")`` take paths. Here they are synthetic: 30 normal chests to learn
# from, and one with an opacity to look for.

import lungpatch
from lungpatch.datasets.phantom import phantom_chest, phantom_cohort

normal = [case.image for case in phantom_cohort(30, 0, seed=1, size=256)]
patient = phantom_chest(8, size=256, opacity="lobar", patient="patient")

# %%
# A pipeline names a component for every step. This one brings both lungs to one size and place,
# learns from normal lungs into which it paints lesions itself, and says where it sees some. No
# real opacity is shown to it.

from lungpatch.models.synthetic_lesion import SyntheticLesionModel
from lungpatch.samplers.lung_crop import LungCropSampler
from lungpatch.scorers.feature import FeatureScorer
from lungpatch.segmenters.unet import UNetSegmenter
from lungpatch.thresholders.quantile import QuantileThresholder

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
# The three lines. In a notebook the last one shows the picture below: the image, and the image with
# its lungs (green), its heat, and boxes around the heat above the threshold.

pipeline.fit(normal)
detection = pipeline.detect(patient.image)
detection

# %%
# The numbers behind it:

print(detection.decision)
print("boxes:", detection.native_boxes.tolist())
print("highest heat in each:", detection.localisation.box_scores.round(2).tolist())

# %%
# For a paper there is matplotlib: input, lungs, and heat-map, and what is really there.

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
