"""Images that are not frontal chest radiographs never count as found."""

import attrs
import numpy as np
import pytest

import lungpatch
from lungpatch.pipeline.scope import out_of_scope

CHEST = {
    "Modality": "DX",
    "BodyPartExamined": "CHEST",
    "ViewPosition": "PA",
    "PresentationIntentType": "FOR PRESENTATION",
    "PatientOrientation": "L\\F",
}


@pytest.mark.parametrize(
    "tags",
    [
        {},
        CHEST,
        CHEST | {"ViewPosition": "AP", "PatientOrientation": ""},
        CHEST | {"Modality": "cr", "BodyPartExamined": "Chest"},
        CHEST | {"Modality": "OT", "BodyPartExamined": "", "ViewPosition": ""},
        CHEST | {"BodyPartExamined": "THORAX", "PatientOrientation": "R\\F"},
        CHEST | {"BodyPartExamined": "CHEST ABDOMEN"},
        CHEST | {"BodyPartExamined": "RIBS"},
        CHEST | {"SeriesDescription": "W Chest PA", "ProtocolName": "Chest flat panel"},
        CHEST | {"SeriesDescription": "PLATE 3, PORTABLE CHEST"},  # LAT within a word
        CHEST | {"ViewPosition": "PA ERECT"},
        CHEST | {"PatientSpeciesDescription": "Homo sapiens"},
        CHEST | {"BodyPartExamined": "something local"},
        CHEST | {"BodyPartExamined": "TORAX"},
        CHEST | {"AnatomicRegionMeaning": "Chest", "AnatomicalOrientationType": "BIPED"},
        CHEST | {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1"},
        CHEST | {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"},
        CHEST | {"SeriesDescription": "CHEST PA AND LAT", "ProtocolName": "Chest AP/LATERAL"},
        CHEST | {"StudyDescription": "XR CHEST PA AND LATERAL"},
        CHEST | {"StudyDescription": "HIP AND KNEE", "SeriesDescription": "bilateral"},
        CHEST | {"BodyPartExamined": "", "StudyDescription": "Pelvis, chest"},
        CHEST | {"BodyPartExamined": "", "SeriesDescription": "PA", "StudyDescription": "trauma"},
        CHEST | {"BodyPartExamined": "", "AnatomicRegionMeaning": "Thorax", "ProtocolName": "ARM"},
        CHEST | {"SeriesDescription": "Duplicate, educational"},  # CAT within a word
    ],
)
def test_frontal_chests_are_in_scope(tags):
    assert out_of_scope(tags) is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("Modality", value) for value in ("MG", "CT", "MR", "US", "IO", "PX", "NM", "XA", "SR")),
        *(
            ("BodyPartExamined", value)
            for value in ("HIP", "HAND", "hands", "ABDOMEN", "SKULL", "LSPINE", "KNEE", "TEETH")
        ),
        *(
            ("BodyPartExamined", value)
            for value in ("LEFT_HAND", "FOOT-R", "Hip2", "T-SPINE", "THORACIC SPINE", "LEGS")
        ),
        ("AnatomicRegionMeaning", "Hip joint"),
        ("AnatomicalOrientationType", "QUADRUPED"),
        *(
            ("ViewPosition", value)
            for value in ("LL", "RL", "LATERAL", "ll", "LEFT LATERAL", "LAO", "RPO", "LLO")
        ),
        ("PresentationIntentType", "FOR PROCESSING"),
        ("PatientOrientation", "A\\F"),
        ("PatientOrientation", "P\\F"),
        ("PatientOrientation", "F\\A"),
        ("PatientOrientation", "AL\\F"),
        ("PatientOrientation", "L\\P"),
        ("ViewPosition", "LEFT_LATERAL"),
        ("ViewPosition", "ML"),
        ("ViewPosition", "MLO"),
        ("ViewPosition", "CC"),
        ("PatientSpeciesDescription", "CANINE"),
        ("SeriesDescription", "Chest Lat"),
        ("SeriesDescription", "CHEST, LATERAL"),
        ("ProtocolName", "Thorax lat."),
        ("ProtocolName", "THORAX_LAT"),
        ("SeriesDescription", "Thorax seitlich"),
        ("SeriesDescription", "profil"),
        ("AcquisitionDeviceProcessingDescription", "CHEST,LATERAL"),
        ("AcquisitionDeviceProcessingDescription", "CANINE THORAX VD"),
        ("ProtocolName", "Feline chest"),
        ("ViewCodeMeaning", "left lateral"),
    ],
)
def test_what_the_tags_exclude_is_named(key, value):
    assert out_of_scope(CHEST | {key: value}) == f"{key} is {value.upper()}"


