"""What many images cost: the parts of the work, the sum for an archive, stragglers and failures.

    python benchmarks/planning.py ../shared/data/cxr/pneumonia

Measures processor time on one core, for images of the folder that are brought to the sizes and
formats of archives (bicubic, with noise as detectors have); multiplies; and simulates workers of
unequal speed, some of which die. Writes the tables `planning_parts.inc`, `planning_sums.inc` and
`planning_simulation.inc`.
"""

from __future__ import annotations

import argparse
import heapq
import io
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import numpy as np
import pydicom
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless
from tables import markdown_table, write_table

import lungpatch
from lungpatch.io import find_images
from lungpatch.reports import detection_record, write_anomaly_map, write_mask, write_overlay
from lungpatch.reports.worklist import write_views

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lungpatch.pipeline import Detection, Pipeline

N_IMAGES = 4
NOISE = 0.008
"""Standard deviation, of white 1: two grey levels of 256."""

ARCHIVES = (100_000, 10_000_000)
CORES = {100_000: 16, 10_000_000: 1000}
CHUNKS = (1000, 100, 10)
SEEDS = {100_000: 20, 10_000_000: 2}
IMAGE_SPREAD = 0.5
"""Standard deviation of the time per image, of its mean."""

RESTART = 300.0
"""Seconds until a worker that died is replaced."""


@attrs.frozen
class Parts:
    """Medians per image: seconds of one core, and bytes."""

    name: str
    file: float
    read: float
    detect: float
    mask: float
    views: float
    map: float
    mask_bytes: float
    views_bytes: float
    map_bytes: float
    record_bytes: float

    def seconds(self, outputs: str) -> float:
        """Return the seconds per image, with the outputs that `OUTPUTS` names."""
        each = {"records": 0.0, "overlays": self.mask + self.views}
        each["everything"] = each["overlays"] + self.map
        return self.read + self.detect + each[outputs]

    def bytes(self, outputs: str) -> float:
        """Return the bytes per image that are written."""
        each = {"records": 0.0, "overlays": self.mask_bytes + self.views_bytes}
        each["everything"] = each["overlays"] + self.map_bytes
        return self.record_bytes + each[outputs]


OUTPUTS = ("records", "overlays", "everything")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path)
    parser.add_argument("--out", type=Path, help="folder for the tables")
    parser.add_argument("--publish", action="store_true", help="write them into the documentation")
    arguments = parser.parse_args()
    start = time.process_time()
    pipeline = lungpatch.load_pipeline("default")
    with tempfile.TemporaryDirectory() as work:
        sources = find_images(arguments.images)[:N_IMAGES]
        pipeline.detect(sources[0])
        print(f"a worker is ready after {time.process_time() - start:.1f} s of one core")
        parts = [
            measured(name, [write(path, Path(work)) for path in sources], pipeline, Path(work))
            for name, write in FORMATS.items()
        ]
    options = {"out": arguments.out, "publish": arguments.publish}
    write_table("planning_parts", parts_table(parts), **options)
    write_table("planning_sums", sums_table(parts), **options)
    seconds = parts[0].seconds("records")
    write_table("planning_simulation", simulation_table(seconds), **options)


def pixels_of(path: Path, height: int, width: int) -> np.ndarray:
    """Return a radiograph as a detector of that size would give it, in [0, 1]."""
    small = Image.fromarray(lungpatch.read_image(path).pixels)
    large = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))
    noise = np.random.default_rng(0).normal(0.0, NOISE, large.shape)
    return np.clip(large + noise, 0.0, 1.0)


def picture(side: int, suffix: str, **options: int) -> Callable[[Path, Path], Path]:
    def write(source: Path, folder: Path) -> Path:
        levels = np.round(pixels_of(source, side, side) * 255).astype(np.uint8)
        path = folder / f"{source.stem}-{side}{suffix}"
        Image.fromarray(levels).save(path, **options)
        return path

    return write


