from .fixed import FixedExtractor as FixedExtractor
from .imagenet import ImageNetExtractor as ImageNetExtractor
from .lesion_encoder import LesionEncoder as LesionEncoder
from .lung_encoder import LungEncoder as LungEncoder
from .network_extractor import NetworkExtractor as NetworkExtractor
from .network_extractor import TrainedNetwork as TrainedNetwork
from .statistics import StatisticsExtractor as StatisticsExtractor
from .torch_module import TorchModuleExtractor as TorchModuleExtractor

__all__ = [
    "FixedExtractor",
    "ImageNetExtractor",
    "LesionEncoder",
    "LungEncoder",
    "NetworkExtractor",
    "StatisticsExtractor",
    "TorchModuleExtractor",
    "TrainedNetwork",
]
