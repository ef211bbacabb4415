from .atlas import AtlasModel as AtlasModel
from .autoencoder import Autoencoder as Autoencoder
from .convolutional import ConvolutionalModel as ConvolutionalModel
from .diagnostics import IdentityShortcut as IdentityShortcut
from .diagnostics import identity_shortcut as identity_shortcut
from .ensemble import EnsembleModel as EnsembleModel
from .ensemble import Member as Member
from .feature_model import FeatureModel as FeatureModel
from .gaussian import GaussianModel as GaussianModel
from .lesion_head import LesionHeadModel as LesionHeadModel
from .memory_bank import MemoryBankModel as MemoryBankModel
from .onnx import OnnxModel as OnnxModel
from .pca import PCA as PCA
from .repair import RepairModel as RepairModel
from .synthetic_lesion import SyntheticLesionModel as SyntheticLesionModel
from .unet import UNet as UNet

__all__ = [
    "PCA",
    "AtlasModel",
    "Autoencoder",
    "ConvolutionalModel",
    "EnsembleModel",
    "FeatureModel",
    "GaussianModel",
    "IdentityShortcut",
    "LesionHeadModel",
    "Member",
    "MemoryBankModel",
    "OnnxModel",
    "RepairModel",
    "SyntheticLesionModel",
    "UNet",
    "identity_shortcut",
]
