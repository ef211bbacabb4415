"""What DICOM objects say: patient and study, references, identifiers, codes, numbers, notices."""

import itertools
import warnings
from pathlib import Path

import attrs
import numpy as np
import pydicom
import pytest
from made_detections import make_detection
from made_dicom_results import IDENTITY, PIPELINE, detection_in, save_radiograph
from made_dicoms import save_raw_text
from pydicom.uid import SecondaryCaptureImageStorage

import lungpatch
from lungpatch.errors import (
    ConfigurationError,
    InvalidImageError,
    MissingExtraError,
)
from lungpatch.io import find_images, read_image
from lungpatch.pipeline.localisation import localise
from lungpatch.reports.dicom import DEFAULT_KINDS, KINDS, check_kinds, write_dicom_objects
from lungpatch.reports.dicom.result import RESEARCH_ONLY

PATIENT_AND_STUDY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)


def write(path, out, kinds=KINDS, pipeline=PIPELINE, **options):
    files = write_dicom_objects(
        detection_in(path, **options), path, out, pipeline=pipeline, kinds=kinds
    )
    return {kind: pydicom.dcmread(file) for kind, file in files.items()}


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    folder = tmp_path_factory.mktemp("objects")
    return write(save_radiograph(folder / "IM0001"), folder)


def elements_of(dataset):
    """All elements, those of sequences included."""
    for element in dataset:
        yield element
        if element.VR == "SQ":
            for item in element.value:
                yield from elements_of(item)


def uids_of(dataset):
    return [(str(e.tag), str(e.value)) for e in elements_of(dataset) if e.VR == "UI"]


def content(report, *, of=None):
    """The numbers, codes and texts of a report: (group, name, value), in order."""

    def walk(item, group):
        for child in item.get("ContentSequence", ()):
            name = child.ConceptNameCodeSequence[0].CodeMeaning
            if name == "Measurement Group":
                yield from walk(child, next(groups))
                continue
            if child.ValueType == "NUM":
                derived = [
                    inner.ConceptCodeSequence[0].CodeMeaning
                    for inner in child.get("ContentSequence", ())
                    if inner.ConceptNameCodeSequence[0].CodeMeaning == "Derivation"
                ]
                (value,) = child.MeasuredValueSequence
                yield group, " ".join([name, *derived]), float(value.NumericValue)
            elif child.ValueType == "CODE":
                (value,) = child.ConceptCodeSequence
                yield group, name, (value.CodingSchemeDesignator, value.CodeValue)
            elif child.ValueType == "TEXT":
                yield group, name, child.TextValue
            yield from walk(child, group)

    groups = itertools.count()
    found = list(walk(report, None))
    return found if of is None else [(name, value) for group, name, value in found if group == of]


# --------------------------------------------------------------------------- patient, references


@pytest.mark.parametrize("kind", KINDS)
def test_patient_and_study_are_those_of_the_source(objects, kind):
    for keyword in PATIENT_AND_STUDY:
        assert str(objects[kind][keyword].value) == IDENTITY[keyword]


@pytest.mark.parametrize("kind", KINDS)
def test_the_series_is_new_and_the_source_is_referred_to(objects, kind):
    dataset = objects[kind]
    assert dataset.SeriesInstanceUID != IDENTITY["SeriesInstanceUID"]
    assert dataset.InstanceNumber == IDENTITY["InstanceNumber"]
    uids = dict(uids_of(dataset)) | {value: tag for tag, value in uids_of(dataset)}
    assert IDENTITY["SOPInstanceUID"] in uids
    assert IDENTITY["SeriesInstanceUID"] in uids
    assert str(SecondaryCaptureImageStorage) in uids


def test_the_series_differ_and_their_numbers_too(objects):
    assert len({dataset.SeriesInstanceUID for dataset in objects.values()}) == len(KINDS)
    assert len({dataset.SeriesNumber for dataset in objects.values()}) == len(KINDS)


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Müller^Jörg"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("ISO_IR 192", "Ιωάννου^Άννα"),
    ],
)
def test_names_in_any_alphabet(tmp_path, charset, name):
    path = save_radiograph(tmp_path / "a", SpecificCharacterSet=charset, PatientName=name)
    for dataset in write(path, tmp_path).values():
        assert str(dataset.PatientName) == name
        assert dataset.SpecificCharacterSet == "ISO_IR 192"


