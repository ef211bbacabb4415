"""
DICOM in, results out
=====================

Grey levels are brought to one convention in one place: bones bright, [0, 1]. Results come back in
the image's own pixels.
"""

import json
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pydicom
import tifffile

import lungpatch
from lungpatch.datasets.phantom import phantom_chest, phantom_cohort
from lungpatch.models.pca import PCA
from lungpatch.reports import detection_record, write_anomaly_map, write_overlay
from lungpatch.samplers.lung_crop import LungCropSampler
from lungpatch.scorers.feature import FeatureScorer
from lungpatch.segmenters.unet import UNetSegmenter
from lungpatch.thresholders.quantile import QuantileThresholder

folder = Path(tempfile.mkdtemp())

# %%
# An image as a detector writes it
# --------------------------------
# 12 bits, ``MONOCHROME1`` (bones dark), a window, and pixels of 0.4 mm.

case = phantom_chest(14, size=600, opacity="lobar")
dataset = pydicom.Dataset()
dataset.file_meta = pydicom.dataset.FileMetaDataset()
dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"  # digital X-ray
dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid(entropy_srcs=["example"])
dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID
dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
dataset.Modality = "DX"
dataset.PhotometricInterpretation = "MONOCHROME1"
dataset.Rows, dataset.Columns = case.image.shape
dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
dataset.ImagerPixelSpacing = [0.4, 0.4]
dataset.WindowCenter, dataset.WindowWidth = 2048, 3800
stored = np.rint((1 - case.image.pixels) * 4095).astype(np.uint16)
dataset.PixelData = stored.tobytes()
dataset.save_as(folder / "image.dcm", enforce_file_format=True)

# %%
# Stored values, and what ``read_image`` makes of them.

image = lungpatch.read_image(folder / "image.dcm")
print(image, image.pixel_spacing_mm)
figure, axes = plt.subplots(1, 2, figsize=(9, 4.6), layout="constrained")
axes[0].imshow(stored, cmap="gray")
axes[0].set_title("stored: MONOCHROME1, 0 to 4095")
axes[1].imshow(image.pixels, cmap="gray", vmin=0, vmax=1)
axes[1].set_title("read: bones bright, 0 to 1")
for ax in axes:
    ax.set_axis_off()
plt.show()

# %%
# Results
# -------
# A record, an overlay, and the anomaly map as a float TIFF of the image's own size.

crop = LungCropSampler(patch_size=64)
pipeline = lungpatch.Pipeline(
    segmenter=UNetSegmenter(),
    fit_sampler=crop,
    sampler=crop,
    model=PCA(patch_size=64, n_components=10),
    scorer=FeatureScorer(difference="excess", smoothing=0.04),
    thresholder=QuantileThresholder(q=0.9),
    map_detail="pixel",
)
pipeline.fit(case.image for case in phantom_cohort(20, 0, seed=1, size=256))
detection = pipeline.detect(folder / "image.dcm")
write_overlay(folder / "image.overlay.png", detection, pipeline.calibration.colour_scale)
write_anomaly_map(folder / "image.anomaly.tiff", detection)
record = detection_record(detection, source="image.dcm")
record.pop("seconds")  # differs from run to run
print(json.dumps(record, indent=2))

# %%
# Boxes and maps are in the image's pixels, so with the pixel spacing they have a size in mm.

heat = tifffile.imread(folder / "image.anomaly.tiff")
print(heat.shape, heat.dtype, f"{np.isnan(heat).mean():.0%} not scored")
for row0, col0, row1, col1 in detection.native_boxes[:1]:
    height, width = image.pixel_spacing_mm
    print(f"first box: {(row1 - row0) * height:.0f} mm high, {(col1 - col0) * width:.0f} mm wide")

figure, ax = plt.subplots(figsize=(11, 5.6), layout="constrained")
ax.imshow(plt.imread(folder / "image.overlay.png"))
ax.set_axis_off()
plt.show()
