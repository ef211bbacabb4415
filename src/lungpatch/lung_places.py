"""Where in the lungs the heat is, in words and numbers.

Sides are the patient's; zones are thirds of a lung from its apex to its base, and medial and
lateral are its halves towards the heart and towards the ribs (`lungpatch.lung_coordinates`). The
words follow from the numbers beside them by one rule: what holds less than a fifth of a region is
left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from lungpatch.containers import BoolImage, Detection, FloatImage
from lungpatch.geometry import boxes_to_own_pixels
from lungpatch.localisation import label_regions
from lungpatch.lung_coordinates import (
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

Position = Literal["medial", "lateral", "medial to lateral"]

LATERAL_FROM = 0.5
"""Lung coordinate ``v`` at which the lateral half of a lung begins."""

NAMED_SHARE = 0.2
"""A side, zone or half is named if it holds at least this share of a region."""

FRINGE = 0.02
"""Heat so near to a lung, as a share of the frame's side, counts as at its nearest pixel.

A patch that was resampled can score a few pixels beyond the mask when it is brought back.
"""

MOST_LINES = 3
"""Regions that are printed; a map of pixels can have hundreds."""


@attrs.frozen(kw_only=True)
class Place:
    """A pixel: its heat, and where in the lungs it lies.

    Parameters
    ----------
    heat : float
        In the units of the pipeline's scorer.
    row, column : int
        In the image's own pixels.
    side : {"right", "left"} or None
        The patient's side; None outside the lungs, further than `FRINGE` from them.
    u, v : float or None
        Lung coordinates: 0 to 1 from apex to base, and from medial to lateral; None outside.

    Examples
    --------
    >>> place = Place(heat=3.1, row=300, column=120, side="right", u=0.8, v=0.7)
    >>> place.text
    'right lower zone, lateral'
    """

    heat: float
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
class HotRegion:
    """A connected region of heat above the threshold.

    Parameters
    ----------
    lung_shares : mapping of {"right", "left"} to float or None
        Share of each lung that the region takes, 0 to 1; None where there is no such lung.
    zone_shares : mapping of {"upper", "middle", "lower"} to float
        How the region is spread over the zones; sums to 1. All 0 outside the lungs.
    lateral_share : float or None
        Share of the region in the lateral half of a lung; None outside the lungs.
    mean_heat : float
        Over the region.
    peak : Place
        Its hottest pixel.
    threshold : float
        The map's, which the region lies above.

    Examples
    --------
    >>> region = HotRegion(
    ...     lung_shares={"right": 0.12, "left": 0.0},
    ...     zone_shares={"upper": 0.0, "middle": 0.1, "lower": 0.9},
    ...     lateral_share=0.85, mean_heat=2.6, threshold=2.0,
    ...     peak=Place(heat=3.1, row=300, column=120, side="right", u=0.8, v=0.7))
    >>> region.text
    'right lower zone, lateral, 12 % of the right lung, peak 3.1 (threshold 2)'
    """

    lung_shares: Mapping[Side, float | None]
    zone_shares: Mapping[Zone, float]
    lateral_share: float | None
    mean_heat: float
    peak: Place
    threshold: float

    @property
    def sides(self) -> tuple[Side, ...]:
        """The lungs it lies in, right first; ``lung_shares`` are compared."""
        shares = {side: self.lung_shares[side] or 0.0 for side in SIDES}
        total = sum(shares.values())
        if not total:  # at most beside a lung
            return () if self.peak.side is None else (self.peak.side,)
        return tuple(side for side in SIDES if 0 < shares[side] >= NAMED_SHARE * total)

    @property
    def zones(self) -> tuple[Zone, ...]:
        """The zones it spans, from the apex down."""
        return tuple(zone for zone in ZONES if self.zone_shares[zone] >= NAMED_SHARE)

    @property
    def position(self) -> Position | None:
        """Medial, lateral, or both; None outside the lungs."""
        return None if self.lateral_share is None else _position(self.lateral_share)

    @property
    def text(self) -> str:
        """Side, zones, position, shares of the lungs and peak, on one line."""
        heat = f"peak {self.peak.heat:.3g} (threshold {self.threshold:.3g})"
        if not self.sides:
            return f"outside the lungs, {heat}"
        zones = f"{_joined(self.zones)} zone{'s' * (len(self.zones) > 1)}"
        where = f"{self.sides[0]} {zones}" if len(self.sides) == 1 else f"both lungs, {zones}"
        shares = " and ".join(
            f"{_percent(self.lung_shares[side])} of the {side} lung" for side in self.sides
        )
        return f"{where}, {self.position}, {shares}, {heat}"

    def to_dict(self) -> dict[str, Any]:
        """Return fields and words as JSON-ready values."""
        return {
            "text": self.text,
            "sides": list(self.sides),
            "zones": list(self.zones),
            "position": self.position,
            "lung_shares": dict(self.lung_shares),
            "zone_shares": dict(self.zone_shares),
            "lateral_share": self.lateral_share,
            "mean_heat": self.mean_heat,
            "peak": self.peak.to_dict(),
        }


@attrs.frozen(kw_only=True, repr=False)
class LungPlaces:
    """Where the heat of an image is: every region above the threshold, and the hottest place.

    Printed, it is a line a region for the three hottest; without a region, a line about the hottest
    place.

    Parameters
    ----------
    regions : tuple of HotRegion
        In the order of the boxes of the detection.
    hottest : Place or None
        The hottest pixel, also below the threshold; None where nothing was scored.
    shares_above : mapping of {"right", "left"} to float or None
        Share of each lung above the threshold, unscored lung counted as not above: the sum of the
        regions' shares. None where there is no such lung.
    threshold : float
        The map's.

    Examples
    --------
    >>> place = Place(heat=1.7, row=80, column=300, side="left", u=0.2, v=0.4)
    >>> places = LungPlaces(
    ...     regions=(), hottest=place, shares_above={"right": 0.0, "left": 0.0}, threshold=2.0)
    >>> print(places)
    nothing above 2; hottest: left upper zone, medial, 1.7
    """

    regions: tuple[HotRegion, ...]
    hottest: Place | None
    shares_above: Mapping[Side, float | None]
    threshold: float

    @property
    def lines(self) -> tuple[str, ...]:
        """What is printed, a line each."""
        if self.hottest is None:
            return ("not scored",)
        if not self.regions:
            place = self.hottest
            nothing = f"nothing above {self.threshold:.3g}"
            return (f"{nothing}; hottest: {place.text}, {place.heat:.3g}",)
        texts = [region.text for region in self.regions[:MOST_LINES]]
        if more := len(self.regions) - len(texts):
            texts.append(f"and {more} more")
        return tuple(texts)

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def __repr__(self) -> str:
        count = len(self.regions)
        return f"LungPlaces({count} region{'s' * (count != 1)}; {self.lines[0]})"


def find_places(detection: Detection) -> LungPlaces:
    """Say where in the lungs the heat of a detection is; `Detection.places` calls this.

    Shares are counted in the working frame, where map and mask are; how the film was resized to it
    does not change them.

    Parameters
    ----------
    detection : Detection

    Returns
    -------
    LungPlaces

    Examples
    --------
    >>> from lungpatch.config import build_pipeline, load_preset, pipeline_settings
    >>> from lungpatch.datasets.phantom import phantom_chest
    >>> settings = pipeline_settings(load_preset("paper"))
    >>> settings["model"] = {"name": "pca", "patch_size": 32, "n_components": 4}
    >>> pipeline = build_pipeline(settings, origin="example")
    >>> healthy = [phantom_chest(seed, size=256).image for seed in range(4)]
    >>> print(find_places(pipeline.fit(healthy).detect(healthy[0])))
    nothing above ...; hottest: ... zone, ...
    """
    heat, found = detection.anomaly_map.heatmap, detection.localisation
    scored = detection.anomaly_map.scored
    lung = detection.lungs.frame.side
    side, u, v = _coordinates(detection.lungs.frame, scored)
    sizes = np.bincount(lung.ravel(), minlength=3)[[RIGHT, LEFT]].tolist()

    def hottest(window: tuple[slice, slice], inside: BoolImage) -> Place:
        row, column = _hottest(heat[window], inside)
        place = row + window[0].start, column + window[1].start
        known = side[place] > 0
        own_row, own_column = _own_pixel(place, heat.shape, detection.image.shape)
        return Place(
            heat=float(heat[place]),
            row=own_row,
            column=own_column,
            side=SIDES[side[place] - RIGHT] if known else None,
            u=float(u[place]) if known else None,
            v=float(v[place]) if known else None,
        )

    labels, windows = label_regions(found.pred_mask)
    count = len(windows)
    in_lung, known = found.pred_mask & (lung > 0), found.pred_mask & (side > 0)
    by_side = _tally(labels[in_lung], lung[in_lung] - RIGHT, (count, len(SIDES)))
    by_zone = _tally(labels[known], np.digitize(u[known], ZONE_BORDERS), (count, len(ZONES)))
    by_half = _tally(labels[known], v[known] >= LATERAL_FROM, (count, 2))
    regions = []
    for index, window in enumerate(windows):
        inside = labels[window] == index + 1
        zones, lateral = by_zone[index], by_half[index, 1]
        total = max(int(zones.sum()), 1)
        regions.append(
            HotRegion(
                lung_shares=_shares(by_side[index], sizes),
                zone_shares=dict(zip(ZONES, (zones / total).tolist(), strict=True)),
                lateral_share=float(lateral / total) if zones.any() else None,
                mean_heat=float(heat[window][inside].mean(dtype=np.float64)),
                peak=hottest(window, inside),
                threshold=found.threshold,
            )
        )
    # As the boxes are.
    regions.sort(key=lambda region: -region.peak.heat)
    whole = slice(0, heat.shape[0]), slice(0, heat.shape[1])
    return LungPlaces(
        regions=tuple(regions),
        hottest=hottest(whole, scored) if scored.any() else None,
        shares_above=_shares(by_side.sum(axis=0), sizes),
        threshold=found.threshold,
    )


def _coordinates(
    frame: LungFrame, scored: BoolImage
) -> tuple[NDArray[np.int8], NDArray[np.float64], NDArray[np.float64]]:
    """Side (0: none), ``u`` and ``v`` of every pixel; beside a lung those of its nearest pixel."""
    side = frame.side.copy()
    u, v = frame.coordinates().astype(np.float64)
    edge = np.argwhere((side > 0) & ~ndimage.binary_erosion(side > 0))
    beside = np.argwhere(scored & (side == 0))
    if len(edge) and len(beside):
        distance, nearest = KDTree(edge).query(beside)
        near = distance <= FRINGE * max(side.shape)
        there, here = tuple(edge[nearest[near]].T), tuple(beside[near].T)
        side[here], u[here], v[here] = side[there], u[there], v[there]
    return side, u, v


def _own_pixel(
    pixel: tuple[int, int], frame_shape: tuple[int, ...], own_shape: tuple[int, int]
) -> tuple[int, int]:
    """Row and column, in the image's own pixels, of the middle of a pixel of the frame."""
    row, column = pixel
    box = np.array([[row, column, row + 1, column + 1]])
    height, width = frame_shape
    row0, col0, row1, col1 = boxes_to_own_pixels(box, (height, width), own_shape)[0].tolist()
    return (row0 + row1) // 2, (col0 + col1) // 2


