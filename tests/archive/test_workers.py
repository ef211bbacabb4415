"""Several processes, kills at any moment, and going on: always the records of a quiet run."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import lungpatch
from lungpatch.archive import records as records_module
from lungpatch.archive import workers as workers_module
from lungpatch.archive.processing import Job
from lungpatch.archive.records import FolderRecords, files_of, iterate_records, read_records
from lungpatch.archive.workers import Workers, count_workers
from lungpatch.errors import (
    ConfigurationError,
    InvalidImageError,
    LungpatchError,
    SavedPipelineError,
)
from lungpatch.pipeline import build_pipeline

RUN = """
import sys, lungpatch
images, out, pipeline, workers, resume = sys.argv[1:]
lungpatch.detect_folder(
    images, out, pipeline=pipeline, workers=int(workers), resume=resume == "True"
)
"""


@pytest.fixture(scope="module")
def images(cohort, tmp_path_factory):
    """Images in subfolders, of which several have one name, one is broken and one oddly named."""
    folder = tmp_path_factory.mktemp("images")
    sources = sorted((cohort / "opacity").iterdir()) + sorted((cohort / "normal").iterdir())
    for number, source in enumerate(sources):
        place = folder / f"patient{number % 4}" / f"image{number // 8}.png"
        while place.exists():
            place = place.with_name(f"{place.stem}+.png")
        place.parent.mkdir(exist_ok=True)
        shutil.copy(source, place)
    (folder / "patient1" / "broken.png").write_bytes(b"no image")
    odd = os.fsencode(folder / "patient2") + b"/odd\xff\xe2\x80\xa8.png"
    shutil.copy(sources[0], odd)
    return folder


@pytest.fixture(scope="module")
def undisturbed(images, saved, tmp_path_factory):
    """Folder of results of one process."""
    out = tmp_path_factory.mktemp("undisturbed")
    lungpatch.detect_folder(images, out, pipeline=saved, workers=1)
    return out


def records_of(out):
    """Return the lines of the file of records, but for the times."""
    lines = (out / "detections.jsonl").read_bytes().splitlines(keepends=True)
    records = [json.loads(line) for line in lines]
    for record in records:
        record.pop("seconds", None)
    return records


def assert_same_results(out, expected):
    assert records_of(out) == records_of(expected)
    for record in records_of(expected):
        for name in files_of(record):
            assert (out / name).read_bytes() == (expected / name).read_bytes()


def workers_of(parent):
    """Return the ids of the workers that a process has started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status = (entry / "stat").read_text()
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if int(status.rpartition(")")[2].split()[1]) == parent and b"archive.worker" in command:
                found.append(int(entry.name))
    return found


def start(images, out, saved, *, workers, resume=False):
    arguments = [str(each) for each in (images, out, saved, workers, resume)]
    return subprocess.Popen([sys.executable, "-c", RUN, *arguments])


def wait_for_records(out, count, process):
    path = out / "detections.jsonl"
    while process.poll() is None:
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.005)


# --------------------------------------------------------------------------------- equal results


@pytest.mark.parametrize("batch_size", [1, 3])
def test_two_workers_give_the_results_of_one_process(
    images, saved, undisturbed, tmp_path, batch_size
):
    seen = []
    counts = lungpatch.detect_folder(
        images,
        tmp_path / "out",
        pipeline=saved,
        workers=2,
        batch_size=batch_size,
        progress=lambda stage, done, total, _: seen.append((stage, done, total)),
    )
    n = len(records_of(undisturbed))
    assert seen == [("detect", done, n) for done in range(1, n + 1)]
    assert [Path(failure.source).name for failure in counts.failures] == ["broken.png"]
    if batch_size == 1:
        assert_same_results(tmp_path / "out", undisturbed)
        return
    for record, expected in zip(records_of(tmp_path / "out"), records_of(undisturbed), strict=True):
        assert {**record, **_numbers(expected)} == expected | _numbers(expected)
        if record["status"] == "ok":
            assert record["pred_score"] == pytest.approx(expected["pred_score"], rel=1e-5)


def _numbers(record):
    """Return what may differ in its last digits when images go through the model together."""
    keys = ("pred_score", "p_value", "box_scores", "box_p_values", "regions", "maximum", "summary")
    return {key: record[key] for key in keys if key in record}


def test_a_pipeline_in_memory_goes_to_workers(images, fitted, undisturbed, tmp_path):
    options = {"workers": 2, "threads": 1, "device": "cpu", "precision": "float32"}
    lungpatch.detect_folder(images, tmp_path, pipeline=fitted, **options)
    assert records_of(tmp_path) == records_of(undisturbed)


