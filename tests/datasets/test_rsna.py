import json
import logging

import numpy as np
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from lungpatch.datasets.rsna import load_rsna
from lungpatch.errors import ConfigurationError, InvalidImageError, MissingInputError

LABELS = (
    "patientId,x,y,width,height,Target\n0a,,,,,0\n0b,264,152,213,379,1\n0b,562,152,256,453,1\n"
    "0c,,,,,0\n"
)
CLASSES = (
    "patientId,class\n0a,Normal\n0b,Lung Opacity\n0b,Lung Opacity\n"
    "0c,No Lung Opacity / Not Normal\n"
)
MAPPING = "pneumonia-challenge-dataset-mappings_2018.json"


def write_dicom(path, view, side=64):
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    image = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    image.SOPClassUID = meta.MediaStorageSOPClassUID
    image.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    image.ViewPosition = view
    image.Rows = image.Columns = side
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = 8
    image.HighBit = 7
    image.PixelRepresentation = 0
    image.PixelData = np.arange(side * side, dtype=np.uint16).astype(np.uint8).tobytes()
    image.save_as(path)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "stage_2_train_labels.csv").write_text(LABELS)
    (tmp_path / "stage_2_detailed_class_info.csv").write_text(CLASSES)
    images = tmp_path / "stage_2_train_images"
    images.mkdir()
    for name, view in (("0a", "PA"), ("0b", "AP"), ("0c", "")):
        write_dicom(images / f"{name}.dcm", view)
    return tmp_path


def test_labels_views_and_boxes(folder):
    dataset = load_rsna(folder)
    assert dataset.image_ids.tolist() == dataset.patients.tolist() == ["0a", "0b", "0c"]
    assert dataset.labels.tolist() == ["normal", "pneumonia", "other"]
    assert dataset.columns["rsna_class"].tolist() == [
        "Normal",
        "Lung Opacity",
        "No Lung Opacity / Not Normal",
    ]
    assert dataset.views.tolist() == ["PA", "AP", ""]
    assert dataset.boxes(1, (1024, 1024)).tolist() == [[152, 264, 531, 477], [152, 562, 605, 818]]
    assert dataset.box_labels == ((), ("Lung Opacity", "Lung Opacity"), ())
    assert dataset.read(1).shape == (64, 64)


def test_persons_come_from_the_mapping(folder):
    entries = [
        {"subset_img_id": "0a", "img_id": "00000007_000.png"},
        {"subset_img_id": "0b", "img_id": "00000007_003.png"},
        {"subset_img_id": "0c", "img_id": "00030805_000.png"},
        {"subset_img_id": "of-the-test-set", "img_id": "00000001_000.png"},
    ]
    (folder / MAPPING).write_text(json.dumps(entries))
    assert load_rsna(folder).patients.tolist() == ["7", "7", "30805"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[1]", "cannot be read"),
        ('[{"subset_img_id": "0a"}]', "lacks 'img_id'"),
        ('[{"subset_img_id": "0a", "img_id": "00000007_000.png"}]', "lacks '0b'"),
        ('[{"subset_img_id": "0a", "img_id": "x.png"}]', "cannot be read"),
    ],
)
def test_a_bad_mapping_is_named(folder, text, message):
    (folder / MAPPING).write_text(text)
    with pytest.raises(ConfigurationError, match=f"mappings_2018.json: {message}"):
        load_rsna(folder)


def test_missing_and_broken_files_fail_when_read(folder, caplog):
    (folder / "stage_2_train_images" / "0a.dcm").unlink()
    (folder / "stage_2_train_images" / "0b.dcm").write_bytes(b"broken")
    with caplog.at_level(logging.WARNING, logger="lungpatch"):
        dataset = load_rsna(folder)
    assert "1 of 3 training images" in caplog.text
    assert dataset.views.tolist() == ["", "", ""]
    with pytest.raises(MissingInputError, match=r"0a\.dcm"):
        dataset.read(0)
    with pytest.raises(InvalidImageError, match=r"0b\.dcm"):
        dataset.read(1)
    assert dataset.read(2).image_id == "0c"


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("stage_2_train_labels.csv", "Target", "target", "column 'Target' is missing"),
        ("stage_2_train_labels.csv", "0c,,,,,0", "0c,,,,,", "line 5: column 'Target' must be"),
        ("stage_2_train_labels.csv", "264,152,213", "264,152,0", "column 'width' must be above"),
        ("stage_2_train_labels.csv", "0c", "0d", "do not list the same patientId, 0c"),
        ("stage_2_detailed_class_info.csv", "Normal\n0b", "Healthy\n0b", "got 'Healthy'"),
        ("stage_2_detailed_class_info.csv", "0c", "0a", "line 5: column 'class' disagrees"),
    ],
)
def test_errors_name_file_line_and_column(folder, file, old, new, message):
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_rsna(folder)
    assert file in str(caught.value)


def test_incomplete_folders(folder, tmp_path_factory):
    with pytest.raises(MissingInputError, match=r"class_info\.csv: no such file"):
        load_rsna(folder / "nowhere")
    images = folder / "stage_2_train_images"
    for file in images.iterdir():
        file.unlink()
    with pytest.raises(MissingInputError, match="no images"):
        load_rsna(folder)
    write_dicom(images / "other.dcm", "PA")
    with pytest.raises(MissingInputError, match="none of the challenge's"):
        load_rsna(folder)
