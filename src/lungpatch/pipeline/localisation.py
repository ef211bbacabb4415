"""From patch scores to an anomaly map, and from the map to a mask and boxes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

from lungpatch._utils.forks import IMPORTING
from lungpatch.containers import AnomalyMap, Localisation, PatchBatch, PatchScores
from lungpatch.containers.grids import to_native_grid
from lungpatch.thresholders import conformal_p_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lungpatch.containers import FloatImage

MapWeights = Literal["mean", "hann"]
MapDetail = Literal["patch", "pixel"]

MIN_REGION_FRACTION = 0.001
"""Area of the smallest region, as a fraction of the map: 262 pixels of 512 x 512."""


def build_anomaly_map(
    patches: PatchBatch,
    scores: PatchScores,
    *,
    weights: MapWeights = "mean",
    detail: MapDetail = "patch",
) -> AnomalyMap:
    """Average overlapping patches into one map of the image.

    The score at a pixel is ``sum_i w_i s_i / sum_i w_i`` over the patches ``i`` whose score was
    computed over that pixel. A patch that was resampled is brought back as
    `lungpatch.containers.grids.to_native_grid` does.

    Parameters
    ----------
    patches : PatchBatch
        N patches of one image.
    scores : PatchScores
        Their scores.
    weights : {"mean", "hann"}
        ``mean``: all pixels of a patch weigh the same; ``hann``: a two-dimensional Hann window,
        which removes the seams of overlapping patches.
    detail : {"patch", "pixel"}
        What is averaged: each patch's score, or the errors of its pixels.

    Returns
    -------
    AnomalyMap
        Of the image's shape; NaN where no score was computed.

    Raises
    ------
    ValueError
        If ``detail="pixel"`` and the scorer gave no error maps.

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch.containers import PatchBatch, PatchScores
    >>> patches = PatchBatch(
    ...     pixels=np.zeros((2, 1, 1), np.float32), corners=np.array([[0, 0], [0, 1]]),
    ...     lung=np.ones((2, 1, 1), bool), image_shape=(1, 3), image_id="a")
    >>> scores = PatchScores(values=np.array([1.0, 5.0]), support=patches.lung)
    >>> build_anomaly_map(patches, scores).heatmap
    array([[ 1., 5., nan]], dtype=float32)
    """
    side = patches.patch_size
    window = np.ones((side, side))
    if weights == "hann":
        # The outermost samples of a Hann window are 0 and would leave pixels unscored.
        profile = np.hanning(side + 2)[1:-1]
        window = np.outer(profile, profile)
    values: NDArray[np.floating]
    if detail == "patch":
        values = scores.values[:, None, None]
    elif scores.error_maps is None:
        raise ValueError("detail='pixel' needs a scorer that gives error maps")
    else:
        values = scores.error_maps
    weight = window * scores.support
    total, weight_sum = _add_up(patches, weight * values), _add_up(patches, weight)
    heatmap: NDArray[np.float32] = np.full(patches.image_shape, np.nan, dtype=np.float32)
    np.divide(total, weight_sum, out=heatmap, where=weight_sum > 0, casting="same_kind")
    return AnomalyMap(heatmap=heatmap)


def _add_up(patches: PatchBatch, values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Sum (N, P, P) ``values`` where their patches lie in the image; float64 (H, W)."""
    height, width = patches.image_shape
    side = patches.patch_size
    end = patches.corners + patches.extents
    inside = (patches.corners >= 0).all(axis=1) & (end <= patches.image_shape).all(axis=1)
    as_cut = (patches.extents == side).all(axis=1) & inside
    total: NDArray[np.float64] = np.zeros((height, width))
    if as_cut.any():
        offsets = np.arange(side)
        first = patches.corners[as_cut, 0] * width + patches.corners[as_cut, 1]
        index = (first[:, None, None] + (offsets[:, None] * width + offsets)).ravel()
        summed = np.bincount(index, values[as_cut].ravel(), minlength=height * width)
        total += summed.reshape(height, width)
    for other in np.flatnonzero(~as_cut):
        corner, extent = patches.corners[other], patches.extents[other]
        whole = to_native_grid(values[other], (int(extent[0]), int(extent[1])))
        start = np.maximum(corner, 0)
        # Not before the start, for a patch that lies wholly outside.
        stop = np.maximum(np.minimum(corner + extent, patches.image_shape), start)
        seen = tuple(slice(*ends) for ends in zip(start - corner, stop - corner, strict=True))
        there = tuple(slice(*ends) for ends in zip(start, stop, strict=True))
        total[there] += whole[seen]
    return total


