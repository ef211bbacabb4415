"""A pipeline: fit on normal radiographs, detect in others, save."""

from __future__ import annotations

import copy
import itertools
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import attrs

from lungpatch._utils.component import plain_errors
from lungpatch._utils.progress import silent
from lungpatch.containers import Decision
from lungpatch.errors import ConfigurationError, NotFittedError
from lungpatch.pipeline.calibration import Calibration, summarise
from lungpatch.pipeline.fitting import FitReport, fit_steps
from lungpatch.pipeline.localisation import localise
from lungpatch.pipeline.results import Detection, Failure, PreparedImage, ScoredImage
from lungpatch.pipeline.site import SiteReport, check_site
from lungpatch.pipeline.snapshot import Snapshot
from lungpatch.pipeline.steps import ImageInput, Steps, list_inputs
from lungpatch.pipeline.storage import save_pipeline

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping

    from lungpatch._utils.progress import ProgressCallback
    from lungpatch.plugins.registry import Registry


@attrs.define(kw_only=True, eq=False, repr=False, field_transformer=plain_errors)
class Pipeline(Steps):
    """Detector of departures from normal lung, fitted on normal radiographs alone.

    What was fitted belongs to the parts that it was fitted with: when a part or a setting is
    changed afterwards, the pipeline is not fitted any more, and says so. Settings that only say
    where something runs (``device``) may change.

    Parameters
    ----------
    segmenter : Segmenter
        Finds the lungs.
    fit_sampler, sampler : PatchSampler
        Cut the patches to train on and the patches to score.
    model : ReconstructionModel
        Reconstructs a patch as if it were normal.
    scorer : Scorer
        Measures how far a patch is from that.
    thresholder : Thresholder
        Sets the threshold of the image score, from normal images that the model was not trained
        on: it is fitted on one score per patient, the highest.
    region_thresholder : Thresholder
        Sets the threshold above which the map has regions: it is fitted on one region score per
        patient (`lungpatch.pipeline.localisation.region_score`). By default a copy of
        ``thresholder``.
    grid_size : int
        Side of the square model grid, in pixels; images are resized to it before anything else.
    image_score : {"p95", "max", "mean", "top-k mean"}
        How patch scores become the image's score; see `lungpatch.pipeline.image_scores`.
    top_k : int
        Number of patches in ``"top-k mean"``.
    map_weights : {"mean", "hann"}
        How overlapping patches are averaged; see `lungpatch.pipeline.localisation`.
    map_detail : {"patch", "pixel"}
        What is averaged: one score per patch, or one error per pixel.
    out_of_scope : {"score", "skip"}
        Whether ``detect`` scores an image that is not a frontal chest radiograph, by its DICOM
        tags or by its lungs. Either way its status is ``out_of_scope``, it is never above the
        threshold, and ``fit`` leaves it out.
    calibration : {"split", "cross"}
        Whether the thresholds come from patients held out of the training, or, so that all train
        and all calibrate, from every patient: each is scored by a model that was trained without
        it and its fold. That takes ``folds`` trainings more.
    folds : int
        Number of folds of patients in cross calibration, at least 2.
    validation_fraction, calibration_fraction : float
        Fraction of the patients held out for early stopping, and, unless all calibrate, for the
        thresholds; in (0, 0.5).
    seed : int
        All randomness of ``fit`` comes from it.

    Attributes
    ----------
    calibration_ : Calibration
        Scores of normal images that the model was not trained on, and the thresholds.
    report_ : FitReport or None
        What ``fit`` used and what came of it; None before ``fit``.

    See Also
    --------
    lungpatch.load_pipeline : Read a fitted pipeline, shipped or saved.
    lungpatch.load_preset : Build an unfitted one by name.
    lungpatch.detect_folder : Detect in many images and write the results.

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

    _calibration: Calibration | None = attrs.field(init=False, default=None)
    report_: FitReport | None = attrs.field(init=False, default=None)
    _fitted_with: Snapshot | None = attrs.field(init=False, default=None)

    @property
    def is_fitted(self) -> bool:
        """Whether ``detect`` can be called: fitted, and not changed since."""
        return self._fitted_with is not None and not self._fitted_with.changes(self)

    @property
    def calibration_(self) -> Calibration:
        """Scores of normal images that the model was not trained on, and thresholds from them.

        Raises
        ------
        NotFittedError
            Before ``fit``, and where a part or a setting was changed since.
        """
        if self._calibration is None or self._fitted_with is None:
            raise NotFittedError(
                "this pipeline is not fitted: call fit(normal_images), or load a fitted one with "
                "lungpatch.load_pipeline"
            )
        if changes := self._fitted_with.changes(self):
            raise NotFittedError(
                f"this pipeline was changed after it was fitted ({'; '.join(changes)}): call "
                "fit(normal_images) again, or change it back"
            )
        return self._calibration

    def __repr__(self) -> str:
        parts = (
            self.segmenter,
            self.fit_sampler,
            self.sampler,
            self.model,
            self.scorer,
            self.thresholder,
            self.region_thresholder,
        )
        state = "not fitted"
        if self.is_fitted and self.report_ is not None:
            state = f"fitted on {self.report_.images['training']} images"
        lines = "".join(f"\n    {part}," for part in parts)
        return f"Pipeline({state}, {self.grid_size}x{self.grid_size},{lines}\n)"

    def fit(
        self,
        images: str | os.PathLike[str] | Iterable[ImageInput],
        *,
        patients: Mapping[str, str] | None = None,
        progress: ProgressCallback | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Fit on radiographs of normal lungs.

        The images are split by patient: most train the model, some stop the training, some set
        the thresholds. An image that cannot be used does not affect the others; it is listed in
        ``report_``. Ctrl-C ends the training early and keeps the best weights so far.

        Parameters
        ----------
        images : path of a folder, or iterable of ChestImage, paths or arrays
        patients : mapping of str to str, optional
            File name (or image id) to patient; of a path, its name counts. By default each image is
            its own patient.
        progress : callable, optional
            Called as the work goes on; `lungpatch.progress_bar` gives one.
        checkpoint : path, optional
            Folder for checkpoints of the training, removed once it is done. If the process is
            killed, the same call goes on from there, with the result of an undisturbed fit.

        Returns
        -------
        Pipeline
            Itself.

        Raises
        ------
        InsufficientDataError
            If there are too few images for a split in three, or for the thresholder.
        ConfigurationError
            If the thresholder needs labels, ``patients`` is no mapping or lacks an image, or the
            parts do not fit each other.
        """
        self.__attrs_post_init__()  # parts may have been exchanged since
        self._fitted_with = None
        calibration, report = fit_steps(
            self,
            list_inputs(images),
            patients=patients,
            progress=progress,
            checkpoint=None if checkpoint is None else Path(checkpoint),
        )
        self._restore(calibration, report)
        return self

    def detect(
        self,
        image: ImageInput,
        *,
        value_range: tuple[float, float] | None = None,
        false_alarm_rate: float | None = None,
        false_box_rate: float | None = None,
    ) -> Detection:
        """Find where one radiograph departs from normal lung.

        Parameters
        ----------
        image : ChestImage, path, or array
        value_range : tuple of float, optional
            Black and white of an array; needed for anything but uint8.
        false_alarm_rate : float, optional
            Fraction of normal images that may be above the threshold, in (0, 0.5]; by default the
            pipeline's threshold.
        false_box_rate : float, optional
            Fraction of normal images that may have a box, in (0, 0.5]; by default the pipeline's
            region threshold.

        Returns
        -------
        Detection
            With every intermediate result.

        Raises
        ------
        NotFittedError
            Before ``fit``, and where a part or a setting was changed since.
        InvalidImageError, MissingInputError
            If the image cannot be used.
        ConfigurationError
            If a rate is outside (0, 0.5].
        InsufficientDataError
            If a rate is finer than the number of calibration patients allows.
        """
        calibration = self.calibration_.at_rates(
            false_alarm_rate=false_alarm_rate, false_box_rate=false_box_rate
        )
        prepared = self.prepare(image, value_range=value_range)  # io, segmenters, samplers
        (scored,) = self.score([prepared])  # models, scorers, pipeline/localisation
        return _conclude(scored, calibration)  # thresholds, pipeline/localisation

    def detect_many(
        self,
        images: str | os.PathLike[str] | Iterable[ImageInput],
        *,
        batch_size: int = 8,
        false_alarm_rate: float | None = None,
        false_box_rate: float | None = None,
    ) -> Iterator[Detection | Failure]:
        """Detect in many radiographs, a few in memory at a time.

        Parameters
        ----------
        images : path of a folder, or iterable of ChestImage, paths or arrays
        batch_size : int
            Number of images whose patches go through the model together, at least 1.
        false_alarm_rate, false_box_rate : float, optional
            As for ``detect``.

        Yields
        ------
        Detection or Failure
            One per image, in order. A `Failure` holds the error of an image that cannot be used.

        Raises
        ------
        NotFittedError
            Before ``fit``, and where a part or a setting was changed since.
        ConfigurationError
            If ``batch_size`` is no whole number or below 1, or a rate is outside (0, 0.5].
        InsufficientDataError
            If a rate is finer than the number of calibration patients allows.
        """
        # Not a generator itself, so that a mistake shows at the call, not at the first image.
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1:
            raise ConfigurationError(
                f"batch_size must be a whole number, at least 1, got {batch_size!r}"
            )
        calibration = self.calibration_.at_rates(
            false_alarm_rate=false_alarm_rate, false_box_rate=false_box_rate
        )
        return self._detect_many(list_inputs(images), batch_size, calibration)

    def _detect_many(
        self, images: Iterable[ImageInput], batch_size: int, calibration: Calibration
    ) -> Iterator[Detection | Failure]:
        iterator = iter(images)
        while group := list(itertools.islice(iterator, batch_size)):
            results = [self.prepare_or_fail(image) for image in group]
            scored = iter(self.score([r for r in results if isinstance(r, PreparedImage)]))
            for result in results:
                if isinstance(result, Failure):
                    yield result
                else:
                    yield _conclude(next(scored), calibration)

    def check(
        self,
        images: str | os.PathLike[str] | Iterable[ImageInput],
        *,
        patients: Mapping[str, str] | None = None,
        min_patients: int = 1,
        progress: ProgressCallback | None = None,
    ) -> SiteReport:
        """Compare normal images with those that the pipeline was calibrated on.

        If their p-values are spread evenly, false alarms are as rare as the rates promise.

        Parameters
        ----------
        images : path of a folder, or iterable of ChestImage, paths or arrays
            Thought normal, and not used by ``fit``.
        patients : mapping of str to str, optional
            File name (or image id) to patient; of a path, its name counts. By default each image is
            its own patient.
        min_patients : int
            Fewer are refused before an image is read.
        progress : callable, optional
            Called as the work goes on; `lungpatch.progress_bar` gives one.

        Returns
        -------
        SiteReport

        Raises
        ------
        NotFittedError
            Before ``fit``, and where a part or a setting was changed since.
        InsufficientDataError
            If there are too few patients, or no image can be used.
        ConfigurationError
            If ``patients`` is no mapping, or lacks an image.

        See Also
        --------
        lungpatch.reports.plot_site : Draw the comparison.
        """
        return check_site(
            self,
            self.calibration_,
            list(list_inputs(images)),
            patients=patients,
            min_patients=min_patients,
            notify=progress or silent,
        )

    def calibrate(
        self,
        images: str | os.PathLike[str] | Iterable[ImageInput] | SiteReport,
        *,
        patients: Mapping[str, str] | None = None,
        progress: ProgressCallback | None = None,
    ) -> Self:
        """Return this detector, calibrated on a site's own normal images.

        What was trained stays. Thresholds, p-values, the colour scale and the scores by zone of
        the lungs come from these images. They need at least 20 patients to be of use.

        Parameters
        ----------
        images : path of a folder, or iterable of ChestImage, paths or arrays, or SiteReport
            Normal, and not used by ``fit``; or what ``check`` returned for them.
        patients : mapping of str to str, optional
            File name (or image id) to patient; of a path, its name counts. By default each image is
            its own patient.
        progress : callable, optional
            Called as the work goes on; `lungpatch.progress_bar` gives one.

        Returns
        -------
        Pipeline
            Another one; this one stays as it is.

        Raises
        ------
        NotFittedError
            Before ``fit``, and where a part or a setting was changed since.
        InsufficientDataError
            If no image can be used, or a thresholder needs more patients.
        ConfigurationError
            If ``patients`` is no mapping, or lacks an image.
        """
        report = self.report_
        if not isinstance(images, SiteReport):
            images = self.check(
                images,
                patients=patients,
                min_patients=self.min_calibration_patients,
                progress=progress,
            )
        assert report is not None  # set together with the calibration
        site = attrs.evolve(
            self,
            thresholder=copy.deepcopy(self.thresholder),
            region_thresholder=copy.deepcopy(self.region_thresholder),
        )
        site._restore(summarise(site, images.normals, "site"), report)
        return site

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
            Before ``fit``, and where a part or a setting was changed since.
        SavedPipelineError
            If something else than a saved pipeline is at ``path``.
        """
        calibration, report = self.calibration_, self.report_
        assert report is not None  # set together with the calibration
        return save_pipeline(self, calibration, report, Path(path), registry=registry)

    def _restore(self, calibration: Calibration, report: FitReport) -> None:
        """Take over what was fitted, with the parts as they are now."""
        self._calibration, self.report_ = calibration, report
        self._fitted_with = Snapshot.of(self)


def _conclude(scored: ScoredImage, calibration: Calibration) -> Detection:
    """Run the steps that need thresholds: decide, localise."""
    start = time.perf_counter()
    prepared = scored.prepared
    in_scope = prepared.status != "out_of_scope"
    decision = None
    if in_scope and scored.pred_score is not None:
        decision = Decision(
            pred_score=scored.pred_score,
            threshold=calibration.threshold,
            rule=calibration.rule,
            p_value=calibration.p_value(scored.pred_score),
        )
    anomaly_map = attrs.evolve(scored.anomaly_map, colour_scale=calibration.colour_scale)
    # Out of scope, nothing counts as found, whatever the map says.
    localisation = localise(
        anomaly_map,
        calibration.region_threshold if in_scope else math.inf,
        calibration_scores=calibration.region_scores,
    )
    return Detection(
        image=prepared.image,
        resized=prepared.resized,
        lungs=prepared.lungs,
        patches=prepared.patches,
        reconstruction=scored.reconstruction,
        scores=scored.scores,
        anomaly_map=anomaly_map,
        pred_score=scored.pred_score,
        decision=decision,
        localisation=localisation,
        status=prepared.status,
        reason=prepared.reason,
        seconds=scored.seconds + time.perf_counter() - start,
    )
