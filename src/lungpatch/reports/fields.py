"""The fields of results that reports read, as structural types.

Whatever has these fields can be reported, so this package does not import the pipeline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from lungpatch.containers import (
        AnomalyMap,
        BoolImage,
        ChestImage,
        Decision,
        FloatImage,
        Localisation,
        LungMask,
        PatchBatch,
    )


class RegionFields(Protocol):
    """A region or a location: something that describes itself in JSON-ready values.

    Examples
    --------
    >>> from lungpatch.pipeline import Location
    >>> location: RegionFields = Location(score=1.0, row=0, column=0, side=None, u=None, v=None)
    """

    def to_dict(self) -> dict[str, Any]:
        """Return fields and words as JSON-ready values."""
        ...


class RegionSummaryFields(Protocol):
    """Where the anomaly score is high; see `lungpatch.pipeline.RegionSummary`.

    Examples
    --------
    >>> summary: RegionSummaryFields = detection.regions                # doctest: +SKIP
    """

    @property
    def regions(self) -> Sequence[RegionFields]:
        """The regions above the threshold."""
        ...

    @property
    def maximum(self) -> RegionFields | None:
        """The location of the maximum."""
        ...

    @property
    def fractions_above(self) -> Mapping[Any, float | None]:
        """Fraction of each lung above the threshold."""
        ...

    @property
    def lines(self) -> Sequence[str]:
        """The regions in words, line by line."""
        ...


class DetectionFields(Protocol):
    """What a pipeline found in one image; see `lungpatch.Detection`.

    Examples
    --------
    >>> shown: DetectionFields = detection                              # doctest: +SKIP
    """

    @property
    def image(self) -> ChestImage:
        """The radiograph on its native grid."""
        ...

    @property
    def lungs(self) -> LungMask:
        """The lung mask on the model grid."""
        ...

    @property
    def patches(self) -> PatchBatch:
        """The patches that were scored."""
        ...

    @property
    def anomaly_map(self) -> AnomalyMap:
        """The anomaly scores on the model grid."""
        ...

    @property
    def pred_score(self) -> float | None:
        """The image's anomaly score; None where nothing was scored."""
        ...

    @property
    def decision(self) -> Decision | None:
        """Score, threshold and label; None where nothing was scored, and out of scope."""
        ...

    @property
    def localisation(self) -> Localisation:
        """What lies above the map's threshold, on the model grid."""
        ...

    @property
    def status(self) -> str:
        """``"ok"``, or why the image was not scored or is out of scope."""
        ...

    @property
    def reason(self) -> str | None:
        """Why the image is out of scope."""
        ...

    @property
    def seconds(self) -> float:
        """Time spent on the image."""
        ...

    @property
    def native_heatmap(self) -> FloatImage:
        """The anomaly map on the native grid."""
        ...

    @property
    def native_lungs(self) -> BoolImage:
        """The lung mask on the native grid."""
        ...

    @property
    def native_boxes(self) -> NDArray[np.int64]:
        """The predicted boxes on the native grid."""
        ...

    @property
    def regions(self) -> RegionSummaryFields:
        """Where in the lungs the anomaly score is high."""
        ...


class FailureFields(Protocol):
    """An image that could not be processed; see `lungpatch.Failure`.

    Examples
    --------
    >>> failed: FailureFields = failure                                 # doctest: +SKIP
    """

    @property
    def source(self) -> str:
        """The path of the image, or its id."""
        ...

    @property
    def error(self) -> Exception:
        """What is wrong with it."""
        ...


class CalibrationFields(Protocol):
    """The scores that p-values come from; see `lungpatch.pipeline.Calibration`.

    Examples
    --------
    >>> reference: CalibrationFields = pipeline.calibration_           # doctest: +SKIP
    """

    @property
    def image_scores(self) -> Sequence[float]:
        """One per patient."""
        ...

    @property
    def threshold(self) -> float:
        """Of the image score."""
        ...


class SiteFields(Protocol):
    """A comparison of normal images; see `lungpatch.pipeline.SiteReport`.

    Examples
    --------
    >>> shown: SiteFields = pipeline.check("our-normals/")             # doctest: +SKIP
    """

    @property
    def reference(self) -> CalibrationFields:
        """The pipeline's calibration."""
        ...

    @property
    def image_scores(self) -> Sequence[float]:
        """One per patient of the site."""
        ...

    @property
    def p_values(self) -> Sequence[float]:
        """One per patient of the site."""
        ...

    @property
    def grey_shift(self) -> float:
        """In standard deviations."""
        ...

    @property
    def zone_shifts(self) -> Mapping[str, float]:
        """In standard deviations."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready values."""
        ...
