"""Checks that a component keeps its contract, for the authors of plugins.

Each check has a name and runs on parts of a seeded phantom. Results are data:

>>> from lungpatch.scorers import SADScorer
>>> from lungpatch.testing import check_scorer
>>> check_scorer(SADScorer()).raise_on_failure()
SADScorer(reduction='mean', region='lung'): 17 checks, 17 passed
"""

from lungpatch.testing.extractor_checks import check_extractor
from lungpatch.testing.model_checks import check_model
from lungpatch.testing.pytest_checks import CHECKS, parametrize_checks
from lungpatch.testing.results import CheckReport, CheckResult
from lungpatch.testing.sampler_checks import check_sampler
from lungpatch.testing.samples import lungless_images, segmenter_images
from lungpatch.testing.scorer_checks import check_scorer
from lungpatch.testing.segmenter_checks import check_segmenter
from lungpatch.testing.temporary import temporary_plugin
from lungpatch.testing.thresholder_checks import check_thresholder

__all__ = [
    "CHECKS",
    "CheckReport",
    "CheckResult",
    "check_extractor",
    "check_model",
    "check_sampler",
    "check_scorer",
    "check_segmenter",
    "check_thresholder",
    "lungless_images",
    "parametrize_checks",
    "segmenter_images",
    "temporary_plugin",
]
