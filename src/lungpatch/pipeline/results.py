"""What comes out of a pipeline: an image after each part of the flow, and what failed."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import attrs

from lungpatch._utils.notebook import NotebookDisplay
from lungpatch.containers import (
    AnomalyMap,
    BoolImage,
    ChestImage,
    Decision,
    FloatImage,
    Localisation,
    LungMask,
    PatchBatch,
    PatchScores,
    Reconstruction,
)
from lungpatch.containers.grids import boxes_to_native_grid, to_native_grid
from lungpatch.errors import LungpatchError
from lungpatch.pipeline.regions import RegionSummary, find_regions
from lungpatch.reports.figure import plot_detection
from lungpatch.reports.overlay import overlay

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lungpatch._utils.renderings import Rendering

Status = Literal["ok", "no_lungs", "no_patches", "out_of_scope"]


@attrs.frozen(eq=False, kw_only=True, repr=False)
class PreparedImage:
    """An image after the steps that need no model: read, resized, segmented, sampled.

    Parameters
    ----------
    image, resized : ChestImage
        On its native grid, as it was read, and on the model grid.
    lungs : LungMask
    patches : PatchBatch
        Empty unless the image is to be scored.
    status : {"ok", "no_lungs", "no_patches", "out_of_scope"}
        See `Detection`.
    reason : str or None
        Why it is out of scope.
    seconds : float

    Examples
    --------
    >>> import lungpatch
    >>> from lungpatch.datasets.phantom import phantom_chest
    >>> lungpatch.load_preset("paper").prepare(phantom_chest(0, size=256).image)
    PreparedImage('phantom', ok, 40 patches)
    """

    image: ChestImage
    resized: ChestImage
    lungs: LungMask
    patches: PatchBatch
    status: Status
    reason: str | None = None
    seconds: float

    def __repr__(self) -> str:
        return f"PreparedImage({self.image.image_id!r}, {self.status}, {len(self.patches)} patches)"


@attrs.frozen(eq=False, kw_only=True, repr=False)
class ScoredImage:
    """An image after all steps that need no threshold.

    Parameters
    ----------
    prepared : PreparedImage
    reconstruction : Reconstruction
    scores : PatchScores
    anomaly_map : AnomalyMap
        Without a colour scale, which comes with the thresholds.
    pred_score : float or None
        None where nothing was scored.
    seconds : float

    Examples
    --------
    >>> (scored,) = pipeline.score([pipeline.prepare("image.png")])    # doctest: +SKIP
    >>> scored.pred_score                                              # doctest: +SKIP
    """

    prepared: PreparedImage
    reconstruction: Reconstruction
    scores: PatchScores
    anomaly_map: AnomalyMap
    pred_score: float | None
    seconds: float

    def __repr__(self) -> str:
        score = "not scored" if self.pred_score is None else f"score {self.pred_score:.4g}"
        return f"ScoredImage({self.prepared.image.image_id!r}, {self.prepared.status}, {score})"


@attrs.frozen(eq=False, kw_only=True, repr=False)
class Detection(NotebookDisplay):
    """What a pipeline found in one image: one field per step, in order.

    ``image`` and the ``native_`` properties are on the image's native grid; everything between
    ``resized`` and ``localisation`` is on the pipeline's square model grid.

    Parameters
    ----------
    image : ChestImage
        As it was read.
    resized : ChestImage
        The same, on the model grid.
    lungs : LungMask
    patches : PatchBatch
    reconstruction : Reconstruction
    scores : PatchScores
    anomaly_map : AnomalyMap
    pred_score : float or None
        The image's anomaly score; None where nothing was scored.
    decision : Decision or None
        None where nothing was scored, and out of scope.
    localisation : Localisation
        Empty out of scope.
    status : {"ok", "no_lungs", "no_patches", "out_of_scope"}
        ``no_lungs``: the mask is empty; ``no_patches``: no patch holds enough lung;
        ``out_of_scope``: not a frontal chest radiograph, by its DICOM tags or by its lungs.
    reason : str or None
        Why it is out of scope.
    seconds : float
        Wall-clock time spent on it; of work done on several images at once, its share by patches.

    Examples
    --------
    >>> from lungpatch.pipeline.configuration import build_pipeline, load_preset
    >>> from lungpatch.pipeline.tables import pipeline_settings
    >>> from lungpatch.datasets.phantom import phantom_chest
    >>> settings = pipeline_settings(load_preset("paper"))
    >>> settings["model"] = {"name": "pca", "patch_size": 32, "n_components": 4}
    >>> pipeline = build_pipeline(settings, origin="example")
    >>> normal = [phantom_chest(seed, size=256).image for seed in range(4)]
    >>> detection = pipeline.fit(normal).detect(normal[0])
    >>> detection.native_heatmap.shape, detection.native_lungs.shape
    ((256, 256), (256, 256))
    """

    image: ChestImage
    resized: ChestImage
    lungs: LungMask
    patches: PatchBatch
    reconstruction: Reconstruction
    scores: PatchScores
    anomaly_map: AnomalyMap
    pred_score: float | None = None
    decision: Decision | None
    localisation: Localisation
    status: Status
    reason: str | None = None
    seconds: float

    @property
    def native_heatmap(self) -> FloatImage:
        """The anomaly map on the image's native grid, float32 (H, W), NaN where unscored."""
        return to_native_grid(self.anomaly_map.heatmap, self.image.shape)

    @property
    def native_lungs(self) -> BoolImage:
        """The lung mask on the image's native grid, bool (H, W)."""
        return to_native_grid(self.lungs.pixels, self.image.shape)

    @property
    def native_boxes(self) -> NDArray[np.int64]:
        """The predicted boxes on the image's native grid, int64 (K, 4)."""
        return boxes_to_native_grid(self.localisation.boxes, self.resized.shape, self.image.shape)

    @cached_property
    def regions(self) -> RegionSummary:
        """Where in the lungs the anomaly score is high, in words and numbers."""
        return find_regions(
            self.anomaly_map.heatmap,
            self.localisation.pred_mask,
            self.lungs.frame,
            threshold=self.localisation.threshold,
            native_shape=self.image.shape,
        )

    def plot(self, *, axes: Any = None) -> NDArray[np.object_]:
        """Draw the radiograph, the lungs with the boxes, and the anomaly map.

        Colours are those of the pipeline that made it, the same for all its images. Needs
        matplotlib; see `lungpatch.reports.plot_detection`.

        Parameters
        ----------
        axes : array-like of matplotlib.axes.Axes, shape (3,), optional
            Where to draw; by default on a new figure.

        Returns
        -------
        ndarray of matplotlib.axes.Axes, shape (3,)

        Raises
        ------
        MissingExtraError
            If matplotlib is not installed.
        ValueError
            If the anomaly map has no colour scale, which a fitted pipeline gives it.
        """
        scale = self.anomaly_map.colour_scale
        if scale is None:
            raise ValueError(
                "the anomaly map has no colour scale: use what a fitted pipeline's detect returns, "
                "or lungpatch.reports.plot_detection(detection, scale)"
            )
        return plot_detection(self, scale, axes=axes)

    def _rendering(self) -> Rendering | None:
        scale = self.anomaly_map.colour_scale
        return None if scale is None else overlay(self, scale)

    def __repr__(self) -> str:
        score = "not scored" if self.pred_score is None else f"score {self.pred_score:.4g}"
        if self.decision is not None:
            sign = ">" if self.decision.pred_label else "<="
            score += f" {sign} {self.decision.threshold:.4g}"
        count = len(self.localisation.boxes)
        boxes = f"{count} box" if count == 1 else f"{count} boxes"
        return f"Detection({self.image.image_id!r}, {self.status}, {score}, {boxes})"


@attrs.frozen(eq=False, kw_only=True, repr=False)
class Failure:
    """An image of a batch that could not be processed.

    Parameters
    ----------
    source : str
        The path, or the image's id.
    error : LungpatchError
        Names what is wrong and what to do.

    Examples
    --------
    >>> from lungpatch.errors import InvalidImageError
    >>> Failure(source="a.png", error=InvalidImageError("a.png: is empty"))
    Failure('a.png', InvalidImageError: a.png: is empty)
    """

    source: str
    error: LungpatchError

    def __repr__(self) -> str:
        return f"Failure({self.source!r}, {type(self.error).__name__}: {self.error})"