def test_values_that_the_standard_does_not_allow_are_repeated_where_they_identify(tmp_path):
    path = save_radiograph(tmp_path / "a", PatientAge="062Y")
    for keyword, value in (
        ("PatientID", "P" * 70),
        ("StudyDate", "2024.3.5"),
        ("StudyTime", "14:04:38.5"),
        ("PatientSex", "female"),
        ("PatientAge", "62"),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            save_raw_text(path, keyword, value)
    for dataset in write(path, tmp_path).values():
        assert dataset.get_item("PatientID").value == b"P" * 70
        assert dataset.get_item("StudyDate").value.strip() == b"2024.3.5"
        assert dataset.StudyTime == "140438.5"  # as ACR-NEMA wrote it
        assert dataset.PatientSex == "female"
        assert "PatientAge" not in dataset


def test_what_the_source_lacks_stays_empty(tmp_path):
    empty = dict.fromkeys(
        ("PatientID", "PatientName", "StudyDate", "AccessionNumber", "InstanceNumber"), ""
    )
    for dataset in write(save_radiograph(tmp_path / "a", **empty), tmp_path).values():
        assert not dataset.PatientID
        assert not dataset.StudyDate
        assert dataset.InstanceNumber == 1


@pytest.mark.parametrize(
    "sop_class",
    [
        "1.2.840.10008.5.1.4.1.1.1.1",  # digital X-ray
        "1.2.840.10008.5.1.4.1.1.2",  # CT, of which highdicom wants a position in space
        "1.2.840.10008.5.1.4.1.1.7.2",  # of several frames
        "1.2.840.10008.5.1.4.1.1.6",  # retired
        "1.2.3.4",  # private
    ],
)
def test_images_of_any_class(tmp_path, sop_class):
    path = save_radiograph(tmp_path / "a", SOPClassUID=sop_class)
    for dataset in write(path, tmp_path).values():
        named = [
            item.ReferencedSOPClassUID
            for element in elements_of(dataset)
            if element.VR == "SQ"
            for item in element.value
            if item.get("ReferencedSOPInstanceUID") == IDENTITY["SOPInstanceUID"]
        ]
        assert set(named) == {sop_class}


def test_an_object_that_cannot_be_made_is_an_error_that_names_the_image(tmp_path, monkeypatch):
    from lungpatch.reports.dicom import writing

    def fails(result):
        raise KeyError("odd")

    monkeypatch.setitem(writing._BUILDERS, "sr", fails)
    path = save_radiograph(tmp_path / "a")
    with pytest.raises(InvalidImageError, match=f"{path}: no sr object can be made of it"):
        write(path, tmp_path, ["sr"])


def test_an_overlay_needs_a_colour_scale(tmp_path):
    path = save_radiograph(tmp_path / "a")
    detection = detection_in(path)
    anomaly_map = attrs.evolve(detection.anomaly_map, colour_scale=None)
    detection = attrs.evolve(detection, anomaly_map=anomaly_map)
    with pytest.raises(ValueError, match="no colour scale"):
        write_dicom_objects(detection, path, tmp_path, pipeline=PIPELINE)
    files = write_dicom_objects(detection, path, tmp_path, pipeline=PIPELINE, kinds=["pm"])
    (window,) = pydicom.dcmread(files["pm"]).SharedFunctionalGroupsSequence[0].FrameVOILUTSequence
    assert (float(window.WindowCenter), float(window.WindowWidth)) == (4.0, 4.0)  # 2 to 6


# ----------------------------------------------------------------------------------------- UIDs


def test_the_same_result_has_the_same_uids(tmp_path, objects):
    path = save_radiograph(tmp_path / "IM0001")
    for kind, dataset in write(path, tmp_path).items():
        assert uids_of(dataset) == uids_of(objects[kind])
        for element in dataset:
            if element.VR not in ("DA", "TM", "SQ"):
                assert element.value == objects[kind][element.tag].value, element


@pytest.mark.parametrize("kind", KINDS)
def test_another_pipeline_or_image_has_other_uids(tmp_path, objects, kind):
    digest = attrs.evolve(PIPELINE, digest="60" * 32)
    (by_other,) = write(save_radiograph(tmp_path / "a"), tmp_path, [kind], digest).values()
    other = save_radiograph(tmp_path / "b", SOPInstanceUID="1.2.3")
    (of_other,) = write(other, tmp_path, [kind]).values()
    assert by_other.SOPInstanceUID != objects[kind].SOPInstanceUID
    assert of_other.SOPInstanceUID != objects[kind].SOPInstanceUID
    assert by_other.SeriesInstanceUID != objects[kind].SeriesInstanceUID
    assert of_other.SeriesInstanceUID == objects[kind].SeriesInstanceUID


def test_uids_of_objects_differ(objects):
    assert len({dataset.SOPInstanceUID for dataset in objects.values()}) == len(KINDS)
    for dataset in objects.values():
        assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID


# ----------------------------------------------------------------------------- notices and marks


@pytest.mark.parametrize("kind", KINDS)
def test_each_object_is_for_research_only_and_names_the_pipeline(objects, kind):
    dataset = objects[kind]
    texts = [str(e.value) for e in elements_of(dataset) if e.VR in ("LO", "LT", "ST", "UT", "SH")]
    assert any(RESEARCH_ONLY in text for text in texts)
    assert "research use only" in dataset.SeriesDescription
    assert len(dataset.SeriesDescription) <= 64
    assert dataset.Manufacturer == "lungpatch"
    assert dataset.ManufacturerModelName == "lungpatch default"
    assert dataset.SoftwareVersions == lungpatch.__version__
    assert dataset.DeviceSerialNumber == PIPELINE.digest


def test_results_are_never_taken_for_radiographs(tmp_path):
    path = save_radiograph(tmp_path / "a.dcm")
    write(path, tmp_path)
    assert len(list(tmp_path.iterdir())) == 1 + len(KINDS)
    assert find_images(tmp_path) == [path]
    for kind in KINDS:
        with pytest.raises(InvalidImageError, match="result that lungpatch wrote"):
            read_image(tmp_path / f"a.{kind}.dcm")


def test_nor_after_a_server_has_written_them_anew(tmp_path):
    write(save_radiograph(tmp_path / "a.dcm"), tmp_path, ["sc"])
    dataset = pydicom.dcmread(tmp_path / "a.sc.dcm")
    dataset.preamble = bytes(128)
    dataset.save_as(tmp_path / "b.dcm", implicit_vr=False, little_endian=True)
    with pytest.raises(InvalidImageError, match="result that lungpatch wrote"):
        read_image(tmp_path / "b.dcm")


# ------------------------------------------------------------------------------------ each kind


def test_the_overlay_is_a_single_frame_in_colour(objects):
    dataset = objects["sc"]
    assert dataset.SOPClassUID == SecondaryCaptureImageStorage
    assert "NumberOfFrames" not in dataset
    pixels = dataset.pixel_array
    assert pixels.shape == (dataset.Rows, dataset.Columns, 3)
    assert dataset.BurnedInAnnotation == "YES"
    assert np.ptp(pixels[-20:].astype(int)) > 100  # the notice is drawn


def test_the_segmentation_has_both_frames_also_where_nothing_is_found(tmp_path):
    dataset = write(save_radiograph(tmp_path / "a"), tmp_path, ["seg"], spots=())["seg"]
    assert dataset.NumberOfFrames == 2
    assert not dataset.pixel_array[0].any()
    assert dataset.pixel_array[1].any()
    assert "FrameOfReferenceUID" not in dataset
    for group in dataset.PerFrameFunctionalGroupsSequence:
        assert "PlanePositionSequence" not in group
        (source,) = group.DerivationImageSequence[0].SourceImageSequence
        assert source.ReferencedSOPInstanceUID == IDENTITY["SOPInstanceUID"]


def test_segments_say_what_they_are(objects):
    mask, lungs = objects["seg"].SegmentSequence
    assert mask.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
    assert lungs.SegmentedPropertyTypeCodeSequence[0].CodeValue == "39607008"
    for segment in (mask, lungs):
        (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
        assert algorithm.AlgorithmName == "lungpatch default"
        assert algorithm.AlgorithmVersion == lungpatch.__version__
        assert PIPELINE.digest in algorithm.AlgorithmParameters


def test_the_report_of_the_image(objects):
    report = objects["sr"]
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert report.VerificationFlag == "UNVERIFIED"
    assert next(value for _, name, value in content(report) if name == "Comment") == RESEARCH_ONLY
    image = dict(content(report, of=0))
    assert image["Anomaly score of the image"] == pytest.approx(2.0)
    assert image["Threshold of the anomaly score of the image"] == pytest.approx(1.1)
    assert image["Conformal p-value against normal images"] == pytest.approx(0.0125)
    assert image["Anomaly score is above its threshold"] == ("SCT", "373066001")
    assert image["How the image was processed"] == ("99LUNGPATCH", "OK")
    assert image["Algorithm Name"] == "lungpatch default"
    assert image["Algorithm Version"] == lungpatch.__version__
    assert image["Algorithm Parameters"] == f"pipeline={PIPELINE.digest}"


def test_the_report_of_regions(tmp_path):
    path = save_radiograph(tmp_path / "a")
    detection = detection_in(path, spots=((16, 40), (40, 12)))
    # Columns 36 to 55 of 64 are the patient's left lung; rows 16 to 23 its upper third.
    assert [region.sides for region in detection.regions.regions] == [("left",), ("right",)]
    report = write(path, tmp_path, ["sr"], spots=((16, 40), (40, 12)))["sr"]
    upper_left, lower_right = content(report, of=1), content(report, of=2)
    assert ("Finding Site", ("SCT", "281392002")) in upper_left
    assert ("Laterality", ("SCT", "7771000")) in upper_left
    assert ("Finding Site", ("SCT", "281394001")) in lower_right
    assert ("Laterality", ("SCT", "24028007")) in lower_right
    for number, group in enumerate((upper_left, lower_right)):
        values, region = dict(group), detection.regions.regions[number]
        assert values["Finding"] == ("SCT", "263654008")
        assert values["Finding category"] == ("SCT", "49755003")
        assert values["Anomaly score Maximum"] == pytest.approx(6.0)
        assert values["Anomaly score Mean"] == pytest.approx(region.mean_score)
        assert values["Threshold of the anomaly score of a region"] == pytest.approx(3.0)
        assert values["Conformal p-value against normal images"] == pytest.approx(
            (0.01, 0.02)[number]
        )
        assert values["Fraction of the lung that the region takes"] == pytest.approx(
            region.lung_fractions[region.sides[0]]
        )


def test_a_region_across_both_lungs_names_both(tmp_path):
    path = save_radiograph(tmp_path / "a")
    detection = detection_in(path)
    heatmap = detection.anomaly_map.heatmap.copy()
    heatmap[16:24, 20:44] = 6.0  # the mediastinum between the lungs included
    anomaly_map = attrs.evolve(detection.anomaly_map, heatmap=heatmap)
    detection = attrs.evolve(
        detection, anomaly_map=anomaly_map, localisation=localise(anomaly_map, 3.0)
    )
    assert detection.regions.regions[0].sides == ("right", "left")
    (file,) = write_dicom_objects(
        detection, path, tmp_path, pipeline=PIPELINE, kinds=["sr"]
    ).values()
    group = content(pydicom.dcmread(file), of=1)
    assert ("Laterality", ("SCT", "51440002")) in group
    names = [name for name, _ in group]
    assert names.count("Fraction of the lung that the region takes") == 2


def test_without_p_values_there_are_none(tmp_path):
    report = write(save_radiograph(tmp_path / "a"), tmp_path, ["sr", "pr"], p_values=False)["sr"]
    assert not [name for _, name, _ in content(report) if "p-value" in name]
    assert [value for _, name, value in content(report) if name == "Anomaly score Maximum"]


@pytest.mark.parametrize(
    ("status", "code", "kinds"),
    [
        ("no_lungs", "NO-LUNGS", ("sc", "sr", "seg", "pr")),
        ("no_patches", "NO-PATCHES", ("sc", "sr", "seg", "pr")),
        ("out_of_scope", "OUT-OF-SCOPE", KINDS),
    ],
)
def test_images_without_a_decision(tmp_path, status, code, kinds):
    path = save_radiograph(tmp_path / "a")
    objects = write(path, tmp_path, status=status, spots=(), reason="lateral", p_values=False)
    assert tuple(objects) == kinds
    image = dict(content(objects["sr"], of=0))
    assert image["How the image was processed"] == ("99LUNGPATCH", code)
    assert "Anomaly score is above its threshold" not in image
    assert ("Anomaly score of the image" in image) == (status == "out_of_scope")
    assert not content(objects["sr"], of=1)
    assert "GraphicObjectSequence" not in objects["pr"].GraphicAnnotationSequence[0]


def test_a_score_that_is_not_above_its_threshold(tmp_path):
    report = write(save_radiograph(tmp_path / "a"), tmp_path, ["sr"], hot=3.2, spots=())["sr"]
    image = dict(content(report, of=0))
    assert image["Anomaly score of the image"] == pytest.approx(3.2 / 3)
    assert image["Anomaly score is above its threshold"] == ("SCT", "373067005")


def test_the_presentation_shows_scores_and_p_values(objects):
    texts = objects["pr"].GraphicAnnotationSequence[0].TextObjectSequence
    assert [text.UnformattedTextValue for text in texts[:2]] == ["6 (p 0.01)", "6 (p 0.02)"]
    assert RESEARCH_ONLY in texts[-1].UnformattedTextValue


@pytest.mark.parametrize(
    ("photometric", "shape"), [("MONOCHROME1", "INVERSE"), ("MONOCHROME2", "IDENTITY")]
)
def test_the_presentation_shows_grey_levels_as_the_source_says(tmp_path, photometric, shape):
    path = save_radiograph(
        tmp_path / "a",
        photometric=photometric,
        WindowCenter=[1000, 2000],
        WindowWidth=[500, 4000],
        VOILUTFunction="SIGMOID",
        RescaleSlope="2",
        RescaleIntercept="-10",
    )
    state = write(path, tmp_path, ["pr"])["pr"]
    assert state.PresentationLUTShape == shape
    (voi,) = state.SoftcopyVOILUTSequence
    assert (voi.WindowCenter, voi.WindowWidth, voi.VOILUTFunction) == (1000, 500, "SIGMOID")
    assert (state.RescaleSlope, state.RescaleIntercept, state.RescaleType) == (2, -10, "US")


def test_an_image_in_colour_has_a_presentation_for_colour(tmp_path):
    from made_dicoms import save_dicom

    grey = np.linspace(0, 255, 90 * 71).reshape(90, 71).astype(np.uint8)
    stored = np.stack([grey] * 3, axis=-1)
    path = save_dicom(tmp_path / "a", stored, bits=8, photometric="RGB", **IDENTITY)
    state = write(path, tmp_path, ["pr"])["pr"]
    assert state.SOPClassUID.name == "Color Softcopy Presentation State Storage"
    assert "PresentationLUTShape" not in state


def test_the_map_is_shown_on_the_scale_of_the_pipeline(objects):
    map_ = objects["pm"]
    (shared,) = map_.SharedFunctionalGroupsSequence
    (window,) = shared.FrameVOILUTSequence
    assert (float(window.WindowCenter), float(window.WindowWidth)) == (3.0, 4.0)  # 1 to 5
    (mapping,) = shared.RealWorldValueMappingSequence
    assert (mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept) == (1, 0)
    assert mapping.DoubleFloatRealWorldValueFirstValueMapped == 2.0
    assert mapping.DoubleFloatRealWorldValueLastValueMapped == 6.0
    assert map_.NumberOfFrames == 1
    assert map_.ContentQualification == "RESEARCH"
    assert np.isfinite(np.frombuffer(map_.FloatPixelData, "<f4")).all()


# ---------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_an_image_without_a_uid_is_refused_by_name(tmp_path, keyword):
    path = save_radiograph(tmp_path / "a")
    detection = detection_in(path)
    dataset = pydicom.dcmread(path)
    delattr(dataset, keyword)
    dataset.save_as(path, enforce_file_format=False)
    with pytest.raises(InvalidImageError) as error:
        write_dicom_objects(detection, path, tmp_path / "out", pipeline=PIPELINE)
    assert f"{path}: has no {keyword} (00" in str(error.value)
    assert not (tmp_path / "out").exists()


def test_the_source_must_be_the_image(tmp_path):
    path = save_radiograph(tmp_path / "a")
    for elements in ({"shape": (91, 71)}, {"SOPInstanceUID": "1.2.3"}):
        other = save_radiograph(tmp_path / "b", **elements)
        with pytest.raises(InvalidImageError, match="not the image that this detection is of"):
            write_dicom_objects(detection_in(path), other, tmp_path / "out", pipeline=PIPELINE)


def test_the_source_must_be_dicom(tmp_path):
    path = save_radiograph(tmp_path / "a")
    other = tmp_path / "b.png"
    other.write_bytes(b"\x89PNG" + bytes(200))
    with pytest.raises(InvalidImageError, match="b.png"):
        write_dicom_objects(detection_in(path), other, tmp_path / "out", pipeline=PIPELINE)


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        (["sc", "rs"], "there is no kind of DICOM object 'rs'; there are: sc, sr, seg, pr, pm"),
        (["dicomdir"], "no kind of DICOM object 'dicomdir'; there are: sc, sr, seg, pr, pm"),
        ([], "no kind of DICOM object is given; there are: sc, sr, seg, pr, pm"),
        ("sc,sr", "are a list"),
    ],
)
def test_kinds_are_checked(tmp_path, kinds, message):
    path = save_radiograph(tmp_path / "a")
    with pytest.raises(ConfigurationError, match=message):
        write_dicom_objects(detection_in(path), path, tmp_path, pipeline=PIPELINE, kinds=kinds)


