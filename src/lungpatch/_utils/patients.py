"""One spelling for each patient, however a table, a manifest or a program writes the number."""

from __future__ import annotations

import math
import re
import unicodedata

_WHOLE_NUMBER = re.compile(r"0*([0-9]+?)(?:\.0*)?")


def normalise_patient(patient: object) -> str:
    """Write a patient's id in one way, so that the same patient is recognised everywhere.

    Spreadsheets strip leading zeros, and tables with a gap turn whole numbers into floating-point
    ones. Two ids that differ in nothing else count as one patient: the error is then that two
    patients are kept together, never that one patient is on two sides of a split.

    Parameters
    ----------
    patient : object
        As a table or a program has it: str, int or float.

    Returns
    -------
    str
        Without surrounding space; a whole number without leading zeros and without a fraction.
        ``""`` where the patient is not known (None, NaN, blank text).

    Examples
    --------
    >>> [normalise_patient(patient) for patient in ("00001280", "1280", " 1280.0", 1280, 1280.0)]
    ['1280', '1280', '1280', '1280', '1280']
    >>> [normalise_patient(patient) for patient in ("IM-0115", "1.2.840", 0, None)]
    ['IM-0115', '1.2.840', '0', '']
    """
    if patient is None:
        return ""
    if isinstance(patient, float):
        if math.isnan(patient):
            return ""
        if patient.is_integer():
            return str(int(patient))
    text = unicodedata.normalize("NFKC", str(patient)).strip()
    number = _WHOLE_NUMBER.fullmatch(text)
    return number[1] if number else text
