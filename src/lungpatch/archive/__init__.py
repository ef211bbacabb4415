"""Many images: a folder in, a folder of results out, and back."""

from lungpatch.archive.deciding import DetectionCounts, decide
from lungpatch.archive.detecting import detect_folder
from lungpatch.archive.dicomweb import TransferCounts, pull_images, push_results
from lungpatch.archive.dicomweb_connection import DicomServer
from lungpatch.archive.image_detector import ImageDetector
from lungpatch.archive.loading import SavedDetection, load_detections
from lungpatch.archive.parquet import write_parquet
from lungpatch.archive.segmenting import SegmentationCounts, segment_folder
from lungpatch.archive.worklist import worklist

__all__ = [
    "DetectionCounts",
    "DicomServer",
    "ImageDetector",
    "SavedDetection",
    "SegmentationCounts",
    "TransferCounts",
    "decide",
    "detect_folder",
    "load_detections",
    "pull_images",
    "push_results",
    "segment_folder",
    "worklist",
    "write_parquet",
]
