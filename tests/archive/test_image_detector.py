"""One callable for pools and engines: it can be pickled, and no image makes it raise."""

import json
import multiprocessing
import os
import pickle
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

import lungpatch
from lungpatch.archive import image_detector, processing
from lungpatch.errors import ConfigurationError, InsufficientDataError, SavedPipelineError
from lungpatch.reports import detection_record


def without_time(records):
    return [{k: v for k, v in record.items() if k != "seconds"} for record in records]


@pytest.fixture
def detector(saved):
    return lungpatch.ImageDetector(pipeline=saved)


@pytest.fixture
def images(cohort):
    return [str(path) for path in sorted((cohort / "opacity").iterdir())]


@pytest.fixture
def expected(fitted, images):
    records = [detection_record(fitted.detect(path), source=path) for path in images]
    return without_time(json.loads(json.dumps(records)))


def test_record_is_that_of_the_pipeline(detector, images, expected):
    assert without_time(map(detector, images)) == expected


def test_images_together_score_as_each_alone(detector, images, expected):
    for record, alone in zip(detector.records(images), expected, strict=True):
        assert record["image"] == alone["image"]
        assert record["pred_label"] == alone["pred_label"]
        assert record["pred_score"] == pytest.approx(alone["pred_score"], rel=1e-5)


