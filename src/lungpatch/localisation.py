"""From patch scores to an anomaly map, and from the map to a mask and boxes."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.signal import windows

from lungpatch.containers import AnomalyMap, Localisation, PatchBatch, PatchScores

MapWeights = Literal["mean", "hann"]
MapDetail = Literal["patch", "pixel"]


def build_anomaly_map(
    patches: PatchBatch,
    scores: PatchScores,
    *,
    weights: MapWeights = "mean",
    detail: MapDetail = "patch",
) -> AnomalyMap:
    """Average overlapping patches into one map of the image.

    The heat at a pixel is ``sum_i w_i s_i / sum_i w_i`` over the patches ``i`` whose score was
    computed over that pixel.

    Parameters
    ----------
    patches : PatchBatch
        N patches of one image.
    scores : PatchScores
        Their scores.
    weights : {"mean", "hann"}
        ``mean``: all pixels of a patch weigh the same; ``hann``: a two-dimensional Hann window,
        which takes the seams out of overlapping patches.
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
    height, width = patches.image_shape
    side = patches.patch_size
    window = np.ones((side, side))
    if weights == "hann":
        # The outermost samples of a Hann window are 0 and would leave pixels unscored.
        profile = windows.hann(side + 2)[1:-1]
        window = np.outer(profile, profile)
    values: NDArray[np.floating]
    if detail == "patch":
        values = scores.values[:, None, None]
    elif scores.error_maps is None:
        raise ValueError("detail='pixel' needs a scorer that gives error maps")
    else:
        values = scores.error_maps
    weight = window * scores.support

    places = np.arange(side)
    first = patches.corners[:, 0] * width + patches.corners[:, 1]
    index = (first[:, None, None] + (places[:, None] * width + places)).ravel()
    total = np.bincount(index, (weight * values).ravel(), minlength=height * width)
    weight_sum = np.bincount(index, weight.ravel(), minlength=height * width)
    heat: NDArray[np.float32] = np.full(height * width, np.nan, dtype=np.float32)
    scored = weight_sum > 0
    heat[scored] = total[scored] / weight_sum[scored]
    return AnomalyMap(heatmap=heat.reshape(height, width))


def localise(anomaly_map: AnomalyMap, threshold: float) -> Localisation:
    """Find the connected regions of the map above ``threshold``.

    Parameters
    ----------
    anomaly_map : AnomalyMap
    threshold : float
        Heat above it is anomalous; unscored pixels never are.

    Returns
    -------
    Localisation
        One box a region (pixels that touch by an edge or a corner), highest first.

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch.containers import AnomalyMap
    >>> heat = np.array([[2, 0, 9], [np.nan, 0, 0]], np.float32)
    >>> found = localise(AnomalyMap(heatmap=heat), 1.0)
    >>> found.boxes.tolist(), found.box_scores.tolist()
    ([[0, 2, 1, 3], [0, 0, 1, 1]], [9.0, 2.0])
    """
    heat = anomaly_map.heatmap
    mask: NDArray[np.bool_] = heat > threshold  # NaN compares false
    labels, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    places = ndimage.find_objects(labels)
    boxes = np.array(
        [(rows.start, columns.start, rows.stop, columns.stop) for rows, columns in places],
        dtype=np.int64,
    ).reshape(-1, 4)
    highest = np.array(
        [heat[place][labels[place] == region].max() for region, place in enumerate(places, 1)],
        dtype=np.float64,
    )
    order = np.argsort(-highest, kind="stable")
    return Localisation(
        pred_mask=mask, boxes=boxes[order], box_scores=highest[order], threshold=threshold
    )