@pytest.mark.parametrize(
    ("uid", "name"),
    [
        ("1.2.840.10008.5.1.4.1.1.1.1.1", "Digital X-Ray Image, for processing"),
        ("1.2.840.10008.5.1.4.1.1.2", "CT Image"),
        ("1.2.840.10008.5.1.4.1.1.77.1.4", "VL Photographic Image"),
    ],
)
def test_other_classes_of_objects_are_named(uid, name):
    assert out_of_scope({"SOPClassUID": uid}) == f"SOPClassUID is {uid} ({name})"


@pytest.mark.parametrize(
    "key",
    [
        "SeriesDescription",
        "ProtocolName",
        "AcquisitionDeviceProcessingDescription",
        "StudyDescription",
    ],
)
def test_descriptions_say_the_part_where_no_tag_does(key):
    tags = {"Modality": "CR", key: "Teeth, left"}
    assert out_of_scope(tags) == f"{key} is TEETH, LEFT"
    assert out_of_scope(tags | {"BodyPartExamined": "CHEST"}) is None
    assert out_of_scope(tags | {"AnatomicRegionMeaning": "Chest"}) is None
    other = "ProtocolName" if key != "ProtocolName" else "StudyDescription"
    assert out_of_scope(tags | {other: "thorax"}) is None
    assert out_of_scope(tags | {other: "Routine"}) == f"{key} is TEETH, LEFT"


def test_several_reasons_give_the_first():
    tags = {"ViewPosition": "LL", "BodyPartExamined": "HIP", "Modality": "MR"}
    assert out_of_scope(tags) == "Modality is MR"


@pytest.fixture
def lateral(cohort):
    image = lungpatch.read_image(sorted((cohort / "opacity").iterdir())[0])
    return attrs.evolve(image, tags={"Modality": "DX", "ViewPosition": "LL"})


def test_a_lateral_image_is_scored_but_never_above(saved, lateral, tmp_path):
    pipeline = lungpatch.load_pipeline(saved)
    low = attrs.evolve(pipeline.calibration_, threshold=-1.0, region_threshold=-1.0)
    pipeline._restore(low, pipeline.report_)
    detection = pipeline.detect(lateral)
    frontal = pipeline.detect(attrs.evolve(lateral, tags={}))
    assert frontal.decision.pred_label
    assert len(frontal.native_boxes) > 0
    assert (detection.status, detection.reason) == ("out_of_scope", "ViewPosition is LL")
    assert detection.decision is None
    assert len(detection.native_boxes) == 0
    # Its scores are kept, since they were asked for.
    assert detection.pred_score == frontal.pred_score
    np.testing.assert_array_equal(detection.native_heatmap, frontal.native_heatmap)
    assert "out_of_scope" in repr(detection)
    assert ">" not in repr(detection)


def test_records_and_overlay_say_so(fitted, lateral):
    from lungpatch.reports import detection_record, overlay

    detection = fitted.detect(lateral)
    record = detection_record(detection, source="a.dcm")
    assert (record["status"], record["reason"]) == ("out_of_scope", "ViewPosition is LL")
    assert record["pred_label"] is record["threshold"] is record["rule"] is None
    assert record["pred_score"] == detection.pred_score
    assert record["boxes"] == record["regions"] == []
    scale = fitted.calibration_.colour_scale
    in_scope = fitted.detect(attrs.evolve(lateral, tags={}))
    assert not np.array_equal(overlay(detection, scale), overlay(in_scope, scale))


def test_it_is_counted_apart(fitted, lateral):
    from lungpatch.archive import DetectionCounts
    from lungpatch.reports import detection_record

    record = detection_record(fitted.detect(lateral), source="a.dcm")
    assert DetectionCounts.of([record]) == DetectionCounts(out_of_scope=1)


def test_fit_leaves_it_out(fast_tables, cohort, lateral):
    from lungpatch.pipeline import build_pipeline

    images = [*sorted((cohort / "normal").iterdir()), lateral]
    report = build_pipeline(fast_tables, origin="test").fit(images).report_
    (unused,) = report.unused
    assert unused.reason == "out_of_scope: ViewPosition is LL"
