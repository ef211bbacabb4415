from .compact_unet import CompactUNet as CompactUNet
from .lesion_trained import LesionTrainedNetwork as LesionTrainedNetwork
from .losses import LOSSES as LOSSES
from .lung_network import LungNetwork as LungNetwork
from .network_model import NetworkModel as NetworkModel
from .training import TrainingSettings as TrainingSettings
from .training import train as train

__all__ = [
    "LOSSES",
    "CompactUNet",
    "LesionTrainedNetwork",
    "LungNetwork",
    "NetworkModel",
    "TrainingSettings",
    "train",
]
