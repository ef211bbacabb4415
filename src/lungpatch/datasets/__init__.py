"""Folders and public sets in, images and their table out; and a synthetic cohort."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lungpatch.datasets.chest_xray import load_chest_xray as load_chest_xray
    from lungpatch.datasets.dataset import Dataset as Dataset
    from lungpatch.datasets.labelled_folder import load_folder as load_folder
    from lungpatch.datasets.nih import load_nih as load_nih
    from lungpatch.datasets.phantom import phantom_chest as phantom_chest
    from lungpatch.datasets.phantom import phantom_cohort as phantom_cohort
    from lungpatch.datasets.pneumoniamnist import fetch_pneumoniamnist as fetch_pneumoniamnist
    from lungpatch.datasets.pneumoniamnist import load_pneumoniamnist as load_pneumoniamnist
    from lungpatch.datasets.rsna import load_rsna as load_rsna

_MODULE_OF = {
    "Dataset": "dataset",
    "fetch_pneumoniamnist": "pneumoniamnist",
    "load_chest_xray": "chest_xray",
    "load_folder": "labelled_folder",
    "load_nih": "nih",
    "load_pneumoniamnist": "pneumoniamnist",
    "load_rsna": "rsna",
    "phantom_chest": "phantom",
    "phantom_cohort": "phantom",
}

__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> Any:
    # Imported at first use, as the package itself.
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'lungpatch.datasets' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"lungpatch.datasets.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
