"""DICOM objects of a folder of images: from `detect_folder` and from the command line."""

import json
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from made_dicom_results import IDENTITY
from made_dicoms import save_dicom
from orthanc_server import orthanc
from PIL import Image
from pydicom.uid import generate_uid

import lungpatch
from lungpatch import cli
from lungpatch.errors import (
    ConfigurationError,
    DestinationError,
    MissingExtraError,
    MissingInputError,
)
from lungpatch.io import read_image
from lungpatch.pipeline import load_pipeline, pipeline_digest
from lungpatch.reports import dicom as dicom_reports


@pytest.fixture(scope="module")
def dicoms(cohort, tmp_path_factory):
    """Phantoms as an archive writes them: every file is called IM0001."""
    folder = tmp_path_factory.mktemp("dicoms")
    for number, source in enumerate(sorted((cohort / "opacity").glob("*.png"))[:3]):
        pixels = np.rint(read_image(source).pixels * 4095).astype(np.uint16)
        path = folder / f"patient{number}" / "IM0001"
        path.parent.mkdir()
        uids = {
            keyword: generate_uid(entropy_srcs=["folder", keyword, str(number)])
            for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        }
        save_dicom(path, pixels, PatientOrientation=["L", "F"], **(IDENTITY | uids))
    return folder


@pytest.fixture(scope="module")
def found(dicoms, saved, tmp_path_factory):
    out = tmp_path_factory.mktemp("found")
    counts = lungpatch.detect_folder(dicoms, out, pipeline=saved, dicom=["sc", "sr", "seg"])
    assert counts.failures == counts.without_dicom == []
    return out


