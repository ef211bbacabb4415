"""The digest of a fitted pipeline: the same for pipelines that give the same results."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from lungpatch.pipeline.calibration import Calibration
    from lungpatch.pipeline.pipeline import Pipeline


def pipeline_digest(
    pipeline: Pipeline,
    *,
    false_alarm_rate: float | None = None,
    false_box_rate: float | None = None,
) -> str:
    """Return the digest of a fitted pipeline, as it decides at some rates.

    It is taken of what the pipeline was fitted to and of the scores that it gives to normal
    images, which differ between pipelines that compute something else, and of its thresholds.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted.
    false_alarm_rate, false_box_rate : float, optional
        As `lungpatch.Pipeline.detect` takes them.

    Returns
    -------
    str
        SHA-256, 64 hexadecimal digits.

    Raises
    ------
    NotFittedError
        Before ``fit``, and where a part or a setting was changed since.

    Examples
    --------
    >>> import lungpatch
    >>> pipeline_digest(lungpatch.load_pipeline("paper"))                # doctest: +SKIP
    '3c1b...'
    """
    calibration = pipeline.calibration_.at_rates(
        false_alarm_rate=false_alarm_rate, false_box_rate=false_box_rate
    )
    report = pipeline.report_
    assert report is not None  # set together with the calibration
    return fitted_digest(calibration, report.training_digest)


def fitted_digest(calibration: Calibration, training_digest: str) -> str:
    """Return the digest of the pipeline that has a calibration; see `pipeline_digest`.

    Parameters
    ----------
    calibration : Calibration
    training_digest : str
        Of the images that the pipeline was fitted to.

    Returns
    -------
    str
        SHA-256, 64 hexadecimal digits.

    Examples
    --------
    >>> import lungpatch
    >>> pipeline = lungpatch.load_pipeline("paper")
    >>> digest = fitted_digest(pipeline.calibration_, pipeline.report_.training_digest)
    >>> digest == pipeline_digest(pipeline)
    True
    """
    content = json.dumps([attrs.asdict(calibration), training_digest], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()
