"""A driver of Ray in a process of its own, which Ray's threads and warnings do not leave.

detect_with_ray.py bytes|killed|deadly IMAGES PIPELINE OUT
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import ray
import ray.data
from deadly_detector import DeadlyDetector

from lungpatch.archive import ray as archive_ray

kind, images, pipeline, out = sys.argv[1:]
mark = Path(out, "killed")


class KilledOnce(archive_ray.RecordBatches):
    """The actor that gets an image in the middle first is killed, as if memory ran out."""

    def __call__(self, batch):
        has_it = any(path.endswith("07.png") for path in batch["path"].to_pylist())
        if has_it and not mark.exists():
            mark.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(batch)


ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False, object_store_memory=100 * 2**20)
if kind == "killed":
    archive_ray.RecordBatches = KilledOnce
if kind == "deadly":
    archive_ray.ImageDetector = DeadlyDetector
if kind in ("killed", "deadly"):
    paths = sorted(Path(images).iterdir())
    items = [{"path": str(path), "patient": "x"} for path in paths]
    dataset = ray.data.from_items(items, override_num_blocks=6)
    concurrency = (2, 2)
else:
    dataset, concurrency = ray.data.read_binary_files(images, include_paths=True), 2
result = archive_ray.detect_dataset(
    dataset, pipeline=pipeline, batch_size=2, concurrency=concurrency
)
result.write_parquet(f"{out}/records")
ray.shutdown()
