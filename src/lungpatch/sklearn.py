"""A pipeline as an outlier detector of scikit-learn.

Needs the extra ``sklearn``. The signs are scikit-learn's, the opposite of those elsewhere in
lungpatch: lower is more anomalous.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lungpatch.containers import ChestImage
from lungpatch.errors import ConfigurationError, InvalidImageError, MissingExtraError
from lungpatch.pipeline import Failure, Pipeline, load_preset

try:
    from sklearn.base import BaseEstimator, OutlierMixin, clone
    from sklearn.utils.validation import check_is_fitted
except ImportError as error:
    raise MissingExtraError(
        "lungpatch.sklearn needs scikit-learn, which is not installed: "
        'pip install "lungpatch[sklearn]"'
    ) from error

_TABLES = "fits to a table of numbers; this detector takes images, and refuses tables"
_TABLE_ERRORS = "expects a message about the rows or columns of a table"

EXPECTED_FAILED_CHECKS: dict[str, str] = {
    **dict.fromkeys(
        (
            "check_classifier_data_not_an_array",
            "check_dict_unchanged",
            "check_dont_overwrite_parameters",
            "check_estimators_dtypes",
            "check_estimators_fit_returns_self",
            "check_estimators_overwrite_params",
            "check_estimators_pickle",
            "check_f_contiguous_array_estimator",
            "check_fit_check_is_fitted",
            "check_fit_idempotent",
            "check_fit_score_takes_y",
            "check_methods_sample_order_invariance",
            "check_methods_subset_invariance",
            "check_outliers_fit_predict",
            "check_outliers_train",
            "check_pipeline_consistency",
            "check_positive_only_tag_during_fit",
            "check_readonly_memmap_input",
        ),
        _TABLES,
    ),
    **dict.fromkeys(("check_fit2d_1feature", "check_fit2d_1sample"), _TABLE_ERRORS),
}
"""The checks of ``check_estimator`` that do not pass, with the reasons.

