"""Results in the forms that people and programs use: records, overlays, figures, maps and masks.

Results are read by their fields (`lungpatch.reports.fields`), so this package does not import the
pipeline that makes them.
"""

from lungpatch.reports.anomaly_maps import write_anomaly_map
from lungpatch.reports.figure import plot_detection, plot_history
from lungpatch.reports.overlay import overlay, write_overlay
from lungpatch.reports.records import detection_record, failure_record
from lungpatch.reports.segmentation import (
    SegmentationSheets,
    draw_lungs,
    segmentation_record,
    write_mask,
)
from lungpatch.reports.site import plot_site, write_site_report
from lungpatch.reports.worklist import write_worklist

__all__ = [
    "SegmentationSheets",
    "detection_record",
    "draw_lungs",
    "failure_record",
    "overlay",
    "plot_detection",
    "plot_history",
    "plot_site",
    "segmentation_record",
    "write_anomaly_map",
    "write_mask",
    "write_overlay",
    "write_site_report",
    "write_worklist",
]
