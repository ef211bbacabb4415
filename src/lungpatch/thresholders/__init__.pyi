from .base import FittedThresholds as FittedThresholds
from .conformal import ConformalThresholder as ConformalThresholder
from .fixed import FixedThresholder as FixedThresholder
from .mixture import MixtureThresholder as MixtureThresholder
from .multi_otsu import MultiOtsuThresholder as MultiOtsuThresholder
from .p_values import conformal_p_values as conformal_p_values
from .p_values import false_discovery_labels as false_discovery_labels
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
    "conformal_p_values",
    "false_discovery_labels",
]
