import numpy as np
import pytest

from lungpatch.containers import Decision, Localisation, LungMask
from lungpatch.errors import InvalidImageError
from lungpatch.pipeline import Detection, Failure


def test_a_localisation_refuses_what_does_not_fit_together():
    mask = np.zeros((4, 4), bool)
    fine = {"pred_mask": mask, "threshold": 1.0}
    Localisation(boxes=np.zeros((0, 4), int), box_scores=np.zeros(0), **fine)
    with pytest.raises(ValueError, match=r"shape \(K, 4\)"):
        Localisation(boxes=np.zeros((1, 3), int), box_scores=np.zeros(1), **fine)
    with pytest.raises(ValueError, match="disagree"):
        Localisation(boxes=np.zeros((2, 4), int), box_scores=np.zeros(1), **fine)


def test_arrays_are_read_only():
    mask = LungMask(pixels=np.ones((2, 2), bool))
    with pytest.raises(ValueError, match="read-only"):
        mask.pixels[0, 0] = False


def test_an_empty_mask_has_no_box():
    mask = LungMask(pixels=np.zeros((3, 3), bool))
    assert mask.bounding_box is None
    assert mask.fraction == 0.0


@pytest.mark.parametrize(("score", "label"), [(1.0, False), (1.0000001, True), (0.5, False)])
def test_a_label_is_a_score_above_the_threshold(score, label):
    assert Decision(pred_score=score, threshold=1.0, rule="fixed").pred_label is label


def test_a_failure_says_what_and_why():
    failure = Failure(source="a.png", error=InvalidImageError("a.png: is empty"))
    assert "a.png" in repr(failure)
    assert "is empty" in repr(failure)


def test_a_detection_says_its_decision(fitted, cohort):
    found = fitted.detect(sorted((cohort / "opacity").iterdir())[0])
    assert isinstance(found, Detection)
    sign = ">" if found.decision.pred_label else "<="
    assert f"{found.decision.pred_score:.4g} {sign} {found.decision.threshold:.4g}" in repr(found)
