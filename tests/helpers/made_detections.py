"""Detections made by hand, without a pipeline."""

import numpy as np

from lungpatch.containers import (
    AnomalyMap,
    ChestImage,
    Decision,
    LungMask,
    PatchBatch,
    PatchScores,
    Reconstruction,
)
from lungpatch.containers.colours import ColourScale
from lungpatch.pipeline import Detection
from lungpatch.pipeline.localisation import localise

SCALE = ColourScale(low=1.0, high=5.0)
GRID = 64


def make_detection(
    *,
    shape=(600, 512),
    hot=6.0,
    status="ok",
    reason=None,
    name="image",
    threshold=3.0,
    spots=((16, 40),),
) -> Detection:
    """Two rectangular lungs with an anomaly score of 2 and 8 x 8 spots of score ``hot``."""
    pixels = np.random.default_rng(0).uniform(0, 1, shape).astype(np.float32)
    lungs = np.zeros((GRID, GRID), bool)
    lungs[8:56, 8:28] = lungs[8:56, 36:56] = status != "no_lungs"
    is_scored = status in ("ok", "out_of_scope")
    scored = lungs & is_scored
    heatmap = np.where(scored, 2.0, np.nan).astype(np.float32)
    for row, column in spots:
        heatmap[row : row + 8, column : column + 8] += np.float32(hot - 2.0)
    anomaly_map = AnomalyMap(heatmap=heatmap)
    count = 5 if is_scored else 0
    decision = Decision(pred_score=hot / 3, threshold=1.1, rule="quantile", p_value=0.04)
    patches = PatchBatch(
        pixels=np.zeros((count, 8, 8), np.float32),
        corners=np.zeros((count, 2), np.int64),
        lung=np.ones((count, 8, 8), bool),
        image_shape=(GRID, GRID),
        image_id=name,
    )
    return Detection(
        image=ChestImage(pixels=pixels, image_id=name, reading=("MONOCHROME1: inverted",)),
        resized=ChestImage(pixels=np.zeros((GRID, GRID), np.float32), image_id=name),
        lungs=LungMask(pixels=lungs),
        patches=patches,
        reconstruction=Reconstruction(
            target=patches.pixels[:, None], expected=patches.pixels[:, None]
        ),
        scores=PatchScores(values=np.ones(count), support=patches.lung),
        anomaly_map=anomaly_map,
        pred_score=hot / 3 if count else None,
        decision=decision if status == "ok" else None,
        localisation=localise(
            anomaly_map,
            threshold if status == "ok" else np.inf,
            calibration_scores=np.linspace(0, 5, 49),
        ),
        status=status,
        reason=reason,
        seconds=0.1 + 0.2,
    )
