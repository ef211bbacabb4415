from ._utils.component import Component as Component
from ._utils.progress import progress_bar as progress_bar
from ._version import __version__ as __version__
from .archive import DetectionCounts as DetectionCounts
from .archive import DicomServer as DicomServer
from .archive import ImageDetector as ImageDetector
from .archive import SavedDetection as SavedDetection
from .archive import SegmentationCounts as SegmentationCounts
from .archive import TransferCounts as TransferCounts
from .archive import decide as decide
from .archive import detect_folder as detect_folder
from .archive import load_detections as load_detections
from .archive import pull_images as pull_images
from .archive import push_results as push_results
from .archive import segment_folder as segment_folder
from .archive import worklist as worklist
from .containers import AnomalyMap as AnomalyMap
from .containers import ChestImage as ChestImage
from .containers import ColourScale as ColourScale
from .containers import Decision as Decision
from .containers import Localisation as Localisation
from .containers import LungMask as LungMask
from .containers import PatchBatch as PatchBatch
from .containers import PatchScores as PatchScores
from .containers import Reconstruction as Reconstruction
from .containers import TrainingHistory as TrainingHistory
from .errors import LungpatchError as LungpatchError
from .features import ImageNetExtractor as ImageNetExtractor
from .features import LesionEncoder as LesionEncoder
from .features import LungEncoder as LungEncoder
from .features import StatisticsExtractor as StatisticsExtractor
from .features import TorchModuleExtractor as TorchModuleExtractor
from .io import as_chest_image as as_chest_image
from .io import read_image as read_image
from .models import PCA as PCA
from .models import AtlasModel as AtlasModel
from .models import Autoencoder as Autoencoder
from .models import EnsembleModel as EnsembleModel
from .models import GaussianModel as GaussianModel
from .models import LesionHeadModel as LesionHeadModel
from .models import Member as Member
from .models import MemoryBankModel as MemoryBankModel
from .models import OnnxModel as OnnxModel
from .models import RepairModel as RepairModel
from .models import SyntheticLesionModel as SyntheticLesionModel
from .models import UNet as UNet
from .pipeline import Detection as Detection
from .pipeline import Failure as Failure
from .pipeline import PatchStore as PatchStore
from .pipeline import Pipeline as Pipeline
from .pipeline import load_config as load_config
from .pipeline import load_pipeline as load_pipeline
from .pipeline import load_preset as load_preset
from .pipeline import preset_names as preset_names
from .pipeline.export import export_onnx as export_onnx
from .plugins.hookspecs import hookimpl as hookimpl
from .plugins.registry import Registry as Registry
from .protocols import FeatureExtractor as FeatureExtractor
from .protocols import PatchSampler as PatchSampler
from .protocols import PatchSource as PatchSource
from .protocols import ReconstructionModel as ReconstructionModel
from .protocols import Scorer as Scorer
from .protocols import Segmenter as Segmenter
from .protocols import Thresholder as Thresholder
from .samplers import GridSampler as GridSampler
from .samplers import LungCropSampler as LungCropSampler
from .samplers import RandomSampler as RandomSampler
from .scorers import FeatureScorer as FeatureScorer
from .scorers import L2Scorer as L2Scorer
from .scorers import SADScorer as SADScorer
from .scorers import SSIMScorer as SSIMScorer
from .segmenters import IMLABSegmenter as IMLABSegmenter
from .segmenters import MaskFolderSegmenter as MaskFolderSegmenter
from .segmenters import OnnxSegmenter as OnnxSegmenter
from .segmenters import ThresholdSegmenter as ThresholdSegmenter
from .segmenters import UNetSegmenter as UNetSegmenter
from .segmenters import WholeImageSegmenter as WholeImageSegmenter
from .thresholders import ConformalThresholder as ConformalThresholder
from .thresholders import FixedThresholder as FixedThresholder
from .thresholders import MixtureThresholder as MixtureThresholder
from .thresholders import MultiOtsuThresholder as MultiOtsuThresholder
from .thresholders import QuantileThresholder as QuantileThresholder
from .thresholders import YoudenThresholder as YoudenThresholder

__all__ = [
    "PCA",
    "AnomalyMap",
    "AtlasModel",
    "Autoencoder",
    "ChestImage",
    "ColourScale",
    "Component",
    "ConformalThresholder",
    "Decision",
    "Detection",
    "DetectionCounts",
    "DicomServer",
    "EnsembleModel",
    "Failure",
    "FeatureExtractor",
    "FeatureScorer",
    "FixedThresholder",
    "GaussianModel",
    "GridSampler",
    "IMLABSegmenter",
    "ImageDetector",
    "ImageNetExtractor",
    "L2Scorer",
    "LesionEncoder",
    "LesionHeadModel",
    "Localisation",
    "LungCropSampler",
    "LungEncoder",
    "LungMask",
    "LungpatchError",
    "MaskFolderSegmenter",
    "Member",
    "MemoryBankModel",
    "MixtureThresholder",
    "MultiOtsuThresholder",
    "OnnxModel",
    "OnnxSegmenter",
    "PatchBatch",
    "PatchSampler",
    "PatchScores",
    "PatchSource",
    "PatchStore",
    "Pipeline",
    "QuantileThresholder",
    "RandomSampler",
    "Reconstruction",
    "ReconstructionModel",
    "Registry",
    "RepairModel",
    "SADScorer",
    "SSIMScorer",
    "SavedDetection",
    "Scorer",
    "SegmentationCounts",
    "Segmenter",
    "StatisticsExtractor",
    "SyntheticLesionModel",
    "ThresholdSegmenter",
    "Thresholder",
    "TorchModuleExtractor",
    "TrainingHistory",
    "TransferCounts",
    "UNet",
    "UNetSegmenter",
    "WholeImageSegmenter",
    "YoudenThresholder",
    "__version__",
    "as_chest_image",
    "decide",
    "detect_folder",
    "export_onnx",
    "hookimpl",
    "load_config",
    "load_detections",
    "load_pipeline",
    "load_preset",
    "preset_names",
    "progress_bar",
    "pull_images",
    "push_results",
    "read_image",
    "segment_folder",
    "worklist",
]
