"""Find where a chest radiograph departs from normal lung, without training on a single lesion.

Every detector is a reconstruction compared by a scorer. What happens to an image, and where::

    image -> lung mask -> patches -> reconstruction -> scores -> anomaly map -> decision, regions
    io       segmenters   samplers   models            scorers   pipeline       thresholders

In code:

>>> import lungpatch
>>> pipeline = lungpatch.load_preset("paper")
>>> pipeline.fit("normal/")                                # doctest: +SKIP
>>> detection = pipeline.detect("patient.png")             # doctest: +SKIP
>>> detection.decision.pred_label, detection.native_boxes  # doctest: +SKIP

This is a research tool, not a medical device.
"""

import lazy_loader as lazy

# Names are imported at first use (PEP 562). `import lungpatch` must cost next to nothing, so the
# stub is not even parsed, as it is in the packages below; a test compares the two lists.
__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "_utils.component": ["Component"],
        "_utils.progress": ["progress_bar"],
        "_version": ["__version__"],
        "archive": [
            "DetectionCounts",
            "DicomServer",
            "ImageDetector",
            "SavedDetection",
            "SegmentationCounts",
            "TransferCounts",
            "decide",
            "detect_folder",
            "load_detections",
            "pull_images",
            "push_results",
            "segment_folder",
            "worklist",
        ],
        "containers": [
            "AnomalyMap",
            "ChestImage",
            "ColourScale",
            "Decision",
            "Localisation",
            "LungMask",
            "PatchBatch",
            "PatchScores",
            "Reconstruction",
            "TrainingHistory",
        ],
        "errors": ["LungpatchError"],
        "features": [
            "ImageNetExtractor",
            "LesionEncoder",
            "LungEncoder",
            "StatisticsExtractor",
            "TorchModuleExtractor",
        ],
        "io": ["as_chest_image", "read_image"],
        "models": [
            "PCA",
            "AtlasModel",
            "Autoencoder",
            "EnsembleModel",
            "GaussianModel",
            "LesionHeadModel",
            "Member",
            "MemoryBankModel",
            "OnnxModel",
            "RepairModel",
            "SyntheticLesionModel",
            "UNet",
        ],
        "pipeline.export": ["export_onnx"],
        "pipeline": [
            "Detection",
            "Failure",
            "PatchStore",
            "Pipeline",
            "load_config",
            "load_pipeline",
            "load_preset",
            "preset_names",
        ],
        "plugins.hookspecs": ["hookimpl"],
        "plugins.registry": ["Registry"],
        "protocols": [
            "FeatureExtractor",
            "PatchSampler",
            "PatchSource",
            "ReconstructionModel",
            "Scorer",
            "Segmenter",
            "Thresholder",
        ],
        "samplers": ["GridSampler", "LungCropSampler", "RandomSampler"],
        "scorers": ["FeatureScorer", "L2Scorer", "SADScorer", "SSIMScorer"],
        "segmenters": [
            "IMLABSegmenter",
            "MaskFolderSegmenter",
            "OnnxSegmenter",
            "ThresholdSegmenter",
            "UNetSegmenter",
            "WholeImageSegmenter",
        ],
        "thresholders": [
            "ConformalThresholder",
            "FixedThresholder",
            "MixtureThresholder",
            "MultiOtsuThresholder",
            "QuantileThresholder",
            "YoudenThresholder",
        ],
    },
)
