"""The worklist page of a folder of results is there, and never stale."""

import csv
import importlib
import json
import shutil

import pytest
from made_worklist import made_record, write_records

import lungpatch
from lungpatch.errors import DestinationError, InvalidImageError, MissingInputError
from lungpatch.io import find_images
from lungpatch.reports import write_worklist


@pytest.fixture(scope="module")
def pipeline(fitted, cohort):
    return fitted.calibrate(cohort / "normal")


@pytest.fixture
def images(cohort, tmp_path):
    images = shutil.copytree(cohort / "opacity", tmp_path / "images")
    (images / "broken.png").write_bytes(b"no image")
    return images


@pytest.fixture
def found(pipeline, images, tmp_path):
    lungpatch.detect_folder(images, tmp_path / "found", pipeline=pipeline)
    return tmp_path / "found"


def page_data(folder):
    """What the page will be told; see the tests of as_script for the escapes."""
    text = (folder / "worklist" / "data.js").read_text(encoding="ascii")
    literal = text.removeprefix("window.LUNGPATCH_WORKLIST = JSON.parse('").removesuffix("');\n")
    return json.loads(literal.replace("\\'", "'").replace("\\\\", "\\"))


def records_of(folder):
    return [json.loads(line) for line in (folder / "detections.jsonl").read_text().splitlines()]


def assert_page_is_of(folder):
    records = records_of(folder)
    columns = page_data(folder)["columns"]
    assert columns["image"] == [record["image"] for record in records]
    assert columns["flagged"] == [record.get("pred_label") for record in records]
    with (folder / "detections.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == columns["image"]
    assert [row["flagged"] for row in rows] == [
        "" if record.get("pred_label") is None else str(record["pred_label"]) for record in records
    ]


def test_detect_writes_the_page_and_all_it_shows(found, images):
    assert (found / "index.html").is_file()
    assert_page_is_of(found)
    data = page_data(found)
    assert [maker["images"] for maker in data["makers"]] == [4]
    assert data["makers"][0]["n"] == 12
    for record in records_of(found):
        assert ("views" in record) == (record["image"] != str(images / "broken.png"))
        for name in record.get("views", {}).values():
            assert (found / name).is_file()
            assert name.startswith(f"worklist/{record['name']}.")


def test_results_are_never_taken_for_radiographs(found, images, tmp_path):
    with pytest.raises(MissingInputError, match="no images in this folder"):
        find_images(found)
    assert find_images(images) == sorted(images.iterdir())


@pytest.mark.parametrize("rates", [{"false_alarm_rate": 0.5}, {"fdr": 0.4}])
def test_decide_writes_the_page_again(found, rates):
    counts = lungpatch.decide(found, **rates)
    assert_page_is_of(found)
    assert sum(filter(None, page_data(found)["columns"]["flagged"])) == counts.above


def test_detect_at_an_fdr_writes_the_page_of_its_decisions_once(
    pipeline, images, tmp_path, monkeypatch
):
    pages = []

    def counted(*arguments, **options):
        pages.append(arguments)
        return write_worklist(*arguments, **options)

    # The function of the same name hides the module.
    module = importlib.import_module("lungpatch.archive.worklist")
    monkeypatch.setattr(module, "write_worklist", counted)
    lungpatch.detect_folder(images, tmp_path / "fdr", pipeline=pipeline, fdr=0.5)
    assert len(pages) == 1
    assert_page_is_of(tmp_path / "fdr")


def test_interrupted_work_leaves_the_page_of_what_was_done(pipeline, images, tmp_path):
    def interrupt(stage, done, total, values):
        if done == 2:
            raise KeyboardInterrupt

    out = tmp_path / "found"
    with pytest.raises(KeyboardInterrupt):
        lungpatch.detect_folder(images, out, pipeline=pipeline, progress=interrupt)
    assert len(records_of(out)) == 2
    assert_page_is_of(out)


def test_an_image_that_fails_later_loses_its_views(found, images, pipeline):
    victim = images / "opacity-001.png"
    (before,) = [r for r in records_of(found) if r["image"] == str(victim)]
    victim.write_bytes(b"no image any more")
    lungpatch.detect_folder(images, found, pipeline=pipeline)
    assert_page_is_of(found)
    for name in before["views"].values():
        assert not (found / name).exists()


def test_the_same_results_give_the_same_page(found):
    names = ("index.html", "detections.csv", "worklist/data.js")
    before = [(found / name).read_bytes() for name in names]
    assert lungpatch.worklist(found) == found / "index.html"
    assert [(found / name).read_bytes() for name in names] == before


def test_a_page_of_someone_else_is_kept_and_told_before_work(pipeline, images, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "index.html").write_text("mine")
    with pytest.raises(DestinationError, match=r"index\.html: is there already"):
        lungpatch.detect_folder(images, out, pipeline=pipeline)
    assert [path.name for path in out.iterdir()] == ["index.html"]
    write_records(out, [made_record("a.png", p=0.5)])
    before = (out / "detections.jsonl").read_bytes()
    with pytest.raises(DestinationError):
        lungpatch.decide(out, false_alarm_rate=0.5)
    assert (out / "detections.jsonl").read_bytes() == before


def test_a_folder_without_results_is_told(tmp_path):
    with pytest.raises(MissingInputError, match=r"detections\.jsonl: no such file"):
        lungpatch.worklist(tmp_path)
    (tmp_path / "detections.jsonl").write_text("[]\n")
    with pytest.raises(InvalidImageError, match="line 1"):
        lungpatch.worklist(tmp_path)


def test_results_without_calibrations_have_a_page_too(found):
    (found / "calibrations.json").unlink()
    lungpatch.worklist(found)
    assert page_data(found)["makers"] == []
    (found / "calibrations.json").write_text("{}}")
    with pytest.raises(InvalidImageError, match="does not hold calibrations"):
        lungpatch.worklist(found)
