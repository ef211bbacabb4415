"""
DICOM in, results out
=====================

Grey levels and sides are brought to one convention in one place: bones bright, [0, 1], the
patient's right at the left. Results come back on the native grid of the image.
"""

import json
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pydicom
import tifffile

import lungpatch
from lungpatch.datasets import sample
from lungpatch.reports import detection_record, write_anomaly_map, write_overlay

folder = Path(tempfile.mkdtemp())

# %%
# An image as a detector writes it
# --------------------------------
# A radiograph in an invented file: 12 bits, ``MONOCHROME1`` (bones dark), a window, pixels of
# 0.8 mm, and columns that run to the patient's right: a mirror image, which says so.

original = sample().read(1)
dataset = pydicom.Dataset()
dataset.file_meta = pydicom.dataset.FileMetaDataset()
dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"  # digital X-ray
dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid(entropy_srcs=["example"])
dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID
dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
dataset.Modality = "DX"
dataset.PhotometricInterpretation = "MONOCHROME1"
dataset.Rows, dataset.Columns = original.shape
dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
dataset.ImagerPixelSpacing = [0.8, 0.8]
dataset.WindowCenter, dataset.WindowWidth = 2048, 3800
dataset.PatientOrientation = ["R", "F"]
stored = np.rint((1 - original.pixels[:, ::-1]) * 4095).astype(np.uint16)
dataset.PixelData = stored.tobytes()
dataset.save_as(folder / "image.dcm", enforce_file_format=True)

# %%
# Stored values, and what ``read_image`` makes of them. ``reading`` says what was done.

image = lungpatch.read_image(folder / "image.dcm")
print(image, image.pixel_spacing_mm)
print(*image.reading, sep="\n")
figure, axes = plt.subplots(1, 2, figsize=(9, 4.6), layout="constrained")
axes[0].imshow(stored, cmap="gray")
axes[0].set_title("stored: MONOCHROME1, 0 to 4095, mirrored")
axes[1].imshow(image.pixels, cmap="gray", vmin=0, vmax=1)
axes[1].set_title("read: bones bright, 0 to 1, right at the left")
for ax in axes:
    ax.set_axis_off()
plt.show()

# %%
# Results
# -------
# A record, an overlay, and the anomaly map as a float TIFF of the native size.

pipeline = lungpatch.load_pipeline("default")
detection = pipeline.detect(folder / "image.dcm")
write_overlay(folder / "image.overlay.jpg", detection, pipeline.calibration_.colour_scale)
write_anomaly_map(folder / "image.anomaly.tiff", detection)
record = detection_record(detection, source="image.dcm")
record.pop("seconds")  # differs from run to run
print(json.dumps(record, indent=2))

# %%
# Boxes and maps are on the native grid, so with the pixel spacing they have a size in mm.

heatmap = tifffile.imread(folder / "image.anomaly.tiff")
print(heatmap.shape, heatmap.dtype, f"{np.isnan(heatmap).mean():.0%} not scored")
for row0, col0, row1, col1 in detection.native_boxes[:1]:
    height, width = image.pixel_spacing_mm
    print(f"first box: {(row1 - row0) * height:.0f} mm high, {(col1 - col0) * width:.0f} mm wide")

figure, ax = plt.subplots(figsize=(11, 5.6), layout="constrained")
ax.imshow(plt.imread(folder / "image.overlay.jpg"))
ax.set_axis_off()
plt.show()
