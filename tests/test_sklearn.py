"""The adapter for scikit-learn: its signs, its conventions, and its own checks of estimators."""

import warnings

import numpy as np
import pytest

import lungpatch
from lungpatch._utils.component import find_components, result_settings
from lungpatch.datasets.phantom import phantom_cohort
from lungpatch.errors import ConfigurationError, InvalidImageError, MissingInputError
from lungpatch.errors import NotFittedError as OurNotFittedError
from lungpatch.models.pca import PCA
from lungpatch.samplers.grid import GridSampler
from lungpatch.scorers import L2Scorer, SADScorer, SSIMScorer
from lungpatch.segmenters.whole_image import WholeImageSegmenter
from lungpatch.thresholders.quantile import QuantileThresholder

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.utils.estimator_checks import check_estimator

from lungpatch import sklearn as adapter
from lungpatch.sklearn import EXPECTED_FAILED_CHECKS, LungPatchDetector


def quick_pipeline(**settings):
    sampler = GridSampler(patch_size=32, stride=32)
    return lungpatch.Pipeline(
        segmenter=WholeImageSegmenter(),
        fit_sampler=sampler,
        sampler=sampler,
        model=PCA(patch_size=32, n_components=1),
        scorer=SADScorer(),
        thresholder=QuantileThresholder(q=0.9),
        grid_size=32,
        **settings,
    )


@pytest.fixture(scope="module")
def images():
    return [case.image for case in phantom_cohort(12, 3, seed=3, size=128)]


@pytest.fixture(scope="module")
def detector(images):
    return LungPatchDetector(quick_pipeline()).fit(images[:12])


def test_signs_are_those_of_scikit_learn(detector, images):
    found = list(detector.pipeline_.detect_many(images))
    scores = np.array([d.decision.pred_score for d in found])
    labels = np.array([d.decision.pred_label for d in found])
    np.testing.assert_array_equal(detector.score_samples(images), -scores)
    threshold = detector.pipeline_.calibration_.threshold
    np.testing.assert_array_equal(detector.decision_function(images), threshold - scores)
    np.testing.assert_array_equal(detector.predict(images), np.where(labels, -1, 1))
    assert set(detector.predict(images)) == {-1, 1}


def test_paths_and_arrays_are_images_too(detector, images, cohort):
    arrays = np.stack([(image.pixels * 255).astype(np.uint8) for image in images[:3]])
    assert detector.predict(arrays).shape == (3,)
    paths = sorted((cohort / "normal").iterdir())[:2]
    expected = [-detector.pipeline_.detect(path).decision.pred_score for path in paths]
    np.testing.assert_allclose(detector.score_samples(paths), expected, rtol=1e-6)


def test_fit_leaves_the_pipeline_alone(images):
    pipeline = quick_pipeline()
    detector = LungPatchDetector(pipeline, random_state=5).fit(images[:12])
    assert not pipeline.is_fitted
    assert detector.pipeline_.seed == 5
    assert not hasattr(clone(detector), "pipeline_")


def test_a_fitted_pipeline_is_taken_as_it_is(detector, images, tmp_path):
    detector.pipeline_.save(tmp_path / "a.lungpatch")
    loaded = lungpatch.load_pipeline(tmp_path / "a.lungpatch")
    same = LungPatchDetector.from_pipeline(loaded)
    np.testing.assert_array_equal(same.predict(images), detector.predict(images))
    with pytest.raises(OurNotFittedError):
        LungPatchDetector.from_pipeline(quick_pipeline())


def test_cross_validation_of_scikit_learn_takes_it(images):
    labels = labelled(images)
    scores = cross_val_score(
        LungPatchDetector(quick_pipeline()),
        np.array(images, object),
        labels,
        cv=StratifiedKFold(3),
        scoring="roc_auc",
        error_score="raise",
    )
    assert scores.shape == (3,)
    assert ((scores >= 0) & (scores <= 1)).all()


def test_mistakes_are_explained(detector, images, tmp_path):
    with pytest.raises(NotFittedError):
        LungPatchDetector().predict(images)
    with pytest.raises(ConfigurationError, match="tables"):
        detector.predict(np.zeros((4, 3)))
    with pytest.raises(ConfigurationError, match="sequence"):
        detector.predict("images")
    with pytest.raises(MissingInputError, match=r"no\.png"):
        detector.predict([tmp_path / "no.png"])


