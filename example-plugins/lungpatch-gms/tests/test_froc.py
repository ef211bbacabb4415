import numpy as np
import pytest

from lungpatch import Registry
from lungpatch.errors import ConfigurationError, InsufficientDataError
from lungpatch.testing import parametrize_checks
from lungpatch_gms.froc import FROCThresholder


@parametrize_checks("thresholder", FROCThresholder(), FROCThresholder(false_alarms=0.5))
def test_contract(check):
    check()


def test_five_images_by_hand():
    scores, labels = [1, 2, 3, 4, 5], [0, 0, 1, 0, 1]
    # Above the threshold: no normal image, one of three, two of three, all.
    assert FROCThresholder(false_alarms=0).fit(scores, labels).threshold_ == 4
    assert FROCThresholder(false_alarms=1 / 3).fit(scores, labels).threshold_ == 2
    assert FROCThresholder(false_alarms=2 / 3).fit(scores, labels).threshold_ == 1
    assert FROCThresholder(false_alarms=1).fit(scores, labels).threshold_ < 1


def test_boxes_are_counted_per_image():
    scores, labels = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4], [1, 0, 0, 1, 0, 0]
    # Half a false alarm per image in four images makes two: those of 0.8 and 0.7.
    assert FROCThresholder(false_alarms=0.5, n_images=4).fit(scores, labels).threshold_ == 0.5


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.1, 0.3])
def test_no_lower_threshold_keeps_the_rate(rate):
    rng = np.random.default_rng(0)
    labels = rng.random(200) < 0.3
    scores = np.round(rng.normal(size=200) + labels, 1)  # with ties
    threshold = FROCThresholder(false_alarms=rate).fit(scores, labels).threshold_
    normal = scores[~labels]
    assert np.mean(normal > threshold) <= rate
    assert np.mean(normal > threshold - 1e-6) > rate


def test_one_kind_is_not_enough():
    with pytest.raises(InsufficientDataError):
        FROCThresholder().fit([1, 2], [0, 0])
    with pytest.raises(ConfigurationError, match="labels"):
        FROCThresholder().fit([1, 2])


def test_found_by_name_once_installed():
    made = Registry().create("thresholder", "froc", {"false_alarms": 0.1})
    assert isinstance(made, FROCThresholder)
