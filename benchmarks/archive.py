"""Folders of images: how fast, what a kill costs, and how much memory.

    python benchmarks/archive.py ../shared/data/cxr/pneumonia --base OLDER_SOURCES --repeats 3
    python benchmarks/archive.py ../shared/data/cxr/pneumonia --scores OLDER_SOURCES
    python benchmarks/archive.py ../shared/data/cxr/pneumonia --network
    python benchmarks/archive.py ../shared/data/cxr/pneumonia --peers ../shared/data/cxr/normal
    python benchmarks/archive.py ../shared/data/cxr/pneumonia --kills 10
    python benchmarks/archive.py ../shared/data/cxr/pneumonia --memory

Speed: `lungpatch detect` by the command line, its start included, in turns with the same command of
another source tree (`--base`, a folder that holds the package `lungpatch`), with PyTorch and with
the pipeline exported to ONNX. Wall time and processor time of all its processes, both the fastest
run and the median: other programs lengthen the first much and the second little.

`--scores`: what records, masks and maps have in common with those of another source tree that has
the same detector.

`--network`: processor time of one process from files to files, against a second pass of the same
inputs through the same prepared networks, and nothing else; with PyTorch and with ONNX Runtime.

`--peers FOLDER`: processor time of one process, on one thread, from files to results, in turns with
detectors of anomalib and PyOD that were fitted to the normal images of FOLDER. It takes the
environment of `peers.py`.

`--kills N`: the command is killed (SIGKILL) N times and started again with `--resume`; then, in
another folder, N times one of its workers is killed, in as many runs as that takes. Records and
files are compared with those of an undisturbed run.

`--memory`: the peak of the memory of all processes together, with the images four and 40 times
under other names, without overlays and maps.

Each part writes a table: `archive.inc`, `archive_scores.inc`, `archive_network.inc`,
`archive_peers.inc`, `archive_kills.inc`, `archive_memory.inc`.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import unittest.mock
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import threadpoolctl
import tifffile
import torch
from tables import markdown_table, write_table

import lungpatch
from lungpatch._utils.freed_memory import keep_freed_memory
from lungpatch.features import network_extractor
from lungpatch.io import find_images, read_mask
from lungpatch.networks.onnx_network import OnnxNetwork
from lungpatch.networks.torch_adapter import reproducible

if TYPE_CHECKING:
    from collections.abc import Callable

PLAIN = ["--no-overlays", "--no-maps"]
TRAINING_SECONDS = 180
"""Time that a peer may train: one pass over the images, which fills a memory, has to fit in."""


def main() -> None:
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        images = work / "images"
        images.mkdir()
        for path in find_images(arguments.folder)[: arguments.count]:
            shutil.copy(path, images)
        parts: dict[str, Callable[[], str]] = {}
        if arguments.base is not None:
            parts["archive"] = lambda: compare_speed(work, arguments)
        if arguments.scores is not None:
            parts["archive_scores"] = lambda: compare_scores(work, arguments)
        if arguments.network:
            parts["archive_network"] = lambda: compare_with_networks(work, arguments.repeats)
        if arguments.peers is not None:
            parts["archive_peers"] = lambda: compare_with_peers(work, arguments)
        if arguments.kills:
            parts["archive_kills"] = lambda: kill(work, arguments)
        if arguments.memory:
            parts["archive_memory"] = lambda: measure_memory(work, arguments)
        for name, part in parts.items():
            write_table(name, part(), arguments.out, publish=arguments.publish)


# ------------------------------------------------------------------------------------- speed


def compare_speed(work: Path, arguments: argparse.Namespace) -> str:
    workers = ["--workers", str(arguments.workers)]
    exported = [*workers, "--pipeline", str(export(work))]
    contenders: dict[str, tuple[list[str], Path | None]] = {
        "commit before": ([], arguments.base),
        "all outputs": (workers, None),
        "without overlays and maps": ([*workers, *PLAIN], None),
        "exported to ONNX, all outputs": (exported, None),
        "exported to ONNX, without overlays and maps": ([*exported, *PLAIN], None),
    }
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for _ in range(arguments.repeats):
        for name, (options, source) in contenders.items():
            # A new folder each time: ext4 makes files slowly while many have just been removed.
            out = tempfile.mkdtemp(dir=work)
            runs[name].append(timed(work, options, source, out=out))
            print(name, *runs[name][-1], f"load {os.getloadavg()[0]:.1f}", flush=True)
    count = len(list((work / "images").iterdir()))
    rows = []
    units = [_best_and_median(list(each)) for each in zip(*runs["commit before"], strict=True)]
    for name, times in runs.items():
        wall, processor = (_best_and_median(list(each)) for each in zip(*times, strict=True))
        rows.append(
            (
                name,
                *(f"{count / seconds:.1f}" for seconds in wall),
                *(f"{unit / seconds:.1f}" for unit, seconds in zip(units[0], wall, strict=True)),
                *(f"{1000 * seconds / count:.0f} ms" for seconds in processor),
                f"{units[1][1] / processor[1]:.1f}",
            )
        )
    head = (
        "", "images per second, fastest", "median", "ratio, fastest", "median",
        "processor time per image, fastest", "median", "ratio, median",
    )  # fmt: skip
    return markdown_table(head, rows)


def export(work: Path) -> Path:
    return lungpatch.export_onnx("default", work / "exported.lungpatch")


def _best_and_median(values: list[float]) -> tuple[float, float]:
    return min(values), statistics.median(values)


def timed(work: Path, options: list[str], source: Path | None, *, out: str) -> tuple[float, float]:
    """Return the seconds that a command took by the clock, and by processor."""
    start = time.perf_counter()
    process = begin(work, options, out=out, source=source)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, status
    process.returncode = 0
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime


def begin(
    work: Path, options: list[str], *, out: str = "out", source: Path | None = None
) -> subprocess.Popen[bytes]:
    command = ["detect", str(work / "images"), "--out", str(work / out), *options]
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    path = Path(lungpatch.__file__).parents[1] if source is None else source.absolute()
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "lungpatch", *command],
        cwd=work,
        env=environment | {"PYTHONPATH": str(path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


# ------------------------------------------------------------------------------------ scores


def compare_scores(work: Path, arguments: argparse.Namespace) -> str:
    workers = ["--workers", str(arguments.workers)]
    runs: dict[str, tuple[list[str], Path | None]] = {
        "before": ([], arguments.scores),
        "PyTorch": (workers, None),
        "exported to ONNX": ([*workers, "--pipeline", str(export(work))], None),
    }
    for name, (options, source) in runs.items():
        assert begin(work, options, out=name, source=source).wait() == 0
    rows = [(name, *differences(work / name, work / "before")) for name in list(runs)[1:]]
    head = (
        "", "images", "largest difference of scores", "of maps", "other decisions",
        "other boxes", "other lung masks", "pixels of masks that differ, at most",
    )  # fmt: skip
    return markdown_table(head, rows)


def differences(out: Path, expected: Path) -> tuple[object, ...]:
    """Compare what was found in the same images."""
    scores, maps, pixels = [0.0], [0.0], [0]
    decisions = boxes = 0
    pairs = list(zip(records_of(out), records_of(expected), strict=True))
    for found, wanted in pairs:
        assert found["image"] == wanted["image"]
        decisions += found["pred_label"] != wanted["pred_label"]
        boxes += found["boxes"] != wanted["boxes"]
        both = ((out, found), (expected, wanted))
        one, other = (read_mask(folder / record["mask"]) for folder, record in both)
        pixels.append(int((one != other).sum()))
        if None not in (found["pred_score"], wanted["pred_score"]):
            scores.append(abs(found["pred_score"] - wanted["pred_score"]))
            one, other = (tifffile.imread(folder / each["anomaly_map"]) for folder, each in both)
            maps.append(float(np.nanmax(np.abs(one - other))))
    return (
        len(pairs), f"{max(scores):.1g}", f"{max(maps):.1g}", decisions, boxes,
        sum(count > 0 for count in pixels), max(pixels),
    )  # fmt: skip


# ----------------------------------------------------------------------------------- networks


def compare_with_networks(work: Path, repeats: int) -> str:
    keep_freed_memory()  # as the processes of an archive do
    parts = {
        "PyTorch": networks_by_torch(work, lungpatch.load_pipeline("default")),
        "ONNX": networks_by_onnx(work, lungpatch.load_pipeline(export(work))),
    }
    contenders = {
        f"{name}: {part}": run for name, runs in parts.items() for part, run in runs.items()
    }
    return processor_times(contenders, repeats, count=len(list((work / "images").iterdir())))


def networks_by_torch(work: Path, pipeline: lungpatch.Pipeline) -> dict[str, Callable[[], None]]:
    recorded: list[tuple[torch.nn.Module, tuple[Any, ...]]] = []
    depth = 0

    def enter(module: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        nonlocal depth
        if depth == 0:
            recorded.append((module, tuple(each.clone() for each in inputs)))
        depth += 1

    def leave(*_: object) -> None:
        nonlocal depth
        depth -= 1

    runs = from_files(work, pipeline)
    runs["all outputs"]()  # networks are prepared once
    hooks = [
        torch.nn.modules.module.register_module_forward_pre_hook(enter),
        torch.nn.modules.module.register_module_forward_hook(leave),
    ]
    runs["all outputs"]()
    for hook in hooks:
        hook.remove()

    def forward() -> None:
        network_extractor._running.outputs = {}  # where layers put what is asked of them
        with torch.inference_mode(), reproducible(torch.device("cpu")):
            for module, inputs in recorded:
                module(*inputs)

    return {"networks alone": forward} | runs


def networks_by_onnx(work: Path, pipeline: lungpatch.Pipeline) -> dict[str, Callable[[], None]]:
    recorded: list[tuple[OnnxNetwork, tuple[Any, ...]]] = []
    run = OnnxNetwork.run

    def record(network: OnnxNetwork, *inputs: Any) -> list[Any]:
        recorded.append((network, inputs))
        return run(network, *inputs)

    runs = from_files(work, pipeline)
    with unittest.mock.patch.object(OnnxNetwork, "run", record):
        runs["all outputs"]()

    def forward() -> None:
        for network, inputs in recorded:
            network.run(*inputs)

    return {"networks alone": forward} | runs


def from_files(work: Path, pipeline: lungpatch.Pipeline) -> dict[str, Callable[[], None]]:
    """Return what does all of the work, in one process."""

    def detect(**options: bool) -> None:
        out = tempfile.mkdtemp(dir=work)
        lungpatch.detect_folder(work / "images", out, pipeline=pipeline, workers=1, **options)

    return {
        "all outputs": detect,
        "without overlays and maps": lambda: detect(overlays=False, maps=False),
    }


def processor_times(
    contenders: dict[str, Callable[[], object]], repeats: int, *, count: int
) -> str:
    """Return a table of processor time per image, in turns.

    Ratios are to the first one that has the same beginning, up to a colon.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, run in contenders.items():
            start = time.process_time()
            run()
            seconds[name].append(time.process_time() - start)
            print(name, seconds[name][-1], flush=True)
    units: dict[str, tuple[float, float]] = {}
    rows = []
    for name, times in seconds.items():
        found = _best_and_median(times)
        unit = units.setdefault(name.rpartition(":")[0], found)
        rows.append(
            (
                name,
                *(f"{1000 * each / count:.1f} ms" for each in found),
                *(f"{each / one:.2f}" for each, one in zip(found, unit, strict=True)),
            )
        )
    head = ("", "processor time per image, fastest", "median", "ratio, fastest", "median")
    return markdown_table(head, rows)


