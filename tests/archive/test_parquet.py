"""Records as a Parquet file."""

import json
import os
import shutil
import sys

import pytest

import lungpatch
from lungpatch.archive import parquet, write_parquet
from lungpatch.errors import MissingExtraError, MissingInputError

JSON_COLUMNS = ("regions", "maximum", "fractions_above", "views", "dicom")


@pytest.fixture
def images(cohort, tmp_path):
    folder = shutil.copytree(cohort / "opacity", tmp_path / "images")
    (folder / "broken.png").write_bytes(b"no image")
    shutil.copy(sorted(folder.glob("*.png"))[1], os.fsencode(folder) + b"/odd\xff.png")
    return folder


def rows_of(out):
    pq = pytest.importorskip("pyarrow.parquet")
    return pq.read_table(out / "detections.parquet").to_pylist()


def assert_equal(out):
    """Assert that the file holds what the records hold, and nothing else."""
    records = [json.loads(line) for line in (out / "detections.jsonl").read_bytes().splitlines()]
    rows = rows_of(out)
    assert len(rows) == len(records)
    for row, record in zip(rows, records, strict=True):
        assert record.keys() <= row.keys()
        for key, value in row.items():
            expected = record.get(key)
            if key in JSON_COLUMNS and value is not None:
                assert json.loads(value) == expected
            elif isinstance(expected, str):
                assert value == expected.encode("utf-8", "backslashreplace").decode()
            else:
                assert value == expected


@pytest.mark.parametrize("rows_at_once", [2, 1000])
def test_every_record_is_a_row(images, saved, tmp_path, monkeypatch, rows_at_once):
    monkeypatch.setattr(parquet, "ROWS_AT_ONCE", rows_at_once)
    out = tmp_path / "out"
    lungpatch.detect_folder(images, out, pipeline=saved, parquet=True)
    assert_equal(out)
    assert sum(row["pred_score"] is not None for row in rows_of(out)) == 5


def test_a_file_that_is_there_follows_the_records(images, saved, tmp_path):
    out = tmp_path / "out"
    lungpatch.detect_folder(images / "broken.png", out, pipeline=saved, parquet=True)
    lungpatch.detect_folder(images, out, pipeline=saved)
    assert_equal(out)
    lungpatch.decide(out, false_alarm_rate=0.5)
    assert_equal(out)
    lungpatch.detect_folder(images, out, pipeline=saved, fdr=0.3, resume=True)
    assert_equal(out)


def test_it_is_written_from_records_that_are_there(images, saved, tmp_path):
    out = tmp_path / "out"
    lungpatch.detect_folder(images, out, pipeline=saved)
    assert not (out / "detections.parquet").exists()
    assert write_parquet(out) == out / "detections.parquet"
    assert_equal(out)
    with pytest.raises(MissingInputError, match="nowhere"):
        write_parquet("nowhere")


def test_a_missing_extra_is_told_before_work(images, saved, tmp_path, monkeypatch):
    out = tmp_path / "out"
    lungpatch.detect_folder(images, out, pipeline=saved, parquet=True)
    before = (out / "detections.jsonl").read_bytes()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    words = r'pyarrow, which is not installed: pip install "lungpatch\[parquet\]"'
    with pytest.raises(MissingExtraError, match=words):
        lungpatch.detect_folder(images, tmp_path / "other", pipeline=saved, parquet=True)
    assert not (tmp_path / "other").exists()
    with pytest.raises(MissingExtraError, match=words):
        lungpatch.detect_folder(images, out, pipeline=saved)
    with pytest.raises(MissingExtraError, match=words):
        lungpatch.decide(out, false_alarm_rate=0.5)
    assert (out / "detections.jsonl").read_bytes() == before
