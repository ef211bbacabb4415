"""Ray Data: the same records as one process, also where actors or their processes are killed."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

import lungpatch
from lungpatch.archive import ray as archive_ray
from lungpatch.archive.ray import detect_dataset, record_of, row_of
from lungpatch.errors import (
    ConfigurationError,
    InvalidImageError,
    MissingExtraError,
    SavedPipelineError,
)

HAS_RAY = importlib.util.find_spec("ray") is not None
needs_ray = pytest.mark.skipif(not HAS_RAY, reason="ray is not installed")
# Importing it warns of what it will change.
pytestmark = pytest.mark.filterwarnings("ignore")
DRIVER = Path(__file__).parents[1] / "helpers" / "detect_with_ray.py"

ERROR = {"image": "a.png", "status": "error", "error": "a.png: is empty"}


def without_time(record):
    return {name: value for name, value in record.items() if name != "seconds"}


@pytest.fixture(scope="module")
def images(cohort, tmp_path_factory):
    """Thirteen images: one is none, and one ends the process of a `DeadlyDetector`."""
    folder = tmp_path_factory.mktemp("ray") / "images"
    folder.mkdir()
    for number, path in enumerate([*sorted((cohort / "opacity").iterdir())] * 3):
        os.link(path, folder / f"{number:02}.png")
    os.link(folder / "00.png", folder / "SIGKILL-1.png")
    (folder / "05.png").unlink()
    (folder / "05.png").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def expected(images, saved):
    """The records of one process, by path."""
    detector = lungpatch.ImageDetector(pipeline=saved)
    paths = [str(path) for path in sorted(images.iterdir())]
    return {path: without_time(detector(path)) for path in paths}


def run(kind, images, saved, out):
    """Detect on a Ray of two cores in a process of its own; return its records by path."""
    subprocess.run(
        [sys.executable, str(DRIVER), kind, str(images), str(saved), str(out)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"},
        timeout=240,
        check=True,
        capture_output=True,
    )
    import pyarrow.parquet

    rows = pyarrow.parquet.read_table(out / "records").to_pylist()
    records = {row["image"]: without_time(record_of(row)) for row in rows}
    assert len(records) == len(rows)  # none twice
    return records


@needs_ray
def test_bytes_give_the_records_of_one_process(images, saved, expected, tmp_path):
    assert run("bytes", images, saved, tmp_path) == expected
    assert expected[str(images / "05.png")]["status"] == "error"


@needs_ray
def test_paths_survive_an_actor_that_is_killed(images, saved, expected, tmp_path):
    assert run("killed", images, saved, tmp_path) == expected
    assert (tmp_path / "killed").exists()


@needs_ray
def test_an_image_that_ends_its_process_each_time_costs_its_own_record_only(
    images, saved, expected, tmp_path
):
    deadly = str(images / "SIGKILL-1.png")
    records = run("deadly", images, saved, tmp_path)
    assert records.pop(deadly)["error"].startswith(
        f"{deadly}: the process that worked on it ended: SIGKILL"
    )
    assert records == {path: record for path, record in expected.items() if path != deadly}


@attrs.frozen
class Dataset:
    """A dataset of which Ray knows the columns; nothing may be computed of it."""

    names: list[str]

    def schema(self, *, fetch_if_missing):
        assert not fetch_if_missing
        return self


@needs_ray
def test_mistakes_are_told_before_any_work(saved):
    wrong = {
        "batch_size": (0, True, 2.0),
        "concurrency": (0, 1.5, (2, 1), (1, 2, 3), (0, 1), "all"),
        "false_alarm_rate": (0.9,),
        "false_box_rate": (0,),
        "device": ("gpu",),
    }
    for name, values in wrong.items():
        for value in values:
            with pytest.raises(ConfigurationError, match=name):
                detect_dataset(Dataset(["path"]), pipeline=saved, **{name: value})
    with pytest.raises(SavedPipelineError, match="nowhere"):
        detect_dataset(Dataset(["path"]), pipeline="nowhere.lungpatch")
    with pytest.raises(ConfigurationError, match="no column 'path', only 'file'"):
        detect_dataset(Dataset(["file"]), pipeline=saved)


@needs_ray
def test_batch_without_images_has_all_columns(saved):
    import pyarrow as pa

    actor = archive_ray.RecordBatches(lungpatch.ImageDetector(pipeline=saved))
    table = actor(pa.table({"path": pa.array([], pa.string())}))
    assert table.num_rows == 0
    assert table.column_names == [*archive_ray.COLUMNS, *archive_ray.JSON_COLUMNS]
    assert table.schema.field("n_patches").type == pa.int64()
    with pytest.raises(ConfigurationError, match="no column 'path'"):
        actor(pa.table({"bytes": [b""]}))


def test_without_ray_the_extra_is_named(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "ray" else find(name)
    )
    with pytest.raises(MissingExtraError, match=r'pip install "lungpatch\[ray\]"'):
        detect_dataset(None)


def test_rows_hold_whole_records(saved, cohort):
    detector = lungpatch.ImageDetector(pipeline=saved)
    for path in (*(cohort / "opacity").iterdir(), "nowhere.png"):
        record = detector(path)
        row = row_of(record)
        assert [*row] == [*archive_ray.COLUMNS, *archive_ray.JSON_COLUMNS]
        assert all(not isinstance(value, dict | list) for value in row.values())
        assert record_of(row) == record
        assert list(record_of(row)) == list(record) or record["status"] != "error"
    assert row_of(ERROR)["pred_score"] is None
    boxes = json.loads(row_of(detector(cohort / "opacity" / "opacity-000.png"))["boxes"])
    assert all(len(box) == 4 for box in boxes)


def test_record_with_an_unknown_key_is_refused():
    with pytest.raises(InvalidImageError, match=r"a\.png: no column for colour"):
        row_of(ERROR | {"colour": "red"})
