from .imlab import IMLABSegmenter as IMLABSegmenter
from .mask_folder import MaskFolderSegmenter as MaskFolderSegmenter
from .onnx import OnnxSegmenter as OnnxSegmenter
from .threshold import ThresholdSegmenter as ThresholdSegmenter
from .unet import UNetSegmenter as UNetSegmenter
from .whole_image import WholeImageSegmenter as WholeImageSegmenter

__all__ = [
    "IMLABSegmenter",
    "MaskFolderSegmenter",
    "OnnxSegmenter",
    "ThresholdSegmenter",
    "UNetSegmenter",
    "WholeImageSegmenter",
]