def test_kinds_are_put_in_order():
    assert check_kinds(["pm", "sr", "pm"]) == ("sr", "pm")


def test_highdicom_is_asked_for_before_work(tmp_path, monkeypatch):
    from lungpatch._utils import extras

    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda _: None)
    path = save_radiograph(tmp_path / "a")
    with pytest.raises(MissingExtraError, match=r'pip install "lungpatch\[dicom\]"'):
        write_dicom_objects(make_detection(), path, tmp_path / "out", pipeline=PIPELINE)
    assert not (tmp_path / "out").exists()


def test_files_and_defaults(tmp_path):
    path = save_radiograph(tmp_path / "a.b.dcm")
    detection = detection_in(path)
    files = write_dicom_objects(detection, path, tmp_path / "out", pipeline=PIPELINE)
    assert files == {kind: tmp_path / "out" / f"a.b.{kind}.dcm" for kind in DEFAULT_KINDS}
    files = write_dicom_objects(
        detection, path, tmp_path, pipeline=PIPELINE, kinds=["sr", "sc", "sr"], stem="x"
    )
    assert list(files.items()) == [(kind, Path(tmp_path, f"x.{kind}.dcm")) for kind in ("sc", "sr")]


def test_long_names_of_pipelines(tmp_path):
    long = attrs.evolve(PIPELINE, name="n" * 200)
    for dataset in write(save_radiograph(tmp_path / "a"), tmp_path, pipeline=long).values():
        assert len(dataset.ManufacturerModelName) == 64
