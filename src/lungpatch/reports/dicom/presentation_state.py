"""Presentation state: the boxes as graphics that a viewer lays over the source image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lungpatch.reports.dicom.result import RESEARCH_ONLY, Result, box_outline

if TYPE_CHECKING:
    from highdicom.pr import GraphicAnnotation
    from pydicom.dataset import Dataset

    from lungpatch.reports.dicom.source import Source

_LAYER = "LUNGPATCH"
_COLOUR = (0, 229, 255)
_NOTICE = (0.01, 0.92, 0.99, 0.99)
"""Where the notice stands: left, top, right and bottom as fractions of the display."""


def presentation_state(result: Result) -> Dataset:
    """Return the boxes of a result as a softcopy presentation state of the source image.

    Grey levels are shown as the source says: its modality transform, its first window or table,
    and inverted where it is MONOCHROME1. Images in colour get a presentation state for colour.

    Parameters
    ----------
    result : Result

    Returns
    -------
    highdicom.pr.GrayscaleSoftcopyPresentationState or ColorSoftcopyPresentationState

    Examples
    --------
    >>> presentation_state(result).save_as("image.pr.dcm")             # doctest: +SKIP
    """
    from highdicom.color import CIELabColor
    from highdicom.pr import (
        ColorSoftcopyPresentationState,
        GraphicLayer,
        GrayscaleSoftcopyPresentationState,
    )

    header = result.source.header
    layer = GraphicLayer(
        layer_name=_LAYER,
        order=1,
        description="Regions above the threshold. Research use only",
        display_color=CIELabColor.from_rgb(*_COLOUR),
    )
    in_colour = int(header.get("SamplesPerPixel") or 1) > 1
    kind: Any = GrayscaleSoftcopyPresentationState
    extra: dict[str, Any] = {}
    if in_colour:
        kind = ColorSoftcopyPresentationState
        extra = {"icc_profile": _srgb_profile()}
    dataset = kind(
        referenced_images=[header],
        content_label="LUNGPATCH",
        content_description=RESEARCH_ONLY,
        graphic_layers=[layer],
        graphic_annotations=[_annotation(result, layer)],
        **result.arguments("pr"),
        **extra,
    )
    _set_displayed_area(dataset, result.source)
    if not in_colour:
        _copy_transforms(dataset, result.source.display)
        inverted = header.get("PhotometricInterpretation") == "MONOCHROME1"
        dataset.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"
    return result.completed(dataset)


def _srgb_profile() -> bytes:
    """Return sRGB as the profile of an input device, as the standard wants it."""
    from PIL.ImageCms import ImageCmsProfile, createProfile

    profile = bytearray(ImageCmsProfile(createProfile("sRGB")).tobytes())
    profile[12:16] = b"scnr"  # the device class; Pillow's is that of a monitor
    profile[84:100] = bytes(16)  # no checksum
    return bytes(profile)


def _annotation(result: Result, layer: Any) -> GraphicAnnotation:
    from highdicom.pr import GraphicAnnotation, GraphicObject, TextObject

    detection = result.detection
    boxes, found = result.stored_boxes(), detection.localisation
    p_values = [None] * len(boxes) if found.box_p_values is None else found.box_p_values.tolist()
    graphics, texts = [], []
    for number, (box, score, p_value) in enumerate(
        zip(boxes, found.box_scores.tolist(), p_values, strict=True), start=1
    ):
        outline = box_outline(box)
        graphics.append(
            GraphicObject(
                graphic_type="POLYLINE",
                graphic_data=outline,
                units="PIXEL",
                tracking_id=f"lungpatch region {number}",
                tracking_uid=result.uid("region", str(number)),
            )
        )
        label = f"{score:.3g}" if p_value is None else f"{score:.3g} (p {p_value:.2g})"
        column, row = outline[0].tolist()
        texts.append(
            TextObject(label, units="PIXEL", anchor_point=(column, row), anchor_point_visible=False)
        )
    words = "; ".join(detection.regions.lines)
    notice = f"{result.model_name}: {words}. {RESEARCH_ONLY}"
    texts.append(
        TextObject(notice[:1024], units="DISPLAY", bounding_box=_NOTICE, text_justification="LEFT")
    )
    return GraphicAnnotation(
        referenced_images=[result.source.header],
        graphic_layer=layer,
        graphic_objects=graphics or None,
        text_objects=texts,
    )


def _set_displayed_area(dataset: Dataset, source: Source) -> None:
    """Show the whole image, with pixels as high and as wide as those of the source."""
    (area,) = dataset.DisplayedAreaSelectionSequence
    del area.PixelOriginInterpretation  # only of tiled images
    if source.spacing is not None:
        del area.PresentationPixelAspectRatio
        area.PresentationPixelSpacing = list(source.spacing)
        return
    ratio = source.aspect_ratio
    if ratio is not None:
        area.PresentationPixelAspectRatio = [ratio.numerator, ratio.denominator]


def _copy_transforms(dataset: Dataset, display: Dataset) -> None:
    from pydicom.dataset import Dataset

    voi = Dataset()
    for element in display:
        target = voi if element.keyword.startswith(("Window", "VOI")) else dataset
        target[element.tag] = element
    if voi:
        dataset.SoftcopyVOILUTSequence = [voi]
