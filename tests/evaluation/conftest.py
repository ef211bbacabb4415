"""Small cases whose figures can be worked out by hand."""

import numpy as np
import pytest

from lungpatch.evaluation.cases import FRAME, Case, boxes_mask, distinct_boxes


def _case(index=0, *, boxes=(), kind="opacity", patient=None, view="PA", lungs=None):
    boxes = distinct_boxes(np.array(boxes, dtype=np.int64).reshape(-1, 4))
    if lungs is None:
        lungs = np.ones((FRAME, FRAME), dtype=bool)
    inside = boxes_mask(boxes, (FRAME, FRAME))
    return Case(
        index=index,
        image_id=f"image-{index}",
        patient=patient or f"p{index}",
        view=view,
        kind=kind,
        pixels=np.zeros((FRAME, FRAME), dtype=np.float32),
        lungs=lungs,
        boxes=boxes,
        relative_area=float(inside.mean()),
        lesion=inside & lungs,
    )


@pytest.fixture
def make_case():
    return _case


@pytest.fixture
def no_heat():
    """A map that says nothing, as the tests start from."""
    return lambda: np.zeros((FRAME, FRAME), dtype=np.float32)
