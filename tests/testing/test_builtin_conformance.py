"""Every built-in component passes the checks that plugins are measured by."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import lungpatch
from lungpatch.plugins.hookspecs import KINDS
from lungpatch.segmenters import MaskFolderSegmenter, imlab
from lungpatch.testing import (
    check_extractor,
    check_segmenter,
    lungless_images,
    parametrize_checks,
    segmenter_images,
)

REGISTRY = lungpatch.Registry(plugins=[])

TINY_NETWORK = {"patch_size": 8, "base_channels": 2, "epochs": 2, "device": "cpu"}
TINY_WHOLE_IMAGE = {"patch_size": 32, "channels": [2, 2, 2, 2, 2], "epochs": 1, "device": "cpu"}

STATISTICS = {"name": "statistics", "grid": 4}
TINY_ENCODER = {"name": "lesion-encoder", "grid": 4, **TINY_WHOLE_IMAGE}
MEMBERS = [
    {"model": {"name": "pca", "patch_size": 8, "n_components": 3}, "scorer": {"name": "sad"}},
    {
        "model": {"name": "memory-bank", "patch_size": 8, "extractor": STATISTICS},
        "scorer": {"name": "feature"},
        "weight": 0.5,
    },
]

SETTINGS = {
    "segmenter": {
        "threshold": [{}],
        "unet": [{"device": "cpu"}, {"device": "cpu", "flip_average": True}],
    },
    "sampler": {
        "grid": [{}, {"patch_size": 16, "stride": 7, "min_lung_fraction": 0.0}],
        "random": [{}, {"patch_size": 8, "n_patches": 5, "min_lung_fraction": 0.0}],
        "lung-crop": [
            {"patch_size": 64},
            {"patch_size": 16, "intensity": "image", "margin": 0.5},
            {"patch_size": 64, "intensity": "lung", "margin": 0.0},
            {"patch_size": 64, "intensity": "clahe"},
        ],
    },
    "extractor": {
        "statistics": [{}, {"statistics": ["deviation"], "scales": [0.1], "grid": 100}],
        "imagenet": [{"blocks": [2, 4], "device": "cpu"}],
        "lung-encoder": [{"grid": 4, "device": "cpu"}],
        "lesion-encoder": [{key: TINY_ENCODER[key] for key in TINY_ENCODER if key != "name"}],
    },
    "model": {
        "pca": [{"patch_size": 8, "n_components": 3}],
        "unet": [TINY_NETWORK],
        "autoencoder": [TINY_NETWORK],
        "synthetic-lesion": [TINY_WHOLE_IMAGE],
        "repair": [TINY_WHOLE_IMAGE],
        "memory-bank": [
            {"patch_size": 16, "extractor": STATISTICS},
            {"patch_size": 32, "extractor": TINY_ENCODER, "search": "global"},
        ],
        "gaussian": [{"patch_size": 16, "extractor": STATISTICS, "n_channels": 4}],
        "lesion-head": [{"patch_size": 16, "extractor": STATISTICS, "passes": 2}],
        "atlas": [{"patch_size": 16}],
        "ensemble": [{"members": MEMBERS}],
    },
    "scorer": {
        "sad": [{}, {"reduction": "sum"}, {"region": "patch"}],
        "l2": [{}, {"region": "patch"}],
        "ssim": [{}, {"region": "patch"}, {"gaussian_weights": False}],
        "feature": [{}, {"difference": "excess", "smoothing": 0.1, "region": "patch"}],
    },
    "thresholder": {
        "quantile": [{}, {"q": 0.0}, {"q": 1.0}],
        "conformal": [{}, {"alpha": 0.004}],
        "multi-otsu": [{}, {"classes": 2}],
        "mixture": [{}, {"n_components": 2}],
        "youden": [{}],
    },
}

# Those with expected failures and those that need files have tests of their own below.
APART = {
    ("segmenter", "whole-image"),
    ("segmenter", "masks"),
    ("segmenter", "imlab"),
    ("segmenter", "onnx"),  # tests/segmenters/test_onnx.py
    ("model", "onnx"),  # tests/models/test_onnx.py
    ("extractor", "torch-module"),
    ("thresholder", "fixed"),
}


def built(kind):
    return [
        REGISTRY.create(kind, name, settings)
        for name, several in SETTINGS[kind].items()
        for settings in several
    ]


def test_no_builtin_is_left_out():
    here = {(kind, name) for kind in KINDS for name in SETTINGS[kind]} | APART
    assert here == {(kind, name) for kind in KINDS for name in REGISTRY.names(kind)}


@parametrize_checks("segmenter", *built("segmenter"))
def test_segmenter(check):
    check()


@parametrize_checks("sampler", *built("sampler"))
def test_sampler(check):
    check()


@parametrize_checks("extractor", *built("extractor"))
def test_extractor(check):
    check()


@parametrize_checks("model", *built("model"))
def test_model(check):
    check()


@parametrize_checks("scorer", *built("scorer"))
def test_scorer(check):
    check()


@parametrize_checks("thresholder", *built("thresholder"))
def test_thresholder(check):
    check()


@parametrize_checks(
    "segmenter",
    REGISTRY.create("segmenter", "whole-image", {}),
    expected_failures={
        "lungless_image_gives_empty_mask": "a control that calls everything lung by intent"
    },
)
def test_whole_image(check):
    check()


@parametrize_checks(
    "thresholder",
    REGISTRY.create("thresholder", "fixed", {"value": 1.5}),
    expected_failures={
        "not_fitted_before_fit": "its threshold is a setting",
        "nan_is_refused": "it looks at no score",
        "too_few_scores_refused": "it needs no score",
    },
)
def test_fixed(check):
    check()


def test_masks(tmp_path):
    for image in segmenter_images():
        Image.fromarray(np.uint8(255 * (image.pixels < 0.5))).save(
            tmp_path / f"{image.image_id}.png"
        )
    for image in lungless_images():
        Image.fromarray(np.zeros(image.shape, np.uint8)).save(tmp_path / f"{image.image_id}.png")
    check_segmenter(MaskFolderSegmenter(folder=str(tmp_path))).raise_on_failure()


def test_torch_module(fake_timm):
    extractor = REGISTRY.create(
        "extractor",
        "torch-module",
        {"library": "timm", "model": "tiny", "layers": ["first", "second"], "device": "cpu"},
    )
    check_extractor(extractor).raise_on_failure()


@pytest.mark.parametrize("kind", KINDS)
def test_scikit_learn_clones_them(kind):
    clone = pytest.importorskip("sklearn.base").clone
    for component in built(kind):
        copied = clone(component)
        assert copied is not component
        assert REGISTRY.settings(copied) == REGISTRY.settings(component)


def test_imlab(monkeypatch):
    # The trained weights are not ours to ship: random ones, with a last bias that calls an image of
    # one grey level no lung, and about half of the phantom lung. tests/segmenters reads files.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = imlab.IMLABNetwork().eval().requires_grad_(False)
    grey = torch.logit(network(torch.zeros(1, 1, 256, 256)))
    network.head.bias -= grey.max() + 1e-3
    monkeypatch.setattr(imlab, "load_imlab_network", lambda weights: network)
    segmenter = REGISTRY.create("segmenter", "imlab", {"weights": "random", "device": "cpu"})
    check_segmenter(segmenter).raise_on_failure()
    assert 0.2 < segmenter.segment(segmenter_images()[0]).fraction < 0.8
