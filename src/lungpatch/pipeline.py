"""The flow: image -> lungs -> patches -> reconstruction -> scores -> map -> decision -> place."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import attrs
import numpy as np
from attrs import validators

from lungpatch.containers import (
    AnomalyMap,
    ChestImage,
    Decision,
    Detection,
    Failure,
    LungMask,
    PatchBatch,
    PatchScores,
    Reconstruction,
    Status,
)
from lungpatch.datasets.folders import find_images
from lungpatch.decision import IMAGE_SCORES, ImageScore, image_score
from lungpatch.errors import ConfigurationError, LungpatchError, NotFittedError
from lungpatch.fitting import Calibration, FitReport, fit_pipeline
from lungpatch.images import as_chest_image, read_image, resize
from lungpatch.localisation import MapDetail, MapWeights, build_anomaly_map, localise
from lungpatch.progress import ProgressCallback
from lungpatch.protocols import (
    PatchSampler,
    ReconstructionModel,
    Scorer,
    Segmenter,
    Thresholder,
)

if TYPE_CHECKING:
    from lungpatch.plugins.registry import Registry

ImageInput = ChestImage | str | os.PathLike[str] | Any
"""A `ChestImage`, a path, or a numpy or torch array (see `lungpatch.as_chest_image`)."""


@attrs.frozen(eq=False, kw_only=True)
class PreparedImage:
    """An image after the steps that need no model: read, resized, segmented, sampled.

    Parameters
    ----------
    image, resized : ChestImage
        As read, and in the working frame.
    lungs : LungMask
    patches : PatchBatch
    status : {"ok", "no_lungs", "implausible_lungs", "no_patches"}
    seconds : float

    Examples
    --------
    >>> import lungpatch
    >>> from lungpatch.datasets.phantom import phantom_chest
    >>> prepared = lungpatch.load_preset("paper").prepare(phantom_chest(0, size=256).image)
    >>> prepared.status, len(prepared.patches) > 0
    ('ok', True)
    """

    image: ChestImage
    resized: ChestImage
    lungs: LungMask
    patches: PatchBatch
    status: Status
    seconds: float


@attrs.frozen(eq=False, kw_only=True)
class ScoredImage:
    """An image after all steps that need no threshold; ``pred_score`` is None if unscored.

    Parameters
    ----------
    prepared : PreparedImage
    reconstruction : Reconstruction
    scores : PatchScores
    anomaly_map : AnomalyMap
        Without a colour scale, which comes with the thresholds.
    pred_score : float or None
    seconds : float

    Examples
    --------
    >>> (scored,) = pipeline.score([pipeline.prepare("film.png")])     # doctest: +SKIP
    >>> scored.pred_score                                              # doctest: +SKIP
    """

    prepared: PreparedImage
    reconstruction: Reconstruction
    scores: PatchScores
    anomaly_map: AnomalyMap
    pred_score: float | None
    seconds: float


def _between(low: float, high: float) -> Any:
    return validators.and_(validators.instance_of(float), validators.gt(low), validators.lt(high))


def _at_least(low: int) -> Any:
    return validators.and_(validators.instance_of(int), validators.ge(low))


@attrs.define(kw_only=True, eq=False, repr=False)
class Pipeline:
    """Learns healthy lung from radiographs and finds where others depart from it.

    Parameters
    ----------
    segmenter : Segmenter
        Finds the lungs.
    fit_sampler, sampler : PatchSampler
        Cut the patches to learn from and the patches to judge.
    model : ReconstructionModel
        Reconstructs a patch as if it were healthy.
    scorer : Scorer
        Measures how far a patch is from that.
    thresholder : Thresholder
        Sets the threshold from healthy images kept out of training. It is fitted twice, each time
        on one value a patient (his highest): on the image scores, for the decision, and on the
        highest heat of the maps, for the localisation.
    working_size : int
        Images are resized to this many pixels square before anything else.
    image_score : {"p95", "max", "mean", "top-k mean"}
        How patch scores become the image's score; see `lungpatch.decision.image_score`.
    top_k : int
    map_weights : {"mean", "hann"}
    map_detail : {"patch", "pixel"}
        See `lungpatch.localisation.build_anomaly_map`.
    implausible_lungs : {"keep", "skip"}
        What ``detect`` does with an image whose lungs the segmenter doubts: score it all the same,
        or not. Either way its status is ``implausible_lungs``. ``fit`` leaves it out.
    validation_fraction, calibration_fraction : float
        Share of the patients kept for early stopping, and for the thresholds; in (0, 0.5).
    seed : int
        All randomness of ``fit`` comes from it.

    Examples
    --------
    >>> import lungpatch
    >>> from lungpatch.datasets.phantom import phantom_cohort
    >>> pipeline = lungpatch.load_preset("paper")
    >>> pipeline.model.epochs = 1
    >>> cases = list(phantom_cohort(8, 1, seed=0, size=256))
    >>> pipeline.fit([case.image for case in cases[:8]]).is_fitted
    True
    >>> detection = pipeline.detect(cases[8].image)
    >>> detection.status
    'ok'
    >>> detection.anomaly_map.heatmap.shape
    (256, 256)
    """

    segmenter: Segmenter
    fit_sampler: PatchSampler
    sampler: PatchSampler
    model: ReconstructionModel
    scorer: Scorer
    thresholder: Thresholder
    working_size: int = attrs.field(default=256, validator=_at_least(32))
    image_score: ImageScore = attrs.field(default="p95", validator=validators.in_(IMAGE_SCORES))
    top_k: int = attrs.field(default=10, validator=_at_least(1))
    map_weights: MapWeights = attrs.field(
        default="mean", validator=validators.in_(("mean", "hann"))
    )
    map_detail: MapDetail = attrs.field(
        default="patch", validator=validators.in_(("patch", "pixel"))
    )
    implausible_lungs: Literal["keep", "skip"] = attrs.field(
        default="keep", validator=validators.in_(("keep", "skip"))
    )
    validation_fraction: float = attrs.field(default=0.15, validator=_between(0.0, 0.5))
    calibration_fraction: float = attrs.field(default=0.2, validator=_between(0.0, 0.5))
    seed: int = attrs.field(default=0, validator=_at_least(0))

    calibration_: Calibration | None = attrs.field(init=False, default=None)
    report_: FitReport | None = attrs.field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        sides = {
            "fit_sampler": self.fit_sampler.patch_size,
            "sampler": self.sampler.patch_size,
            "model": self.model.patch_size,
        }
        if len(set(sides.values())) > 1:
            raise ConfigurationError(f"patch_size must be the same everywhere, got {sides}")
        if self.model.patch_size > self.working_size:
            raise ConfigurationError(
                f"patch_size {self.model.patch_size} is larger than working_size "
                f"{self.working_size}; raise working_size or lower patch_size"
            )

    @property
    def is_fitted(self) -> bool:
        """Whether ``detect`` can be called."""
        return self.calibration_ is not None

    @property
    def calibration(self) -> Calibration:
        """Thresholds and colour scale, from healthy images kept out of training.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        if self.calibration_ is None:
            raise NotFittedError(
                "this pipeline has learnt nothing yet: call fit(healthy_images), or load a "
                "fitted one with lungpatch.load_pipeline"
            )
        return self.calibration_

    def __repr__(self) -> str:
        steps = (
            self.segmenter,
            self.fit_sampler,
            self.sampler,
            self.model,
            self.scorer,
            self.thresholder,
        )
        state = "not fitted"
        if self.report_ is not None:
            state = f"fitted on {self.report_.images['training']} images"
        lines = "".join(f"\n    {step}," for step in steps)
        return f"Pipeline({state}, {self.working_size}x{self.working_size},{lines}\n)"

    # ------------------------------------------------------------------ learning

    def fit(
        self,
        images: str | os.PathLike[str] | Iterable[ImageInput],
        *,
        patients: Mapping[str, str] | None = None,
        progress: ProgressCallback | None = None,
    ) -> Self:
        """Learn from radiographs of healthy lungs.

        The images are split by patient: most train the model, some stop the training, some set
        the thresholds. An image that cannot be used costs only itself; it is in ``report_``.
        Ctrl-C ends the training early and keeps the best weights so far.

        Parameters
        ----------
        images : path of a folder, or iterable of ChestImage, paths or arrays
        patients : mapping of str to str, optional
            File name (or image id) to patient. By default each image is its own patient.
        progress : callable, optional
            Called as the work goes on; `lungpatch.progress_bar` gives one.

        Returns
        -------
        Pipeline
            Itself.

        Raises
        ------
        InsufficientDataError
            If there are too few images for a split in three, or for the thresholder.
        ConfigurationError
            If the thresholder needs labels, or ``patients`` lacks an image.
        """
        self.calibration_, self.report_ = fit_pipeline(
            self, _inputs(images), patients=patients, progress=progress
        )
        return self

    # ------------------------------------------------------------------ detecting

    def detect(
        self, image: ImageInput, *, value_range: tuple[float, float] | None = None
    ) -> Detection:
        """Find where one radiograph departs from healthy lung.

        Parameters
        ----------
        image : ChestImage, path, or array
        value_range : tuple of float, optional
            Black and white of an array; needed for anything but uint8.

        Returns
        -------
        Detection
            With every intermediate result.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        InvalidImageError, MissingInputError
            If the image cannot be used.
        """
        calibration = self.calibration
        prepared = self.prepare(image, value_range=value_range)
        return _conclude(self.score([prepared])[0], calibration)

    def detect_many(
        self,
        images: str | os.PathLike[str] | Iterable[ImageInput],
        *,
        batch_size: int = 8,
    ) -> Iterator[Detection | Failure]:
        """Detect in many radiographs, a few in memory at a time.

        Parameters
        ----------
        images : path of a folder, or iterable of ChestImage, paths or arrays
        batch_size : int
            Images whose patches go through the model together.

        Yields
        ------
        Detection or Failure
            One an image, in order. A `Failure` holds the error of an image that cannot be used.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        # Not a generator itself, so that a mistake shows at the call, not at the first image.
        return self._detect_many(_inputs(images), batch_size, self.calibration)

    def _detect_many(
        self, images: Iterable[ImageInput], batch_size: int, calibration: Calibration
    ) -> Iterator[Detection | Failure]:
        for group in _grouped(images, batch_size):
            results = [self.prepare_or_fail(image) for image in group]
            scored = iter(self.score([r for r in results if isinstance(r, PreparedImage)]))
            for result in results:
                if isinstance(result, Failure):
                    yield result
                else:
                    yield _conclude(next(scored), calibration)

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
        sampler : PatchSampler, optional
            By default the one for detection.
        rng : numpy.random.Generator, optional
            For a random sampler.

        Returns
        -------
        PreparedImage
        """
        start = time.perf_counter()
        original = _as_image(image, value_range)
        resized = resize(original, self.working_size)
        lungs = self.segmenter.segment(resized)
        patches = (sampler or self.sampler).sample(resized, lungs, rng=rng)
        status: Status = "ok"
        if not lungs.pixels.any():
            status, patches = "no_lungs", patches[:0]
        elif lungs.implausible:
            status = "implausible_lungs"
            patches = patches if self.implausible_lungs == "keep" else patches[:0]
        elif not len(patches):
            status = "no_patches"
        return PreparedImage(
            image=original,
            resized=resized,
            lungs=lungs,
            patches=patches,
            status=status,
            seconds=time.perf_counter() - start,
        )

    def prepare_or_fail(self, image: ImageInput, **options: Any) -> PreparedImage | Failure:
        """Like ``prepare``, but an image that cannot be used is returned as a `Failure`."""
        try:
            return self.prepare(image, **options)
        except LungpatchError as error:
            return Failure(source=_source(image), error=error)

    def score(self, prepared: Sequence[PreparedImage]) -> list[ScoredImage]:
        """Run the steps that need a model but no threshold, on several images at once.

        Parameters
        ----------
        prepared : sequence of PreparedImage

        Returns
        -------
        list of ScoredImage
            In the same order.
        """
        if not prepared:
            return []
        start = time.perf_counter()
        joined = PatchBatch.concatenate([item.patches for item in prepared])
        reconstruction = self.model.reconstruct(joined)
        per_patch = (time.perf_counter() - start) / max(len(joined), 1)

        scored = []
        first = 0
        for item in prepared:
            start = time.perf_counter()
            count = len(item.patches)
            own = reconstruction[first : first + count]
            first += count
            scores = self.scorer.score(item.patches, own)
            anomaly_map = build_anomaly_map(
                item.patches, scores, weights=self.map_weights, detail=self.map_detail
            )
            pred_score = (
                image_score(scores.values, self.image_score, top_k=self.top_k) if count else None
            )
            elapsed = time.perf_counter() - start
            scored.append(
                ScoredImage(
                    prepared=item,
                    reconstruction=own,
                    scores=scores,
                    anomaly_map=anomaly_map,
                    pred_score=pred_score,
                    seconds=item.seconds + count * per_patch + elapsed,
                )
            )
        return scored

    # ------------------------------------------------------------------ keeping

    def save(self, path: str | os.PathLike[str], *, registry: Registry | None = None) -> Path:
        """Write the fitted pipeline to a folder; `lungpatch.load_pipeline` reads it.

        Parameters
        ----------
        path : path
            A folder, by custom ``NAME.lungpatch``. A saved pipeline there is replaced; anything
            else is left alone.
        registry : Registry, optional
            Where the components' names are looked up; by default all installed plugins.

        Returns
        -------
        pathlib.Path

        Raises
        ------
        NotFittedError
            Before ``fit``.
        SavedPipelineError
            If something else than a saved pipeline is at ``path``.
        """
        from lungpatch.persistence import save_pipeline

        return save_pipeline(self, Path(path), registry=registry)


