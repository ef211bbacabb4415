"""What all thresholders have in common."""

import json

import attrs
import numpy as np
import pytest

from lungpatch.errors import ConfigurationError, InsufficientDataError, NotFittedError
from lungpatch.thresholders.conformal import ConformalThresholder
from lungpatch.thresholders.fixed import FixedThresholder
from lungpatch.thresholders.mixture import MixtureThresholder
from lungpatch.thresholders.multi_otsu import MultiOtsuThresholder
from lungpatch.thresholders.quantile import QuantileThresholder
from lungpatch.thresholders.youden import YoudenThresholder

LEARNING = [
    QuantileThresholder,
    ConformalThresholder,
    MultiOtsuThresholder,
    MixtureThresholder,
    YoudenThresholder,
]
SCORES = np.concatenate(
    [np.random.default_rng(0).normal(mean, 1, 30) for mean in (0.0, 10.0, 20.0)]
)
LABELS = SCORES > 8


def labels_for(thresholder, count):
    return np.arange(count) % 2 if thresholder.uses_labels else None


@pytest.mark.parametrize("kind", LEARNING)
def test_use_before_fit_names_the_call_to_make(kind):
    thresholder = kind()
    for use in (
        lambda: thresholder.threshold_,
        lambda: thresholder.thresholds_,
        lambda: thresholder.classify([1.0]),
        thresholder.state,
    ):
        with pytest.raises(NotFittedError, match=rf"{kind.__name__}.*fit\(pred_scores"):
            use()


@pytest.mark.parametrize("kind", LEARNING)
def test_fit_returns_itself_and_learns_finite_ascending_thresholds(kind):
    thresholder = kind()
    assert thresholder.fit(SCORES, LABELS) is thresholder
    assert np.isfinite(thresholder.thresholds_).all()
    assert (np.diff(thresholder.thresholds_) > 0).all()
    assert thresholder.threshold_ == thresholder.thresholds_[0]
    assert type(thresholder.threshold_) is float


@pytest.mark.parametrize("kind", LEARNING)
def test_order_and_number_type_of_the_scores_do_not_matter(kind):
    order = np.random.default_rng(1).permutation(len(SCORES))
    straight = kind().fit(SCORES, LABELS).thresholds_
    shuffled = kind().fit(SCORES[order].tolist(), LABELS[order].tolist()).thresholds_
    np.testing.assert_allclose(straight, shuffled, rtol=1e-6)


@pytest.mark.parametrize("kind", LEARNING)
def test_state_goes_through_json_exactly(kind):
    fitted = kind().fit(SCORES, LABELS)
    restored = kind()
    restored.load_state(json.loads(json.dumps(fitted.state())))
    assert restored.thresholds_ == fitted.thresholds_
    np.testing.assert_array_equal(restored.classify(SCORES), fitted.classify(SCORES))


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"thresholds": []},
        {"thresholds": [2.0, 1.0]},
        {"thresholds": [float("nan")]},
        {"thresholds": "abc"},
        {"thresholds": 1.0},
    ],
)
def test_a_bad_state_is_refused(state):
    with pytest.raises(ConfigurationError):
        QuantileThresholder().load_state(state)


@pytest.mark.parametrize("kind", LEARNING)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_no_numbers_are_refused(kind, bad):
    scores = SCORES.copy()
    scores[3] = bad
    with pytest.raises(ConfigurationError, match="1 of 90 pred_scores are NaN or infinite"):
        kind().fit(scores, LABELS)


@pytest.mark.parametrize("kind", LEARNING)
@pytest.mark.parametrize("scores", [SCORES.reshape(9, 10), 1.0, ["a", "b"]])
def test_scores_of_another_shape_or_type_are_refused(kind, scores):
    with pytest.raises(ConfigurationError, match="pred_scores must"):
        kind().fit(scores, LABELS)


@pytest.mark.parametrize("kind", LEARNING)
def test_no_scores_are_refused(kind):
    with pytest.raises(InsufficientDataError, match="got 0"):
        kind().fit([], [])


@pytest.mark.parametrize(
    "thresholder",
    [
        *(kind() for kind in LEARNING),
        ConformalThresholder(alpha=0.3),
        MultiOtsuThresholder(classes=5),
        MixtureThresholder(n_components=2),
    ],
)
def test_min_scores_is_the_least_number_that_can_be_fitted(thresholder):
    least = thresholder.min_scores
    scores = np.arange(least, dtype=float) ** 2
    thresholder.fit(scores, labels_for(thresholder, least))
    with pytest.raises(InsufficientDataError):
        thresholder.fit(scores[1:], labels_for(thresholder, least - 1))


def test_min_scores_of_the_defaults():
    least = {kind: kind().min_scores for kind in LEARNING}
    assert least == {
        QuantileThresholder: 1,
        ConformalThresholder: 9,
        MultiOtsuThresholder: 3,
        MixtureThresholder: 3,
        YoudenThresholder: 2,
    }
    assert FixedThresholder(value=1).min_scores == 1


@pytest.mark.parametrize("thresholds", [[0.5], [0.5, 0.5], [-1.0, 0.0, 0.25]])
def test_states_in_ascending_order_are_taken(thresholds):
    thresholder = MultiOtsuThresholder()
    thresholder.load_state({"thresholds": thresholds})
    assert thresholder.thresholds_ == tuple(thresholds)


@pytest.mark.parametrize("kind", [*LEARNING, FixedThresholder])
def test_settings_are_plain_numbers_and_shown(kind):
    thresholder = kind(value=2.5) if kind is FixedThresholder else kind()
    settings = attrs.asdict(thresholder, filter=lambda field, _: field.init)
    json.dumps(settings)
    for name, value in settings.items():
        assert f"{name}={value!r}" in repr(thresholder)


def test_classes_count_the_thresholds_below_a_score():
    thresholder = MultiOtsuThresholder(classes=3)
    thresholder.load_state({"thresholds": [1.0, 2.0]})
    np.testing.assert_array_equal(
        thresholder.classify([0.0, 1.0, np.nextafter(1.0, 2.0), 2.0, 3.0]), [0, 0, 1, 1, 2]
    )
    assert thresholder.classify([]).shape == (0,)
    with pytest.raises(ConfigurationError):
        thresholder.classify([np.nan])


def test_a_fixed_threshold_needs_no_fit_and_ignores_scores():
    thresholder = FixedThresholder(value=3)
    assert thresholder.threshold_ == 3.0
    assert thresholder.fit([np.nan]) is thresholder
    assert thresholder.threshold_ == 3.0
    np.testing.assert_array_equal(thresholder.classify([3, 4]), [0, 1])


def test_only_youden_uses_labels():
    users = [kind for kind in (*LEARNING, FixedThresholder) if kind.uses_labels]
    assert users == [YoudenThresholder]


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (QuantileThresholder, {"q": 1.2}),
        (QuantileThresholder, {"q": "0.9"}),
        (ConformalThresholder, {"alpha": 0.0}),
        (ConformalThresholder, {"alpha": 1.0}),
        (MultiOtsuThresholder, {"classes": 1}),
        (MixtureThresholder, {"n_components": 1}),
        (FixedThresholder, {"value": float("nan")}),
        (FixedThresholder, {"value": float("inf")}),
    ],
)
def test_settings_out_of_range_are_refused_by_name(kind, settings):
    with pytest.raises((ValueError, TypeError), match=next(iter(settings))):
        kind(**settings)