class BlackHasNoLungs(WholeImageSegmenter):
    """Finds no lungs in a black image."""

    def segment(self, image):
        return lungpatch.LungMask(pixels=np.full(image.shape, image.pixels.any()))


def test_an_image_without_a_score_is_named(images):
    pipeline = quick_pipeline().set_params(segmenter=BlackHasNoLungs())
    detector = LungPatchDetector(pipeline).fit(images[:12])
    black = lungpatch.ChestImage(pixels=np.zeros((64, 64), np.float32), image_id="black")
    with pytest.raises(InvalidImageError, match=r"black.*no_lungs"):
        detector.predict([images[0], black])


# --------------------------------------------------------------------- parameters and clones


def test_the_settings_of_the_pipeline_are_parameters(images):
    detector = LungPatchDetector(quick_pipeline())
    assert detector.get_params()["pipeline__scorer__reduction"] == "mean"
    assert detector.get_params(deep=False).keys() == {"pipeline", "random_state"}
    detector.set_params(pipeline__scorer__reduction="sum", pipeline__thresholder__q=0.8)
    assert detector.pipeline.scorer.reduction == "sum"
    assert detector.pipeline.thresholder.q == 0.8
    detector.set_params(pipeline__scorer=SSIMScorer(), pipeline__scorer__sigma=2.0)
    assert detector.pipeline.scorer.sigma == 2.0
    with pytest.raises(ConfigurationError, match="did you mean 'sigma'"):
        detector.set_params(pipeline__scorer__sigmo=1.0)
    with pytest.raises(ConfigurationError, match="reduction"):
        LungPatchDetector(quick_pipeline()).set_params(pipeline__scorer__reduction="product")


def test_a_clone_of_a_detector_shares_nothing_with_it(detector, images):
    before = detector.score_samples(images)
    copy = clone(detector)
    assert copy.get_params()["pipeline__model__n_components"] == 1
    assert not copy.pipeline.is_fitted
    assert not hasattr(copy, "pipeline_")
    copy.set_params(pipeline__scorer__reduction="sum").fit(images[3:15])
    assert not np.allclose(copy.score_samples(images), before)
    np.testing.assert_array_equal(detector.score_samples(images), before)
    assert detector.pipeline.scorer.reduction == "mean"


def test_a_clone_of_a_loaded_detector_is_not_fitted(fitted, cohort):
    detector = LungPatchDetector.from_pipeline(fitted)
    copy = clone(detector)
    assert copy.pipeline is not fitted
    assert not copy.pipeline.is_fitted
    with pytest.raises(NotFittedError):
        copy.predict(sorted((cohort / "normal").iterdir()))
    assert fitted.is_fitted


@pytest.mark.parametrize("name", ["default", "paper"])
def test_a_clone_of_a_fitted_pipeline_is_not_fitted(name):
    pipeline = lungpatch.load_pipeline(name)
    copy = clone(pipeline)
    assert pipeline.is_fitted
    assert not copy.is_fitted
    assert copy.report_ is None
    parts, copies = find_components(pipeline), find_components(copy)
    assert list(parts) == list(copies)
    assert len(parts) > 5
    for path, part in parts.items():
        assert type(copies[path]) is type(part), path
        assert copies[path] is not part, path
        assert result_settings(copies[path]) == result_settings(part), path
    with pytest.raises(OurNotFittedError):
        copy.model.state()


# ------------------------------------------------------------------------- searches and labels


def labelled(images):
    return np.array([1] * 12 + [-1] * (len(images) - 12))


def test_labelled_outliers_are_left_out_of_the_fit(detector, images):
    with_labels = LungPatchDetector(quick_pipeline()).fit(images, labelled(images))
    np.testing.assert_array_equal(with_labels.score_samples(images), detector.score_samples(images))
    with pytest.warns(UserWarning, match="fitted to all images"):
        LungPatchDetector(quick_pipeline()).fit(images[:12], [0] * 11 + [1])
    with pytest.raises(ConfigurationError, match="one label per image"):
        LungPatchDetector(quick_pipeline()).fit(images, [1, -1])