# -------------------------------------------------------------------------------------- peers


def compare_with_peers(work: Path, arguments: argparse.Namespace) -> str:
    from peer_libraries import peers_to_time

    images = work / "images"
    runs = from_files(work, lungpatch.load_pipeline("default"))
    contenders: dict[str, Callable[[], object]] = {
        f"lungpatch, {name}": runs[name] for name in ("without overlays and maps", "all outputs")
    }
    for name, peer in peers_to_time(TRAINING_SECONDS).items():
        print(name, peer.fit(arguments.peers), flush=True)
        contenders[name] = functools.partial(peer.score, images)
    torch.set_num_threads(1)
    with threadpoolctl.threadpool_limits(1):
        for run in contenders.values():  # what is done once only does not count
            run()
        return processor_times(contenders, arguments.repeats, count=len(list(images.iterdir())))


# -------------------------------------------------------------------------------------- kills


def kill(work: Path, arguments: argparse.Namespace) -> str:
    options = ["--workers", str(arguments.workers), "--resume"]
    assert begin(work, options, out="undisturbed").wait() == 0
    rng = random.Random(arguments.seed)
    return markdown_table(
        ("killed", "kills", "records when killed", "errors before the last run", "in the end"),
        [
            kill_parents(work, options, arguments.kills, rng),
            kill_workers(work, options, arguments.kills, rng),
        ],
    )


