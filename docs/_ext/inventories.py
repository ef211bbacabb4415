"""Writes small inventories for intersphinx, so that names of other projects become links offline.

They list what our docstrings name and no more; a build never asks another site.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PROJECTS = {
    "python": (
        "https://docs.python.org/3/",
        {
            "pathlib.Path": "class library/pathlib.html#$",
            "collections.abc.Iterable": "class library/collections.abc.html#$",
            "collections.abc.Mapping": "class library/collections.abc.html#$",
            "collections.abc.Sequence": "class library/collections.abc.html#$",
            "logging": "module library/logging.html#module-$",
        },
    ),
    "numpy": (
        "https://numpy.org/doc/stable/",
        {
            "numpy.ndarray": "class reference/generated/numpy.ndarray.html#$",
            "numpy.random.Generator": "class reference/random/generator.html#$",
            "numpy.gradient": "function reference/generated/numpy.gradient.html#$",
        },
    ),
    "torch": (
        "https://docs.pytorch.org/docs/stable/",
        {
            "torch.Tensor": "class tensors.html#$",
            "torch.device": "class tensor_attributes.html#$",
            "torch.nn.Module": "class generated/torch.nn.Module.html#$",
            "torch.nn.Module.named_modules": (
                "method generated/torch.nn.Module.html#torch.nn.Module.named_modules"
            ),
        },
    ),
    "skimage": (
        "https://scikit-image.org/docs/stable/",
        {"skimage.metrics.structural_similarity": "function api/skimage.metrics.html#$"},
    ),
    "sklearn": (
        "https://scikit-learn.org/stable/",
        {
            f"sklearn.{name}": f"{role} modules/generated/sklearn.{name}.html#$"
            for name, role in {
                "base.BaseEstimator": "class",
                "base.OutlierMixin": "class",
                "ensemble.IsolationForest": "class",
                "model_selection.cross_val_score": "function",
                "utils.estimator_checks.check_estimator": "function",
            }.items()
        },
    ),
}


def write_inventories(folder: Path) -> dict[str, tuple[str, str]]:
    """Write one inventory per project; return the value of ``intersphinx_mapping``."""
    folder.mkdir(parents=True, exist_ok=True)
    mapping = {}
    for project, (home, names) in PROJECTS.items():
        lines = []
        for name, entry in names.items():
            role, page = entry.split(" ")
            lines.append(f"{name} py:{role} 1 {page} -\n")
        head = f"# Sphinx inventory version 2\n# Project: {project}\n# Version: \n"
        head += "# The remainder of this file is compressed using zlib.\n"
        path = folder / f"{project}.inv"
        path.write_bytes(head.encode() + zlib.compress("".join(lines).encode()))
        mapping[project] = (home, str(path))
    return mapping
