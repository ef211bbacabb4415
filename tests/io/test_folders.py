import os
from pathlib import Path

import pytest

from lungpatch.datasets import read_patients
from lungpatch.errors import ConfigurationError, MissingInputError
from lungpatch.io import IMAGE_SUFFIXES, find_images


def touch(folder, *names, content=b""):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def names(folder):
    return [path.relative_to(folder).as_posix() for path in find_images(folder)]


def test_a_file_is_itself_whatever_its_name(tmp_path):
    touch(tmp_path, "a.png", "b.overlay.jpg", "c.xyz")
    for name in ("a.png", "b.overlay.jpg", "c.xyz"):
        assert find_images(tmp_path / name) == [tmp_path / name]
        assert find_images(str(tmp_path / name)) == [tmp_path / name]


def test_folder_is_searched_through_and_sorted(tmp_path):
    touch(tmp_path, "b/2.png", "b/10.JPG", "a.tiff", "c.dcm", "b/deep/er/x.jpeg", "notes.txt")
    assert names(tmp_path) == ["a.tiff", "b/10.JPG", "b/2.png", "b/deep/er/x.jpeg", "c.dcm"]


def test_every_known_suffix_is_found(tmp_path):
    touch(tmp_path, *(f"x{suffix}" for suffix in IMAGE_SUFFIXES))
    assert names(tmp_path) == sorted(f"x{suffix}" for suffix in IMAGE_SUFFIXES)


def test_dicom_is_found_by_its_content_whatever_its_name(tmp_path):
    dicom = bytes(128) + b"DICM"
    found = ["1.2.840.1", "IM0001", "a.IMA", "b.dic", "c.img", "data.bin"]
    touch(tmp_path, *found, content=dicom)
    touch(tmp_path, "README", "short", "1.2.3", "d.img", "e.IMA", content=b"text")
    assert names(tmp_path) == found


def test_hidden_files_and_own_outputs_are_left_out(tmp_path):
    touch(tmp_path, "a.png", ".a.png", ".cache/b.png", "._c.png")
    touch(tmp_path, "a.overlay.jpg", "a.anomaly.tiff", "a.mask.png", "A.OVERLAY.JPG")
    assert names(tmp_path) == ["a.png"]


def test_hidden_parent_does_not_matter(tmp_path):
    touch(tmp_path, ".data/a.png")
    assert names(tmp_path / ".data") == ["a.png"]


def test_links_are_followed_once(tmp_path):
    touch(tmp_path, "real/a.png")
    images = tmp_path / "images"
    images.mkdir()
    (images / "linked").symlink_to(tmp_path / "real", target_is_directory=True)
    (images / "round").symlink_to(images, target_is_directory=True)
    (images / "also").symlink_to(tmp_path / "real", target_is_directory=True)
    assert names(images) == ["also/a.png"]


def test_folder_without_images(tmp_path):
    touch(tmp_path, "notes.txt", "a.overlay.jpg")
    with pytest.raises(MissingInputError) as caught:
        find_images(tmp_path)
    for word in (str(tmp_path), ".png", ".dcm", "DICOM"):
        assert word in str(caught.value)


@pytest.mark.parametrize("name", ["nowhere", "a\0b"])
def test_missing_path(tmp_path, name):
    with pytest.raises(MissingInputError, match="no such file or folder"):
        find_images(tmp_path / name)


def test_folder_that_cannot_be_listed(tmp_path, monkeypatch):
    touch(tmp_path, "a/b.png")
    scan = os.scandir

    def refuse(path):
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(MissingInputError, match="cannot be listed"):
        find_images(tmp_path)


def test_patients(tmp_path):
    table = tmp_path / "m.csv"
    table.write_text("label,file,patient\nx,a.png,7\ny,sub/b.png, 8 \nz,a.png,7\n")
    assert read_patients(table) == {"a.png": "7", "b.png": "8"}
    table.write_bytes(b'\xef\xbb\xbffile,patient\r\n"a,b.png",007\r\n')
    assert read_patients(str(table)) == {"a,b.png": "7"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["'file'", "none"]),
        (b"name,patient\na,1\n", ["'file'", "name, patient"]),
        (b"file,id\na,1\n", ["'patient'", "file, id"]),
        (b"file,patient\na.png,\n", ["line 2"]),
        (b"file,patient\na.png,1\nb.png\n", ["line 3"]),
        (b"file,patient\na.png,1\na.png,2\n", ["line 3", "a.png", "patient 2", "unique"]),
        (b"file,patient\n\xff\xfe,1\n", ["UTF-8", "save it as one"]),
    ],
)
def test_bad_patients(tmp_path, content, words):
    table = tmp_path / "m.csv"
    table.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        read_patients(table)
    for word in (str(table), *words):
        assert word in str(caught.value)


def test_missing_table(tmp_path):
    with pytest.raises(MissingInputError, match=r"m\.csv"):
        read_patients(tmp_path / "m.csv")
    with pytest.raises(ConfigurationError):
        read_patients(tmp_path)
