from .grid import GridSampler as GridSampler
from .lung_crop import LungCropSampler as LungCropSampler
from .random_patches import RandomSampler as RandomSampler

__all__ = [
    "GridSampler",
    "LungCropSampler",
    "RandomSampler",
]