def test_a_pipeline_that_workers_cannot_load_is_named(images, saved, tmp_path):
    broken = shutil.copytree(saved, tmp_path / "broken.lungpatch")
    settings = broken / "pipeline.json"
    settings.write_text(settings.read_text().replace('"n_components": ', '"n_parts": '))
    digest = hashlib.sha256(settings.read_bytes()).hexdigest()
    sums = broken / "SHA256SUMS"
    lines = [line.split() for line in sums.read_text().splitlines()]
    sums.write_text(
        "".join(f"{digest if name == settings.name else old}  {name}\n" for old, name in lines)
    )
    with pytest.raises(SavedPipelineError, match="n_parts"):
        lungpatch.detect_folder(images, tmp_path / "out", pipeline=broken, workers=2)


def test_a_pipeline_that_only_this_process_knows(cohort, fast_tables, tmp_path, monkeypatch):
    class Mine(lungpatch.SADScorer):
        pass

    pipeline = build_pipeline(fast_tables, origin="test")
    pipeline.scorer = Mine()
    pipeline.fit(cohort / "normal")
    monkeypatch.setattr(workers_module, "IMAGES_PER_WORKER", 1)
    counts = lungpatch.detect_folder(cohort / "opacity", tmp_path / "auto", pipeline=pipeline)
    assert counts.failures == []
    with pytest.raises(LungpatchError, match="Mine is not registered"):
        lungpatch.detect_folder(cohort / "opacity", tmp_path / "out", pipeline=pipeline, workers=2)
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_but_what_is_wanted(images, saved, undisturbed, tmp_path):
    lungpatch.detect_folder(images, tmp_path, pipeline=saved, overlays=False, maps=False)
    plain = [
        {k: v for k, v in record.items() if k not in ("overlay", "views", "anomaly_map")}
        for record in records_of(undisturbed)
    ]
    assert records_of(tmp_path) == plain
    assert not [*tmp_path.rglob("*.overlay.*"), *tmp_path.rglob("*.tiff")]


# ------------------------------------------------------------------------------- workers that die


def kill_a_worker_at(count):
    """Return a progress callback that kills one worker of this process at a record."""
    killed = []

    def progress(stage, done, total, metrics):
        if done == count:
            killed.append(max(workers_of(os.getpid())))
            os.kill(killed[0], signal.SIGKILL)

    return progress, killed


def test_a_worker_that_is_killed_costs_one_image_at_most(images, saved, undisturbed, tmp_path):
    expected = records_of(undisturbed)
    progress, killed = kill_a_worker_at(5)
    counts = lungpatch.detect_folder(images, tmp_path, pipeline=saved, workers=2, progress=progress)
    assert killed
    assert workers_of(os.getpid()) == []
    errors = [failure for failure in counts.failures if "broken.png" not in failure.source]
    for error in errors:
        assert str(error.error).startswith(f"{error.source}: the process that worked on it ended")
        assert "SIGKILL" in str(error.error)
    assert len(errors) <= 1
    lost = {error.source for error in errors}
    assert [r["image"] for r in records_of(tmp_path)] == [r["image"] for r in expected]
    assert [r for r in records_of(tmp_path) if r["image"] not in lost] == [
        r for r in expected if r["image"] not in lost
    ]
    again = []
    lungpatch.detect_folder(
        images, tmp_path, pipeline=saved, resume=True, progress=lambda *args: again.append(args)
    )
    assert len(again) == len(lost) + 1  # and the broken one is tried again
    assert_same_results(tmp_path, undisturbed)


def stopped_in_a_batch(monkeypatch, fate):
    """Let a fake worker meet its fate at images whose name holds "deadly"."""
    code = f"""
import json, os, signal, sys, time
sys.stdin.readline()
print(json.dumps({{"ready": True}}), flush=True)
for line in sys.stdin:
    message = json.loads(line)
    if any("deadly" in path for path, _ in message["tasks"]):
        {fate}
    records = [{{"image": p, "status": "ok", "name": n}} for p, n in message["tasks"]]
    print(json.dumps({{"number": message["number"], "records": records}}), flush=True)
"""
    fake_worker(monkeypatch, code)


def fake_worker(monkeypatch, code):
    real = subprocess.Popen

    def popen(command, **options):
        return real([sys.executable, "-I", "-c", code], **options)

    monkeypatch.setattr(workers_module.subprocess, "Popen", popen)


