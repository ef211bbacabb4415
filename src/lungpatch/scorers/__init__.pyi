from .feature import FeatureScorer as FeatureScorer
from .l2 import L2Scorer as L2Scorer
from .sad import SADScorer as SADScorer
from .ssim import SSIMScorer as SSIMScorer

__all__ = [
    "FeatureScorer",
    "L2Scorer",
    "SADScorer",
    "SSIMScorer",
]
