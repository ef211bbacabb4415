"""Many images: a folder in, a folder of results out, and back."""

from lungpatch.archive.deciding import DetectionCounts, decide
from lungpatch.archive.detecting import detect_folder
from lungpatch.archive.loading import SavedDetection, load_detections
from lungpatch.archive.segmenting import SegmentationCounts, segment_folder

__all__ = [
    "DetectionCounts",
    "SavedDetection",
    "SegmentationCounts",
    "decide",
    "detect_folder",
    "load_detections",
    "segment_folder",
]
