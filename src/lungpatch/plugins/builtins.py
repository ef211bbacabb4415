"""Our own components, registered through the hook that plugins use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lungpatch.plugins.hookspecs import Register, hookimpl

if TYPE_CHECKING:
    from lungpatch.protocols import Kind

_PACKAGES: dict[Kind, str] = {
    "segmenter": "lungpatch.segmenters",
    "sampler": "lungpatch.samplers",
    "extractor": "lungpatch.features",
    "model": "lungpatch.models",
    "scorer": "lungpatch.scorers",
    "thresholder": "lungpatch.thresholders",
}

_COMPONENTS: dict[Kind, dict[str, tuple[str, str]]] = {
    "segmenter": {
        "whole-image": (
            "WholeImageSegmenter",
            "Calls the whole image lung: a control that shows what a lung mask is worth.",
        ),
        "threshold": (
            "ThresholdSegmenter",
            "Takes the two dark regions of the chest; fast, no weights, misses opaque lung.",
        ),
        "masks": (
            "MaskFolderSegmenter",
            "Reads lung masks that exist already from a folder, matched by file name.",
        ),
        "unet": (
            "UNetSegmenter",
            "Finds lungs, opaque parts included, with a trained network that is packaged.",
        ),
        "imlab": ("IMLABSegmenter", "Finds lungs with the network that the paper used."),
        "onnx": (
            "OnnxSegmenter",
            "Finds lungs with a network in the ONNX format; runs without torch.",
        ),
    },
    "sampler": {
        "grid": ("GridSampler", "Cuts overlapping patches on a regular grid, border included."),
        "random": ("RandomSampler", "Cuts patches at random positions in the lung; for training."),
        "lung-crop": (
            "LungCropSampler",
            "One patch per image: both lungs, brought to one size and position.",
        ),
    },
    "extractor": {
        "statistics": (
            "StatisticsExtractor",
            "Local mean, deviation and gradient of the grey levels at several scales; no network.",
        ),
        "imagenet": (
            "ImageNetExtractor",
            "Layers of a small packaged network that was trained on photographs; no download.",
        ),
        "torch-module": (
            "TorchModuleExtractor",
            "Layers of any network of timm, torchvision or torchxrayvision.",
        ),
        "lung-encoder": (
            "LungEncoder",
            "Layers of the packaged network that finds lungs; no training, no download.",
        ),
        "lesion-encoder": (
            "LesionEncoder",
            "Layers of a network that is trained here to see painted lesions; no download.",
        ),
    },
    "model": {
        "unet": ("UNet", "The paper's U-Net: its skip connections also copy what is not normal."),
        "autoencoder": (
            "Autoencoder",
            "The paper's network without skip connections: all goes through a bottleneck.",
        ),
        "pca": ("PCA", "Mixes a few typical normal patches; linear, fits in seconds, no network."),
        "synthetic-lesion": (
            "SyntheticLesionModel",
            "Is trained to see lesions on lesions that are painted into normal lungs.",
        ),
        "repair": (
            "RepairModel",
            "Is trained to take painted lesions out again: returns the normal image.",
        ),
        "memory-bank": (
            "MemoryBankModel",
            "Keeps normal features and finds the nearest one: PatchCore.",
        ),
        "gaussian": ("GaussianModel", "How unusual features are for their position: PaDiM."),
        "lesion-head": (
            "LesionHeadModel",
            "A linear map from features to lesion evidence, trained on painted lesions.",
        ),
        "atlas": (
            "AtlasModel",
            "Grey levels and textures against what is usual at each position; no network.",
        ),
        "ensemble": (
            "EnsembleModel",
            "Several detectors, calibrated on normal lungs and added up.",
        ),
        "onnx": (
            "OnnxModel",
            "A network in the ONNX format, exported or your own; runs without torch.",
        ),
    },
    "scorer": {
        "sad": ("SADScorer", "Mean absolute difference in grey levels: the paper's score."),
        "l2": (
            "L2Scorer",
            "Mean squared difference in grey levels: large differences weigh more.",
        ),
        "ssim": (
            "SSIMScorer",
            "Difference in local brightness, contrast and structure (1 - SSIM).",
        ),
        "feature": (
            "FeatureScorer",
            "Distance, or excess, of feature maps cell by cell, smoothed.",
        ),
    },
    "thresholder": {
        "quantile": (
            "QuantileThresholder",
            "A quantile of the normal images' scores, such as 95 %.",
        ),
        "conformal": (
            "ConformalThresholder",
            "Guarantees a rate of false alarms on normal images; needs no abnormal ones.",
        ),
        "multi-otsu": (
            "MultiOtsuThresholder",
            "Splits scores into three classes of least variance, as the paper does.",
        ),
        "mixture": (
            "MixtureThresholder",
            "Splits scores where neighbouring normal distributions are equally likely.",
        ),
        "fixed": ("FixedThresholder", "The number that you give."),
        "youden": (
            "YoudenThresholder",
            "Separates labelled normal and abnormal images best; uses labels.",
        ),
    },
}
"""Class and summary of each component, by kind and name."""


@hookimpl
def lungpatch_register(register: Register) -> None:
    """Register the components that come with lungpatch."""
    for kind, components in _COMPONENTS.items():
        for name, (class_name, summary) in components.items():
            add = getattr(register, kind)
            add(name, f"{_PACKAGES[kind]}:{class_name}", summary=summary)
