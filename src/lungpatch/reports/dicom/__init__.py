"""Results as DICOM objects, by highdicom (``pip install "lungpatch[dicom]"``).

Secondary capture, structured report, segmentation, presentation state and parametric map. All of
them refer to the source image and lie on its stored pixels; see "From PACS to PACS" in the user
guide.
"""

from lungpatch.reports.dicom.result import PipelineIdentity
from lungpatch.reports.dicom.writing import (
    DEFAULT_KINDS,
    KINDS,
    check_kinds,
    write_dicom_objects,
)

__all__ = ["DEFAULT_KINDS", "KINDS", "PipelineIdentity", "check_kinds", "write_dicom_objects"]
