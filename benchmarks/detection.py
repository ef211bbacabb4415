"""Detection end to end against the bare forward pass of the same network on the same patches.

    python benchmarks/detection.py [FOLDER]

FOLDER holds images; without it phantom images of 512x512 pixels are made. Two pipelines are timed:
the preset `paper`, which segments the lungs first, and the same with `whole-image`, where all time
outside the network is lungpatch's. End to end is from the file on disk to the boxes. The bare pass
takes the patches as they are, in batches of the model's size, through the same prepared network on
one thread. Writes the table `detection.inc`. Folders, and other libraries, are in `archive.py`.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from interleaved import time_interleaved
from tables import markdown_table, write_table

import lungpatch
from lungpatch._utils.devices import CPU_CHUNK_PIXELS
from lungpatch.datasets import phantom_cohort, save_cohort
from lungpatch.io import find_images
from lungpatch.networks.prepared import prepare
from lungpatch.networks.torch_adapter import inference, patches_to_tensor
from lungpatch.pipeline import Detection, build_pipeline, pipeline_settings


def main() -> None:
    parser = argparse.ArgumentParser(description="Detection benchmark.")
    parser.add_argument("folder", nargs="?", type=Path, help="folder of images")
    parser.add_argument("--count", type=int, default=16, help="number of images")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument(
        "--publish", action="store_true", help="write the table into the documentation, too"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder
        if folder is None:
            save_cohort(phantom_cohort(arguments.count, 0, seed=0), temporary)
            folder = Path(temporary, "normal")
        paths = find_images(folder)[: arguments.count]
        normal = [case.image for case in phantom_cohort(8, 0, seed=1, size=256)]
        rows = [
            compare(paths, normal, segmenter, arguments.repeats)
            for segmenter in ("whole-image", "unet")
        ]
    head = ("segmenter", "images", "patches", "bare pass", "end to end", "ratio", "segmentation")
    write_table("detection", markdown_table(head, rows), None, publish=arguments.publish)


def compare(
    paths: list[Path], normal: list[lungpatch.ChestImage], segmenter: str, repeats: int
) -> tuple[object, ...]:
    settings = pipeline_settings(lungpatch.load_preset("paper"))
    settings["segmenter"] = {"name": segmenter}
    settings["model"]["epochs"] = 1  # the time of a pass does not depend on the weights
    settings["model"]["device"] = "cpu"
    pipeline = build_pipeline(settings, origin="benchmark").fit(normal)
    cpu = torch.device("cpu")
    network = prepare(pipeline.model.network_, cpu)
    size = CPU_CHUNK_PIXELS // pipeline.model.patch_size**2
    found = [d for d in pipeline.detect_many(paths) if isinstance(d, Detection)]
    batches = [part.pixels for d in found for part in d.patches.split(size)]
    images = [d.resized for d in found]

    def forward() -> None:
        with inference(cpu, "float32"):
            for pixels in batches:
                network(patches_to_tensor(pixels, cpu))

    def segment() -> None:
        for image in images:
            pipeline.segmenter.segment(image)

    bare, whole, lungs = time_interleaved(
        {
            "bare forward pass": forward,
            "end to end": lambda: list(pipeline.detect_many(paths)),
            "segmentation": segment,
        },
        repeats,
    ).values()
    count = sum(len(pixels) for pixels in batches)
    times = (f"{bare:.0f} ms", f"{whole:.0f} ms", f"{whole / bare:.2f}", f"{lungs:.0f} ms")
    return (f"`{segmenter}`", len(found), count, *times)


if __name__ == "__main__":
    main()
