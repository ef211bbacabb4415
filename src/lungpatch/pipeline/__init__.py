"""The flow: image -> lungs -> patches -> reconstruction -> scores -> map -> decision, regions."""

from lungpatch.pipeline.calibration import Calibration
from lungpatch.pipeline.cohort import UnusedImage
from lungpatch.pipeline.configuration import (
    build_pipeline,
    load_config,
    load_preset,
    parse_settings,
    preset_names,
)
from lungpatch.pipeline.digest import pipeline_digest
from lungpatch.pipeline.fitting import FitReport
from lungpatch.pipeline.image_scores import image_score
from lungpatch.pipeline.loading import load_pipeline, shipped_pipelines
from lungpatch.pipeline.localisation import build_anomaly_map, localise, region_score
from lungpatch.pipeline.patch_store import PatchStore
from lungpatch.pipeline.pipeline import Pipeline
from lungpatch.pipeline.regions import Location, Region, RegionSummary, find_regions
from lungpatch.pipeline.results import Detection, Failure, PreparedImage, ScoredImage
from lungpatch.pipeline.site import SiteReport
from lungpatch.pipeline.tables import pipeline_settings

__all__ = [
    "Calibration",
    "Detection",
    "Failure",
    "FitReport",
    "Location",
    "PatchStore",
    "Pipeline",
    "PreparedImage",
    "Region",
    "RegionSummary",
    "ScoredImage",
    "SiteReport",
    "UnusedImage",
    "build_anomaly_map",
    "build_pipeline",
    "find_regions",
    "image_score",
    "load_config",
    "load_pipeline",
    "load_preset",
    "localise",
    "parse_settings",
    "pipeline_digest",
    "pipeline_settings",
    "preset_names",
    "region_score",
    "shipped_pipelines",
]
