"""Read back what `lungpatch.detect_folder` wrote."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import tifffile

from lungpatch.archive.records import read_detections
from lungpatch.containers import AnomalyMap, BoolImage, Decision, FloatImage
from lungpatch.errors import InvalidImageError, MissingInputError
from lungpatch.io import read_mask
from lungpatch.pipeline.localisation import localise

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray


@attrs.frozen(eq=False, kw_only=True, repr=False)
class SavedDetection:
    """One record of a folder of results; its arrays are read when they are asked for.

    Parameters
    ----------
    folder : pathlib.Path
    record : mapping
        As `lungpatch.reports.detection_record` or `lungpatch.reports.failure_record` gave it,
        with the names of the image's files.

    See Also
    --------
    lungpatch.load_detections : Read a whole folder.

    Examples
    --------
    >>> saved = SavedDetection(folder=Path("found"), record={
    ...     "image": "a.png", "status": "ok", "pred_score": 2.0, "threshold": 1.5,
    ...     "rule": "ConformalThresholder", "boxes": [[1, 2, 3, 4]]})
    >>> saved, saved.decision.pred_label, saved.boxes.shape
    (SavedDetection('a.png', ok, score 2), True, (1, 4))
    """

    folder: Path
    record: Mapping[str, Any]

    @property
    def source(self) -> str:
        """Path of the image."""
        return str(self.record["image"])

    @property
    def status(self) -> str:
        """Status of the image; ``"error"`` where it could not be processed."""
        return str(self.record["status"])

    @property
    def error(self) -> str | None:
        """Why the image could not be processed."""
        return self.record.get("error")

    @property
    def decision(self) -> Decision | None:
        """Score, threshold, label and p-value; None where nothing was scored, and out of scope."""
        if self.record.get("threshold") is None:
            return None
        return Decision(
            pred_score=self.record["pred_score"],
            threshold=self.record["threshold"],
            rule=self.record["rule"],
            p_value=self.record.get("p_value"),
        )

    @property
    def p_value(self) -> float | None:
        """How unusual the score is among normal images; None where there is no decision."""
        return self.record.get("p_value")

    @property
    def boxes(self) -> NDArray[np.int64]:
        """Boxes on the image's native grid, int64 (K, 4), highest score first."""
        return np.array(self.record.get("boxes", []), np.int64).reshape(-1, 4)

    def heatmap(self) -> FloatImage:
        """Read the anomaly map, float32 (H, W) on the native grid, NaN where unscored.

        Raises
        ------
        MissingInputError
            If the image has no map, or its file is gone.
        InvalidImageError
            If the file cannot be read.
        """
        path = self._file("anomaly_map")
        try:
            return np.asarray(tifffile.imread(path), np.float32)
        except (OSError, ValueError, tifffile.TiffFileError) as error:
            raise InvalidImageError(
                f"{path}: not a readable anomaly map ({error}); detect again"
            ) from error

    def pred_mask(self) -> BoolImage:
        """Return the regions of the anomaly map above its threshold, bool (H, W), native grid."""
        threshold = self.record["region_threshold"]
        anomaly_map = AnomalyMap(heatmap=self.heatmap())
        return localise(anomaly_map, math.inf if threshold is None else threshold).pred_mask

    def lungs(self) -> BoolImage:
        """Read the lung mask, bool (H, W) on the native grid.

        Raises
        ------
        MissingInputError
            If the image has no mask, or its file is gone.
        InvalidMaskError
            If the file cannot be read.
        """
        return read_mask(self._file("mask"))

    def _file(self, key: str) -> Path:
        name = self.record.get(key)
        if name is None:
            raise MissingInputError(
                f"{self.source}: its record names no {key} (status {self.status})"
            )
        path = self.folder / str(name)
        if not path.is_file():
            raise MissingInputError(f"{path}: no such file; detect again")
        return path

    def __repr__(self) -> str:
        score = self.record.get("pred_score")
        shown = "" if score is None else f", score {score:.4g}"
        return f"SavedDetection({self.source!r}, {self.status}{shown})"


def load_detections(folder: str | os.PathLike[str]) -> list[SavedDetection]:
    """Read the results of `lungpatch.detect_folder` or ``lungpatch detect``.

    Parameters
    ----------
    folder : path
        With ``detections.jsonl``.

    Returns
    -------
    list of SavedDetection
        One per record, in order; maps and masks are read when they are asked for.

    Raises
    ------
    MissingInputError
        If there are no records.
    InvalidImageError
        If a line is not a record; the message names file and line.

    See Also
    --------
    lungpatch.detect_folder : Writes the folder.

    Examples
    --------
    >>> import lungpatch
    >>> for saved in lungpatch.load_detections("found"):               # doctest: +SKIP
    ...     print(saved.source, saved.decision, saved.heatmap().shape)
    """
    records = read_detections(Path(folder))
    return [SavedDetection(folder=Path(folder), record=record) for record in records]