def records_of(folder):
    return [json.loads(line) for line in (folder / "detections.jsonl").read_text().splitlines()]


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["lungpatch", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    done = capsys.readouterr()
    return caught.value.code or 0, done.out, done.err


def test_records_name_objects_and_uids(found, dicoms, saved):
    records = records_of(found)
    assert [record["name"] for record in records] == [f"patient{n}-IM0001" for n in range(3)]
    digest = pipeline_digest(load_pipeline(saved))
    for record in records:
        source = pydicom.dcmread(record["image"])
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            assert record[keyword] == source[keyword].value
        assert record["dicom"] == {
            kind: f"{record['name']}.{kind}.dcm" for kind in ("sc", "sr", "seg")
        }
        for name in record["dicom"].values():
            written = pydicom.dcmread(found / name)
            assert written.StudyInstanceUID == source.StudyInstanceUID
            assert written.ManufacturerModelName == "lungpatch fast"
            assert written.DeviceSerialNumber == digest
        assert "P7" not in json.dumps(record)  # the patient's id


def test_a_pipeline_at_another_rate_has_another_digest(saved):
    pipeline = load_pipeline(saved)
    assert pipeline_digest(pipeline) == pipeline_digest(load_pipeline(saved))
    at_rate = pipeline_digest(pipeline, false_alarm_rate=0.5)
    assert len({pipeline_digest(pipeline), at_rate}) == 2
    assert pipeline_digest(pipeline, false_box_rate=0.5) not in (
        pipeline_digest(pipeline),
        at_rate,
    )


def test_detecting_again_gives_the_same_uids_and_removes_what_is_not_wanted(
    dicoms, saved, tmp_path
):
    image = dicoms / "patient0" / "IM0001"
    lungpatch.detect_folder(image, tmp_path, pipeline=saved, dicom=["sc", "sr"])
    first = pydicom.dcmread(tmp_path / "IM0001.sr.dcm").SOPInstanceUID
    lungpatch.detect_folder(image, tmp_path, pipeline=saved, dicom=["sr"])
    assert pydicom.dcmread(tmp_path / "IM0001.sr.dcm").SOPInstanceUID == first
    assert not (tmp_path / "IM0001.sc.dcm").exists()
    lungpatch.detect_folder(image, tmp_path, pipeline=saved)
    assert not list(tmp_path.glob("*.dcm"))


def test_results_are_not_images(found, tmp_path, saved):
    with pytest.raises(MissingInputError):
        lungpatch.detect_folder(found, tmp_path, pipeline=saved)


@pytest.fixture
def mixed(dicoms, cohort, tmp_path):
    """A DICOM image, one without StudyInstanceUID, a PNG, and a file that is no image."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    whole = pydicom.dcmread(dicoms / "patient0" / "IM0001")
    whole.save_as(folder / "a.dcm")
    del whole.StudyInstanceUID
    whole.save_as(folder / "b.dcm")
    Image.open(next((cohort / "normal").glob("*.png"))).save(folder / "c.png")
    (folder / "d.dcm").write_bytes(b"")
    return folder


def test_images_of_which_none_can_be_written(mixed, saved, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    status, said, errors = run(
        monkeypatch, capsys, "detect", mixed, "--pipeline", saved, "--out", out, "--dicom", "sr"
    )
    assert status == 3
    assert "has no StudyInstanceUID (0020,000D)" in errors
    assert f"no DICOM objects: {mixed / 'c.png'}: is no DICOM image" in errors
    assert "failed: " in errors
    assert "1 failed" in said
    by_name = {Path(record["image"]).name: record for record in records_of(out)}
    assert by_name["a.dcm"]["dicom"] == {"sr": "a.sr.dcm"}
    for name in ("b.dcm", "c.png"):
        record = by_name[name]
        assert record["status"] == "ok"
        assert (out / record["overlay"]).exists()
        assert "dicom" not in record
        assert record["dicom_error"]
    assert by_name["c.png"]["SOPInstanceUID"] is None
    assert by_name["d.dcm"]["status"] == "error"
    assert [path.name for path in out.glob("*.dcm")] == ["a.sr.dcm"]


def test_what_is_wrong_is_told_before_work(mixed, saved, tmp_path, monkeypatch):
    def work(*args, **options):
        raise AssertionError("work began")

    monkeypatch.setattr(lungpatch.Pipeline, "detect_many", work)
    out = tmp_path / "out"
    for images, options, error, message in (
        (mixed, {"dicom": ["xy"]}, ConfigurationError, "no kind of DICOM object 'xy'"),
        (mixed, {"dicom": ["sr"], "fdr": 0.1}, ConfigurationError, "give a false_alarm_rate"),
        (mixed / "c.png", {"dicom": ["sr"]}, MissingInputError, "none of the images is DICOM"),
    ):
        with pytest.raises(error, match=message):
            lungpatch.detect_folder(images, out, pipeline=saved, **options)
    with pytest.raises(DestinationError):
        lungpatch.detect_folder(mixed, mixed / "a.dcm" / "x", pipeline=saved, dicom=["sr"])
    from lungpatch._utils import extras

    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"lungpatch\[dicom\]"):
        lungpatch.detect_folder(mixed, out, pipeline=saved, dicom=["sr"])
    assert not out.exists()


def test_from_server_to_server(dicoms, saved, tmp_path, monkeypatch, capsys):
    """The walk of the user guide: pull, detect, push, and find the results in the study."""
    from dicomweb_client import DICOMwebClient

    with orthanc(tmp_path / "orthanc") as url:
        client = DICOMwebClient(url)
        client.store_instances([pydicom.dcmread(path) for path in dicoms.rglob("IM0001")])
        images, found = tmp_path / "images", tmp_path / "found"
        query = ("--query", "Modality=DX", "--query", "PatientID=P7")
        status, said, _ = run(monkeypatch, capsys, "pull", url, *query, "--out", images)
        assert (status, said) == (
            0,
            f"3 fetched, 0 there already, 0 failed. Images: {images}\n",
        )
        status, *_ = run(
            *(monkeypatch, capsys, "detect", images, "--pipeline", saved, "--out", found),
            *("--dicom", ",".join(dicom_reports.KINDS)),
        )
        assert status == 0
        status, said, _ = run(monkeypatch, capsys, "push", found, url)
        assert (status, said) == (0, f"15 sent, 0 there already, 0 failed. Server: {url}\n")
        status, said, _ = run(monkeypatch, capsys, "push", found, url)
        assert said.startswith("0 sent, 15 there already")
        for record in records_of(found):
            series = client.search_for_series(record["StudyInstanceUID"])
            modalities = sorted(item["00080060"]["Value"][0] for item in series)
            assert modalities == ["DX", "OT", "OT", "PR", "SEG", "SR"]


def test_commands_that_cannot_work(tmp_path, monkeypatch, capsys):
    url = "http://127.0.0.1:1/dicom-web"
    query = ("--query", "PatientID=P7", "--out", tmp_path / "out")
    for arguments, message in (
        (
            ("pull", url, "--query", "PatientID", "--out", tmp_path),
            "a query is given as NAME=VALUE",
        ),
        (("pull", url, *query, "--header", "secret"), "a header is given as NAME:VALUE"),
        (("pull", "pacs", *query), "pacs: is no URL of a DICOMweb server"),
        (("push", tmp_path, url), "no such file; give a folder that detect_folder"),
    ):
        status, _, errors = run(monkeypatch, capsys, *arguments)
        assert status == 2
        assert message in errors
        assert "secret" not in errors
