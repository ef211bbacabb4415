"""Results as records: one dict of JSON-ready values per image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lungpatch.reports.fields import DetectionFields, FailureFields

UID_KEYWORDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
"""What names an image of a DICOM archive."""


def detection_record(detection: DetectionFields, *, source: str) -> dict[str, Any]:
    """Return the result of one image as JSON-ready values.

    Parameters
    ----------
    detection : Detection
    source : str
        Path or name of the image.

    Returns
    -------
    dict
        With these keys:

        ``image``
            ``source``.
        ``status``
            ``"ok"``, ``"no_lungs"``, ``"no_patches"`` or ``"out_of_scope"``.
        ``reason``
            Why the image is out of scope, else null.
        ``reading``
            What was assumed or done when the image was read, in words
            (`lungpatch.ChestImage.reading`).
        ``StudyInstanceUID``, ``SeriesInstanceUID``, ``SOPInstanceUID``
            Of a DICOM image, else null.
        ``pred_score``, ``threshold``, ``pred_label``, ``rule``
            The image's score, its threshold, whether the score is above it, and the thresholder
            that set it; null where nothing was scored. Out of scope, only ``pred_score`` is given:
            such an image is neither above the threshold nor below it.
        ``p_value``
            How unusual the score is among those of normal images, in (0, 1]
            (`lungpatch.thresholders.conformal_p_values`); null where there is no decision.
        ``boxes``
            A list of half-open ``[row0, col0, row1, col1]`` on the image's native grid, highest
            score first.
        ``box_scores``
            The maximum of the anomaly map in each box.
        ``box_p_values``
            How unusual a region so high is in a normal image, in (0, 1].
        ``region_threshold``
            The threshold of the anomaly map; boxes surround what lies above it. Null out of
            scope.
        ``summary``
            The highest regions in words, line by line.
        ``regions``
            What is in each box, in words and numbers (`lungpatch.pipeline.Region`).
        ``maximum``
            Where the anomaly map has its maximum (`lungpatch.pipeline.Location`), also below the
            threshold; null where nothing was scored.
        ``fractions_above``
            Fractions of the ``right`` and the ``left`` lung above the threshold; null where there
            is no such lung.
        ``lung_fraction``
            Fraction of the image that is lung.
        ``n_patches``
            Number of patches that were scored.
        ``seconds``
            Time spent on the image.

    See Also
    --------
    failure_record : The record of an image that could not be processed.
    lungpatch.load_detections : Read the records of a folder back.

    Examples
    --------
    >>> detection_record(detection, source="a.png")["pred_label"]      # doctest: +SKIP
    True
    """
    decision, summary = detection.decision, detection.regions
    threshold = float(detection.localisation.threshold)
    box_p_values = detection.localisation.box_p_values
    return {
        "image": source,
        "status": detection.status,
        "reason": detection.reason,
        "reading": list(detection.image.reading),
        **{keyword: detection.image.tags.get(keyword) for keyword in UID_KEYWORDS},
        "pred_score": None if detection.pred_score is None else float(detection.pred_score),
        "threshold": None if decision is None else float(decision.threshold),
        "pred_label": None if decision is None else bool(decision.pred_label),
        "rule": None if decision is None else decision.rule,
        "p_value": None if decision is None else decision.p_value,
        "boxes": detection.native_boxes.tolist(),
        "box_scores": detection.localisation.box_scores.tolist(),
        "box_p_values": None if box_p_values is None else box_p_values.tolist(),
        "region_threshold": threshold if math.isfinite(threshold) else None,
        "summary": list(summary.lines),
        "regions": [region.to_dict() for region in summary.regions],
        "maximum": None if summary.maximum is None else summary.maximum.to_dict(),
        "fractions_above": dict(summary.fractions_above),
        "lung_fraction": detection.lungs.fraction,
        "n_patches": len(detection.patches),
        "seconds": float(detection.seconds),
    }


def failure_record(failure: FailureFields) -> dict[str, Any]:
    """Return the record of an image that could not be processed.

    Parameters
    ----------
    failure : Failure

    Returns
    -------
    dict
        ``image``, ``status`` (``"error"``) and ``error``, the message.

    See Also
    --------
    detection_record : The record of an image that was processed.

    Examples
    --------
    >>> from lungpatch.pipeline import Failure
    >>> from lungpatch.errors import InvalidImageError
    >>> failure_record(Failure(source="a.png", error=InvalidImageError("a.png: cut short")))
    {'image': 'a.png', 'status': 'error', 'error': 'a.png: cut short'}
    """
    return {"image": failure.source, "status": "error", "error": str(failure.error)}
