import logging
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungpatch.datasets.labelled_folder import load_folder, read_folder
from lungpatch.errors import ConfigurationError, LungpatchError, MissingInputError


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "images"
    for name in ("Normal/a.png", "Normal/b.png", "Pneumonia/c.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


@pytest.fixture(scope="module")
def folder_of_one(tmp_path_factory):
    root = tmp_path_factory.mktemp("one")
    (root / "a.png").touch()
    return root


def table(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_labels_are_subfolders(folder):
    images = load_folder(folder)
    assert images.image_ids.tolist() == ["a", "b", "c"]
    assert images.labels.tolist() == ["normal", "normal", "pneumonia"]
    assert images.patient_by_image is None
    assert load_folder(str(folder / "Normal")).labels.tolist() == ["", ""]


def test_table_decides_order_labels_and_columns(folder, tmp_path):
    metadata = table(
        tmp_path,
        "\ufefffile, label,patient,view,split,age\n"
        "Pneumonia/c.png,abnormal,2,AP,test,60\n\nb.png,normal,1,PA,training,\na.png,normal,1,,training\n",
    )
    images = load_folder(folder, metadata=metadata)
    assert [path.name for path in images] == ["c.png", "b.png", "a.png"]
    assert images.labels.tolist() == ["abnormal", "normal", "normal"]
    assert images.patients.tolist() == ["2", "1", "1"]
    assert images.views.tolist() == ["AP", "PA", ""]
    assert images.splits.tolist() == ["test", "training", "training"]
    assert {name: column.tolist() for name, column in images.columns.items()} == {
        "age": ["60", "", ""]
    }
    assert images.patient_by_image == {"c": "2", "b": "1", "a": "1"}


def test_listed_but_missing_fails_when_read_and_unlisted_is_left_out(folder, tmp_path, caplog):
    metadata = table(tmp_path, "file\na.png\ngone.png\n")
    with caplog.at_level(logging.WARNING, logger="lungpatch"):
        images = load_folder(folder, metadata=metadata)
    assert images.image_ids.tolist() == ["a", "gone"]
    assert images.labels.tolist() == ["normal", ""]
    assert "1 images of" in caplog.text
    assert "2 images in" in caplog.text
    with pytest.raises(MissingInputError, match=r"gone\.png"):
        images.read(1)


def test_table_of_several_folders_is_read_without_a_warning(folder, tmp_path, caplog):
    metadata = table(tmp_path, "file\na.png\nb.png\nc.png\nelsewhere.png\n")
    with caplog.at_level(logging.WARNING, logger="lungpatch"):
        images, absent = read_folder(folder, metadata=metadata)
    assert images.image_ids.tolist() == ["a", "b", "c", "elsewhere"]
    assert absent == {"elsewhere.png"}
    assert caplog.text == ""


def test_boxes_are_relative_to_the_image(folder, tmp_path):
    boxes = table(
        tmp_path, "file,label,x,y,w,h\nc.png,Opacity,0.5,0.25,0.25,0.5\nc.png,,0.9,0.9,0.2,0.2\n"
    )
    images = load_folder(folder, boxes=boxes)
    assert images.boxes(2, (100, 200)).tolist() == [[25, 100, 75, 150], [90, 180, 100, 200]]
    assert images.box_labels == ((), (), ("Opacity", ""))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name\na.png\n", "column 'file' is missing"),
        ("", "column 'file' is missing"),
        ("file,label\n", "no line but the header; give the whole table"),
        ("file\na.png\n,\na.png\n", "line 4: column 'file' names 'a.png' a second time"),
        ("file,label\n,x\n", "line 2: column 'file' is empty"),
        ("file,patient\na.png,\n", "line 2: column 'patient' is empty"),
        ("file\nother.png\n", "names none of the 3 images"),
    ],
)
def test_bad_metadata_is_named(folder, tmp_path, text, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_folder(folder, metadata=table(tmp_path, text))
    assert "table.csv" in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.png,0.1,0.1,0.2,x", "line 2: column 'h' must be a number, got 'x'"),
        ("a.png,0.1,0.1,nan,0.1", "column 'w' must be a number"),
        ("a.png,0.1,0.1,0,0.1", "column 'w' must be above 0"),
        ("a.png,100,80,300,200", "column 'w' is 300, but an image measures 1"),
        ("a.png,1.1,0.1,0.2,0.2", "column 'x' and y put the box outside"),
        ("z.png,0.1,0.1,0.2,0.2", "column 'file' names 'z.png'"),
    ],
)
def test_bad_boxes_are_named(folder, tmp_path, line, message):
    with pytest.raises(ConfigurationError, match=message):
        load_folder(folder, boxes=table(tmp_path, f"file,x,y,w,h\n{line}\n"))


def test_ambiguous_names_need_a_path(folder, tmp_path):
    (folder / "Pneumonia" / "a.png").touch()
    with pytest.raises(ConfigurationError, match="ambiguous"):
        load_folder(folder, metadata=table(tmp_path, "file\na.png\n"))
    with pytest.raises(ConfigurationError, match="ambiguous"):
        load_folder(folder, boxes=table(tmp_path, "file,x,y,w,h\na.png,0,0,1,1\n"))
    images = load_folder(folder, metadata=table(tmp_path, "file\nPneumonia/a.png\nNormal/a.png\n"))
    assert images.labels.tolist() == ["pneumonia", "normal"]


@given(
    content=st.one_of(
        st.binary(max_size=60),
        st.lists(
            st.sampled_from(
                [
                    "file,label,patient\n",
                    "file,x,y,w,h\n",
                    "a.png,",
                    '"',
                    "\0",
                    "0.1,",
                    "1e999,",
                    "-1,",
                    "..",
                    "\n",
                    "file,file\n",
                    "\xe9",
                    "\r",
                ]
            ),
            max_size=12,
        )
        .map("".join)
        .map(str.encode),
    )
)
def test_any_table_is_read_or_refused_with_its_name(folder_of_one, content):
    table_path = folder_of_one / "table.csv"
    table_path.write_bytes(content)
    for option in ("metadata", "boxes"):
        try:
            images = load_folder(folder_of_one, **{option: table_path})
        except LungpatchError as error:
            assert "table.csv" in str(error)
        else:
            assert len(images) >= 1


def test_missing_folder_and_tables(folder, tmp_path):
    for call in (
        lambda: load_folder(tmp_path / "nowhere"),
        lambda: load_folder(folder / "Normal" / "a.png"),
        lambda: load_folder(folder, metadata=tmp_path / "nowhere.csv"),
        lambda: load_folder(folder, boxes=tmp_path / "nowhere.csv"),
    ):
        with pytest.raises(MissingInputError, match="no such"):
            call()


def test_adult_images_with_their_tables():
    root = Path(__file__).parents[2] / ".." / "shared" / "data"
    root = Path(os.environ.get("LUNGPATCH_DATA", root)) / "cxr"
    if not root.exists():
        pytest.skip("needs the folder cxr in LUNGPATCH_DATA")
    images = load_folder(root, metadata=root / "metadata.csv", boxes=root / "boxes.csv")
    assert len(images) == 469
    assert (images.labels == "normal").sum() == 244
    assert set(images.views.tolist()) == {"AP", "PA"}
    assert sum(map(len, images.box_labels)) == 113
    parts = images.split_by_patient({"training": 0.7, "test": 0.3}, seed=0)
    assert not set(parts["training"].patients) & set(parts["test"].patients)
    index = int(np.argmax([len(labels) for labels in images.box_labels]))
    image = images.read(index)
    assert (images.boxes(index, image.shape)[:, 2:] <= image.shape).all()
