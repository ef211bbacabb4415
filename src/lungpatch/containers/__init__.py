"""The values that flow through a pipeline, one class per step.

All are frozen, take keyword arguments only, check their values, and hold read-only arrays.
Axis order is (row, column) everywhere; boxes are half-open ``(row0, col0, row1, col1)``.
"""

from lungpatch.containers.anomaly_map import AnomalyMap
from lungpatch.containers.arrays import BoolImage, Box, FloatImage
from lungpatch.containers.chest_image import ChestImage
from lungpatch.containers.colours import ColourScale
from lungpatch.containers.decision import Decision, Localisation
from lungpatch.containers.history import TrainingHistory
from lungpatch.containers.lung_coordinates import LungFrame
from lungpatch.containers.lung_mask import LungMask
from lungpatch.containers.patches import PatchBatch
from lungpatch.containers.reconstruction import Reconstruction
from lungpatch.containers.scores import PatchScores

__all__ = [
    "AnomalyMap",
    "BoolImage",
    "Box",
    "ChestImage",
    "ColourScale",
    "Decision",
    "FloatImage",
    "Localisation",
    "LungFrame",
    "LungMask",
    "PatchBatch",
    "PatchScores",
    "Reconstruction",
    "TrainingHistory",
]
