"""What reports read of a result, so that results above can show themselves without a circle."""

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
    """One region, or one location: anything that describes itself in JSON-ready values.

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
    def image(self) -> ChestImage: ...  # noqa: D102 - as in Detection
    @property
    def lungs(self) -> LungMask: ...  # noqa: D102
    @property
    def patches(self) -> PatchBatch: ...  # noqa: D102
    @property
    def anomaly_map(self) -> AnomalyMap: ...  # noqa: D102
    @property
    def decision(self) -> Decision | None: ...  # noqa: D102
    @property
    def localisation(self) -> Localisation: ...  # noqa: D102
    @property
    def status(self) -> str: ...  # noqa: D102
    @property
    def seconds(self) -> float: ...  # noqa: D102
    @property
    def native_heatmap(self) -> FloatImage: ...  # noqa: D102
    @property
    def native_lungs(self) -> BoolImage: ...  # noqa: D102
    @property
    def native_boxes(self) -> NDArray[np.int64]: ...  # noqa: D102
    @property
    def regions(self) -> RegionSummaryFields: ...  # noqa: D102


class FailureFields(Protocol):
    """An image that could not be processed; see `lungpatch.Failure`.

    Examples
    --------
    >>> failed: FailureFields = failure                                 # doctest: +SKIP
    """

    @property
    def source(self) -> str: ...  # noqa: D102 - as in Failure
    @property
    def error(self) -> Exception: ...  # noqa: D102
