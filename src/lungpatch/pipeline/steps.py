"""The parts of a pipeline, and the steps that ``fit`` and ``detect`` share: the flow itself.

Each step is one line that names its part. `lungpatch.pipeline.Pipeline` adds what is fitted.
"""

from __future__ import annotations

import copy
import os
import time
from typing import TYPE_CHECKING, Any, Literal

import attrs
import numpy as np
from attrs import validators

from lungpatch._utils.component import Component, plain_errors
from lungpatch.containers import (
    AnomalyMap,
    ChestImage,
    LungMask,
    PatchBatch,
    PatchScores,
    Reconstruction,
)
from lungpatch.errors import ConfigurationError, LungpatchError
from lungpatch.io import as_chest_image, find_images, read_image, resize
from lungpatch.pipeline.image_scores import IMAGE_SCORES, ImageScore, image_score
from lungpatch.pipeline.localisation import MapDetail, MapWeights, build_anomaly_map
from lungpatch.pipeline.results import Failure, PreparedImage, ScoredImage, Status
from lungpatch.pipeline.scope import out_of_scope
from lungpatch.protocols import (
    PatchSampler,
    ReconstructionModel,
    Scorer,
    Segmenter,
    Thresholder,
    is_component,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ImageInput = ChestImage | str | os.PathLike[str] | Any
"""A `ChestImage`, a path, or a numpy or torch array (see `lungpatch.as_chest_image`)."""


def _between(low: float, high: float) -> Any:
    return validators.and_(validators.instance_of(float), validators.gt(low), validators.lt(high))


def _at_least(low: int) -> Any:
    return validators.and_(validators.instance_of(int), validators.ge(low))


def _like_the_thresholder(steps: Steps) -> Thresholder:
    return copy.deepcopy(steps.thresholder)


@attrs.define(kw_only=True, eq=False, repr=False, field_transformer=plain_errors)
class Steps(Component):
    """The parts of a pipeline and their settings, and what they do with images.

    `lungpatch.pipeline.Pipeline` documents the parameters.

    Examples
    --------
    >>> import lungpatch
    >>> from lungpatch.datasets.phantom import phantom_chest
    >>> steps = lungpatch.load_preset("paper")
    >>> isinstance(steps, Steps), steps.prepare(phantom_chest(0, size=256).image).status
    (True, 'ok')
    """

    segmenter: Segmenter = attrs.field(validator=is_component("segmenter"))
    fit_sampler: PatchSampler = attrs.field(validator=is_component("sampler"))
    sampler: PatchSampler = attrs.field(validator=is_component("sampler"))
    model: ReconstructionModel = attrs.field(validator=is_component("model"))
    scorer: Scorer = attrs.field(validator=is_component("scorer"))
    thresholder: Thresholder = attrs.field(validator=is_component("thresholder"))
    region_thresholder: Thresholder = attrs.field(
        default=attrs.Factory(_like_the_thresholder, takes_self=True),
        validator=is_component("thresholder"),
    )
    grid_size: int = attrs.field(default=256, validator=_at_least(32))
    image_score: ImageScore = attrs.field(default="p95", validator=validators.in_(IMAGE_SCORES))
    top_k: int = attrs.field(default=10, validator=_at_least(1))
    map_weights: MapWeights = attrs.field(
        default="mean", validator=validators.in_(("mean", "hann"))
    )
    map_detail: MapDetail = attrs.field(
        default="patch", validator=validators.in_(("patch", "pixel"))
    )
    out_of_scope: Literal["score", "skip"] = attrs.field(
        default="score", validator=validators.in_(("score", "skip"))
    )
    calibration: Literal["split", "cross"] = attrs.field(
        default="split", validator=validators.in_(("split", "cross"))
    )
    folds: int = attrs.field(default=5, validator=_at_least(2))
    validation_fraction: float = attrs.field(default=0.15, validator=_between(0.0, 0.5))
    calibration_fraction: float = attrs.field(default=0.2, validator=_between(0.0, 0.5))
    seed: int = attrs.field(default=0, validator=_at_least(0))

    def __attrs_post_init__(self) -> None:
        sides = {
            "fit_sampler": self.fit_sampler.patch_size,
            "sampler": self.sampler.patch_size,
            "model": self.model.patch_size,
        }
        if len(set(sides.values())) > 1:
            raise ConfigurationError(f"patch_size must be the same everywhere, got {sides}")
        if self.model.patch_size > self.grid_size:
            raise ConfigurationError(
                f"patch_size {self.model.patch_size} is larger than grid_size {self.grid_size}; "
                "raise grid_size or lower patch_size"
            )

    @property
    def min_calibration_patients(self) -> int:
        """Number of normal patients that the thresholders need."""
        return max(1, self.thresholder.min_scores, self.region_thresholder.min_scores)

    def prepare(
        self,
        image: ImageInput,
        *,
        value_range: tuple[float, float] | None = None,
        sampler: PatchSampler | None = None,
        rng: np.random.Generator | None = None,
    ) -> PreparedImage:
        """Run the steps that need no model: read, resize, segment, sample.

        Parameters
        ----------
        image : ChestImage, path, or array
        value_range : tuple of float, optional
            Black and white of an array; none of a file or a `ChestImage`.
        sampler : PatchSampler, optional
            By default the one for detection.
        rng : numpy.random.Generator, optional
            For a random sampler.

        Returns
        -------
        PreparedImage

        Raises
        ------
        InvalidImageError, MissingInputError
            If the image cannot be used.
        ConfigurationError
            If ``value_range`` makes no sense, or is given with a file or a `ChestImage`.
        """
        start = time.perf_counter()
        original = _as_image(image, value_range)
        resized = resize(original, self.grid_size)
        lungs = self.segmenter.segment(resized)
        reason = _scope_reason(original, lungs)
        patches = self._no_patches(resized)
        if lungs.pixels.any() and (reason is None or self.out_of_scope == "score"):
            patches = (sampler or self.sampler).sample(resized, lungs, rng=rng)
        return PreparedImage(
            image=original,
            resized=resized,
            lungs=lungs,
            patches=patches,
            status=_status(reason, lungs, patches),
            reason=reason,
            seconds=time.perf_counter() - start,
        )

    def prepare_or_fail(self, image: ImageInput, **options: Any) -> PreparedImage | Failure:
        """Run ``prepare``; an image that cannot be used is returned as a `Failure`.

        Parameters
        ----------
        image : ChestImage, path, or array
        **options
            As for ``prepare``.

        Returns
        -------
        PreparedImage or Failure
        """
        try:
            return self.prepare(image, **options)
        except LungpatchError as error:
            return Failure(source=source_of(image), error=error)

    def score(self, prepared: Sequence[PreparedImage]) -> list[ScoredImage]:
        """Run the steps that need a model but no threshold: reconstruct, score, map.

        Images without patches never reach a component; they are not scored.

        Parameters
        ----------
        prepared : sequence of PreparedImage
            Reconstructed together.

        Returns
        -------
        list of ScoredImage
            In the same order.
        """
        reconstructions, seconds_per_patch = self._reconstruct(prepared)
        return [
            self._score(item, reconstruction, seconds_per_patch)
            for item, reconstruction in zip(prepared, reconstructions, strict=True)
        ]

    def _reconstruct(
        self, prepared: Sequence[PreparedImage]
    ) -> tuple[list[Reconstruction | None], float]:
        """Reconstruct the patches of several images at once; None where there are none."""
        batches = [item.patches for item in prepared if len(item.patches)]
        if not batches:
            return [None] * len(prepared), 0.0
        start = time.perf_counter()
        joined = PatchBatch.concatenate(batches)
        together = self.model.reconstruct(joined)
        seconds_per_patch = (time.perf_counter() - start) / len(joined)
        reconstructions: list[Reconstruction | None] = []
        first = 0
        for item in prepared:
            count = len(item.patches)
            reconstructions.append(together[first : first + count] if count else None)
            first += count
        return reconstructions, seconds_per_patch

    def _score(
        self,
        prepared: PreparedImage,
        reconstruction: Reconstruction | None,
        seconds_per_patch: float,
    ) -> ScoredImage:
        if reconstruction is None:
            return _unscored(prepared)
        start = time.perf_counter()
        patches = prepared.patches
        scores = self.scorer.score(patches, reconstruction)
        anomaly_map = build_anomaly_map(
            patches, scores, weights=self.map_weights, detail=self.map_detail
        )
        pred_score = image_score(scores.values, self.image_score, top_k=self.top_k)
        elapsed = time.perf_counter() - start
        return ScoredImage(
            prepared=prepared,
            reconstruction=reconstruction,
            scores=scores,
            anomaly_map=anomaly_map,
            pred_score=pred_score,
            seconds=prepared.seconds + len(patches) * seconds_per_patch + elapsed,
        )

    def _no_patches(self, resized: ChestImage) -> PatchBatch:
        side = self.sampler.patch_size
        return PatchBatch(
            pixels=np.zeros((0, side, side), np.float32),
            corners=np.zeros((0, 2), np.int64),
            lung=np.zeros((0, side, side), np.bool_),
            image_shape=resized.shape,
            image_id=resized.image_id,
        )


def list_inputs(
    images: str | os.PathLike[str] | Iterable[ImageInput],
) -> Iterable[ImageInput]:
    """Return the images of a folder, or an iterable as it is.

    Examples
    --------
    >>> list_inputs(["a.png"])
    ['a.png']
    """
    return find_images(images) if isinstance(images, (str, os.PathLike)) else images


def source_of(image: ImageInput) -> str:
    """Return what messages call an image: its id, its path, or ``"array"``.

    Examples
    --------
    >>> source_of("folder/a.png")
    'folder/a.png'
    """
    if isinstance(image, ChestImage):
        return image.image_id
    return os.fspath(image) if isinstance(image, (str, os.PathLike)) else "array"


def _scope_reason(image: ChestImage, lungs: LungMask) -> str | None:
    """Return why an image is not a frontal chest radiograph: by its tags, else by its lungs."""
    if reason := out_of_scope(image.tags):
        return reason
    return f"implausible lungs: {lungs.implausible}" if lungs.implausible else None


def _status(reason: str | None, lungs: LungMask, patches: PatchBatch) -> Status:
    if reason is not None:
        return "out_of_scope"
    if not lungs.pixels.any():
        return "no_lungs"
    return "ok" if len(patches) else "no_patches"


def _as_image(image: ImageInput, value_range: tuple[float, float] | None) -> ChestImage:
    if not isinstance(image, (ChestImage, str, os.PathLike)):
        return as_chest_image(image, value_range=value_range)
    if value_range is not None:
        raise ConfigurationError(
            f"{source_of(image)}: value_range is for arrays: the levels of a file or a ChestImage "
            "are known; leave it out, or give lungpatch.as_chest_image(array, value_range=...)"
        )
    return image if isinstance(image, ChestImage) else read_image(image)


def _unscored(prepared: PreparedImage) -> ScoredImage:
    empty = prepared.patches.pixels[:, None]
    heatmap: np.ndarray[Any, np.dtype[np.float32]] = np.full(
        prepared.resized.shape, np.nan, np.float32
    )
    return ScoredImage(
        prepared=prepared,
        reconstruction=Reconstruction(target=empty, expected=empty),
        scores=PatchScores(values=np.zeros(0), support=prepared.patches.lung),
        anomaly_map=AnomalyMap(heatmap=heatmap),
        pred_score=None,
        seconds=prepared.seconds,
    )
