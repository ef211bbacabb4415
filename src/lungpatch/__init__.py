"""Find where a chest radiograph departs from healthy lung, without training on a single lesion.

Every detector is a reconstruction compared by a scorer. What happens to an image, and where::

    image -> lung mask -> patches -> reconstruction -> scores -> anomaly map -> decision and place
    images   segmenters   samplers   models            scorers   localisation   thresholders

In code:

>>> import lungpatch
>>> pipeline = lungpatch.load_preset("paper")
>>> pipeline.fit("healthy/")                               # doctest: +SKIP
>>> detection = pipeline.detect("patient.png")             # doctest: +SKIP
>>> detection.decision.pred_label, detection.own_boxes     # doctest: +SKIP

This is a research tool, not a medical device.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0.dev0"

if TYPE_CHECKING:
    from lungpatch.config import load_config as load_config
    from lungpatch.config import load_preset as load_preset
    from lungpatch.config import preset_names as preset_names
    from lungpatch.containers import AnomalyMap as AnomalyMap
    from lungpatch.containers import ChestImage as ChestImage
    from lungpatch.containers import Decision as Decision
    from lungpatch.containers import Detection as Detection
    from lungpatch.containers import Failure as Failure
    from lungpatch.containers import Localisation as Localisation
    from lungpatch.containers import LungMask as LungMask
    from lungpatch.containers import PatchBatch as PatchBatch
    from lungpatch.containers import PatchScores as PatchScores
    from lungpatch.containers import Reconstruction as Reconstruction
    from lungpatch.containers import TrainingHistory as TrainingHistory
    from lungpatch.errors import LungpatchError as LungpatchError
    from lungpatch.images import as_chest_image as as_chest_image
    from lungpatch.images import read_image as read_image
    from lungpatch.persistence import load_pipeline as load_pipeline
    from lungpatch.pipeline import Pipeline as Pipeline
    from lungpatch.plugins.hookspecs import hookimpl as hookimpl
    from lungpatch.plugins.registry import Registry as Registry
    from lungpatch.progress import progress_bar as progress_bar

_HOMES = {
    "config": ("load_config", "load_preset", "preset_names"),
    "containers": (
        "AnomalyMap",
        "ChestImage",
        "Decision",
        "Detection",
        "Failure",
        "Localisation",
        "LungMask",
        "PatchBatch",
        "PatchScores",
        "Reconstruction",
        "TrainingHistory",
    ),
    "errors": ("LungpatchError",),
    "images": ("as_chest_image", "read_image"),
    "persistence": ("load_pipeline",),
    "pipeline": ("Pipeline",),
    "plugins.hookspecs": ("hookimpl",),
    "plugins.registry": ("Registry",),
    "progress": ("progress_bar",),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [*sorted(_MODULE_OF), "__version__"]


def __getattr__(name: str) -> Any:
    # Imported at first use (PEP 562): `import lungpatch` must cost next to nothing.
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'lungpatch' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"lungpatch.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
