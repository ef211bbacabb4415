"""Structured report: scores, p-values and regions as measurements, by template TID 1500."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lungpatch._version import __version__
from lungpatch.reports.dicom.codes import SCHEME, SCHEME_NAME, code, unit
from lungpatch.reports.dicom.result import MANUFACTURER, RESEARCH_ONLY, Result, box_outline

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from highdicom import sr
    from pydicom.dataset import Dataset


def structured_report(result: Result) -> Dataset:
    """Return a result as a DICOM structured report, "Imaging Measurement Report" (TID 1500).

    The first group of measurements is of the image: its score, threshold and p-value, and whether
    it is above the threshold. Each region above the map's threshold is a group with the outline of
    its box on the stored pixels (SCOORD), its site in SNOMED CT, its scores and its p-value.

    Parameters
    ----------
    result : Result

    Returns
    -------
    highdicom.sr.ComprehensiveSR

    Examples
    --------
    >>> structured_report(result).save_as("image.sr.dcm")              # doctest: +SKIP
    """
    from highdicom import sr
    from highdicom.coding_schemes import CodingSchemeIdentificationItem

    report = sr.MeasurementReport(
        observation_context=_observer(result),
        procedure_reported=code("plain radiography"),
        imaging_measurements=[_image_group(result), *_region_groups(result)],
    )
    for text in (RESEARCH_ONLY, "\n".join(result.detection.regions.lines)):
        report[0].ContentSequence.append(
            sr.TextContentItem(name=code("comment"), value=text, relationship_type="CONTAINS")
        )
    dataset = sr.ComprehensiveSR(
        evidence=[result.source.header],
        content=report[0],
        is_complete=True,
        coding_schemes=[
            CodingSchemeIdentificationItem(
                designator=SCHEME, name=SCHEME_NAME, responsible_organization=MANUFACTURER
            )
        ],
        **result.arguments("sr"),
    )
    return result.completed(dataset)


def _observer(result: Result) -> sr.ObservationContext:
    from highdicom import sr
    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    return sr.ObservationContext(
        observer_device_context=sr.ObserverContext(
            observer_type=codes.DCM.Device,
            observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
                uid=generate_uid(entropy_srcs=[MANUFACTURER, __version__, result.pipeline.digest]),
                name=result.model_name,
                manufacturer_name=MANUFACTURER,
                model_name=f"{MANUFACTURER} {__version__}",
                serial_number=result.pipeline.digest or None,
            ),
        )
    )


def _algorithm(result: Result) -> sr.AlgorithmIdentification:
    from highdicom import sr

    return sr.AlgorithmIdentification(
        name=result.model_name,
        version=__version__,
        parameters=[f"pipeline={result.pipeline.digest}"],
    )


def _measurements(values: Iterable[tuple[str, float | None, str | None]]) -> list[Any]:
    """Return measurements of (name, value, derivation); those without a value are left out."""
    from highdicom import sr

    return [
        sr.Measurement(
            name=code(name),
            value=float(value),
            unit=unit(),
            derivation=None if derivation is None else code(derivation),
        )
        for name, value, derivation in values
        if value is not None and math.isfinite(value)
    ]


def _image_group(result: Result) -> Any:
    from highdicom import sr

    detection, header = result.detection, result.source.header
    decision = detection.decision
    evaluations = [sr.QualitativeEvaluation(code("status"), code(detection.status))]
    values: list[tuple[str, float | None, str | None]] = [
        ("image score", detection.pred_score, None)
    ]
    if decision is not None:
        values += [
            ("image threshold", decision.threshold, None),
            ("p-value", decision.p_value, None),
        ]
        answer = code("yes" if decision.pred_label else "no")
        evaluations.append(sr.QualitativeEvaluation(code("above"), answer))
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=result.uid("image"), identifier="lungpatch image"
        ),
        algorithm_id=_algorithm(result),
        finding_sites=[sr.FindingSite(code("lung"), laterality=code("right and left"))],
        measurements=_measurements(values),
        qualitative_evaluations=evaluations,
        source_images=[
            sr.SourceImageForMeasurementGroup(str(header.SOPClassUID), str(header.SOPInstanceUID))
        ],
    )


def _region_groups(result: Result) -> Iterable[Any]:
    from highdicom import sr

    header, found = result.source.header, result.detection.localisation
    image = sr.SourceImageForRegion(str(header.SOPClassUID), str(header.SOPInstanceUID))
    boxes, regions = result.stored_boxes(), result.detection.regions.regions
    for index, (box, region) in enumerate(zip(boxes, regions, strict=True)):
        described = region.to_dict()
        p_values = found.box_p_values
        fractions = described["lung_fractions"]
        yield sr.PlanarROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=sr.TrackingIdentifier(
                uid=result.uid("region", str(index + 1)),
                identifier=f"lungpatch region {index + 1}",
            ),
            referenced_region=sr.ImageRegion(
                graphic_type="POLYLINE", graphic_data=box_outline(box), source_image=image
            ),
            finding_category=code("abnormal structure"),
            finding_type=code("abnormal"),
            algorithm_id=_algorithm(result),
            finding_sites=_sites(described),
            measurements=[
                *_measurements(
                    [
                        ("score", float(found.box_scores[index]), "maximum"),
                        ("score", described["mean_score"], "mean"),
                        ("region threshold", found.threshold, None),
                        ("p-value", None if p_values is None else float(p_values[index]), None),
                    ]
                ),
                *_lung_fractions({side: fractions[side] for side in described["sides"]}),
            ],
        )


def _sites(described: Mapping[str, Any]) -> list[sr.FindingSite]:
    """Return the zones of the lungs in which a region lies; the chest where it lies outside."""
    from highdicom import sr

    sides, zones = described["sides"], described["zones"]
    if not sides:
        return [sr.FindingSite(code("chest"))]
    side = code(sides[0] if len(sides) == 1 else "right and left")
    return [sr.FindingSite(code(zone), laterality=side) for zone in zones or ("lung",)]


def _lung_fractions(fractions: Mapping[str, float | None]) -> list[sr.Measurement]:
    from highdicom import sr

    return [
        sr.Measurement(
            name=code("lung fraction"),
            value=float(fraction),
            unit=unit(),
            finding_sites=[sr.FindingSite(code("lung"), laterality=code(side))],
        )
        for side, fraction in fractions.items()
        if fraction is not None
    ]
