"""Where in the lungs the anomaly score is high, in words and numbers.

Sides are the patient's; zones are thirds of a lung from its apex to its base, and medial and
lateral are its halves towards the heart and towards the ribs
(`lungpatch.containers.lung_coordinates`). The words follow from the numbers beside them by one
rule: what holds less than a fifth of a region is left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import attrs
import numpy as np

from lungpatch._utils.forks import IMPORTING
from lungpatch._utils.renderings import outline
from lungpatch.containers.grids import boxes_to_native_grid
from lungpatch.containers.lung_coordinates import (
    LEFT,
    RIGHT,
    SIDES,
    ZONE_BORDERS,
    ZONES,
    LungFrame,
    Side,
    Zone,
    lung_zone,
)
from lungpatch.pipeline.localisation import label_regions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lungpatch.containers import BoolImage, FloatImage

Position = Literal["medial", "lateral", "medial to lateral"]

LATERAL_FROM = 0.5
"""Lung coordinate ``v`` at which the lateral half of a lung begins."""

MIN_NAMED_FRACTION = 0.2
"""A side, zone or half is named if it holds at least this fraction of a region."""

FRINGE = 0.02
"""Scores within this distance of a lung, as a fraction of the grid's side, count as at its edge.

A patch that was resampled can score a few pixels beyond the mask when it is brought back.
"""

MAX_LINES = 3
"""Maximum number of regions that are printed; a map of pixels can have hundreds."""


@attrs.frozen(kw_only=True)
class Location:
    """A pixel: its anomaly score, and where in the lungs it lies.

    Parameters
    ----------
    score : float
        In the units of the pipeline's scorer.
    row, column : int
        On the image's native grid.
    side : {"right", "left"} or None
        The patient's side; None outside the lungs, further than `FRINGE` from them.
    u, v : float or None
        Lung coordinates: 0 to 1 from apex to base, and from medial to lateral; None outside.

    Examples
    --------
    >>> location = Location(score=3.1, row=300, column=120, side="right", u=0.8, v=0.7)
    >>> location.text
    'right lower zone, lateral'
    """

    score: float
    row: int
    column: int
    side: Side | None
    u: float | None
    v: float | None

    @property
    def zone(self) -> Zone | None:
        """Upper, middle or lower third of its lung; None outside the lungs."""
        return None if self.u is None else lung_zone(self.u)

    @property
    def position(self) -> Position | None:
        """Medial or lateral half of its lung; None outside the lungs."""
        return None if self.v is None else _position(float(self.v >= LATERAL_FROM))

    @property
    def text(self) -> str:
        """Where it lies, in words."""
        if self.side is None:
            return "outside the lungs"
        return f"{self.side} {self.zone} zone, {self.position}"

    def to_dict(self) -> dict[str, Any]:
        """Return fields and words as JSON-ready values."""
        return attrs.asdict(self) | {"zone": self.zone, "position": self.position}


@attrs.frozen(kw_only=True)
class Region:
    """A connected region of anomaly scores above the threshold.

    Parameters
    ----------
    lung_fractions : mapping of {"right", "left"} to float or None
        Fraction of each lung that the region takes, 0 to 1; None where there is no such lung.
    zone_fractions : mapping of {"upper", "middle", "lower"} to float
        How the region is spread over the zones; sums to 1. All 0 outside the lungs.
    lateral_fraction : float or None
        Fraction of the region in the lateral half of a lung; None outside the lungs.
    mean_score : float
        Over the region.
    peak : Location
        Its pixel of the maximum score.
    threshold : float
        The map's, which the region lies above.

    Examples
    --------
    >>> region = Region(
    ...     lung_fractions={"right": 0.12, "left": 0.0},
    ...     zone_fractions={"upper": 0.0, "middle": 0.1, "lower": 0.9},
    ...     lateral_fraction=0.85, mean_score=2.6, threshold=2.0,
    ...     peak=Location(score=3.1, row=300, column=120, side="right", u=0.8, v=0.7))
    >>> region.text
    'right lower zone, lateral, 12 % of the right lung, peak 3.1 (threshold 2)'
    """

    lung_fractions: Mapping[Side, float | None]
    zone_fractions: Mapping[Zone, float]
    lateral_fraction: float | None
    mean_score: float
    peak: Location
    threshold: float

    @property
    def sides(self) -> tuple[Side, ...]:
        """The lungs it lies in, right first; ``lung_fractions`` are compared."""
        fractions = {side: self.lung_fractions[side] or 0.0 for side in SIDES}
        total = sum(fractions.values())
        if not total:  # at most beside a lung
            return () if self.peak.side is None else (self.peak.side,)
        return tuple(side for side in SIDES if 0 < fractions[side] >= MIN_NAMED_FRACTION * total)

    @property
    def zones(self) -> tuple[Zone, ...]:
        """The zones it spans, from the apex down."""
        return tuple(zone for zone in ZONES if self.zone_fractions[zone] >= MIN_NAMED_FRACTION)

    @property
    def position(self) -> Position | None:
        """Medial, lateral, or both; None outside the lungs."""
        return None if self.lateral_fraction is None else _position(self.lateral_fraction)

    @property
    def text(self) -> str:
        """Side, zones, position, fractions of the lungs and peak, on one line."""
        peak = f"peak {self.peak.score:.3g} (threshold {self.threshold:.3g})"
        if not self.sides:
            return f"outside the lungs, {peak}"
        zones = f"{_joined(self.zones)} zone{'s' * (len(self.zones) > 1)}"
        where = f"{self.sides[0]} {zones}" if len(self.sides) == 1 else f"both lungs, {zones}"
        parts = " and ".join(
            f"{_percent(self.lung_fractions[side])} of the {side} lung" for side in self.sides
        )
        return f"{where}, {self.position}, {parts}, {peak}"

    def to_dict(self) -> dict[str, Any]:
        """Return fields and words as JSON-ready values."""
        return {
            "text": self.text,
            "sides": list(self.sides),
            "zones": list(self.zones),
            "position": self.position,
            "lung_fractions": dict(self.lung_fractions),
            "zone_fractions": dict(self.zone_fractions),
            "lateral_fraction": self.lateral_fraction,
            "mean_score": self.mean_score,
            "peak": self.peak.to_dict(),
        }


@attrs.frozen(kw_only=True, repr=False)
class RegionSummary:
    """Where the anomaly score of an image is high: regions above the threshold, and the maximum.

    Printed, it has one line for each of the three highest regions; without a region, one line about
    the maximum.

    Parameters
    ----------
    regions : tuple of Region
        In the order of the boxes of the detection.
    maximum : Location or None
        The pixel of the maximum score, also below the threshold; None where nothing was scored.
    fractions_above : mapping of {"right", "left"} to float or None
        Fraction of each lung above the threshold, unscored lung counted as not above: the sum of
        the regions' fractions. None where there is no such lung.
    threshold : float
        The map's.

    Examples
    --------
    >>> location = Location(score=1.7, row=80, column=300, side="left", u=0.2, v=0.4)
    >>> summary = RegionSummary(
    ...     regions=(), maximum=location, threshold=2.0,
    ...     fractions_above={"right": 0.0, "left": 0.0})
    >>> print(summary)
    nothing above 2; maximum: left upper zone, medial, 1.7
    """

    regions: tuple[Region, ...]
    maximum: Location | None
    fractions_above: Mapping[Side, float | None]
    threshold: float

    @property
    def lines(self) -> tuple[str, ...]:
        """What is printed, line by line."""
        if self.maximum is None:
            return ("not scored",)
        if not self.regions:
            location = self.maximum
            # Out of scope there is no threshold: nothing counts as found.
            nothing = (
                "out of scope"
                if math.isinf(self.threshold)
                else f"nothing above {self.threshold:.3g}"
            )
            return (f"{nothing}; maximum: {location.text}, {location.score:.3g}",)
        texts = [region.text for region in self.regions[:MAX_LINES]]
        if more := len(self.regions) - len(texts):
            texts.append(f"and {more} more")
        return tuple(texts)

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def __repr__(self) -> str:
        count = len(self.regions)
        return f"RegionSummary({count} region{'s' * (count != 1)}; {self.lines[0]})"


def find_regions(
    heatmap: FloatImage,
    pred_mask: BoolImage,
    frame: LungFrame,
    *,
    threshold: float,
    native_shape: tuple[int, int],
) -> RegionSummary:
    """Describe where in the lungs the anomaly score is high; `Detection.regions` calls this.

    Fractions are counted on the model grid, where map and mask are; how the image was resized to
    it does not change them.

    Parameters
    ----------
    heatmap : ndarray of float32, shape (H, W)
        Anomaly scores on the model grid; NaN where nothing was scored.
    pred_mask : ndarray of bool, shape (H, W)
        Where the score lies above the threshold.
    frame : LungFrame
        Lung coordinates of the image, of the same shape.
    threshold : float
        The map's.
    native_shape : tuple of int
        Shape of the image on its native grid, which locations refer to.

    Returns
    -------
    RegionSummary

    Examples
    --------
    >>> lungs = np.zeros((8, 8), bool)
    >>> lungs[1:7, 1:3] = lungs[1:7, 5:7] = True
    >>> heatmap = np.where(lungs, np.float32(1.0), np.float32(np.nan))
    >>> heatmap[6, 1] = 3.0
    >>> print(find_regions(heatmap, heatmap > 2, LungFrame.from_mask(lungs),
    ...                    threshold=2.0, native_shape=(8, 8)))
    right lower zone, lateral, 8 % of the right lung, peak 3 (threshold 2)
    """
    labels, windows = label_regions(pred_mask)
    count = len(windows)
    # Pixels by their index into the flattened map; most of a map is not looked at.
    inside = np.flatnonzero(pred_mask)
    region, lung = labels.ravel()[inside], frame.side.ravel()[inside]
    side, u, v = _positions(frame, inside)
    in_lung, known = lung > 0, side > 0
    by_side = _tally(region[in_lung], lung[in_lung] - RIGHT, (count, len(SIDES)))
    by_zone = _tally(region[known], np.digitize(u[known], ZONE_BORDERS), (count, len(ZONES)))
    by_half = _tally(region[known], v[known] >= LATERAL_FROM, (count, 2))
    sizes = [int(np.count_nonzero(frame.side == each)) for each in (RIGHT, LEFT)]
    regions = []
    for index, window in enumerate(windows):
        is_here, scores = labels[window] == index + 1, heatmap[window]
        row, column = _maximum(np.where(is_here, scores, np.float32(np.nan)))
        peak = row + window[0].start, column + window[1].start
        zones, lateral = by_zone[index], by_half[index, 1]
        total = max(int(zones.sum()), 1)
        regions.append(
            Region(
                lung_fractions=_fractions(by_side[index], sizes),
                zone_fractions=dict(zip(ZONES, (zones / total).tolist(), strict=True)),
                lateral_fraction=float(lateral / total) if zones.any() else None,
                mean_score=float(scores[is_here].mean(dtype=np.float64)),
                peak=_location(peak, heatmap, frame, native_shape),
                threshold=threshold,
            )
        )
    # As the boxes are.
    regions.sort(key=lambda region: -region.peak.score)
    scored = not np.isnan(heatmap).all()
    return RegionSummary(
        regions=tuple(regions),
        maximum=_location(_maximum(heatmap), heatmap, frame, native_shape) if scored else None,
        fractions_above=_fractions(by_side.sum(axis=0), sizes),
        threshold=threshold,
    )


def _location(
    pixel: tuple[int, int], heatmap: FloatImage, frame: LungFrame, native_shape: tuple[int, int]
) -> Location:
    index = np.array([np.ravel_multi_index(pixel, heatmap.shape)])
    (side,), (u,), (v,) = _positions(frame, index)
    row, column = _native_pixel(pixel, heatmap.shape, native_shape)
    return Location(
        score=float(heatmap[pixel]),
        row=row,
        column=column,
        side=SIDES[side - RIGHT] if side else None,
        u=float(u) if side else None,
        v=float(v) if side else None,
    )


def _positions(
    frame: LungFrame, pixels: NDArray[np.int64]
) -> tuple[NDArray[np.int8], NDArray[np.float64], NDArray[np.float64]]:
    """Side (0: none), ``u`` and ``v`` of scored pixels; beside a lung those of its nearest pixel.

    Pixels are indices into the flattened map.
    """
    lungs = frame.side > 0
    nearest = pixels.copy()
    beside = np.flatnonzero(~lungs.ravel()[pixels])
    edge = np.argwhere(outline(lungs, 1)) if len(beside) else np.empty((0, 2), np.int64)
    if len(edge):
        with IMPORTING:
            from scipy.spatial import KDTree

        points = np.stack(np.divmod(pixels[beside], lungs.shape[1]), axis=1)
        distance, number = KDTree(edge).query(points)
        near = distance <= FRINGE * max(lungs.shape)
        nearest[beside[near]] = np.ravel_multi_index(tuple(edge[number[near]].T), lungs.shape)
    u, v = frame.coordinates_at(nearest).astype(np.float64)
    return frame.side.ravel()[nearest], u, v


def _native_pixel(
    pixel: tuple[int, int], grid_shape: tuple[int, ...], native_shape: tuple[int, int]
) -> tuple[int, int]:
    """Row and column, on the native grid, of the middle of a pixel of the model grid."""
    row, column = pixel
    box = np.array([[row, column, row + 1, column + 1]])
    height, width = grid_shape
    row0, col0, row1, col1 = boxes_to_native_grid(box, (height, width), native_shape)[0].tolist()
    return (row0 + row1) // 2, (col0 + col1) // 2


def _maximum(heatmap: FloatImage) -> tuple[int, int]:
    """Row and column of the maximum; of several, that nearest to their middle.

    Maps of patch scores are flat over many pixels, whose first one is at their edge.
    """
    rows, columns = np.nonzero(heatmap == np.fmax.reduce(heatmap, axis=None))
    nearest = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
    return int(rows[nearest]), int(columns[nearest])


def _tally(
    labels: NDArray[np.integer], kinds: NDArray[np.generic], shape: tuple[int, int]
) -> NDArray[np.int64]:
    """Count pixels by region (labels from 1) and by kind (from 0); int64 of ``shape``."""
    cell = (labels - 1) * shape[1] + kinds.astype(np.int64)
    return np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)


def _fractions(counts: NDArray[np.int64], sizes: list[int]) -> dict[Side, float | None]:
    return {
        side: count / size if size else None
        for side, count, size in zip(SIDES, counts.tolist(), sizes, strict=True)
    }


def _position(lateral_fraction: float) -> Position:
    if lateral_fraction > 1 - MIN_NAMED_FRACTION:
        return "lateral"
    return "medial to lateral" if lateral_fraction >= MIN_NAMED_FRACTION else "medial"


def _joined(zones: tuple[Zone, ...]) -> str:
    return " to ".join((zones[0], zones[-1])) if len(zones) == 3 else " and ".join(zones)


def _percent(fraction: float | None) -> str:
    return "under 1 %" if not fraction or fraction < 0.01 else f"{fraction:.0%}".replace("%", " %")
