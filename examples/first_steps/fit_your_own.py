"""
Fit a detector of your own
==========================

Fit on normal images alone, then detect in others.
"""

# %%
# Yours come from a folder: ``pipeline.fit("normal/")``. Here they are synthetic, since a fit needs
# some dozen: 30 normal chests, and one with an opacity, whose place is known to the pixel.

import lungpatch
from lungpatch.datasets import phantom_chest, phantom_cohort

normal = [case.image for case in phantom_cohort(30, 0, seed=1, size=256)]
patient = phantom_chest(8, size=256, opacity="lobar", patient="patient")

# %%
# A pipeline has a component for every step. This one brings both lungs to one size and position.
# Its model is trained to find lesions that it paints into normal lungs itself; no opacity of an
# image is shown to it. ``lungpatch.load_preset("default")`` is the detector that comes with
# lungpatch, not yet fitted; its fit takes longer.

crop = lungpatch.LungCropSampler(patch_size=128)
pipeline = lungpatch.Pipeline(
    segmenter=lungpatch.UNetSegmenter(),
    fit_sampler=crop,
    sampler=crop,
    model=lungpatch.SyntheticLesionModel(patch_size=128, channels=(8, 8, 16, 16, 24), epochs=30),
    scorer=lungpatch.FeatureScorer(difference="excess"),
    thresholder=lungpatch.QuantileThresholder(q=0.95),
    map_detail="pixel",
)
pipeline.fit(normal)
detection = pipeline.detect(patient.image)
detection

# %%
# ``report_`` says what became of the images, and how the training went.

print(pipeline.report_.images)
print(pipeline.report_.history)

# %%
# Drawn for a paper, beside the truth:

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
