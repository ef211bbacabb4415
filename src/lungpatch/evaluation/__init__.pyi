from .across_sources import SourcesEvaluation as SourcesEvaluation
from .across_sources import evaluate_sources as evaluate_sources
from .bootstrap import Estimate as Estimate
from .cases import Case as Case
from .cases import leave_out_training as leave_out_training
from .cases import read_cases as read_cases
from .figures import plot_froc as plot_froc
from .figures import plot_roc as plot_roc
from .figures import plot_scores_by_kind as plot_scores_by_kind
from .kinds import Kinds as Kinds
from .metrics import LocalisationScore as LocalisationScore
from .metrics import auroc as auroc
from .metrics import bootstrap_interval as bootstrap_interval
from .metrics import score_localisation as score_localisation
from .operating_points import PointResult as PointResult
from .predictions import Predictions as Predictions
from .predictions import run_pipeline as run_pipeline
from .predictions import simple_controls as simple_controls
from .preparation import load_images as load_images
from .protocol import DetectorResult as DetectorResult
from .protocol import Evaluation as Evaluation
from .protocol import evaluate as evaluate
from .protocol import evaluate_predictions as evaluate_predictions
from .report import write_report as write_report
from .sheets import draw_sheet as draw_sheet
from .sources import SOURCES as SOURCES
from .sources import Source as Source
from .sources import load_source as load_source
from .sources import load_sources as load_sources
from .sources_report import write_sources_report as write_sources_report

__all__ = [
    "SOURCES",
    "Case",
    "DetectorResult",
    "Estimate",
    "Evaluation",
    "Kinds",
    "LocalisationScore",
    "PointResult",
    "Predictions",
    "Source",
    "SourcesEvaluation",
    "auroc",
    "bootstrap_interval",
    "draw_sheet",
    "evaluate",
    "evaluate_predictions",
    "evaluate_sources",
    "leave_out_training",
    "load_images",
    "load_source",
    "load_sources",
    "plot_froc",
    "plot_roc",
    "plot_scores_by_kind",
    "read_cases",
    "run_pipeline",
    "score_localisation",
    "simple_controls",
    "write_report",
    "write_sources_report",
]