Nearly all of those that need tables pass if the rows are drawn as images, which the tests do.
"""

Images = Sequence[ChestImage | str | os.PathLike[str] | NDArray[np.uint8]] | NDArray[np.uint8]


class LungPatchDetector(OutlierMixin, BaseEstimator):  # type: ignore[misc]
    """Outlier detector of chest radiographs, fitted to normal ones only.

    Parameters
    ----------
    pipeline : Pipeline, optional
        The detector's parts and settings; a clone of it is fitted. By default the preset
        ``paper``. Its settings are parameters of the detector too, such as
        ``pipeline__scorer__reduction``.
    random_state : int, optional
        Seed of the fit; by default that of the pipeline.

    Attributes
    ----------
    pipeline_ : Pipeline
        The fitted pipeline, for anomaly maps and boxes, and to be saved.
    offset_ : float
        ``decision_function`` is ``score_samples`` minus this; minus the pipeline's threshold.

    See Also
    --------
    lungpatch.Pipeline : The same detector by lungpatch's own conventions.
    sklearn.ensemble.IsolationForest : An outlier detector of tables.

    Notes
    -----
    X is a sequence of `lungpatch.ChestImage`, paths or uint8 arrays (H, W), which may be one array
    (N, H, W). The images may differ in size, so ``n_features_in_`` is not defined.

    Examples
    --------
    >>> from lungpatch.datasets.phantom import phantom_cohort
    >>> import lungpatch
    >>> pipeline = lungpatch.load_preset("paper")
    >>> pipeline.model.epochs = 1
    >>> images = [case.image for case in phantom_cohort(8, 1, seed=0, size=256)]
    >>> detector = LungPatchDetector(pipeline).fit(images[:8])
    >>> detector.predict(images).shape
    (9,)
    """

    def __init__(self, pipeline: Pipeline | None = None, *, random_state: int | None = None):
        self.pipeline = pipeline
        self.random_state = random_state

    @classmethod
    def from_pipeline(cls, pipeline: Pipeline) -> Self:
        """Return a fitted detector from a fitted pipeline.

        Parameters
        ----------
        pipeline : Pipeline
            Such as `lungpatch.load_pipeline` returns; it is used as it is, not copied.

        Returns
        -------
        LungPatchDetector

        Raises
        ------
        NotFittedError
            If the pipeline is not fitted.
        """
        detector = cls(pipeline)
        detector._take(pipeline)
        return detector

    def fit(self, X: Images, y: ArrayLike | None = None) -> Self:
        """Fit to images of normal lungs.

        Parameters
        ----------
        X : sequence of images, or ndarray of uint8, shape (N, H, W)
        y : array-like, shape (N,), optional
            1 for normal images and -1 for others, which are left out. Labels of other values are
            ignored with a warning.

        Returns
        -------
        LungPatchDetector
            Itself.

        Raises
        ------
        ConfigurationError
            If X is not a sequence of images, or y is not one label per image.
        InsufficientDataError
            If there are too few images.
        """
        images = _normal(_images(X), y)
        pipeline = clone(self.pipeline or load_preset("paper"))
        if self.random_state is not None:
            pipeline.seed = self.random_state
        self._take(pipeline.fit(images))
        return self

    def score_samples(self, X: Images) -> NDArray[np.float64]:
        """Return minus the image scores, shape (N,): lower is more anomalous.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        InvalidImageError
            If an image has no score, because no lungs were found, or if it cannot be read.
        """
        check_is_fitted(self)
        return -np.array([_score(result) for result in self.pipeline_.detect_many(_images(X))])

    def decision_function(self, X: Images) -> NDArray[np.float64]:
        """Return the threshold minus the image scores, shape (N,): below 0 is an outlier."""
        # Both are rounded once, so an image exactly at the threshold gets 0.
        return self.score_samples(X) - self.offset_

    def predict(self, X: Images) -> NDArray[np.int64]:
        """Return -1 for outliers, 1 for all others, shape (N,)."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        # Images are read and checked by lungpatch.
        tags.no_validation = True
        return tags

    def _take(self, pipeline: Pipeline) -> None:
        self.offset_ = -pipeline.calibration_.threshold
        self.pipeline_ = pipeline


def _images(X: Images) -> list[Any]:
    if hasattr(X, "toarray"):
        raise ConfigurationError("sparse input is not supported: X must be a sequence of images")
    if isinstance(X, (str, os.PathLike)) or not hasattr(X, "__len__"):
        raise ConfigurationError(
            f"X must be a sequence of images, got {type(X).__name__}: list the files of a folder"
        )
    if isinstance(X, np.ndarray) and X.ndim != 3 and X.dtype != object and X.dtype.kind != "U":
        raise ConfigurationError(
            f"X must be images, such as a uint8 array (N, H, W), got a {X.ndim}D array of shape "
            f"{X.shape} and {X.dtype}: lungpatch cannot be fitted to tables"
        )
    return list(X)


def _normal(images: list[Any], y: ArrayLike | None) -> list[Any]:
    """Return the images that are not labelled as outliers."""
    if y is None:
        return images
    labels = np.asarray(y)
    if labels.shape != (len(images),):
        raise ConfigurationError(
            f"y must hold one label per image, shape ({len(images)},), got shape {labels.shape}"
        )
    if not np.isin(labels, (-1, 1)).all():
        warnings.warn(
            "the detector is fitted to all images, since y has labels other than 1 (normal) and "
            "-1 (left out)",
            stacklevel=3,
        )
        return images
    return [image for image, label in zip(images, labels, strict=True) if label == 1]


def _score(result: Any) -> float:
    if isinstance(result, Failure):
        raise result.error
    if result.decision is None:
        raise InvalidImageError(
            f"{result.image.image_id}: has no decision ({result.status}): leave it out, or use "
            "pipeline_.detect_many, which reports the status"
        )
    return float(result.decision.pred_score)
