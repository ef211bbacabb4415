"""A pipeline as an outlier detector of scikit-learn.

Needs the extra ``sklearn``. The signs are scikit-learn's, the opposite of ours: there, lower is
more anomalous.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

import lungpatch
from lungpatch.containers import ChestImage
from lungpatch.errors import ConfigurationError, InvalidImageError, MissingExtraError
from lungpatch.pipeline import Failure, Pipeline

try:
    from sklearn.base import BaseEstimator, OutlierMixin
    from sklearn.utils.validation import check_is_fitted
except ImportError as error:
    raise MissingExtraError(
        'lungpatch.sklearn needs scikit-learn: pip install "lungpatch[sklearn]"'
    ) from error

_TABLES = "fits on a table of numbers; this takes images, and refuses tables"
_TABLE_ERRORS = "wants a message about the rows or columns of a table"

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
"""The checks of ``check_estimator`` that do not pass, with the reasons. Given rows painted as
images, nearly all of the first group pass: our tests do that."""

Images = Sequence[ChestImage | str | os.PathLike[str] | NDArray[np.uint8]] | NDArray[np.uint8]


class LungPatchDetector(OutlierMixin, BaseEstimator):  # type: ignore[misc]
    """Outlier detector of chest radiographs, learning from normal ones only.

    Parameters
    ----------
    pipeline : Pipeline, optional
        What to do; a copy of it is fitted. By default the preset ``paper``.
    random_state : int, optional
        Seed of the fit; by default the pipeline's own.

    Attributes
    ----------
    pipeline_ : Pipeline
        Fitted: for heat-maps, boxes, and to be saved.
    offset_ : float
        ``decision_function`` is ``score_samples`` less this; minus our threshold.

    Notes
    -----
    X is a sequence of `lungpatch.ChestImage`, paths or uint8 arrays (H, W), which may be one array
    (N, H, W). The images may differ in size, so ``n_features_in_`` is not defined.

    Examples
    --------
    >>> from lungpatch.datasets.phantom import phantom_cohort
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
        """Return a detector that is fitted already, by a pipeline that is.

        Parameters
        ----------
        pipeline : Pipeline
            Such as `lungpatch.load_pipeline` gives.

        Raises
        ------
        NotFittedError
            If the pipeline is not fitted.
        """
        detector = cls(pipeline)
        detector._take(pipeline)
        return detector

    def fit(self, X: Images, y: Any = None) -> Self:
        """Learn from images of normal lungs.

        Parameters
        ----------
        X : sequence of images, or ndarray of uint8, shape (N, H, W)
        y : ignored

        Returns
        -------
        LungPatchDetector
            Itself.

        Raises
        ------
        ConfigurationError
            If X is not a sequence of images.
        InsufficientDataError
            If there are too few images.
        """
        images = _images(X)
        chosen = self.pipeline or lungpatch.load_preset("paper")
        pipeline = copy.deepcopy(chosen)
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
            If an image has no score, for want of lungs; other errors if it cannot be read.
        """
        check_is_fitted(self)
        return -np.array([_score(result) for result in self.pipeline_.detect_many(_images(X))])

    def decision_function(self, X: Images) -> NDArray[np.float64]:
        """Return the threshold less the image scores, shape (N,): below 0 is an outlier."""
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
        self.offset_ = -pipeline.calibration.threshold
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
            f"{X.shape} and {X.dtype}: lungpatch does not learn from tables"
        )
    return list(X)


def _score(result: Any) -> float:
    if isinstance(result, Failure):
        raise result.error
    if result.decision is None:
        raise InvalidImageError(
            f"{result.image.image_id}: has no score ({result.status}): leave it out, or use "
            "pipeline_.detect_many, which reports it"
        )
    return float(result.decision.pred_score)
