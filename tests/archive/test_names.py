"""Names of files of results: unique, and telling."""

from pathlib import Path

import pytest
from made_dicoms import ramp, save_dicom

from lungpatch.archive.names import choose_names
from lungpatch.io import image_id_of


def dicoms(folder, *names):
    paths = []
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        paths.append(save_dicom(path, ramp(), bits=8))
    return paths


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["p1/IM0001", "p2/IM0001", "p3/IM0001"], ["p1-IM0001", "p2-IM0001", "p3-IM0001"]),
        (["p1/IM0001", "p2/IM0002"], ["IM0001", "IM0002"]),
        (["p1/IM0001.dcm", "p2/im0001.DCM"], ["p1-IM0001", "p2-im0001"]),
        (["p1/s1/IM1", "p2/s1/IM1", "p2/s2/IM1"], ["p1-s1-IM1", "p2-s1-IM1", "s2-IM1"]),
        (["1.2.840.10.1", "1.2.840.10.2"], ["1.2.840.10.1", "1.2.840.10.2"]),
    ],
)
def test_dicom_images_are_named_by_their_folders(tmp_path, paths, names):
    assert choose_names(dicoms(tmp_path, *paths)) == names


def test_a_name_that_an_earlier_image_has(tmp_path):
    (path,) = dicoms(tmp_path, "p1/IM0001")
    assert choose_names([path], taken=["IM0001"]) == ["p1-IM0001"]
    names = choose_names([path], taken=["IM0001", "p1-IM0001"])
    assert names == [f"{tmp_path.name}-p1-IM0001"]


def test_other_images_are_numbered(tmp_path):
    paths = [Path("a/x.png"), Path("b/x.png"), *dicoms(tmp_path, "p1/x")]
    assert choose_names(paths) == ["x", "x-2", "p1-x"]


def test_names_stay_unique_where_folders_do_not_help(tmp_path):
    (path,) = dicoms(tmp_path, "a/IM1")
    (other,) = dicoms(tmp_path, "a-IM1.dcm")
    same = tmp_path / "b" / "a" / "IM1"
    same.parent.mkdir(parents=True)
    same.write_bytes(path.read_bytes())
    names = choose_names([path, same, other])
    assert len({name.casefold() for name in names}) == 3
    assert image_id_of(other) in names