def kill_parents(
    work: Path, options: list[str], kills: int, rng: random.Random
) -> tuple[object, ...]:
    moments: list[int] = []
    count = len(list((work / "images").iterdir()))
    while len(moments) < kills:
        # While it starts, or when some more records are there.
        more = rng.randrange(2 * count // kills)
        wanted = more + len(records_of(work / "parents")) if more else 0
        process = begin(work, options, out="parents")
        while process.poll() is None and len(records_of(work / "parents")) < wanted:
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.3 if more else 5.0))
        if process.poll() is not None:  # it was done before; begin anew
            shutil.rmtree(work / "parents")
            continue
        process.kill()
        process.wait()
        moments.append(len(records_of(work / "parents")))
        print("killed at", moments[-1], "records", flush=True)
    errors = count_errors(work / "parents")
    assert begin(work, options, out="parents").wait() == 0
    counts = ", ".join(map(str, moments))
    return "the command", kills, counts, errors, compare(work / "parents", work / "undisturbed")


def kill_workers(
    work: Path, options: list[str], kills: int, rng: random.Random
) -> tuple[object, ...]:
    moments: list[int] = []
    errors, found = 0, set()
    count = len(list((work / "images").iterdir()))
    while len(moments) < kills:
        shutil.rmtree(work / "workers", ignore_errors=True)
        process = begin(work, options, out="workers")
        while process.poll() is None and len(moments) < kills:
            wanted = len(records_of(work / "workers")) + rng.randrange(1, 2 * count // kills)
            while process.poll() is None and len(records_of(work / "workers")) < wanted:
                time.sleep(0.01)
            time.sleep(rng.uniform(0.0, 0.3))
            if workers := workers_of(process.pid):
                os.kill(rng.choice(workers), signal.SIGKILL)
                moments.append(len(records_of(work / "workers")))
                print("killed a worker at", moments[-1], "records", flush=True)
        assert process.wait() in (0, 3)
        errors += count_errors(work / "workers")
        assert begin(work, options, out="workers").wait() == 0
        found.add(compare(work / "workers", work / "undisturbed"))
    counts = ", ".join(map(str, moments))
    return "one of its workers", len(moments), counts, errors, "; ".join(sorted(found))


def records_of(out: Path) -> list[dict[str, Any]]:
    path = out / "detections.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    records = [json.loads(line) for line in lines]
    for record in records:
        record.pop("seconds", None)
    return records


def count_errors(out: Path) -> int:
    return sum(record["status"] == "error" for record in records_of(out))


def compare(out: Path, expected: Path) -> str:
    """Say whether records, but for times, and files of images are equal."""
    same = "the same records" if records_of(out) == records_of(expected) else "OTHER RECORDS"
    kinds = ("*.png", "*.jpg", "*.tiff", "*.svg")
    files = sorted(path for kind in kinds for path in expected.rglob(kind))
    other = [
        path for path in files
        if path.read_bytes() != (out / path.relative_to(expected)).read_bytes()
    ]  # fmt: skip
    return f"{same}, {len(files) - len(other)} of {len(files)} files equal"


def workers_of(parent: int) -> list[int]:
    """Return the processes that a process has started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status = (entry / "stat").read_text()
            except OSError:
                continue
            if int(status.rpartition(")")[2].split()[1]) == parent:
                found.append(int(entry.name))
    return found


# -------------------------------------------------------------------------------------- memory


def measure_memory(work: Path, arguments: argparse.Namespace) -> str:
    images = work / "images"
    originals = sorted(images.iterdir())
    options = ["--workers", str(arguments.workers), *PLAIN]
    rows = []
    done = 1
    for times in (4, 40):
        for number in range(done, times):
            for path in originals:  # symbolic links to one file would be one image
                os.link(path, images / f"copy{number}-{path.name}")
        done = times
        shutil.rmtree(work / "out", ignore_errors=True)
        process = begin(work, options)
        peak_of_all = peak_of_parent = 0
        while process.poll() is None:
            parent = memory_of(process.pid)
            others = sum(memory_of(worker) for worker in workers_of(process.pid))
            peak_of_parent = max(peak_of_parent, parent)
            peak_of_all = max(peak_of_all, parent + others)
            time.sleep(0.1)
        assert process.returncode == 0
        count = len(records_of(work / "out"))
        rows.append((count, f"{peak_of_all / 1e6:.0f} MB", f"{peak_of_parent / 1e6:.0f} MB"))
        print(*rows[-1], flush=True)
    return markdown_table(("images", "peak of all processes", "of which started the others"), rows)


def memory_of(process: int) -> int:
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of images")
    parser.add_argument("--count", type=int, help="number of images; by default all")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--base", type=Path, help="folder that holds another lungpatch")
    parser.add_argument("--scores", type=Path, help="folder that holds another lungpatch")
    parser.add_argument("--network", action="store_true")
    parser.add_argument("--peers", type=Path, help="folder of normal images to fit peers to")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder for the tables")
    parser.add_argument(
        "--publish", action="store_true", help="write the tables into the documentation, too"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
