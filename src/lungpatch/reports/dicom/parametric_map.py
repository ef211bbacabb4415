"""Parametric map: the anomaly scores as numbers, on the stored pixels of the source."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np

from lungpatch.reports.dicom.codes import code, unit
from lungpatch.reports.dicom.result import RESEARCH_ONLY, Result

if TYPE_CHECKING:
    from highdicom import VOILUTTransformation
    from highdicom.pm import RealWorldValueMapping
    from pydicom.dataset import Dataset

_NOMINAL_SPACING = (1.0, 1.0)
_NOMINAL_THICKNESS = 1.0


def parametric_map(result: Result) -> Dataset:
    """Return the anomaly scores of a result as a DICOM parametric map.

    It has one frame of float32. Pixels that were not scored hold ``FloatPixelPaddingValue``, which
    is below all scores: viewers that take the range of an image from its pixels fail on NaN.

    The standard wants parametric maps to have a position in space, which radiographs lack. The
    map gets a frame of reference of its own, which no image shares.

    Parameters
    ----------
    result : Result
        With at least one scored pixel.

    Returns
    -------
    highdicom.pm.ParametricMap

    Examples
    --------
    >>> parametric_map(result).save_as("image.pm.dcm")                 # doctest: +SKIP
    """
    from highdicom.pm import ParametricMap

    scores = result.stored(result.detection.native_heatmap)
    low, high = float(np.nanmin(scores)), float(np.nanmax(scores))
    padding = np.float32(low - max(high - low, 1.0))
    dataset = ParametricMap(
        source_images=[_with_position(result)],
        pixel_array=np.where(np.isnan(scores), padding, scores).astype(np.float32),
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[_mapping(low, high)],
        voi_lut_transformations=[_window(result, low, high)],
        content_label="LUNGPATCH",
        content_description=RESEARCH_ONLY,
        content_qualification="RESEARCH",
        image_flavor="STATIC",
        **result.arguments("pm"),
    )
    dataset.FloatPixelPaddingValue = dataset.FloatPixelPaddingRangeLimit = float(padding)
    return result.completed(dataset)


def _with_position(result: Result) -> Dataset:
    """Return the header of the source in a frame of reference made for the map."""
    header = deepcopy(result.source.header)
    header.FrameOfReferenceUID = result.uid("pm", "frame of reference")
    header.PositionReferenceIndicator = None
    header.ImagePositionPatient = [0, 0, 0]
    header.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    header.PixelSpacing = list(result.source.spacing or _NOMINAL_SPACING)
    header.SliceThickness = _NOMINAL_THICKNESS
    return header


def _mapping(low: float, high: float) -> RealWorldValueMapping:
    """Say that stored values are scores, without a unit."""
    from highdicom.pm import RealWorldValueMapping

    return RealWorldValueMapping(
        lut_label="ANOMALY SCORE",
        lut_explanation="Anomaly score: higher is less like normal lung",
        unit=unit(),
        value_range=(low, high),
        quantity_definition=code("score"),
    )


def _window(result: Result, low: float, high: float) -> VOILUTTransformation:
    """Show scores from black to white where overlays show them from the first to the last colour.

    The range of the pipeline, not of the image, so that maps stay comparable.
    """
    from highdicom import VOILUTTransformation

    scale = result.detection.anomaly_map.colour_scale
    black, white = (low, max(high, low + 1.0)) if scale is None else (scale.low, scale.high)
    return VOILUTTransformation(
        window_center=(black + white) / 2,
        window_width=white - black,
        voi_lut_function="LINEAR_EXACT",
        window_explanation="as in overlays",
    )
