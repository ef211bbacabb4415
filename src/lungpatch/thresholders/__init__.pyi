from .base import FittedThresholds as FittedThresholds
from .conformal import ConformalThresholder as ConformalThresholder
from .fixed import FixedThresholder as FixedThresholder
from .mixture import MixtureThresholder as MixtureThresholder
from .multi_otsu import MultiOtsuThresholder as MultiOtsuThresholder
from .quantile import QuantileThresholder as QuantileThresholder
from .youden import YoudenThresholder as YoudenThresholder

__all__ = [
    "ConformalThresholder",
    "FittedThresholds",
    "FixedThresholder",
    "MixtureThresholder",
    "MultiOtsuThresholder",
    "QuantileThresholder",
    "YoudenThresholder",
]
