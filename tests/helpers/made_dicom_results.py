"""DICOM radiographs with known marks, detections in them, and what validators say of results."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import attrs
import numpy as np
import pytest
from made_detections import SCALE, make_detection
from made_dicoms import save_dicom
from pydicom.uid import generate_uid
from stored_orientations import STORED

from lungpatch.io import read_image
from lungpatch.reports.dicom import PipelineIdentity

if TYPE_CHECKING:
    from pathlib import Path

PIPELINE = PipelineIdentity(name="default", digest="5f" * 32)

IDENTITY = {
    "StudyInstanceUID": generate_uid(entropy_srcs=["study"]),
    "SeriesInstanceUID": generate_uid(entropy_srcs=["series"]),
    "SOPInstanceUID": generate_uid(entropy_srcs=["image"]),
    "Modality": "DX",
    "BodyPartExamined": "CHEST",
    "PatientID": "P7",
    "PatientName": "Doe^Jane",
    "PatientBirthDate": "19500102",
    "PatientSex": "F",
    "StudyDate": "20240305",
    "StudyTime": "101112",
    "StudyID": "S1",
    "AccessionNumber": "A1",
    "ReferringPhysicianName": "Roe^Richard",
    "SeriesNumber": 3,
    "InstanceNumber": 2,
}


def save_radiograph(
    path: Path, *, orientation: str | None = "L\\F", shape=(90, 71), bits=12, **elements
) -> Path:
    """Write a radiograph of this shape on display; its pixels are 90 x 71: not whole bytes."""
    white = 2**bits - 1
    shown = np.linspace(0, white, shape[0] * shape[1]).reshape(shape)
    stored = STORED[orientation or "L\\F"](shown.astype(np.uint16 if bits > 8 else np.uint8))
    if orientation is not None:
        elements["PatientOrientation"] = orientation.split("\\")
    return save_dicom(path, np.ascontiguousarray(stored), bits=bits, **(IDENTITY | elements))


def detection_in(path: Path, *, spots=((16, 40), (30, 12)), p_values=True, **options):
    """Return a detection in an image, with its regions where the spots are on a 64 x 64 grid."""
    detection = make_detection(spots=spots, **options)
    localisation, decision = detection.localisation, detection.decision
    found = np.linspace(0.01, 0.02, len(localisation.boxes)) if p_values else None
    localisation = attrs.evolve(localisation, box_p_values=found)
    if decision is not None:
        decision = attrs.evolve(decision, p_value=0.0125 if p_values else None)
    return attrs.evolve(
        detection,
        image=read_image(path),
        anomaly_map=attrs.evolve(detection.anomaly_map, colour_scale=SCALE),
        localisation=localisation,
        decision=decision,
    )


def run_validator(program: str, *arguments: object) -> str:
    """Return all that a validator says; skips where it is not installed."""
    if shutil.which(program) is None:
        package = "dicom3tools" if program == "dciodvfy" else "dcmtk"
        pytest.skip(f"{program} is not installed (Debian: apt-get install {package})")
    done = subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, errors="replace"
    )
    return f"{done.stdout}{done.stderr}" + (f"exit {done.returncode}" if done.returncode else "")


def dciodvfy_errors(path: Path) -> list[str]:
    """Return the errors that dciodvfy finds in a file."""
    said = run_validator("dciodvfy", "-new", path).splitlines()
    return [line for line in said if line.startswith("Error")]