def dicom(syntax: pydicom.uid.UID) -> Callable[[Path, Path], Path]:
    def write(source: Path, folder: Path) -> Path:
        levels = np.round(pixels_of(source, 2500, 2000) * 4095).astype(np.uint16)
        dataset = pydicom.Dataset()
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = (
            "1.2.840.10008.5.1.4.1.1.1.1"
        )
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.Rows, dataset.Columns = levels.shape
        dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
        dataset.WindowCenter, dataset.WindowWidth = 2048, 4096
        if syntax == ExplicitVRLittleEndian:
            dataset.PixelData = levels.tobytes()
        else:
            stream = io.BytesIO()
            Image.fromarray(levels).save(stream, "JPEG2000", no_jp2=True, irreversible=False)
            dataset.PixelData = encapsulate([stream.getvalue()])
        path = folder / f"{source.stem}-{syntax}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        return path

    return write


FORMATS = {
    "PNG, 512 x 512": picture(512, ".png"),
    "PNG, 2048 x 2048": picture(2048, ".png"),
    "JPEG, 2048 x 2048": picture(2048, ".jpg", quality=90),
    "DICOM, 2500 x 2000, 12 bits": dicom(ExplicitVRLittleEndian),
    "the same, JPEG 2000 lossless": dicom(JPEG2000Lossless),
}


def measured(name: str, paths: list[Path], pipeline: Pipeline, work: Path) -> Parts:
    """Measure the parts of the work on images of one format."""
    scale = pipeline.calibration_.colour_scale
    rows = []
    for path in paths:
        out = work / f"{path.name}-found"
        read, image = timed(lambda path=path: lungpatch.read_image(path))
        detect, detection = timed(lambda image=image: pipeline.detect(image))
        mask, _ = timed(lambda d=detection, o=out: write_mask(o / "mask.png", d.native_lungs))

        def views(detection: Detection = detection, out: Path = out, name: str = path.stem) -> None:
            write_overlay(out / "overlay.jpg", detection, scale)
            write_views(out, name, detection, scale)

        before = size(out)
        viewing, _ = timed(views)
        views_bytes = size(out) - before
        mapping, _ = timed(lambda d=detection, o=out: write_anomaly_map(o / "map.tiff", d))
        rows.append(
            (
                path.stat().st_size, read, detect, mask, viewing, mapping, before, views_bytes,
                (out / "map.tiff").stat().st_size,
                len(json.dumps(detection_record(detection, source=str(path)))),
            )
        )  # fmt: skip
    return Parts(name, *map(statistics.median, zip(*rows, strict=True)))


def timed(work: Callable[[], object]) -> tuple[float, object]:
    """Return the shorter of two processor times of some work, and what it gave."""
    times = []
    for _ in range(2):
        start = time.process_time()
        result = work()
        times.append(time.process_time() - start)
    return min(times), result


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def parts_table(parts: list[Parts]) -> str:
    head = (
        "per image", "file", "read", "detect", "mask", "overlay and page", "map",
        "mask and overlay", "map on disk", "record",
    )  # fmt: skip
    rows = [
        (
            part.name, f"{part.file / 1e6:.2f} MB",
            *(f"{1000 * value:.0f} ms" for value in attrs.astuple(part)[2:7]),
            f"{(part.mask_bytes + part.views_bytes) / 1e3:.0f} kB",
            f"{part.map_bytes / 1e6:.2f} MB", f"{part.record_bytes / 1e3:.1f} kB",
        )
        for part in parts
    ]  # fmt: skip
    return markdown_table(head, rows)


