from .claims import KindRule as KindRule
from .claims import Unimodality as Unimodality
from .claims import overlap_coefficient as overlap_coefficient
from .claims import table_1_rule as table_1_rule
from .claims import unimodality as unimodality
from .classifier import ClassifierScore as ClassifierScore
from .classifier import TwoClassCNN as TwoClassCNN
from .classifier import TwoClassNetwork as TwoClassNetwork
from .classifier import score_classifier as score_classifier
from .clustering import cluster as cluster
from .clustering import difference_features as difference_features
from .clustering import evaluate_classes as evaluate_classes
from .cohort import join_folders as join_folders
from .cohort import phantom_dataset as phantom_dataset
from .figures.images import plot_examples as plot_examples
from .figures.images import plot_gradcam as plot_gradcam
from .figures.images import plot_patch_frames as plot_patch_frames
from .figures.images import plot_patches as plot_patches
from .figures.images import plot_reconstructions as plot_reconstructions
from .figures.images import plot_segmentation as plot_segmentation
from .figures.network import plot_network as plot_network
from .figures.scores import plot_confusion as plot_confusion
from .figures.scores import plot_kind_table as plot_kind_table
from .figures.scores import plot_score_histogram as plot_score_histogram
from .gradcam import LungAttention as LungAttention
from .gradcam import grad_cam as grad_cam
from .gradcam import lung_attention as lung_attention
from .gradcam import mass_inside as mass_inside
from .loss_study import printed_dice_optimum as printed_dice_optimum
from .patch_table import PatchTable as PatchTable
from .reproduction import reproduce as reproduce
from .reproduction import run_stages as run_stages
from .settings import ReproductionSettings as ReproductionSettings
from .study import Reproduction as Reproduction
from .study import Study as Study

__all__ = [
    "ClassifierScore",
    "KindRule",
    "LungAttention",
    "PatchTable",
    "Reproduction",
    "ReproductionSettings",
    "Study",
    "TwoClassCNN",
    "TwoClassNetwork",
    "Unimodality",
    "cluster",
    "difference_features",
    "evaluate_classes",
    "grad_cam",
    "join_folders",
    "lung_attention",
    "mass_inside",
    "overlap_coefficient",
    "phantom_dataset",
    "plot_confusion",
    "plot_examples",
    "plot_gradcam",
    "plot_kind_table",
    "plot_network",
    "plot_patch_frames",
    "plot_patches",
    "plot_reconstructions",
    "plot_score_histogram",
    "plot_segmentation",
    "printed_dice_optimum",
    "reproduce",
    "run_stages",
    "score_classifier",
    "table_1_rule",
    "unimodality",
]
