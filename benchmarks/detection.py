"""Detection end to end against the bare forward pass of the same network on the same patches.

    python benchmarks/detection.py [FILMS]

FILMS is a folder of images; without it phantom images of 512x512 pixels are made. Two pipelines:
the preset `paper`, which finds the lungs first, and the same with `whole-image`, so that all time
outside the network is lungpatch's own. End to end is from the file on disk to the boxes. The bare
pass takes the patches as they are, in the pieces that the model takes them.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from interleaved import print_table, time_interleaved

import lungpatch
from lungpatch.datasets.phantom import phantom_cohort, save_cohort
from lungpatch.io.folders import find_images
from lungpatch.networks.network_model import CPU_CHUNK_PIXELS
from lungpatch.networks.torch_adapter import patches_to_tensor
from lungpatch.pipeline import Detection, pipeline_settings
from lungpatch.pipeline.configuration import build_pipeline


def main() -> None:
    parser = argparse.ArgumentParser(description="Detection benchmark.")
    parser.add_argument("images", nargs="?", type=Path)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        films = arguments.films
        if films is None:
            save_cohort(phantom_cohort(arguments.images, 0, seed=0), folder)
            films = Path(folder, "normal")
        paths = find_images(films)[: arguments.images]
        normal = [case.image for case in phantom_cohort(8, 0, seed=1, size=256)]
        for segmenter in ("unet", "whole-image"):
            compare(paths, normal, segmenter, arguments.repeats)


def compare(
    paths: list[Path], normal: list[lungpatch.ChestImage], segmenter: str, repeats: int
) -> None:
    settings = pipeline_settings(lungpatch.load_preset("paper"))
    settings["segmenter"] = {"name": segmenter}
    settings["model"]["epochs"] = 1  # the time of a pass does not depend on the weights
    settings["model"]["device"] = "cpu"
    pipeline = build_pipeline(settings, origin="benchmark").fit(normal)
    network = pipeline.model.network_
    size = CPU_CHUNK_PIXELS // pipeline.model.patch_size**2
    found = [d for d in pipeline.detect_many(paths) if isinstance(d, Detection)]
    batches = [part.pixels for d in found for part in d.patches.split(size)]
    images = [d.resized for d in found]

    def forward() -> None:
        with torch.inference_mode():
            for pixels in batches:
                network(patches_to_tensor(pixels, torch.device("cpu")))

    def segment() -> None:
        for image in images:
            pipeline.segmenter.segment(image)

    seconds = time_interleaved(
        {
            "bare forward pass": forward,
            "end to end": lambda: list(pipeline.detect_many(paths)),
            "lungs alone": segment,
        },
        repeats,
    )
    count = sum(len(pixels) for pixels in batches)
    print_table(f"segmenter {segmenter}: {len(found)} images, {count} patches", seconds)


if __name__ == "__main__":
    main()
