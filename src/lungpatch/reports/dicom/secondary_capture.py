"""Secondary capture: the overlay as an image of its own, which every viewer displays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from lungpatch._utils.renderings import BACKGROUND, TEXT, fit_text, font_of_size
from lungpatch.reports.dicom.codes import code
from lungpatch.reports.dicom.result import RESEARCH_ONLY, Result
from lungpatch.reports.overlay import overlay

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from lungpatch._utils.renderings import Rendering
    from lungpatch.containers import ColourScale


def secondary_capture(result: Result) -> Dataset:
    """Return the overlay of a result as a secondary capture.

    It is the class of single frames, without a number of frames: viewers of plain radiographs
    take everything else for a film loop. What was drawn is the image as it is displayed, whatever
    the order of its stored pixels.

    Parameters
    ----------
    result : Result

    Returns
    -------
    highdicom.sc.SCImage

    Examples
    --------
    >>> secondary_capture(result).save_as("image.sc.dcm")              # doctest: +SKIP
    """
    from highdicom.sc import SCImage
    from pydicom.dataset import Dataset

    detection, header = result.detection, result.source.header
    scale = detection.anomaly_map.colour_scale
    assert scale is not None  # checked before
    dataset = SCImage(
        pixel_array=_with_notice(result, scale),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),
        study_instance_uid=str(header.StudyInstanceUID),
        **result.arguments("sc"),
    )
    if not result.source.is_frontal:  # then nobody knows how it is displayed
        dataset.PatientOrientation = []
    dataset.ConversionType = "WSD"
    # The name of the image's file is drawn, and files may be named after patients.
    dataset.BurnedInAnnotation = "YES"
    dataset.DerivationDescription = f"Overlay of {result.model_name}. {RESEARCH_ONLY}"
    image, source, series = Dataset(), Dataset(), Dataset()
    for item in (image, source):
        item.ReferencedSOPClassUID = result.source.sop_class
        item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    series.SeriesInstanceUID = header.SeriesInstanceUID
    series.ReferencedInstanceSequence = [image]
    dataset.ReferencedSeriesSequence = [series]
    source.PurposeOfReferenceCodeSequence = [code("source image")]
    dataset.SourceImageSequence = [source]
    for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
        if keyword in header:
            dataset[keyword] = header[keyword]
    dataset.LossyImageCompression = header.get("LossyImageCompression") or "00"
    return result.completed(dataset)


def _with_notice(result: Result, scale: ColourScale) -> Rendering:
    """Draw the overlay, and the notice below it."""
    drawn = overlay(result.detection, scale)
    height, width = drawn.shape[:2]
    size = max(16, width // 80)
    canvas = Image.new("RGB", (width, height + 2 * size), BACKGROUND)
    canvas.paste(Image.fromarray(drawn), (0, 0))
    font = font_of_size(size)
    text = fit_text(f"{result.model_name}. {RESEARCH_ONLY}", font, width - size)
    ImageDraw.Draw(canvas).text((size // 2, height + size // 4), text, TEXT, font)
    return np.asarray(canvas)
