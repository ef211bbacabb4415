"""Two lungs of different size and an image of them, drawn without the library."""

from __future__ import annotations

import numpy as np

ROWS, COLUMNS = np.mgrid[:96, :80]
LUNGS = (np.hypot((ROWS - 48) / 38, (COLUMNS - 21) / 14) < 1) | (
    np.hypot((ROWS - 44) / 30, (COLUMNS - 58) / 17) < 1
)
IMAGE = (np.where(LUNGS, 0.3, 0.7) + 0.1 * ROWS / 96 - 0.05 * COLUMNS / 80).astype(np.float32)
OTHER = (0.2 + 0.6 * ((ROWS // 7 + COLUMNS // 5) % 2)).astype(np.float32)
"""Another image: a checkerboard."""


def summary(field: np.ndarray) -> tuple[float, float, float, float]:
    """Mean, row and column of the centre of gravity, and maximum."""
    total = field.sum()
    centre = [(field * index).sum() / total for index in (ROWS, COLUMNS)]
    return float(field.mean()), *map(float, centre), float(field.max())
