import json
import math
import os
import stat
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungpatch._utils.files import JsonLines, atomic_folder, atomic_write, unique_stems, write_json


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_under_its_name_only_when_complete(tmp_path):
    target = tmp_path / "deep" / "a.png"
    with atomic_write(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.suffix == ".png"
        temporary.write_bytes(b"new")
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert names(target.parent) == ["a.png"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, error):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def write_half() -> None:
        with atomic_write(target) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write_half()
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_body_that_fails_before_it_writes_is_heard(tmp_path):
    with pytest.raises(ValueError, match="nothing yet"), atomic_write(tmp_path / "a.txt"):
        raise ValueError("nothing yet")
    assert names(tmp_path) == []


def test_a_written_file_has_the_usual_permissions(tmp_path):
    (tmp_path / "plain").write_text("")
    with atomic_write(tmp_path / "atomic") as temporary:
        temporary.write_text("")
    plain, atomic = (stat.S_IMODE((tmp_path / n).stat().st_mode) for n in ("plain", "atomic"))
    assert atomic == plain


def test_a_name_as_long_as_the_file_system_allows_can_be_written(tmp_path):
    target = tmp_path / ("a" * 251 + ".png")
    with atomic_write(target) as temporary:
        temporary.write_text("")
    assert target.exists()


def test_a_link_is_kept_and_its_target_written(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with atomic_write(tmp_path / "link") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "real").read_text() == "new"
    assert (tmp_path / "link").is_symlink()


def test_a_folder_replaces_the_old_one_as_a_whole(tmp_path):
    target = tmp_path / "p.lungpatch"
    for content in ("old", "new"):
        with atomic_folder(target, replace=True) as folder:
            (folder / content).write_text(content)
    assert names(target) == ["new"]
    assert names(tmp_path) == ["p.lungpatch"]


def test_an_old_folder_comes_back_if_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    target = tmp_path / "p.lungpatch"
    with atomic_folder(target, replace=True) as folder:
        (folder / "old").write_text("old")
    rename = Path.rename

    def refuse(path, goal):
        if goal == target and not (path / "old").exists():
            raise PermissionError("not here")
        return rename(path, goal)

    monkeypatch.setattr(Path, "rename", refuse)

    def replace() -> None:
        with atomic_folder(target, replace=True) as folder:
            (folder / "new").write_text("new")

    with pytest.raises(PermissionError):
        replace()
    assert (target / "old").read_text() == "old"
    assert names(tmp_path) == ["p.lungpatch"]


def test_a_failed_folder_leaves_the_old_one_and_nothing_else(tmp_path):
    target = tmp_path / "p.lungpatch"
    with atomic_folder(target, replace=False) as folder:
        (folder / "old").write_text("")

    def fill_half() -> None:
        with atomic_folder(target, replace=True) as folder:
            (folder / "new").write_text("")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill_half()
    assert names(target) == ["old"]
    assert names(tmp_path) == ["p.lungpatch"]


@pytest.mark.parametrize("replace", [False, True])
def test_what_is_there_is_replaced_only_if_it_is_a_folder_and_allowed(tmp_path, replace):
    folder, file = tmp_path / "folder", tmp_path / "file"
    folder.mkdir()
    file.write_text("")
    refused = [file] if replace else [file, folder]
    for path in refused:
        with (
            pytest.raises(FileExistsError, match=path.name),
            atomic_folder(path, replace=replace),
        ):
            pytest.fail("the body must not run")
    assert names(tmp_path) == ["file", "folder"]


def test_json_takes_what_numpy_gives_and_has_no_nan(tmp_path):
    data = {
        "name": "Köln",
        "float": np.float64(0.1),
        "int": np.int64(3),
        "bool": np.bool_(True),
        "none": None,
        "array": np.array([[1.5, np.nan]]),
        "tuple": (1, -math.inf),
        "path": Path("a") / "b",
        "float32": np.float32(0.5),
    }
    write_json(tmp_path / "a.json", data)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "Köln" in text

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is not JSON")

    assert json.loads(text, parse_constant=refuse) == {
        "name": "Köln",
        "float": 0.1,
        "int": 3,
        "bool": True,
        "none": None,
        "array": [[1.5, None]],
        "tuple": [1, None],
        "path": os.path.join("a", "b"),  # noqa: PTH118
        "float32": 0.5,
    }


def test_json_takes_names_that_are_no_text_and_keys_that_are_no_names(tmp_path):
    data = {os.fsdecode(b"not text \xff"): 1, np.int64(3): {Path("a"): 2}}
    write_json(tmp_path / "a.json", data)
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {
        "not text \udcff": 1,
        "3": {"a": 2},
    }


def test_json_is_indented_and_ends_its_last_line(tmp_path):
    write_json(tmp_path / "a.json", {"a": [1]})
    assert (tmp_path / "a.json").read_text() == '{\n  "a": [\n    1\n  ]\n}\n'


def test_what_is_no_json_is_refused_and_nothing_written(tmp_path):
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json(tmp_path / "a.json", {"what": object()})
    assert names(tmp_path) == []


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_keep_every_digit(tmp_path_factory, number):
    file = tmp_path_factory.getbasetemp() / "number.json"
    write_json(file, number)
    assert json.loads(file.read_text()) == number


def test_json_lines_are_one_record_a_line(tmp_path):
    target = tmp_path / "records.jsonl"
    with JsonLines(target) as records:
        records.append({"image": "two\nlines", "score": math.nan})
        assert not target.exists()
        records.append({"image": os.fsdecode(b"not text \xff"), "score": np.float32(1.5)})
    lines = target.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"image": "two\nlines", "score": None},
        {"image": "not text \udcff", "score": 1.5},
    ]
    assert names(tmp_path) == ["records.jsonl"]


