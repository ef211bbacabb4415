import json

import attrs
import pytest
from made_detections import make_detection

from lungpatch.errors import InvalidImageError
from lungpatch.pipeline import Failure
from lungpatch.reports import detection_record, failure_record


def test_the_record_holds_all_that_is_promised():
    detection = make_detection()
    record = detection_record(detection, source="in/image.png")
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record == {
        "image": "in/image.png",
        "status": "ok",
        "reason": None,
        "reading": ["MONOCHROME1: inverted"],
        "StudyInstanceUID": None,
        "SeriesInstanceUID": None,
        "SOPInstanceUID": None,
        "pred_score": 2.0,
        "threshold": 1.1,
        "pred_label": True,
        "rule": "quantile",
        "p_value": 0.04,
        # Model grid: rows 16..23 of 64, columns 40..47, in an image of 600 x 512.
        "boxes": [[150, 320, 225, 384]],
        "box_scores": [6.0],
        "box_p_values": [0.02],
        "region_threshold": 3.0,
        "summary": [record["regions"][0]["text"]],
        "regions": [region.to_dict() for region in detection.regions.regions],
        "maximum": detection.regions.maximum.to_dict(),
        "fractions_above": {"right": 0.0, "left": 64 / (48 * 20)},
        "lung_fraction": 2 * 48 * 20 / 64**2,
        "n_patches": 5,
        "seconds": 0.1 + 0.2,
    }
    assert len(record["regions"]) == 1
    assert record["regions"][0]["text"] == (
        "left upper zone, medial to lateral, 7 % of the left lung, peak 6 (threshold 3)"
    )
    assert record["regions"][0]["peak"] == record["maximum"]


def test_the_record_of_a_dicom_image_has_its_uids():
    detection = make_detection()
    tags = {"StudyInstanceUID": "1.2", "SOPInstanceUID": "1.2.3.4", "PatientID": "P7"}
    image = attrs.evolve(detection.image, tags=tags)
    record = detection_record(attrs.evolve(detection, image=image), source="a.dcm")
    assert record["StudyInstanceUID"] == "1.2"
    assert record["SeriesInstanceUID"] is None
    assert record["SOPInstanceUID"] == "1.2.3.4"
    assert "P7" not in json.dumps(record)


@pytest.mark.parametrize("status", ["no_lungs", "no_patches"])
def test_an_unscored_image_has_neither_score_nor_label(status):
    record = detection_record(make_detection(status=status, spots=()), source="a")
    assert record["status"] == status
    assert [record[key] for key in ("pred_score", "threshold", "pred_label", "rule")] == [None] * 4
    assert record["boxes"] == record["box_scores"] == record["regions"] == []
    assert record["maximum"] is None
    assert record["summary"] == ["not scored"]
    assert record["fractions_above"] == dict.fromkeys(
        ("right", "left"), None if status == "no_lungs" else 0.0
    )
    assert record["n_patches"] == 0


def test_out_of_scope_a_record_has_a_score_and_nothing_found():
    record = detection_record(make_detection(status="out_of_scope", reason="a hand"), source="a")
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert (record["status"], record["reason"], record["pred_score"]) == (
        "out_of_scope",
        "a hand",
        2.0,
    )
    for key in ("threshold", "pred_label", "rule", "region_threshold"):
        assert record[key] is None
    assert record["boxes"] == record["box_scores"] == record["regions"] == []
    assert record["fractions_above"] == {"right": 0.0, "left": 0.0}
    assert len(record["summary"]) == 1
    assert record["summary"][0].startswith("out of scope; maximum: left upper zone")


def test_a_failure_names_the_image_and_the_error():
    failure = Failure(source="in/a.png", error=InvalidImageError("in/a.png: cut short"))
    assert failure_record(failure) == {
        "image": "in/a.png",
        "status": "error",
        "error": "in/a.png: cut short",
    }
