"""Whether an image is a frontal radiograph of a human chest, as far as DICOM tags say.

What tags cannot say, the image has to: see `lungpatch.segmenters.plausibility`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RADIOGRAPHS = frozenset({"CR", "DX", "DR", "RG", "RF", "OT", "SC", "HC"})
"""Values of Modality that a chest radiograph may have: secondary captures and digitised film
included."""

OTHER_PARTS = (
    "ABDOMEN|ANKLE|ARM|BREAST|BUTTOCK|CALCANEUS|CAROTID|CEREB|CLAVICLE|COCCYX|CSPINE|EAR|ELBOW|EXTREMITY|"
    "EYE|FACE|FEMUR|FIBULA|FINGER|FOOT|FOREARM|HAND|HEAD|HIP|HUMERUS|ILIUM|JAW|KIDNEY|KNEE|LEG|"
    "LIVER|LSPINE|MANDIBLE|MAXILLA|NECK|NOSE|ORBIT|PATELLA|PELVIS|RADIUS|SACRUM|SCAPULA|SCROTUM|"
    "SHOULDER|SINUS|SKULL|SPINE|STOMACH|TEETH|THIGH|THUMB|TIBIA|TOE|TONGUE|TOOTH|TSPINE|ULNA|"
    "UTERUS|WRIST|ZYGOMA"
)
"""Body parts that are not the chest, from the defined terms of BodyPartExamined."""

_OTHER_PART = re.compile(rf"\b({OTHER_PARTS})S?\b")
_CHEST = re.compile(r"CHEST|THORAX|LUNG|RIB|STERNUM")
_OTHER_VIEW = re.compile(r"\b(LL|RL|LLO|RLO|LAO|RAO|LPO|RPO|LAT|LATERAL|OBLIQUE|OBL)\b")
_DESCRIBED_AS_LATERAL = re.compile(r"\b(LAT|LATERAL|OBLIQUE)\b")
_HUMAN = re.compile(r"HUMAN|HOMO SAPIENS")


def out_of_scope(tags: Mapping[str, str]) -> str | None:
    """Return why an image is not a frontal chest radiograph, or None where no tag says so.

    Parameters
    ----------
    tags : mapping of str to str
        Values by DICOM keyword; several values are separated by a backslash. A tag that is
        missing or empty says nothing.

    Returns
    -------
    str or None
        Names the tag and its value.

    Notes
    -----
    Checked in this order: ``Modality`` is none of a radiograph; ``PresentationIntentType`` is
    ``FOR PROCESSING`` (raw detector data); ``PatientSpeciesDescription`` is not human;
    ``BodyPartExamined`` is another part of the body; ``ViewPosition`` is lateral or oblique;
    ``PatientOrientation`` has rows that run from front to back; ``SeriesDescription``,
    ``ProtocolName`` or ``ViewCodeMeaning`` call the view lateral or oblique [1]_.

    References
    ----------
    .. [1] DICOM PS3.3, C.7.3.1 (general series), C.7.6.1.1.1 (patient orientation), C.8.11.5
       (DX positioning); PS3.16, annex L (body parts).

    Examples
    --------
    >>> out_of_scope({"Modality": "DX", "BodyPartExamined": "CHEST", "ViewPosition": "PA"})
    >>> out_of_scope({"Modality": "CR", "BodyPartExamined": "HIP"})
    'BodyPartExamined is HIP'
    """
    values = {key: " ".join(str(value).upper().split()) for key, value in tags.items()}
    checks: dict[str, Callable[[str], bool]] = {
        "Modality": lambda value: value not in RADIOGRAPHS,
        "PresentationIntentType": lambda value: value == "FOR PROCESSING",
        "PatientSpeciesDescription": lambda value: not _HUMAN.search(value),
        "BodyPartExamined": _is_another_part,
        "ViewPosition": lambda value: bool(_OTHER_VIEW.search(value)),
        "PatientOrientation": lambda value: value.split("\\")[0][:1] in ("A", "P"),
        "SeriesDescription": lambda value: bool(_DESCRIBED_AS_LATERAL.search(value)),
        "ProtocolName": lambda value: bool(_DESCRIBED_AS_LATERAL.search(value)),
        "ViewCodeMeaning": lambda value: bool(_DESCRIBED_AS_LATERAL.search(value)),
    }
    for key, contradicts in checks.items():
        if values.get(key) and contradicts(values[key]):
            return f"{key} is {values[key]}"
    return None


def _is_another_part(value: str) -> bool:
    return bool(_OTHER_PART.search(value)) and not _CHEST.search(value)