def test_records_are_on_the_disk_as_they_come(tmp_path):
    with JsonLines(tmp_path / "new" / "folder" / "records.jsonl") as records:
        records.append({"image": "a"})
        (temporary,) = (tmp_path / "new" / "folder").iterdir()
        assert temporary.read_text() == '{"image": "a"}\n'


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_records_so_far_outlive_an_interruption(tmp_path, error):
    target = tmp_path / "records.jsonl"
    target.write_text("old\n")

    def work() -> None:
        with JsonLines(target) as records:
            records.append({"image": "a"})
            raise error

    with pytest.raises(error):
        work()
    assert target.read_text() == '{"image": "a"}\n'
    assert names(tmp_path) == ["records.jsonl"]


def test_an_interruption_before_the_first_record_keeps_the_older_file(tmp_path):
    target = tmp_path / "records.jsonl"
    target.write_text("old\n")
    with pytest.raises(KeyboardInterrupt), JsonLines(target):
        raise KeyboardInterrupt
    assert target.read_text() == "old\n"
    assert names(tmp_path) == ["records.jsonl"]


def test_a_refused_record_leaves_no_half_line(tmp_path):
    target = tmp_path / "records.jsonl"
    with JsonLines(target) as records:
        records.append({"image": "a"})
        with pytest.raises(TypeError):
            records.append({"image": "b", "what": object()})
        records.append({"image": "c"})
    assert [json.loads(line)["image"] for line in target.read_text().splitlines()] == ["a", "c"]


def test_no_record_at_all_is_an_empty_file(tmp_path):
    with JsonLines(tmp_path / "records.jsonl"):
        pass
    assert (tmp_path / "records.jsonl").read_text() == ""


@pytest.mark.parametrize(
    ("paths", "stems"),
    [
        ([], []),
        (["a.png", "b.png"], ["a", "b"]),
        (["x.png", "x.dcm", "d/x.png"], ["x", "x-2", "x-3"]),
        (["x.png", "x-2.png", "x.dcm"], ["x", "x-2", "x-3"]),
        (["x.png", "x.dcm", "x-2.png", "x-2.dcm"], ["x", "x-3", "x-2", "x-2-2"]),
        (["Image.png", "IMAGE.png", "image-2.png"], ["Image", "IMAGE-3", "image-2"]),
        (["1.2.840.dcm", "1.2.841.dcm"], ["1.2.840", "1.2.841"]),
        (["e\u0301.png", "\u00e9.png"], ["e\u0301", "\u00e9-2"]),
        # Equal only once composed, before and after upper and lower case are levelled.
        (["\u0390.png", "\u0399\u0308\u0301.png"], ["\u0390", "\u0399\u0308\u0301-2"]),
        (
            ["\u03b1\u0345\u0301.p", "\u03b1\u0301\u0345.p"],
            ["\u03b1\u0345\u0301", "\u03b1\u0301\u0345-2"],
        ),
    ],
)
def test_stems_are_unique_and_keep_genuine_names(paths, stems):
    assert unique_stems(paths) == stems


@given(st.lists(st.text("xX-2é", min_size=1, max_size=4), max_size=12))
def test_stems_are_unique_whatever_the_names(stems):
    found = unique_stems(f"{index}/{stem}.png" for index, stem in enumerate(stems))
    keys = [unicodedata.normalize("NFC", name).casefold() for name in found]
    assert len(set(keys)) == len(stems)
    seen = set()
    for stem, name in zip(stems, found, strict=True):
        first = stem.casefold() not in seen
        seen.add(stem.casefold())
        assert (name == stem) == first
        assert name.startswith(stem)


def test_thousands_of_equal_names_are_no_burden():
    found = unique_stems(["IM.dcm"] * 20_000)
    assert len(set(found)) == 20_000


def test_long_names_leave_room_for_what_is_added(tmp_path):
    assert unique_stems(["a" * 200, "b" + "é" * 120]) == ["a" * 200, "b" + "é" * 99]
    stem = "é" * 124  # 248 bytes
    found = unique_stems([f"{stem}1.png", f"{stem}2.png"])
    assert len(set(found)) == 2
    for name in found:
        (tmp_path / f"{name}.anomaly.tiff").write_text("")