def _hottest(heat: FloatImage, inside: BoolImage) -> tuple[int, int]:
    """Row and column of the highest heat; of several, that nearest to their middle.

    Maps of patch scores are flat over many pixels, whose first one is at their edge.
    """
    rows, columns = np.nonzero(inside & (heat == heat[inside].max()))
    nearest = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
    return int(rows[nearest]), int(columns[nearest])


def _tally(
    labels: NDArray[np.integer], kinds: NDArray[np.generic], shape: tuple[int, int]
) -> NDArray[np.int64]:
    """Count pixels by region (labels from 1) and by kind (from 0); int64 of ``shape``."""
    place = (labels - 1) * shape[1] + kinds.astype(np.int64)
    return np.bincount(place, minlength=shape[0] * shape[1]).reshape(shape)


def _shares(counts: NDArray[np.int64], sizes: list[int]) -> dict[Side, float | None]:
    return {
        side: count / size if size else None
        for side, count, size in zip(SIDES, counts.tolist(), sizes, strict=True)
    }


def _position(lateral_share: float) -> Position:
    if lateral_share > 1 - NAMED_SHARE:
        return "lateral"
    return "medial to lateral" if lateral_share >= NAMED_SHARE else "medial"


def _joined(zones: tuple[Zone, ...]) -> str:
    return " to ".join((zones[0], zones[-1])) if len(zones) == 3 else " and ".join(zones)


def _percent(share: float | None) -> str:
    return "under 1 %" if not share or share < 0.01 else f"{share:.0%}".replace("%", " %")
