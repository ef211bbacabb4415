"""The codes that results use: SNOMED CT and DICOM where they have one, else our own.

A region is coded as what it is claimed to be: abnormal, among the morphologically abnormal
structures. That it is an opacity, or pneumonia, is not claimed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from highdicom.sr import CodedConcept

SCHEME = "99LUNGPATCH"
"""Our own coding scheme, for the numbers that no other scheme has."""

SCHEME_NAME = "lungpatch, codes of its numbers"

_SNOMED = {
    "abnormal": ("263654008", "Abnormal"),
    "abnormal structure": ("49755003", "Morphologically Abnormal Structure"),
    "anatomical structure": ("91723000", "Anatomical Structure"),
    "chest": ("816094009", "Chest"),
    "left": ("7771000", "Left"),
    "lower": ("281394001", "Lower zone of lung"),
    "lung": ("39607008", "Lung"),
    "maximum": ("56851009", "Maximum"),
    "mean": ("373098007", "Mean"),
    "middle": ("281393007", "Middle zone of lung"),
    "no": ("373067005", "No"),
    "plain radiography": ("168537006", "Plain radiography"),
    "right": ("24028007", "Right"),
    "right and left": ("51440002", "Right and left"),
    "upper": ("281392002", "Upper zone of lung"),
    "yes": ("373066001", "Yes"),
}
_DICOM = {
    "artificial intelligence": ("123110", "Artificial Intelligence"),
    "comment": ("121106", "Comment"),
    "source image": ("121322", "Source image for image processing operation"),
}
_OWN = {
    "image score": ("IMAGE-SCORE", "Anomaly score of the image"),
    "image threshold": ("IMAGE-THRESHOLD", "Threshold of the anomaly score of the image"),
    "above": ("ABOVE-THRESHOLD", "Anomaly score is above its threshold"),
    "p-value": ("P-VALUE", "Conformal p-value against normal images"),
    "status": ("STATUS", "How the image was processed"),
    "score": ("SCORE", "Anomaly score"),
    "region threshold": ("REGION-THRESHOLD", "Threshold of the anomaly score of a region"),
    "lung fraction": ("LUNG-FRACTION", "Fraction of the lung that the region takes"),
    "ok": ("OK", "Scored"),
    "no_lungs": ("NO-LUNGS", "Not scored: no lungs were found"),
    "no_patches": ("NO-PATCHES", "Not scored: too little lung"),
    "out_of_scope": ("OUT-OF-SCOPE", "Out of scope: no decision"),
}


def code(name: str) -> CodedConcept:
    """Return a code by its name in this module.

    Parameters
    ----------
    name : str

    Returns
    -------
    highdicom.sr.CodedConcept

    Examples
    --------
    >>> code("lung").value                                             # doctest: +SKIP
    '39607008'
    """
    from highdicom.sr import CodedConcept

    for scheme, table in (("SCT", _SNOMED), ("DCM", _DICOM), (SCHEME, _OWN)):
        if name in table:
            value, meaning = table[name]
            return CodedConcept(value, scheme, meaning)
    raise KeyError(name)


def unit(symbol: str = "1") -> CodedConcept:
    """Return a unit of measurement; scores, p-values and fractions have none ("1")."""
    from highdicom.sr import CodedConcept

    return CodedConcept(symbol, "UCUM", {"1": "no units"}[symbol])
