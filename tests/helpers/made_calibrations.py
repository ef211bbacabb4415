"""Calibrations with known scores."""

from __future__ import annotations

import numpy as np

from lungpatch.containers import ColourScale
from lungpatch.pipeline import Calibration


def made_calibration(n=20, **changes) -> Calibration:
    """Image scores 1 to n, region scores ten times as high."""
    scores = np.arange(1.0, n + 1)
    settings = {
        "method": "split",
        "image_scores": scores,
        "region_scores": 10 * scores,
        "threshold": 3.0,
        "region_threshold": 30.0,
        "rule": "QuantileThresholder",
        "colour_scale": ColourScale(low=0.0, high=60.0),
        "greys": np.full(n, 0.5),
        "zone_scores": {},
    }
    return Calibration(**settings | changes)