def processed(batches, count=2):
    with Workers(pipeline="none", job=Job(out="o", calibration="c"), count=count) as workers:
        return list(workers.records(batches))


@pytest.mark.parametrize(
    ("fate", "words"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL, perhaps for want of memory"),
        ("os._exit(7)", "exit status 7"),
        ('sys.stdout.write(\'{"number": 0, "rec\'); sys.stdout.flush(); os._exit(1)', "status 1"),
    ],
)
def test_the_deadly_image_of_a_batch_is_found(monkeypatch, fate, words):
    stopped_in_a_batch(monkeypatch, fate)
    names = ["a", "b", "deadly-1", "c", "d", "e", "f", "g", "deadly-2", "h"]
    tasks = [(f"{name}.png", name) for name in names]
    records = processed([tasks[:4], tasks[4:8], tasks[8:]])
    assert sorted(r["image"] for r in records) == sorted(path for path, _ in tasks)
    bad = {r["image"]: r for r in records if r["status"] == "error"}
    assert set(bad) == {"deadly-1.png", "deadly-2.png"}
    for image, record in bad.items():
        assert record["error"].startswith(f"{image}: the process that worked on it ended: ")
        assert words in record["error"]
        assert record["name"] == image.removesuffix(".png")


def test_workers_that_never_begin_end_the_run(monkeypatch):
    fake_worker(monkeypatch, "raise SystemExit(9)")
    with pytest.raises(LungpatchError, match="end before they begin: exit status 9"):
        processed([[("a.png", "a")]])


def test_some_may_die_at_their_start(monkeypatch, tmp_path):
    code = f"""
import json, os, pathlib, sys
for number in range(9):
    try:
        pathlib.Path({str(tmp_path)!r}, str(number)).mkdir()
        break
    except FileExistsError:
        pass
if number < {workers_module.FAILED_STARTS}:
    os._exit(1)
sys.stdin.readline()
print(json.dumps({{"ready": True}}), flush=True)
for line in sys.stdin:
    message = json.loads(line)
    records = [{{"image": p, "status": "ok"}} for p, n in message["tasks"]]
    print(json.dumps({{"number": message["number"], "records": records}}), flush=True)
"""
    fake_worker(monkeypatch, code)
    records = processed([[(f"{n}.png", str(n))] for n in range(6)])
    assert sorted(r["image"] for r in records) == [f"{n}.png" for n in range(6)]
    assert {r["status"] for r in records} == {"ok"}


def test_a_worker_that_reads_nothing_does_not_stop_the_others(monkeypatch, tmp_path):
    code = f"""
import json, pathlib, sys, time
sys.stdin.readline()
print(json.dumps({{"ready": True}}), flush=True)
try:
    pathlib.Path({str(tmp_path)!r}, "stuck").mkdir()
    time.sleep(1000)
except FileExistsError:
    pass
for line in sys.stdin:
    message = json.loads(line)
    records = [{{"image": p, "status": "ok"}} for p, n in message["tasks"]]
    print(json.dumps({{"number": message["number"], "records": records}}), flush=True)
"""
    fake_worker(monkeypatch, code)
    batches = [[(f"{n}" * 200_000, str(n))] for n in range(8)]  # more than a pipe holds
    with Workers(pipeline="none", job=Job(out="o", calibration="c"), count=2) as workers:
        records = workers.records(batches)
        found = [next(records)["image"] for _ in range(len(batches) - workers_module.WAITING)]
    assert len(set(found)) == len(found)


def test_messages_of_workers_are_logged_here(images, saved, tmp_path, caplog, monkeypatch):
    code = """
import json, sys
sys.stdin.readline()
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    message = json.loads(line)
    print(json.dumps({"log": ["lungpatch.io", 30, "100 % odd"]}), flush=True)
    records = [{"image": p, "status": "ok"} for p, n in message["tasks"]]
    print(json.dumps({"number": message["number"], "records": records}), flush=True)
"""
    fake_worker(monkeypatch, code)
    processed([[("a.png", "a")]])
    assert [(r.name, r.levelname, r.getMessage()) for r in caplog.records] == [
        ("lungpatch.io", "WARNING", "100 % odd")
    ]


# ---------------------------------------------------------------------- the whole run is killed