def _conclude(scored: ScoredImage, calibration: Calibration) -> Detection:
    start = time.perf_counter()
    decision = None
    if scored.pred_score is not None:
        decision = Decision(
            pred_score=scored.pred_score,
            threshold=calibration.threshold,
            rule=calibration.rule,
        )
    anomaly_map = attrs.evolve(scored.anomaly_map, colour_scale=calibration.colour_scale)
    localisation = localise(anomaly_map, calibration.map_threshold)
    prepared = scored.prepared
    return Detection(
        image=prepared.image,
        resized=prepared.resized,
        lungs=prepared.lungs,
        patches=prepared.patches,
        reconstruction=scored.reconstruction,
        scores=scored.scores,
        anomaly_map=anomaly_map,
        decision=decision,
        localisation=localisation,
        status=prepared.status,
        seconds=scored.seconds + time.perf_counter() - start,
    )


def _inputs(images: str | os.PathLike[str] | Iterable[ImageInput]) -> Iterable[ImageInput]:
    return find_images(images) if isinstance(images, (str, os.PathLike)) else images


def _as_image(image: ImageInput, value_range: tuple[float, float] | None) -> ChestImage:
    if isinstance(image, ChestImage):
        return image
    if isinstance(image, (str, os.PathLike)):
        return read_image(image)
    return as_chest_image(image, value_range=value_range)


def _source(image: ImageInput) -> str:
    if isinstance(image, ChestImage):
        return image.image_id
    return os.fspath(image) if isinstance(image, (str, os.PathLike)) else "array"


def _grouped(images: Iterable[ImageInput], size: int) -> Iterator[list[ImageInput]]:
    iterator = iter(images)
    while group := list(itertools.islice(iterator, size)):
        yield group
