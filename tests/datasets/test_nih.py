import logging

import numpy as np
import pytest
from PIL import Image

from lungpatch.datasets.nih import load_nih
from lungpatch.errors import ConfigurationError, InvalidImageError, MissingInputError

ENTRY = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n"
    "00000001_000.png,Cardiomegaly,0,1,058Y,M,PA,2682,2749,0.143,0.143,\n"
    "00000001_001.png,Infiltration|Pneumonia,1,1,58,M,AP,2894,2729,0.143,0.143,\n"
    "00000002_000.png,No Finding,0,2,81,F,PA,2500,2048,0.171,0.171,\n"
)
BOXES = (
    "Image Index,Finding Label,Bbox [x,y,w,h],,,\n"
    "00000001_001.png,Pneumonia,225.084745762712,547.019216763771,86.7796610169492,"
    "79.1864406779661,,,\n"
    "00000001_001.png,Infiltrate,1000,1000,30,30,,,\n"
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "Data_Entry_2017.csv").write_text(ENTRY)
    (tmp_path / "BBox_List_2017.csv").write_text(BOXES)
    for number, name in enumerate(("00000001_000", "00000001_001", "00000002_000"), start=1):
        images = tmp_path / f"images_{number:03d}" / "images"
        images.mkdir(parents=True)
        pixels = np.tile(np.arange(64, dtype=np.uint8), (64, 1))
        Image.fromarray(pixels).save(images / f"{name}.png")
    return tmp_path


def test_table_and_boxes(folder):
    dataset = load_nih(folder)
    assert dataset.image_ids.tolist() == ["00000001_000", "00000001_001", "00000002_000"]
    assert dataset.labels.tolist() == ["other", "pneumonia", "normal"]
    assert dataset.patients.tolist() == ["1", "1", "2"]
    assert dataset.views.tolist() == ["PA", "AP", "PA"]
    assert dataset.columns["findings"].tolist()[1] == "Infiltration|Pneumonia"
    assert dataset.columns["age"].tolist() == ["058Y", "58", "81"]
    assert dataset.columns["sex"].tolist() == ["M", "M", "F"]
    assert dataset.splits.tolist() == ["", "", ""]
    assert dataset.box_labels == ((), ("Pneumonia", "Infiltrate"), ())
    # The second box is cut at the border.
    assert dataset.boxes(1, (1024, 1024)).tolist() == [
        [547, 225, 626, 312],
        [1000, 1000, 1024, 1024],
    ]
    assert dataset.read(1).shape == (64, 64)


def test_one_folder_of_images_and_no_boxes(folder):
    (folder / "BBox_List_2017.csv").unlink()
    (folder / "images").mkdir()
    for file in list(folder.glob("images_*/images/*.png")):
        file.rename(folder / "images" / file.name)
    dataset = load_nih(str(folder))
    assert all(path.parent.name == "images" for path in dataset)
    assert dataset.box_labels == ((), (), ())


def test_the_corrected_table_and_the_lists_are_used(folder):
    corrected = ENTRY.replace("Patient Gender", "Patient Sex").replace("No Finding", "Edema")
    (folder / "Data_Entry_2017_v2020.csv").write_text(corrected)
    (folder / "train_val_list.txt").write_text("00000001_000.png\n00000001_001.png\n")
    (folder / "test_list.txt").write_text("00000002_000.png\n00000009_000.png\n")
    dataset = load_nih(folder)
    assert dataset.labels.tolist() == ["other", "pneumonia", "other"]
    assert dataset.columns["sex"].tolist() == ["M", "M", "F"]
    assert dataset.splits.tolist() == ["training", "training", "test"]


def test_missing_and_broken_images_fail_when_read(folder, caplog):
    next(folder.glob("*/*/00000001_000.png")).unlink()
    next(folder.glob("*/*/00000001_001.png")).write_bytes(b"\x89PNG\r\n\x1a\n")
    with caplog.at_level(logging.WARNING, logger="lungpatch"):
        dataset = load_nih(folder)
    assert "1 of 3 images" in caplog.text
    assert len(dataset) == 3
    with pytest.raises(MissingInputError, match="00000001_000"):
        dataset.read(0)
    with pytest.raises(InvalidImageError, match="00000001_001"):
        dataset.read(1)
    there = dataset.select([path.exists() for path in dataset])
    assert there.image_ids.tolist() == ["00000001_001", "00000002_000"]


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("Data_Entry_2017.csv", "Patient ID", "Patient", "column 'Patient ID' is missing"),
        ("Data_Entry_2017.csv", "0,2,81", "0,,81", "line 4: column 'Patient ID' is empty"),
        ("Data_Entry_2017.csv", "00000002_000", "00000001_000", "line 4: .* a second time"),
        ("BBox_List_2017.csv", "00000001_001.png,I", "7.png,I", "line 3: .*names '7.png'"),
        ("BBox_List_2017.csv", "1000,1000,30", "1000,1000,wide", "column 'w' must be a number"),
        ("BBox_List_2017.csv", "Bbox [x,", "left,", r"column 'Bbox \[x' is missing"),
    ],
)
def test_errors_name_file_line_and_column(folder, file, old, new, message):
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_nih(folder)
    assert file in str(caught.value)


def test_folders_that_hold_something_else(folder, tmp_path_factory):
    with pytest.raises(MissingInputError, match=r"Data_Entry_2017\.csv"):
        load_nih(folder / "images_001")
    bare = tmp_path_factory.mktemp("bare")
    (bare / "Data_Entry_2017.csv").write_text(ENTRY)
    with pytest.raises(MissingInputError, match="no images"):
        load_nih(bare)
    (bare / "other.png").touch()
    with pytest.raises(MissingInputError, match="none of the 3 images"):
        load_nih(bare)
