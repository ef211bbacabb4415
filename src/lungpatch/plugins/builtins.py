"""Our own components, registered through the hook that plugins use."""

from __future__ import annotations

from lungpatch.plugins.hookspecs import Register, hookimpl


@hookimpl
def lungpatch_register(register: Register) -> None:
    """Register the components that come with lungpatch."""
    register.segmenter(
        "whole-image",
        "lungpatch.segmenters.whole_image:WholeImageSegmenter",
        summary="Calls the whole image lung: shows what a lung mask is worth.",
    )
    register.segmenter(
        "threshold",
        "lungpatch.segmenters.threshold:ThresholdSegmenter",
        summary="Takes the two dark regions of the chest; fast, no weights, misses opaque lung.",
    )
    register.segmenter(
        "masks",
        "lungpatch.segmenters.mask_folder:MaskFolderSegmenter",
        summary="Reads lung masks that you made before from a folder, matched by file name.",
    )
    register.segmenter(
        "unet",
        "lungpatch.segmenters.unet:UNetSegmenter",
        summary="Finds lungs, opaque parts included, with a trained network that comes along.",
    )
    register.segmenter(
        "imlab",
        "lungpatch.segmenters.imlab:IMLABSegmenter",
        summary="Finds lungs with the network that the paper used.",
    )
    register.sampler(
        "grid",
        "lungpatch.samplers.grid:GridSampler",
        summary="Cuts overlapping patches on a regular grid, border included.",
    )
    register.sampler(
        "random",
        "lungpatch.samplers.random_patches:RandomSampler",
        summary="Cuts patches at random places of the lung; for training.",
    )
    register.sampler(
        "lung-crop",
        "lungpatch.samplers.lung_crop:LungCropSampler",
        summary="One patch an image: both lungs, brought to one size and place.",
    )
    register.extractor(
        "statistics",
        "lungpatch.features.statistics:StatisticsExtractor",
        summary="Local grey, deviation and gradient at several scales; no network.",
    )
    register.extractor(
        "imagenet",
        "lungpatch.features.imagenet:ImageNetExtractor",
        summary="Layers of a small network that has learnt photographs; extra 'features'.",
    )
    register.extractor(
        "torch-module",
        "lungpatch.features.torch_module:TorchModuleExtractor",
        summary="Layers of any network of timm, torchvision or torchxrayvision.",
    )
    register.extractor(
        "lung-encoder",
        "lungpatch.features.lung_encoder:LungEncoder",
        summary="Layers of the packaged network that finds lungs; nothing to learn or download.",
    )
    register.extractor(
        "lesion-encoder",
        "lungpatch.features.lesion_encoder:LesionEncoder",
        summary="Layers of a network that learns here to see painted lesions; no download.",
    )
    register.model(
        "unet",
        "lungpatch.models.unet:UNet",
        summary="The paper's U-Net: its skip connections also copy what is not normal.",
    )
    register.model(
        "autoencoder",
        "lungpatch.models.autoencoder:Autoencoder",
        summary="The paper's network without skip connections: all goes through a bottleneck.",
    )
    register.model(
        "pca",
        "lungpatch.models.pca:PCA",
        summary="Mixes a few typical normal patches; linear, fits in seconds, no network.",
    )
    register.model(
        "synthetic-lesion",
        "lungpatch.models.synthetic_lesion:SyntheticLesionModel",
        summary="Learns to see lesions from lesions painted into normal lungs.",
    )
    register.model(
        "repair",
        "lungpatch.models.repair:RepairModel",
        summary="Learns to take painted lesions out again: returns the normal image.",
    )
    register.model(
        "memory-bank",
        "lungpatch.models.memory_bank:MemoryBankModel",
        summary="Remembers normal features and finds the nearest: PatchCore.",
    )
    register.model(
        "gaussian",
        "lungpatch.models.gaussian:GaussianModel",
        summary="How unusual features are for their place: PaDiM.",
    )
    register.model(
        "lesion-head",
        "lungpatch.models.lesion_head:LesionHeadModel",
        summary="A linear map from features to lesion evidence, learnt from painted lesions.",
    )
    register.model(
        "atlas",
        "lungpatch.models.atlas:AtlasModel",
        summary="Greys and textures against what is usual at each place; no network.",
    )
    register.model(
        "ensemble",
        "lungpatch.models.ensemble:EnsembleModel",
        summary="Several detectors, calibrated on normal lungs and added up.",
    )
    register.scorer(
        "sad",
        "lungpatch.scorers.sad:SADScorer",
        summary="Mean absolute difference in grey levels: the paper's score.",
    )
    register.scorer(
        "l2",
        "lungpatch.scorers.l2:L2Scorer",
        summary="Mean squared difference in grey levels: large differences weigh more.",
    )
    register.scorer(
        "ssim",
        "lungpatch.scorers.ssim:SSIMScorer",
        summary="Difference in local brightness, contrast and structure (1 - SSIM).",
    )
    register.scorer(
        "feature",
        "lungpatch.scorers.feature:FeatureScorer",
        summary="Distance, or excess, of feature maps place by place, smoothed.",
    )
    register.thresholder(
        "quantile",
        "lungpatch.thresholders.quantile:QuantileThresholder",
        summary="A quantile of the normal images' scores, such as 95 %.",
    )
    register.thresholder(
        "conformal",
        "lungpatch.thresholders.conformal:ConformalThresholder",
        summary="Guarantees a rate of false alarms on normal images; needs no sick ones.",
    )
    register.thresholder(
        "multi-otsu",
        "lungpatch.thresholders.multi_otsu:MultiOtsuThresholder",
        summary="Splits scores into three classes of least variance, as the paper does.",
    )
    register.thresholder(
        "mixture",
        "lungpatch.thresholders.mixture:MixtureThresholder",
        summary="Splits scores where neighbouring bell curves are equally likely.",
    )
    register.thresholder(
        "fixed",
        "lungpatch.thresholders.fixed:FixedThresholder",
        summary="The number that you give.",
    )
    register.thresholder(
        "youden",
        "lungpatch.thresholders.youden:YoudenThresholder",
        summary="Separates labelled normal and sick images best; uses labels.",
    )
