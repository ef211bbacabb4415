"""DICOM files, by pydicom: pixels as a viewer displays them, and notes of what was done.

The rules are in "Read DICOM and other images" of the user guide.
"""

from lungpatch.io.dicom.reading import DicomImage, read_dicom

__all__ = ["DicomImage", "read_dicom"]