def test_bytes_give_the_record_of_the_file(detector, images, expected, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for path, record in zip(images, expected, strict=True):
        content = Path(path).read_bytes()
        for kind in (bytes, bytearray, memoryview):
            assert without_time([detector(kind(content), path)]) == [record]
        (unnamed,) = without_time([detector(content)])
        assert unnamed == record | {"image": "bytes"}
    assert list(tmp_path.iterdir()) == []


def test_headless_dicom_is_known_by_its_name(detector, tmp_path):
    """Its suffix is all that says what it is: it reaches the reader."""
    record = detector(b"no header" * 100, "scans/IM0001.DCM")
    assert record["status"] == "error"
    assert record["error"].startswith("scans/IM0001.DCM: ")
    assert "of a known format" not in record["error"]
    assert "of a known format" in detector(b"no header" * 100, "IM0001")["error"]


def test_bad_images_get_records_in_their_place(detector, images, expected, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    bad = [str(broken), tmp_path, "nowhere.png", "", "a\0b", b"", b"x", None, 3.5]
    mixed = [bad[0], images[0], *bad[1:], images[1]]
    records = detector.records(mixed)
    scores = [records[1]["pred_score"], records[-1]["pred_score"]]
    assert scores == pytest.approx([record["pred_score"] for record in expected[:2]], rel=1e-5)
    for image, record in zip(bad, [records[0], *records[2:-1]], strict=True):
        assert record.keys() == {"image", "status", "error"}
        assert record["status"] == "error"
        assert json.loads(json.dumps(record)) == record
        if isinstance(image, str | os.PathLike):
            assert record["image"] == str(image)
    assert records[0]["error"].startswith(f"{broken}: is not an image of a known format")


def test_error_of_bytes_names_them_not_a_temporary_file(detector):
    record = detector(b"no image", "s3://archive/1.png")
    assert record["image"] == "s3://archive/1.png"
    assert record["error"].startswith("s3://archive/1.png: is not an image")
    assert "lungpatch-" not in record["error"]


def test_name_replaces_the_path_at_the_beginning_only(detector):
    assert detector("a", "scan")["error"] == "scan: no such file; check the path"


def test_rates_are_those_of_detect(saved, fitted, images):
    rates = {"false_alarm_rate": 0.4, "false_box_rate": 0.5}
    record = lungpatch.ImageDetector(pipeline=saved, **rates)(images[0])
    detection = fitted.detect(images[0], **rates)
    assert record["threshold"] == detection.decision.threshold
    assert record["region_threshold"] == detection.localisation.threshold
    assert record["threshold"] != lungpatch.ImageDetector(pipeline=saved)(images[0])["threshold"]


def test_settings_that_cannot_be_are_refused_at_once(saved, fitted):
    for rate in (0, -0.1, 0.6, 10, True, "x"):
        with pytest.raises(ConfigurationError, match="false_alarm_rate"):
            lungpatch.ImageDetector(pipeline=saved, false_alarm_rate=rate)
        with pytest.raises(ConfigurationError, match="false_box_rate"):
            lungpatch.ImageDetector(pipeline=saved, false_box_rate=rate)
    with pytest.raises(ConfigurationError, match="device must be one of auto, cpu, cuda, mps"):
        lungpatch.ImageDetector(pipeline=saved, device="gpu")
    with pytest.raises(ConfigurationError, match="precision must be one of float32, bfloat16"):
        lungpatch.ImageDetector(pipeline=saved, precision="half")
    with pytest.raises(ConfigurationError, match="a Pipeline cannot be sent"):
        lungpatch.ImageDetector(pipeline=fitted)


def test_what_concerns_all_images_is_raised(saved, images):
    with pytest.raises(SavedPipelineError, match="nowhere"):
        lungpatch.ImageDetector(pipeline="nowhere.lungpatch")(images[0])
    with pytest.raises(InsufficientDataError):
        lungpatch.ImageDetector(pipeline=saved, false_alarm_rate=1e-6)(images[0])
    with pytest.raises(ConfigurationError, match="1 images, but 2 names"):
        lungpatch.ImageDetector(pipeline=saved).records(images[:1], ["a", "b"])


def test_no_image_no_record(detector):
    assert detector.records([]) == []


def test_relative_path_is_found_from_another_folder(saved, images, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(saved.parent)
    detector = lungpatch.ImageDetector(pipeline=saved.name)
    monkeypatch.chdir(tmp_path)
    assert without_time([detector(images[0])]) == expected[:1]
    assert lungpatch.ImageDetector().pipeline == "default"


def test_settings_are_pickled_not_the_pipeline(detector, images, expected):
    detector(images[0])
    content = pickle.dumps(detector)
    assert len(content) < 1000
    assert pickle.loads(content) == detector
    assert without_time([pickle.loads(content)(images[0])]) == expected[:1]


def test_pipeline_is_loaded_once(saved, images, monkeypatch):
    monkeypatch.setattr(image_detector, "_loaded", image_detector._Loaded())
    calls = []
    loading = processing.load_pipeline
    monkeypatch.setattr(
        processing, "load_pipeline", lambda path: calls.append(path) or loading(path)
    )
    start = threading.Barrier(4)

    def detect(image):
        start.wait()
        return lungpatch.ImageDetector(pipeline=saved)(image)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(detect, images))
    assert calls == [str(saved)]
    on_cpu = lungpatch.ImageDetector(pipeline=saved, device="cpu").load()
    assert on_cpu is not lungpatch.ImageDetector(pipeline=saved).load()
    assert (
        on_cpu
        is not lungpatch.ImageDetector(pipeline=saved, device="cpu", precision="bfloat16").load()
    )


def test_image_that_takes_all_memory_costs_only_itself(detector, images, expected, monkeypatch):
    pipeline = detector.load()
    prepare = type(pipeline).prepare

    def prepare_or_exhaust(self, image, **options):
        if image == images[1]:
            raise MemoryError
        return prepare(self, image, **options)

    monkeypatch.setattr(type(pipeline), "prepare", prepare_or_exhaust)
    records = detector.records(images)
    assert records[1]["status"] == "error"
    assert records[1]["error"].startswith(f"{images[1]}: needs more memory than there is")
    assert without_time([records[0], *records[2:]]) == [expected[0], *expected[2:]]


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_processes_find_what_one_does(detector, images, expected, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system does not {method}")
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context, initializer=detector.load) as pool:
        assert without_time(pool.map(detector, images)) == expected


def test_dask_finds_what_one_process_does(detector, images, expected):
    bag = pytest.importorskip("dask.bag", reason="dask is not installed")
    found = bag.from_sequence(images, npartitions=2).map(detector)
    assert without_time(found.compute(scheduler="threads", num_workers=2)) == expected
