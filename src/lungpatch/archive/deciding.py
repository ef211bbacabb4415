"""Decide in a folder of results which images are above the threshold, at any rate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import attrs
import numpy as np

from lungpatch._utils.files import JsonLines
from lungpatch.archive.calibrations import read_calibrations
from lungpatch.archive.parquet import check_parquet, refresh_parquet
from lungpatch.archive.records import DICOM_ERROR_KEY, RECORDS, of_images, read_detections
from lungpatch.archive.worklist import worklist
from lungpatch.errors import ConfigurationError, InvalidImageError, LungpatchError
from lungpatch.pipeline import Failure
from lungpatch.reports.worklist import check_page
from lungpatch.thresholders import false_discovery_labels

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    from lungpatch.pipeline import Calibration

FDR_RULE = "Benjamini-Hochberg"


@attrs.define(kw_only=True)
class DetectionCounts:
    """What came of the images of a folder.

    Parameters
    ----------
    above, below : int
        Images whose score is above the threshold, and those whose score is not.
    unscored : int
        Images without lungs, or with too little lung, to score.
    out_of_scope : int
        Images that are not frontal chest radiographs; they are neither above nor below.
    failures : list of Failure
        Images that could not be processed.
    without_dicom : list of Failure
        Images of which DICOM objects were wanted and none could be written; they are among the
        others, too.

    Examples
    --------
    >>> DetectionCounts(above=1, below=3)
    DetectionCounts(above=1, below=3, unscored=0, out_of_scope=0, failures=[])
    """

    above: int = 0
    below: int = 0
    unscored: int = 0
    out_of_scope: int = 0
    failures: list[Failure] = attrs.field(factory=list)
    without_dicom: list[Failure] = attrs.field(factory=list, repr=False)

    @classmethod
    def of(cls, records: Iterable[Mapping[str, Any]]) -> Self:
        """Count records.

        Parameters
        ----------
        records : iterable of mapping
            As `lungpatch.reports.detection_record` and its sibling return them.

        Returns
        -------
        DetectionCounts
        """
        counts = cls()
        for record in records:
            if record.get(DICOM_ERROR_KEY):
                no_objects = LungpatchError(record[DICOM_ERROR_KEY])
                counts.without_dicom.append(Failure(source=record["image"], error=no_objects))
            if record["status"] == "error":
                error = LungpatchError(record.get("error"))
                counts.failures.append(Failure(source=record["image"], error=error))
            elif record["status"] == "out_of_scope":
                counts.out_of_scope += 1
            elif record.get("pred_label") is None:
                counts.unscored += 1
            elif record["pred_label"]:
                counts.above += 1
            else:
                counts.below += 1
        return counts


def decide(
    folder: str | os.PathLike[str],
    *,
    false_alarm_rate: float | None = None,
    fdr: float | None = None,
    images: Iterable[str | Path] | None = None,
) -> DetectionCounts:
    """Decide again in a folder of results, without detecting again.

    The records get new thresholds and labels, and the worklist page is written again. Scores,
    p-values, maps and boxes stay.

    Parameters
    ----------
    folder : path
        That `lungpatch.detect_folder` or ``lungpatch detect`` wrote.
    false_alarm_rate : float, optional
        Fraction of normal images that may be above the threshold, in (0, 0.5].
    fdr : float, optional
        Expected fraction of normal images among those above the threshold, in (0, 0.5], over all
        these images (`lungpatch.thresholders.false_discovery_labels`). Give this or the other.
    images : iterable of path, optional
        Decide for these only; by default for all of the folder.

    Returns
    -------
    DetectionCounts
        Of these images.

    Raises
    ------
    ConfigurationError
        If not exactly one rate is given, or it is outside (0, 0.5].
    InsufficientDataError
        If the rate is finer than the number of calibration patients allows.
    MissingInputError, InvalidImageError
        If the folder has no records, or they cannot be used.
    DestinationError
        If a page that is no worklist is there.

    Examples
    --------
    >>> import lungpatch
    >>> lungpatch.decide("found", false_alarm_rate=0.2)                # doctest: +SKIP
    DetectionCounts(above=21, below=79, unscored=0, out_of_scope=1, failures=[])
    """
    if (false_alarm_rate is None) == (fdr is None):
        raise ConfigurationError("give either false_alarm_rate or fdr")
    folder = Path(folder)
    check_page(folder)
    check_parquet(folder, wanted=False)
    records = read_detections(folder)
    chosen = records if images is None else list(of_images(records, images))
    decided = [record for record in chosen if record.get("pred_label") is not None]
    calibrations = read_calibrations(folder)
    lacking = [
        r for r in decided if r.get("p_value") is None or r.get("calibration") not in calibrations
    ]
    if lacking:
        raise InvalidImageError(
            f"{folder / RECORDS}: {len(lacking)} records hold no p-value or calibration, the first "
            f"of {lacking[0]['image']}; detect again with this version of lungpatch"
        )
    if fdr is not None:
        _decide_by_discoveries(decided, fdr)
    else:
        at_rate = {
            key: stored.calibration.at_rates(false_alarm_rate=false_alarm_rate)
            for key, stored in calibrations.items()
            if any(record["calibration"] == key for record in decided)
        }
        _decide_by_alarms(decided, at_rate)
    with JsonLines(folder / RECORDS) as lines:
        for record in records:
            lines.append(record)
    worklist(folder)
    refresh_parquet(folder)
    return DetectionCounts.of(chosen)


def _decide_by_alarms(
    records: Sequence[dict[str, Any]], calibrations: Mapping[str, Calibration]
) -> None:
    for record in records:
        calibration = calibrations[record["calibration"]]
        record |= {
            "threshold": calibration.threshold,
            "rule": calibration.rule,
            "pred_label": record["pred_score"] > calibration.threshold,
        }


def _decide_by_discoveries(records: Sequence[dict[str, Any]], rate: float) -> None:
    labels = false_discovery_labels([record["p_value"] for record in records], rate)
    for key in {record["calibration"] for record in records}:
        mine = [i for i, record in enumerate(records) if record["calibration"] == key]
        scores = np.array([records[i]["pred_score"] for i in mine])
        # The lowest p-values are flagged: the highest score that is not separates them.
        below = scores[~labels[mine]]
        threshold = float(below.max() if below.size else np.nextafter(scores.min(), -np.inf))
        for i in mine:
            records[i] |= {
                "threshold": threshold,
                "rule": FDR_RULE,
                "pred_label": bool(labels[i]),
            }
