"""What worker processes run: importable, so that spawned ones find it."""

from __future__ import annotations

import functools

import numpy as np
import torch

import lungpatch
from lungpatch.datasets.phantom import phantom_cohort

SEED = 5


@functools.cache
def images():
    """Three phantom images, with opacities and without."""
    return [case.image for case in phantom_cohort(1, 2, seed=SEED, size=256)]


@functools.cache
def pipeline(name):
    """A shipped pipeline, loaded once per process."""
    return lungpatch.load_pipeline(name)


def arrays(detection):
    """All that a pipeline computed of an image, as arrays that can be compared bit by bit."""
    return {
        "score": np.array(detection.decision.pred_score),
        "scores": detection.scores.values,
        "lungs": detection.lungs.pixels,
        "target": detection.reconstruction.target,
        "heatmap": detection.anomaly_map.heatmap,
        "boxes": detection.localisation.boxes,
    }


def detect(job):
    """Return what a shipped pipeline finds in one of the images."""
    torch.set_num_threads(1)  # as in the tests: other numbers may change the last bits
    name, index = job
    return arrays(pipeline(name).detect(images()[index]))


class Detections(torch.utils.data.Dataset):
    """Detects in the images that are asked for."""

    def __init__(self, pipeline):
        self.pipeline = pipeline

    def __len__(self):
        return len(images())

    def __getitem__(self, index):
        return arrays(self.pipeline.detect(images()[index]))


class Pixels(torch.utils.data.Dataset):
    """Reads the files that are asked for."""

    def __init__(self, paths):
        self.paths = paths

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        return lungpatch.read_image(self.paths[index]).pixels
