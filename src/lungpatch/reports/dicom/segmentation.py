"""Segmentation: the predicted mask and the lungs, on the stored pixels of the source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lungpatch.containers.grids import to_native_grid
from lungpatch.reports.dicom.codes import code
from lungpatch.reports.dicom.result import RESEARCH_ONLY, Result

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

PRED_MASK, LUNGS = 1, 2
"""Numbers of the segments."""

_COLOURS = {PRED_MASK: (0, 229, 255), LUNGS: (110, 205, 140)}


def segmentation(result: Result) -> Dataset:
    """Return the predicted mask and the lungs of a result as a DICOM segmentation.

    It has two frames, one per segment, of the size of the source, both of them also where one is
    empty: some viewers refuse segmentations of one frame, and some misplace segments where frames
    are left out. Each frame names its source image. Radiographs have no position in space, so
    none is invented.

    Parameters
    ----------
    result : Result

    Returns
    -------
    highdicom.seg.Segmentation

    Examples
    --------
    >>> segmentation(result).save_as("image.seg.dcm")                  # doctest: +SKIP
    """
    from highdicom.color import CIELabColor
    from highdicom.seg import Segmentation, SegmentDescription

    detection = result.detection
    pred_mask = to_native_grid(detection.localisation.pred_mask, detection.image.shape)
    masks = np.stack([pred_mask, detection.native_lungs], axis=-1)
    described = (
        (PRED_MASK, "Anomaly score above its threshold", "abnormal structure"),
        (LUNGS, "Lungs", "anatomical structure"),
    )
    descriptions = [
        SegmentDescription(
            segment_number=number,
            segment_label=label,
            segmented_property_category=code(category),
            segmented_property_type=code("lung" if number == LUNGS else category),
            algorithm_type="AUTOMATIC",
            algorithm_identification=result.algorithm(),
            anatomic_regions=[code("chest" if number == LUNGS else "lung")],
            tracking_id=f"lungpatch {label}",
            tracking_uid=result.uid("seg", "segment", str(number)),
            display_color=CIELabColor.from_rgb(*_COLOURS[number]),
        )
        for number, label, category in described
    ]
    dataset = Segmentation(
        source_images=[result.source.header],
        pixel_array=result.stored(masks)[np.newaxis].astype(np.uint8),
        segmentation_type="BINARY",
        segment_descriptions=descriptions,
        omit_empty_frames=False,
        content_label="LUNGPATCH",
        content_description=RESEARCH_ONLY,
        **result.arguments("seg"),
    )
    # That of the source, as its pixels are; empty where the source has none.
    dataset.PatientOrientation = result.source.header.get("PatientOrientation")
    return result.completed(dataset)