def test_a_grid_search_tries_scorers_and_their_settings(images):
    tried = []

    def separation(detector, X, y):
        scorer = detector.pipeline_.scorer
        tried.append((type(scorer).__name__, getattr(scorer, "sigma", None)))
        scores = -detector.score_samples(X)
        return roc_auc_score(np.equal(y, -1), scores)

    pipeline = quick_pipeline()
    search = GridSearchCV(
        LungPatchDetector(pipeline),
        [
            {"pipeline__scorer": [SADScorer(), L2Scorer()]},
            {"pipeline__scorer": [SSIMScorer()], "pipeline__scorer__sigma": [1.0, 2.0]},
        ],
        scoring=separation,
        cv=StratifiedKFold(3),
        error_score="raise",
    )
    search.fit(images, labelled(images))
    assert set(tried) == {
        ("SADScorer", None),
        ("L2Scorer", None),
        ("SSIMScorer", 1.0),
        ("SSIMScorer", 2.0),
    }
    scores = search.cv_results_["mean_test_score"]
    assert scores.shape == (4,)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert len(set(scores)) > 1
    best = search.best_estimator_
    assert type(best.pipeline_.scorer) is type(search.best_params_["pipeline__scorer"])
    # The search refits on all images, of which only the normal ones count.
    assert sum(best.pipeline_.report_.images.values()) == 12
    assert not pipeline.is_fitted
    assert isinstance(pipeline.scorer, SADScorer)


def test_a_grid_search_compares_settings_of_one_scorer(images):
    search = GridSearchCV(
        LungPatchDetector(quick_pipeline()),
        {"pipeline__scorer__reduction": ["mean", "sum"], "pipeline__image_score": ["max", "p95"]},
        scoring="roc_auc",
        cv=StratifiedKFold(3),
        refit=False,
        error_score="raise",
    ).fit(images, labelled(images))
    # The sum of differences is their mean times a constant, which changes no ranking here.
    by_reduction = {}
    for params, score in zip(
        search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
    ):
        key = params["pipeline__image_score"]
        by_reduction.setdefault(key, set()).add(round(score, 6))
    assert all(len(scores) == 1 for scores in by_reduction.values())


# --------------------------------------------------------------- what scikit-learn checks itself


def failures_of(estimator, expected):
    """Names of checks that fail though they are not expected to, and the other way round."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(estimator, on_fail=None, on_skip=None)
    failed = {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"}
    passed = {r["check_name"] for r in results if r["status"] == "passed"}
    assert len(passed) > 10
    wrong = {name: repr(error) for name, error in failed.items() if name not in expected}
    return wrong, expected.keys() - failed.keys()


def test_check_estimator_fails_only_for_the_reasons_listed():
    assert failures_of(LungPatchDetector(quick_pipeline()), EXPECTED_FAILED_CHECKS) == ({}, set())


class PaintedRows(LungPatchDetector):
    """Rows of a table as images of stripes, so that scikit-learn's checks try the adapter."""


STILL_FAILING = {
    "check_fit2d_1sample": "wants the words 'one sample'; ours speaks of patients",
    "check_methods_subset_invariance": "batches of other sizes round differently, in the 7th digit",
    "check_outliers_train": "wants rows of another length refused; images may differ in size",
    "check_classifier_data_not_an_array": "gives an object that only becomes an array, no sequence",
}


def test_given_images_it_passes_what_scikit_learn_asks(monkeypatch):
    as_images = adapter._images

    def painted(X):
        if isinstance(X, list) and np.ndim(X) == 2:
            X = np.array(X)
        if isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype != object:
            values = np.asarray(X, float)
            grey = 0.5 + 0.5 * values / (1 + np.abs(values))
            stripes = np.resize(grey.T, (32, len(grey))).T
            X = [
                lungpatch.ChestImage(
                    pixels=np.tile(row[:, None], (1, 32)).astype(np.float32), image_id=f"row-{i}"
                )
                for i, row in enumerate(stripes)
            ]
        return as_images(X)

    monkeypatch.setattr(adapter, "_images", painted)
    assert failures_of(PaintedRows(quick_pipeline()), STILL_FAILING) == ({}, set())