def sums_table(parts: list[Parts]) -> str:
    head = (
        "images", "core hours", "to read", "at 1 Gbit/s", "to write", "cores", "hours",
        "network that they need",
    )  # fmt: skip
    rows = []
    for count in ARCHIVES:
        cores = CORES[count]
        for part in parts:
            hours = [count * part.seconds(outputs) / 3600 for outputs in OUTPUTS]
            rows.append(
                (
                    f"{count:,}: {part.name}",
                    " / ".join(f"{value:,.0f}" for value in hours),
                    amount(count * part.file),
                    f"{count * part.file * 8 / 1e9 / 3600:,.1f} h",
                    " / ".join(amount(count * part.bytes(outputs)) for outputs in OUTPUTS),
                    f"{cores:,}",
                    " / ".join(f"{value / cores:.1f}" for value in hours),
                    f"{cores * part.file * 8 / part.seconds(OUTPUTS[0]) / 1e9:,.1f} Gbit/s",
                )
            )
    return markdown_table(head, rows)


def amount(count: float) -> str:
    return f"{count / 1e12:.2f} TB" if count >= 1e12 else f"{count / 1e9:.1f} GB"


@attrs.frozen
class Trouble:
    """What befalls workers."""

    name: str
    speed_spread: float = 0.0
    dying: float = 0.0
    slow: float = 0.0


TROUBLES = (
    Trouble("equal workers"),
    Trouble("speeds spread by 30 %", speed_spread=0.3),
    Trouble("and one worker in ten dies", speed_spread=0.3, dying=0.1),
    Trouble("and one in fifty is ten times slower", speed_spread=0.3, dying=0.1, slow=0.02),
)


def simulation_table(seconds: float) -> str:
    head = ("images, workers", "trouble", "equal parts", *(f"chunks of {n}" for n in CHUNKS))
    rows = []
    for count in ARCHIVES:
        workers = CORES[count]
        for trouble in TROUBLES:
            cells = []
            for chunk in (count // workers, *CHUNKS):
                ratios = [
                    makespan(count, workers, chunk, seconds, trouble, np.random.default_rng(seed))
                    for seed in range(SEEDS[count])
                ]
                cells.append(f"{statistics.mean(ratios):.2f} (to {max(ratios):.2f})")
            rows.append((f"{count:,}, {workers}", trouble.name, *cells))
    return markdown_table(head, rows)


def makespan(
    count: int,
    workers: int,
    chunk: int,
    seconds: float,
    trouble: Trouble,
    rng: np.random.Generator,
) -> float:
    """Return the time until all images are done, divided by that of workers without trouble.

    Workers take the next chunk when they are free. Each dies once at most, with the chance and at
    a moment that `trouble` says; its chunk is begun again by another.
    """
    speeds = np.exp(rng.normal(0.0, trouble.speed_spread, workers))
    ideal = count * seconds / speeds.sum()
    speeds[rng.random(workers) < trouble.slow] /= 10
    deaths = np.where(rng.random(workers) < trouble.dying, rng.random(workers) * ideal, np.inf)
    work = chunk_times(count, chunk, seconds, rng)
    free = [(0.0, worker) for worker in range(workers)]
    again: list[tuple[float, float]] = []
    end = 0.0
    while True:
        now, worker = heapq.heappop(free)
        if again and again[0][0] <= now:
            _, task = heapq.heappop(again)
        elif (task := next(work, None)) is None:
            if not again:
                return end / ideal
            lost, task = heapq.heappop(again)
            now = max(now, lost)
        done = now + task / speeds[worker]
        if done > deaths[worker]:
            died = max(now, deaths[worker])
            heapq.heappush(again, (died, task))
            heapq.heappush(free, (died + RESTART, worker))
            deaths[worker] = np.inf
        else:
            end = max(end, done)
            heapq.heappush(free, (done, worker))


def chunk_times(
    count: int, chunk: int, seconds: float, rng: np.random.Generator
) -> Iterator[float]:
    """Yield the time that each chunk takes a worker of speed 1."""
    sizes = np.full(-(-count // chunk), float(chunk))
    sizes[-1] = count - chunk * (len(sizes) - 1)
    shape = 1 / IMAGE_SPREAD**2  # of the time of one image; of a sum, the sum
    return iter((rng.gamma(shape * sizes) * seconds / shape).tolist())


if __name__ == "__main__":
    main()
