import numpy as np
import pytest

from lungpatch.pipeline.image_scores import image_score


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("max", 10.0), ("mean", 4.0), ("p95", 8.95), ("top-k mean", 6.5)],
)
def test_rules_by_hand(rule, expected):
    assert image_score(np.array([10.0, 1.0, 2.0, 3.0]), rule, top_k=2) == pytest.approx(expected)


def test_top_k_takes_all_where_there_are_fewer():
    assert image_score(np.array([1.0, 3.0]), "top-k mean", top_k=10) == 2.0
