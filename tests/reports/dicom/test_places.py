"""Boxes, masks and scores lie on the pixels of the source as they are stored.

What was written is read back by pydicom alone, and compared with marks that are put into the
stored pixels by hand.
"""

import numpy as np
import pydicom
import pytest
from made_dicom_results import PIPELINE, detection_in, save_radiograph
from stored_orientations import STORED

from lungpatch.containers.grids import to_native_grid
from lungpatch.reports.dicom import KINDS, write_dicom_objects

SHAPES = {
    "non-square": ((90, 71), {}),
    "anisotropic": ((71, 113), {"PixelSpacing": [0.2, 0.1]}),
    "imager spacing": ((64, 150), {"ImagerPixelSpacing": [0.1, 0.3]}),
    "aspect ratio": ((90, 71), {"PixelAspectRatio": [2, 1]}),
    "inverted": ((90, 71), {"photometric": "MONOCHROME1"}),
}


def written(tmp_path, orientation, shape=(90, 71), **elements):
    path = save_radiograph(tmp_path / "IM0001", orientation=orientation, shape=shape, **elements)
    detection = detection_in(path)
    assert detection.image.shape == shape  # as displayed
    assert len(detection.native_boxes) == 2
    files = write_dicom_objects(detection, path, tmp_path, pipeline=PIPELINE, kinds=KINDS)
    return detection, pydicom.dcmread(path), {kind: pydicom.dcmread(f) for kind, f in files.items()}


def items_of(item, name):
    """All content items of that concept name, at any depth."""
    found = []
    for child in item.get("ContentSequence", ()):
        names = child.get("ConceptNameCodeSequence")
        found += [child] if names and names[0].CodeMeaning == name else []
        found += items_of(child, name)
    return found


def outlined(points, shape):
    """The pixels within an outline of (column, row) points; it must run along their edges."""
    points = np.array(points, float).reshape(-1, 2)
    assert (points[0] == points[-1]).all()
    assert len(points) == 5
    assert (points == points.round()).all()
    columns, rows = points[:, 0].astype(int), points[:, 1].astype(int)
    mask = np.zeros(shape, bool)
    mask[rows.min() : rows.max(), columns.min() : columns.max()] = True
    return mask


def marks(detection, orientation):
    """What must be marked in the stored pixels: each box, the mask, the lungs and the scores."""
    boxes = []
    for row0, col0, row1, col1 in detection.native_boxes:
        shown = np.zeros(detection.image.shape, bool)
        shown[row0:row1, col0:col1] = True
        boxes.append(STORED[orientation](shown))
    pred_mask = to_native_grid(detection.localisation.pred_mask, detection.image.shape)
    arrays = (pred_mask, detection.native_lungs, detection.native_heatmap)
    return boxes, *(STORED[orientation](array) for array in arrays)


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("case", SHAPES)
def test_everything_lies_on_the_stored_pixels(tmp_path, orientation, case):
    shape, elements = SHAPES[case]
    detection, source, objects = written(tmp_path, orientation, shape, **elements)
    stored_shape = source.pixel_array.shape
    assert stored_shape == (shape if orientation[0] in "LR" else shape[::-1])
    boxes, pred_mask, lungs, scores = marks(detection, orientation)

    regions = items_of(objects["sr"], "Image Region")
    assert len(regions) == len(boxes) == 2
    for region, box in zip(regions, boxes, strict=True):
        np.testing.assert_array_equal(outlined(region.GraphicData, stored_shape), box)
        (reference,) = region.ContentSequence
        assert reference.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID

    segmentation = objects["seg"]
    frames = segmentation.pixel_array
    assert frames.shape == (2, *stored_shape)
    numbers = [
        group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        for group in segmentation.PerFrameFunctionalGroupsSequence
    ]
    labels = {item.SegmentNumber: item.SegmentLabel for item in segmentation.SegmentSequence}
    assert [labels[number] for number in numbers] == ["Anomaly score above its threshold", "Lungs"]
    np.testing.assert_array_equal(frames[0], pred_mask)
    np.testing.assert_array_equal(frames[1], lungs)
    # The mask's bounding boxes are the boxes.
    assert (frames[0].astype(bool) == np.any(boxes, axis=0)).all()

    graphics = objects["pr"].GraphicAnnotationSequence[0].GraphicObjectSequence
    for graphic, box in zip(graphics, boxes, strict=True):
        assert graphic.GraphicAnnotationUnits == "PIXEL"
        np.testing.assert_array_equal(outlined(graphic.GraphicData, stored_shape), box)

    map_ = objects["pm"]
    values = np.frombuffer(map_.FloatPixelData, "<f4").reshape(map_.Rows, map_.Columns)
    unscored = values == np.float32(map_.FloatPixelPaddingValue)
    np.testing.assert_array_equal(unscored, np.isnan(scores))
    np.testing.assert_array_equal(values[~unscored], scores[~unscored])
    assert values[~unscored].min() > np.float32(map_.FloatPixelPaddingValue)


def test_spots_are_where_they_were_put(tmp_path):
    """By hand: row 16 of 64 is row 22 or 23 of 90, column 40 of 64 is column 44 of 71."""
    _, _, objects = written(tmp_path, "R\\F")
    first = np.array(items_of(objects["sr"], "Image Region")[0].GraphicData).reshape(-1, 2)
    # Rows 16..23 of 64: native rows r with 16 <= (r + 1/2) 64 / 90 < 24, so 22.0 <= r < 33.25.
    assert (first[:, 1].min(), first[:, 1].max()) == (22, 34)
    # Columns 40..47 of 64: 43.875 <= c < 52.75 of 71; mirrored, 71 - 53 to 71 - 44.
    assert (first[:, 0].min(), first[:, 0].max()) == (71 - 53, 71 - 44)


@pytest.mark.parametrize(
    ("elements", "spacing", "ratio"),
    [
        ({"PixelSpacing": [0.2, 0.1]}, [0.2, 0.1], None),
        ({"ImagerPixelSpacing": [0.1, 0.3]}, [0.1, 0.3], None),
        ({"PixelAspectRatio": [2, 1]}, None, [2, 1]),
        ({}, None, [1, 1]),
    ],
)
def test_the_presentation_keeps_the_shape_of_pixels(tmp_path, elements, spacing, ratio):
    _, _, objects = written(tmp_path, "F\\L", **elements)
    (area,) = objects["pr"].DisplayedAreaSelectionSequence
    assert area.get("PresentationPixelSpacing") == spacing
    assert area.get("PresentationPixelAspectRatio") == ratio
    assert list(area.DisplayedAreaTopLeftHandCorner) == [1, 1]
    assert list(area.DisplayedAreaBottomRightHandCorner) == [90, 71]  # column, row


def test_the_overlay_is_upright_and_says_so(tmp_path):
    _, _, objects = written(tmp_path, "R\\H")
    assert list(objects["sc"].PatientOrientation) == ["L", "F"]
    _, _, objects = written(tmp_path, None)
    assert not objects["sc"].PatientOrientation
    assert list(written(tmp_path, "R\\H")[2]["seg"].PatientOrientation) == ["R", "H"]
