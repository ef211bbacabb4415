"""Small cases whose metrics can be worked out by hand."""

import numpy as np
import pytest

from lungpatch.evaluation.cases import GRID_SIZE, Case, boxes_mask, distinct_boxes

ROLES = {"opacity": "positive", "read-normal": "reference", "normal": "normal", "other": "neither"}


def _case(index=0, *, boxes=(), kind="opacity", patient=None, view="PA", lungs=None):
    boxes = distinct_boxes(np.array(boxes, dtype=np.int64).reshape(-1, 4))
    if lungs is None:
        lungs = np.ones((GRID_SIZE, GRID_SIZE), dtype=bool)
    return Case(
        index=index,
        image_id=f"image-{index}",
        patient=patient or f"p{index}",
        view=view,
        kind=kind,
        role=ROLES[kind],
        pixels=np.zeros((GRID_SIZE, GRID_SIZE), dtype=np.float32),
        lungs=lungs,
        boxes=boxes,
        marked=boxes_mask(boxes, (GRID_SIZE, GRID_SIZE)),
    )


@pytest.fixture(scope="session")
def make_case():
    return _case


@pytest.fixture
def flat_map():
    """A map of equal scores, as the tests start from."""
    return lambda: np.zeros((GRID_SIZE, GRID_SIZE), dtype=np.float32)
