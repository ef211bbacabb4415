"""A detector in a process of its own: an image that ends it costs its own record only."""

import subprocess
import sys
from pathlib import Path

import pytest
from deadly_detector import DeadlyDetector, NeverBegins

import lungpatch
from lungpatch.archive.detector_process import DetectorProcess
from lungpatch.errors import LungpatchError, SavedPipelineError


def without_time(records):
    return [{k: v for k, v in record.items() if k != "seconds"} for record in records]


@pytest.fixture(scope="module")
def images(cohort):
    return [str(path) for path in sorted((cohort / "opacity").iterdir())]


@pytest.fixture(scope="module")
def process(saved):
    return DetectorProcess(DeadlyDetector(pipeline=saved))


def test_records_are_those_of_this_process(process, saved, images):
    detector = lungpatch.ImageDetector(pipeline=saved)
    expected = without_time(map(detector, images))
    assert without_time(process.records(images[:1], images[:1])) == expected[:1]
    contents = [Path(path).read_bytes() for path in images]
    alone = [process.records([c], [path])[0] for c, path in zip(contents, images, strict=True)]
    assert without_time(alone) == expected
    assert process.records([], []) == []


@pytest.mark.parametrize(
    ("fate", "words"),
    [
        ("exit", "exit status 7"),
        ("SIGSEGV", "SIGSEGV"),
        ("SIGKILL", "SIGKILL, perhaps for want of memory"),
    ],
)
def test_an_image_that_ends_the_process_costs_itself_only(process, images, fate, words):
    names = ["a.png", f"{fate}-1.png", "b.png", f"{fate}-2.png"]
    records = process.records(images, names)
    assert [record["image"] for record in records] == names
    assert [record["status"] for record in records] == ["ok", "error", "ok", "error"]
    assert records[1]["error"].startswith(
        f"{fate}-1.png: the process that worked on it ended: {words}."
    )
    after = process.records(images[:1], ["a.png"])
    assert without_time(after) == without_time(records[:1])


def test_what_libraries_print_is_no_answer(process, images):
    (record,) = process.records(images[:1], ["printed-1.png"])
    assert (record["image"], record["status"]) == ("printed-1.png", "ok")


def test_errors_that_concern_all_images_are_raised_here(process, images, tmp_path):
    with pytest.raises(RuntimeError, match="a bug"):
        process.records(images[:1], ["bug-1.png"])
    assert process.records(images[:1], ["a.png"])[0]["status"] == "ok"
    with pytest.raises(SavedPipelineError, match="nowhere"):
        DetectorProcess(lungpatch.ImageDetector(pipeline=tmp_path / "nowhere.lungpatch"))


def test_a_process_that_never_begins_is_an_error(saved):
    with pytest.raises(LungpatchError, match="ends before it begins: exit status 9"):
        DetectorProcess(NeverBegins(pipeline=saved))


def test_it_ends_when_nobody_asks_any_more(saved):
    process = DetectorProcess(lungpatch.ImageDetector(pipeline=saved))
    child = process._process
    assert child.poll() is None
    del process
    assert child.returncode == 0


def test_it_ends_with_a_process_that_is_killed(saved):
    code = f"""
import os, signal
import lungpatch
from lungpatch.archive.detector_process import DetectorProcess
process = DetectorProcess(lungpatch.ImageDetector(pipeline={str(saved)!r}))
print("begun", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    # The other process has the same stderr, so this returns when both have ended.
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120)
    assert done.stdout == b"begun\n"
