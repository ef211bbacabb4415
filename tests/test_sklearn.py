"""The adapter for scikit-learn: its signs, its conventions, and its own checks of estimators."""

import warnings

import numpy as np
import pytest

import lungpatch
from lungpatch.datasets.phantom import phantom_cohort
from lungpatch.errors import ConfigurationError, InvalidImageError, MissingInputError
from lungpatch.errors import NotFittedError as OurNotFittedError
from lungpatch.models.pca import PCA
from lungpatch.samplers.grid import GridSampler
from lungpatch.scorers.sad import SADScorer
from lungpatch.segmenters.whole_image import WholeImageSegmenter
from lungpatch.thresholders.quantile import QuantileThresholder

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import StratifiedKFold, cross_val_score
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
    threshold = detector.pipeline_.calibration.threshold
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
    labels = np.array([1] * 12 + [-1] * 3)

    class NormalOnly(LungPatchDetector):
        def fit(self, X, y=None):
            return super().fit([x for x, label in zip(X, y, strict=True) if label == 1])

    scores = cross_val_score(
        NormalOnly(quick_pipeline()),
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


def test_an_image_without_a_score_is_named():
    class NoLungs(WholeImageSegmenter):
        def segment(self, image):
            return lungpatch.LungMask(pixels=np.zeros(image.shape, bool))

    films = [case.image for case in phantom_cohort(12, 0, seed=3, size=64)]
    detector = LungPatchDetector(quick_pipeline()).fit(films)
    detector.pipeline_.segmenter = NoLungs()
    with pytest.raises(InvalidImageError, match=f"{images[0].image_id}.*no_lungs"):
        detector.predict(films[:1])


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
