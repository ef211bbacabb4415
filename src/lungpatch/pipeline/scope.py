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

OTHER_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.1.1.1": "Digital X-Ray Image, for processing",
    "1.2.840.10008.5.1.4.1.1.1.2": "Digital Mammography X-Ray Image",
    "1.2.840.10008.5.1.4.1.1.1.2.1": "Digital Mammography X-Ray Image, for processing",
    "1.2.840.10008.5.1.4.1.1.1.3": "Digital Intra-Oral X-Ray Image",
    "1.2.840.10008.5.1.4.1.1.1.3.1": "Digital Intra-Oral X-Ray Image, for processing",
    "1.2.840.10008.5.1.4.1.1.2": "CT Image",
    "1.2.840.10008.5.1.4.1.1.4": "MR Image",
    "1.2.840.10008.5.1.4.1.1.6.1": "Ultrasound Image",
    "1.2.840.10008.5.1.4.1.1.77.1.4": "VL Photographic Image",
}
"""Classes of DICOM objects that are no radiograph for presentation of a chest, by SOPClassUID."""

_FRONTAL = ("AP", "PA")


def _words(*words: str) -> re.Pattern[str]:
    """Compile a pattern of whole words: no letter stands before or after them."""
    return re.compile(rf"(?<![A-Z])(?:{'|'.join(words)})(?![A-Z])")


_OTHER_PART = _words(f"(?:{OTHER_PARTS})S?")
_CHEST = re.compile(r"CHEST|THORAX|TORAX|LUNG|RIB|STERNUM")
_LATERAL = ("LAT", "LATERAL", "LATERALE", "OBLIQUE", "PROFIL", "PROFILE", "SEITLICH")
_OTHER_VIEW = _words(
    *_LATERAL, "LL", "RL", "LLO", "RLO", "LAO", "RAO", "LPO", "RPO", "OBL", "ML", "LM", "MLO", "CC"
)
_DESCRIBED_AS_LATERAL = _words(*_LATERAL)
_DESCRIBED_AS_FRONTAL = _words(*_FRONTAL, "FRONTAL")
_HUMAN = _words("HUMAN", "HOMO SAPIENS")
_ANIMAL = _words("CANINE", "FELINE", "EQUINE", "BOVINE", "VETERINARY", "DOG", "CAT", "HORSE")
_DESCRIPTIONS = ("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription")


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
    Checked in this order: ``Modality`` or ``SOPClassUID`` is none of a radiograph;
    ``PresentationIntentType`` is ``FOR PROCESSING`` (raw detector data);
    ``PatientSpeciesDescription`` is not human; ``AnatomicalOrientationType`` is ``QUADRUPED``;
    ``BodyPartExamined`` or the meaning of ``AnatomicRegionSequence`` is another part of the body;
    ``ViewPosition`` or the meaning of ``ViewCodeSequence`` is lateral or oblique;
    ``PatientOrientation`` has rows or columns that run from front to back;
    ``SeriesDescription``, ``ProtocolName`` or ``AcquisitionDeviceProcessingDescription`` name an
    animal, or call the view lateral or oblique and not frontal, too [1]_. Where no tag names the
    body part, these and ``StudyDescription`` may: another part, and nowhere the chest.

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
        "SOPClassUID": lambda value: value in OTHER_CLASSES,
        "PresentationIntentType": lambda value: value == "FOR PROCESSING",
        "PatientSpeciesDescription": lambda value: not _HUMAN.search(value),
        "AnatomicalOrientationType": lambda value: value == "QUADRUPED",
        "BodyPartExamined": _is_another_part,
        "AnatomicRegionMeaning": _is_another_part,
        "ViewPosition": lambda value: bool(_OTHER_VIEW.search(value)),
        "ViewCodeMeaning": lambda value: bool(_DESCRIBED_AS_LATERAL.search(value)),
        "PatientOrientation": _runs_through_the_body,
        **dict.fromkeys(_DESCRIPTIONS, _is_described_as_another_view),
    }
    for key, contradicts in checks.items():
        if values.get(key) and contradicts(values[key]):
            kind = f" ({OTHER_CLASSES[values[key]]})" if key == "SOPClassUID" else ""
            return f"{key} is {values[key]}{kind}"
    return _described_part(values)


def _is_another_part(value: str) -> bool:
    return bool(_OTHER_PART.search(value)) and not _CHEST.search(value)


def _runs_through_the_body(orientation: str) -> bool:
    """Whether rows or columns run from front to back, as in a lateral view."""
    main = {value[:1] for value in orientation.split("\\")}
    return bool(main & {"A", "P"})


def _is_described_as_another_view(value: str) -> bool:
    lateral = _DESCRIBED_AS_LATERAL.search(value) and not _DESCRIBED_AS_FRONTAL.search(value)
    return bool(lateral or _ANIMAL.search(value))


def _described_part(values: Mapping[str, str]) -> str | None:
    """Return the description that names another part of the body, where no tag says which."""
    if values.get("BodyPartExamined") or values.get("AnatomicRegionMeaning"):
        return None
    described = {
        key: values[key] for key in (*_DESCRIPTIONS, "StudyDescription") if values.get(key)
    }
    if any(_CHEST.search(value) for value in described.values()):
        return None
    other = (f"{key} is {value}" for key, value in described.items() if _OTHER_PART.search(value))
    return next(other, None)