def label_regions(
    mask: NDArray[np.bool_],
) -> tuple[NDArray[np.int32], list[tuple[slice, slice]]]:
    """Label the connected regions of a mask; pixels connect by an edge or a corner.

    Parameters
    ----------
    mask : ndarray of bool, shape (H, W)

    Returns
    -------
    labels : ndarray of int32, shape (H, W)
        1 to K in the regions, 0 elsewhere.
    windows : list of tuple of slice
        Rows and columns of the smallest box around each of the K regions.

    Examples
    --------
    >>> import numpy as np
    >>> labels, windows = label_regions(np.array([[True, False, True]]))
    >>> labels.tolist(), len(windows)
    ([[1, 0, 2]], 2)
    """
    labels = np.zeros(mask.shape, np.int32)
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return labels, []
    with IMPORTING:
        from scipy import ndimage

    # Regions take a small part of most maps.
    top, left = int(rows[0]), int(columns[0])
    part = labels[top : rows[-1] + 1, left : columns[-1] + 1]
    ndimage.label(mask[top : rows[-1] + 1, left : columns[-1] + 1], np.ones((3, 3)), output=part)
    windows = [
        (slice(top + r.start, top + r.stop), slice(left + c.start, left + c.stop))
        for r, c in ndimage.find_objects(part)
    ]
    return labels, windows


def localise(
    anomaly_map: AnomalyMap,
    threshold: float,
    *,
    calibration_scores: Sequence[float] | None = None,
) -> Localisation:
    """Find the connected regions of the map above ``threshold``.

    Regions of less than `MIN_REGION_FRACTION` of the map are left out.

    Parameters
    ----------
    anomaly_map : AnomalyMap
    threshold : float
        Scores above it are anomalous; unscored pixels never are.
    calibration_scores : sequence of float, optional
        The `region_score` of each normal patient; they give each region its p-value.

    Returns
    -------
    Localisation
        One box per region (pixels that touch by an edge or a corner), highest score first.

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch.containers import AnomalyMap
    >>> heatmap = np.array([[2, 0, 9], [np.nan, 0, 0]], np.float32)
    >>> found = localise(AnomalyMap(heatmap=heatmap), 1.0, calibration_scores=[1.5, 3.0, 4.0])
    >>> found.boxes.tolist(), found.box_scores.tolist(), found.box_p_values.tolist()
    ([[0, 2, 1, 3], [0, 0, 1, 1]], [9.0, 2.0], [0.25, 0.75])
    """
    heatmap = anomaly_map.heatmap
    mask: NDArray[np.bool_] = heatmap > threshold  # NaN compares false
    labels, windows = label_regions(mask)
    min_area = _min_area(heatmap)
    areas = np.bincount(labels[mask], minlength=len(windows) + 1)
    regions = [region for region in range(1, len(windows) + 1) if areas[region] >= min_area]
    inside = [heatmap[windows[i - 1]][labels[windows[i - 1]] == i] for i in regions]
    highest = np.array([values.max() for values in inside], dtype=np.float64)
    order = np.argsort(-highest, kind="stable")
    p_values = None
    if calibration_scores is not None:
        levels = []
        for region in regions:
            window = windows[region - 1]
            alone = np.where(labels[window] == region, heatmap[window], np.nan)
            levels.append(_highest_level(alone, min_area))
        p_values = conformal_p_values(levels, calibration_scores)[order]
    boxes = np.array(
        [
            (rows.start, columns.start, rows.stop, columns.stop)
            for rows, columns in (windows[region - 1] for region in regions)
        ],
        dtype=np.int64,
    ).reshape(-1, 4)
    kept = np.zeros(len(windows) + 1, np.bool_)
    kept[regions] = True
    return Localisation(
        pred_mask=kept[labels],
        boxes=boxes[order],
        box_scores=highest[order],
        box_p_values=p_values,
        threshold=threshold,
    )


def region_score(anomaly_map: AnomalyMap) -> float:
    """Return the highest level at which the map still has a region.

    `localise` finds a region exactly for the thresholds below it. That is the maximum of the map
    after an area opening (L. Vincent, "Morphological area openings and closings for grey-scale
    images", 1993): single high pixels do not count.

    Parameters
    ----------
    anomaly_map : AnomalyMap
        With at least one scored pixel.

    Returns
    -------
    float
        The lowest score, if less is scored than the smallest region has.

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch.containers import AnomalyMap
    >>> heatmap = np.zeros((100, 100), np.float32)
    >>> heatmap[0, 0], heatmap[50:54, 50:54] = 9.0, 3.0
    >>> region_score(AnomalyMap(heatmap=heatmap))
    3.0
    """
    heatmap = anomaly_map.heatmap
    return _highest_level(heatmap, _min_area(heatmap))


def _min_area(heatmap: FloatImage) -> int:
    return max(1, math.ceil(MIN_REGION_FRACTION * heatmap.size))


def _highest_level(heatmap: FloatImage, min_area: int) -> float:
    """Return the highest of the values ``v`` for which ``heatmap >= v`` has a region so large."""
    levels = np.unique(heatmap[np.isfinite(heatmap)])
    low, high = 0, len(levels)  # the lowest level counts, whatever its area
    while high - low > 1:
        middle = (low + high) // 2
        labels, _ = label_regions(heatmap >= levels[middle])
        if np.bincount(labels.ravel())[1:].max() >= min_area:
            low = middle
        else:
            high = middle
    return float(levels[low])