@pytest.mark.parametrize(("workers", "moments"), [(1, (0, -1)), (2, (1, 10))])
def test_going_on_after_a_kill_at_any_moment(
    images, saved, undisturbed, tmp_path, workers, moments
):
    """Killed before the first record, after it, in the middle, and before the records' order."""
    out = tmp_path / "out"
    n = len(records_of(undisturbed))
    for count in moments:
        process = start(images, out, saved, workers=workers, resume=True)
        wait_for_records(out, count % n, process)
        others = workers_of(process.pid)
        process.kill()
        process.wait()
        assert_gone(others)
    before = {r["image"]: r for r in iterate_records(out / "detections.jsonl")}
    done = []
    lungpatch.detect_folder(
        images, out, pipeline=saved, resume=True, progress=lambda *args: done.append(args[1])
    )
    finished = sum(record["status"] == "ok" for record in before.values())
    assert len(done) <= n - finished
    assert_same_results(out, undisturbed)
    again = {r["image"]: r for r in read_records(out / "detections.jsonl")}
    for image, record in before.items():
        if record["status"] == "ok":
            assert again[image] == record  # its time, too: it was not processed twice


def test_an_interrupt_leaves_no_process_and_no_temporary_file(images, saved, tmp_path):
    command = ["detect", images, "--out", tmp_path, "--pipeline", saved, "--workers", "2"]
    code = "from lungpatch.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for_records(tmp_path, 2, process)
    workers = workers_of(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130
    assert out == ""
    assert err.endswith("lungpatch: interrupted\n")
    assert "Traceback" not in err
    assert_gone(workers)
    assert records_of(tmp_path)
    assert (tmp_path / "index.html").is_file()
    assert list(tmp_path.rglob(".lungpatch-*")) == []


def assert_gone(processes):
    end = time.monotonic() + 20
    while any(map(is_running, processes)):
        assert time.monotonic() < end
        time.sleep(0.01)


def is_running(process):
    try:
        status = Path("/proc", str(process), "stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"  # ended, and nobody has asked how


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("cut", [1, 2, 5, 11, 40, -1])
def test_a_record_of_which_only_a_part_was_written(
    images, saved, undisturbed, tmp_path, cut, resume
):
    """Even if the file ends within a letter, or a record lacks nothing but its end of line."""
    out = tmp_path / "out"
    shutil.copytree(undisturbed, out)
    lines = (out / "detections.jsonl").read_bytes().splitlines(keepends=True)
    (out / "detections.jsonl").write_bytes(b"".join(lines[:7]) + lines[7][:cut])
    done = []
    lungpatch.detect_folder(
        images, out, pipeline=saved, resume=resume, progress=lambda *args: done.append(args)
    )
    kept = [json.loads(line) for line in lines[: 8 if cut == -1 else 7]]
    ok = sum(record["status"] == "ok" for record in kept)
    assert len(done) == len(lines) - (ok if resume else 0)
    assert_same_results(out, undisturbed)


def test_the_first_record_may_be_cut_within_a_letter(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_bytes('{"image": "ä'.encode()[:-1])
    assert read_records(path) == []
    with FolderRecords(path, [Path("ä.png")]) as records:
        records.append({"image": "ä.png", "status": "ok"})
    assert read_records(path) == [{"image": "ä.png", "status": "ok"}]


def test_notes_without_an_end_of_line_are_not_cut(tmp_path):
    (tmp_path / "detections.jsonl").write_text("my notes")
    with pytest.raises(InvalidImageError, match="line 1 is not JSON"):
        FolderRecords(tmp_path / "detections.jsonl", [])
    assert (tmp_path / "detections.jsonl").read_text() == "my notes"


# --------------------------------------------------------------------------------- going on


@pytest.fixture
def again(images, saved, undisturbed, tmp_path):
    """Go on in a copy of the folder of results; return the names of the images processed."""
    out = tmp_path / "again"
    shutil.copytree(undisturbed, out)

    def call(**options):
        before = (out / "detections.jsonl").read_bytes().splitlines()
        seconds = {r["image"]: r.get("seconds") for r in map(json.loads, before)}
        lungpatch.detect_folder(images, out, pipeline=saved, resume=True, **options)
        return [
            Path(record["image"]).name
            for record in read_records(out / "detections.jsonl")
            if record.get("seconds") != seconds[record["image"]]
        ]

    call.out = out
    return call


def test_what_is_done_is_not_done_again(again, undisturbed):
    assert again() == []
    assert_same_results(again.out, undisturbed)


def test_what_failed_is_tried_again(again, images, undisturbed, cohort):
    broken = images / "patient1" / "broken.png"
    content = broken.read_bytes()
    try:
        shutil.copy(sorted((cohort / "opacity").iterdir())[0], broken)
        assert again() == ["broken.png"]
    finally:
        broken.write_bytes(content)


def test_another_rate_needs_another_look(again, undisturbed):
    n_ok = sum(record["status"] == "ok" for record in records_of(undisturbed))
    assert len(again(false_alarm_rate=0.5)) == n_ok
    assert again(false_alarm_rate=0.5) == []
    assert len(again(false_box_rate=0.5)) == n_ok


def test_a_rate_of_discoveries_needs_none(again):
    assert again(fdr=0.2) == []
    assert again(fdr=0.1) == []


def test_files_that_are_wanted_and_not_there(again, undisturbed):
    names = [r["name"] for r in records_of(undisturbed) if r["status"] == "ok"]
    (again.out / f"{names[2]}.mask.png").unlink()
    assert len(again()) == 1
    again(overlays=False, maps=False)
    assert_same_results(again.out, undisturbed)


def test_pictures_that_were_not_wanted_before(images, saved, undisturbed, tmp_path):
    lungpatch.detect_folder(images, tmp_path, pipeline=saved, overlays=False, maps=False)
    lungpatch.detect_folder(images, tmp_path, pipeline=saved, resume=True)
    assert_same_results(tmp_path, undisturbed)


# ---------------------------------------------------------------------------- folders of files


def test_files_of_many_images_lie_in_several_folders(
    images, saved, undisturbed, tmp_path, monkeypatch
):
    monkeypatch.setattr(records_module, "FILES_PER_FOLDER", 3)
    out = tmp_path / "out"
    lungpatch.detect_folder(images, out, pipeline=saved)
    records = records_of(out)
    plain = [record["name"] for record in records_of(undisturbed)]
    assert [r["name"] for r in records] == [f"{n // 3:04d}/{name}" for n, name in enumerate(plain)]
    for record, flat in zip(records, records_of(undisturbed), strict=True):
        for name, other in zip(files_of(record), files_of(flat), strict=True):
            assert (out / name).read_bytes() == (undisturbed / other).read_bytes()
    assert max(len(list(folder.glob("*.mask.png"))) for folder in out.iterdir()) == 3
    loaded = lungpatch.load_detections(out)
    assert np.isfinite(next(d for d in loaded if d.status == "ok").heatmap()).any()
    # Lost records get the very same names, whichever they are.
    lines = (out / "detections.jsonl").read_bytes().splitlines(keepends=True)
    (out / "detections.jsonl").write_bytes(b"".join(lines[1::2]))
    lungpatch.detect_folder(images, out, pipeline=saved, resume=True)
    assert records_of(out) == records


def test_images_that_come_later_get_names_that_are_free(tmp_path, monkeypatch):
    monkeypatch.setattr(records_module, "FILES_PER_FOLDER", 4)
    path = tmp_path / "records.jsonl"
    names = {}
    for run in (["b/x.png"], ["a/x.png", "b/x.png", "c/x.png"], ["d/x.png", "e/x.png", "a/x.png"]):
        with FolderRecords(path, [Path(image) for image in run]) as records:
            for image, name in zip(run, records.names, strict=True):
                assert names.setdefault(image, name) == name
                records.append({"image": image, "status": "ok", "name": name})
    stems = [name.rpartition("/")[2] for name in names.values()]
    assert len(set(stems)) == 5
    assert "/" not in names["c/x.png"]
    assert "/" in names["e/x.png"]


# --------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"workers": 0}, "workers must be 'auto' or at least 1, got 0"),
        ({"workers": True}, "got True"),
        ({"workers": "many"}, "got 'many'"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"batch_size": 1.5}, "batch_size must be at least 1, got 1.5"),
        ({"device": "gpu"}, "device must be one of auto, cpu, cuda, mps, got 'gpu'"),
        ({"device": "mps"}, "no 'mps' here"),
        ({"precision": "half"}, "precision must be one of float32, bfloat16, got 'half'"),
    ],
)
def test_settings_are_checked_before_work(images, saved, tmp_path, options, words):
    out = tmp_path / "out"
    with pytest.raises(ConfigurationError, match=words):
        lungpatch.detect_folder(images, out, pipeline=saved, **options)
    assert not out.exists()


def test_auto_takes_no_more_workers_than_cores_and_none_for_few_images(monkeypatch):
    monkeypatch.setattr(workers_module.os, "sched_getaffinity", lambda _: range(6), raising=False)
    per = workers_module.IMAGES_PER_WORKER
    assert [count_workers("auto", n) for n in (0, per, 2 * per - 1, 2 * per, 99 * per)] == [
        1, 1, 1, 2, 6
    ]  # fmt: skip
    assert count_workers(9, 1) == 9
