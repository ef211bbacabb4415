"""What several test files share: a small phantom cohort on disk and a pipeline fitted to it."""

from __future__ import annotations

import importlib.machinery
import sys
import types
from typing import TYPE_CHECKING

import hypothesis
import pytest
import torch

from lungpatch.datasets.phantom import phantom_cohort, save_cohort
from lungpatch.pipeline.configuration import build_pipeline

if TYPE_CHECKING:
    from pathlib import Path

    import lungpatch

# A script that needs an optional package.
collect_ignore = ["helpers/detect_with_ray.py"]

# On a busy machine threads that wait for each other make small networks a hundred times slower.
torch.set_num_threads(1)
# Nor does a busy machine make a test fail.
hypothesis.settings.register_profile("lungpatch", deadline=None)
hypothesis.settings.load_profile("lungpatch")

FAST_TABLES = {
    "pipeline": {"grid_size": 128, "seed": 1},
    "segmenter": {"name": "threshold"},
    "fit_sampler": {"name": "grid", "patch_size": 16, "stride": 12, "min_lung_fraction": 1.0},
    "sampler": {"name": "grid", "patch_size": 16, "stride": 12, "min_lung_fraction": 0.5},
    "model": {"name": "pca", "patch_size": 16, "n_components": 8},
    "scorer": {"name": "sad"},
    "thresholder": {"name": "quantile", "q": 0.9},
}


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of phantom images: normal/, opacity/ and masks/."""
    folder = tmp_path_factory.mktemp("cohort")
    save_cohort(phantom_cohort(12, 4, seed=3, size=256), folder)
    return folder


@pytest.fixture
def fast_tables() -> dict[str, dict[str, object]]:
    """Settings of a pipeline that fits in a second."""
    return {name: dict(table) for name, table in FAST_TABLES.items()}


@pytest.fixture(scope="session")
def fitted(cohort: Path) -> lungpatch.Pipeline:
    """That pipeline, fitted to the normal images. Not to be changed by a test."""
    return build_pipeline(FAST_TABLES, origin="test").fit(cohort / "normal")


@pytest.fixture(scope="session")
def saved(fitted: lungpatch.Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, saved. Not to be changed by a test."""
    return fitted.save(tmp_path_factory.mktemp("saved") / "fast.lungpatch")


@pytest.fixture
def fake_timm(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A stand-in for timm with one network, ``tiny``, whose weights are always the same."""
    from torch import nn

    def create_model(name: str, pretrained: bool) -> nn.Module:
        network = nn.Sequential()
        network.add_module("first", nn.Conv2d(3, 4, 3, stride=2, padding=1))
        network.add_module("second", nn.Conv2d(4, 6, 3, stride=2, padding=1))
        network.add_module("pool", nn.AdaptiveAvgPool2d(1))
        network.add_module("flat", nn.Flatten())
        for number, weights in enumerate(network.parameters()):
            values = torch.linspace(-1.0, 1.0, weights.numel()).sin() + 0.1 * number
            weights.data = values.reshape(weights.shape)
        network.pretrained_cfg = {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.25, 0.5)}
        return network

    timm = types.ModuleType("timm")
    timm.__spec__ = importlib.machinery.ModuleSpec("timm", None)
    timm.is_model = lambda name: name == "tiny"
    timm.create_model = create_model
    timm.models = types.SimpleNamespace(is_model_in_modules=lambda name, modules: False)
    monkeypatch.setitem(sys.modules, "timm", timm)
    return timm
