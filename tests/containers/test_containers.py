import re

import attrs
import numpy as np
import pytest

from lungpatch.containers import (
    AnomalyMap,
    ChestImage,
    Decision,
    Localisation,
    LungMask,
    PatchScores,
    Reconstruction,
    TrainingHistory,
)
from lungpatch.containers.arrays import as_float32, range_text
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


def test_arrays_of_the_right_kind_are_not_copied():
    pixels = np.zeros((2, 3), np.float32)
    assert np.shares_memory(as_float32(pixels), pixels)
    assert pixels.flags.writeable
    halves = as_float32(np.full((2, 3), 0.5))
    assert halves.dtype == np.float32
    assert (halves == 0.5).all()


@pytest.mark.parametrize("array", [np.zeros(2, complex), np.array(["a"]), np.array([object()])])
def test_arrays_of_another_kind_are_refused(array):
    with pytest.raises(TypeError, match=f"expected an array of float32, got {array.dtype}"):
        as_float32(array)


def test_range_leaves_out_what_is_not_finite():
    assert range_text(np.array([np.nan, 1.0, -2.5, np.inf, -np.inf])) == "[-2.5, 1]"
    assert range_text(np.array([np.nan])) == range_text(np.empty(0)) == "[]"


@pytest.mark.parametrize(
    "pixels", [[[0.0, 1.001]], [[-0.001, 1.0]], [[np.nan, 0.5]], [[np.inf, 0.5]]]
)
def test_an_image_outside_the_unit_range_is_refused(pixels):
    with pytest.raises(ValueError, match="must lie in"):
        ChestImage(pixels=np.array(pixels, np.float32), image_id="a")


def test_an_image_says_its_size_and_where_it_comes_from():
    image = ChestImage(pixels=np.array([[0.0, 0.5, 1.0]], np.float32), image_id="a")
    assert image.shape == image.native_shape == (1, 3)
    assert repr(image) == "ChestImage('a', 1x3, range [0, 1])"
    resized = attrs.evolve(image, native_shape=(20, 60))
    assert resized.native_shape == (20, 60)
    assert repr(resized) == "ChestImage('a', 1x3 from 20x60, range [0, 1])"


def test_a_mask_says_how_much_and_where():
    pixels = np.zeros((4, 5), bool)
    pixels[1:3, 2:5] = True
    mask = LungMask(pixels=pixels)
    assert mask.fraction == 6 / 20
    assert mask.bounding_box == (1, 2, 3, 5)
    assert repr(mask) == "LungMask(4x5, 30.0% lung)"
    doubtful = LungMask(pixels=pixels, implausible="one lung only")
    assert repr(doubtful) == "LungMask(4x5, 30.0% lung, implausible: one lung only)"


def test_a_map_says_how_much_was_scored():
    heatmap = np.array([[np.nan, 1.0, 3.0, np.nan]], np.float32)
    anomaly_map = AnomalyMap(heatmap=heatmap)
    np.testing.assert_array_equal(anomaly_map.scored, [[False, True, True, False]])
    assert anomaly_map.coverage == 0.5
    assert repr(anomaly_map) == "AnomalyMap(1x4, range [1, 3], 50.0% scored)"
    assert AnomalyMap(heatmap=np.empty((0, 0), np.float32)).coverage == 0.0


def test_a_reconstruction_refuses_what_does_not_fit_together():
    target = np.zeros((2, 3, 4, 5), np.float32)
    fine = Reconstruction(target=target, expected=target + 1)
    assert repr(fine) == "Reconstruction(2 patches, 3 channels of 4x5)"
    assert len(fine) == 2
    assert len(fine[1:]) == 1
    assert (fine[1:].expected == 1).all()
    with pytest.raises(ValueError, match=r"\(2, 3, 4, 5\) and expected \(2, 3, 5, 4\)"):
        Reconstruction(target=target, expected=target.swapaxes(2, 3))
    with pytest.raises(ValueError, match="expected holds NaN or infinite values"):
        Reconstruction(target=target, expected=np.full_like(target, np.inf))
    with pytest.raises(ValueError, match="target must have 4 axes"):
        Reconstruction(target=target[0], expected=target[0])


def test_scores_refuse_what_does_not_fit_together():
    support = np.ones((2, 3, 3), bool)
    errors = np.zeros((2, 3, 3), np.float32)
    fine = PatchScores(values=np.array([1.0, 2.0]), support=support, error_maps=errors)
    assert len(fine) == 2
    assert fine.values.dtype == np.float64
    with pytest.raises(ValueError, match="PatchScores: lengths disagree"):
        PatchScores(values=np.array([1.0]), support=support)
    with pytest.raises(ValueError, match=r"error_maps \(2, 3\) and support"):
        PatchScores(values=np.array([1.0, 2.0]), support=support, error_maps=errors[..., 0])
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="values holds NaN or infinite values"):
            PatchScores(values=np.array([1.0, bad]), support=support)


def test_a_history_says_how_it_ended():
    history = TrainingHistory(epochs=({}, {}), best_epoch=1, stopped="early", seconds=2)
    assert repr(history) == "TrainingHistory(2 epochs, best 1, early, 2.0 s)"
    with pytest.raises(ValueError, match=re.escape("'stopped' must be in")):
        attrs.evolve(history, stopped="tired")


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
