"""The predictions of detectors, and of controls that detect nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import numpy as np
from numpy.typing import NDArray

from lungpatch._utils.progress import ProgressCallback, silent
from lungpatch.containers import ColourScale, FloatImage
from lungpatch.evaluation.cases import GRID_SIZE, VIEWS, Case, to_evaluation_grid
from lungpatch.evaluation.operating_points import Outcomes, decide, operating_points
from lungpatch.pipeline import (
    Failure,
    Pipeline,
    build_pipeline,
    load_preset,
    pipeline_settings,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lungpatch.datasets import Dataset


@attrs.frozen(eq=False, kw_only=True)
class Predictions:
    """One score and one map per image.

    Parameters
    ----------
    name : str
        Of the detector or control.
    scores : ndarray of float64, shape (N,)
        Higher is more anomalous; NaN where the detector gave none.
    heatmaps : tuple of ndarray of float32, shape (GRID_SIZE, GRID_SIZE), or None
        Anomaly scores of the pixels, NaN where nothing was scored; None for a detector that does
        not localise.
    milliseconds : float
        Median time per image; NaN for a control.
    colour_scale : ColourScale or None
        One for all maps; None for a control.
    outcomes : Outcomes or None
        What the detector decides; None for a control.

    See Also
    --------
    run_pipeline, simple_controls : make predictions.

    Examples
    --------
    >>> predictions = Predictions(name="a", scores=np.array([1.0, np.nan]), heatmaps=None)
    >>> predictions.unscored
    1
    """

    name: str
    scores: NDArray[np.float64]
    heatmaps: tuple[FloatImage, ...] | None
    milliseconds: float = float("nan")
    colour_scale: ColourScale | None = None
    outcomes: Outcomes | None = None

    @property
    def unscored(self) -> int:
        """Number of images without a score; they count as the least anomalous."""
        return int(np.isnan(self.scores).sum())


def run_pipeline(
    name: str, pipeline: Pipeline, dataset: Dataset, *, progress: ProgressCallback | None = None
) -> Predictions:
    """Run a fitted pipeline over images.

    Parameters
    ----------
    name : str
    pipeline : Pipeline
    dataset : Dataset
    progress : callable, optional

    Returns
    -------
    Predictions

    Raises
    ------
    InvalidImageError, MissingInputError
        If an image cannot be used: an evaluation leaves no image out silently.

    Examples
    --------
    >>> run_pipeline("default", pipeline, images).scores.shape          # doctest: +SKIP
    (347,)
    """
    notify = progress or silent
    scores, seconds = [], []
    heatmaps: list[FloatImage] = []
    calibration = pipeline.calibration_
    points = operating_points(calibration)
    decided = []
    n_undecided = 0
    for count, found in enumerate(pipeline.detect_many(dataset), start=1):
        if isinstance(found, Failure):
            raise found.error
        scores.append(np.nan if found.pred_score is None else found.pred_score)
        heatmaps.append(to_evaluation_grid(found.anomaly_map.heatmap))
        decided.append(decide(found, points))
        n_undecided += found.decision is None
        seconds.append(found.seconds)
        notify(name, count, len(dataset), {})
    return Predictions(
        name=name,
        scores=np.array(scores, dtype=np.float64),
        heatmaps=tuple(heatmaps),
        milliseconds=1000 * float(np.median(seconds)),
        colour_scale=calibration.colour_scale,
        outcomes=Outcomes(
            n_patients=calibration.n_patients,
            points=points,
            flagged=np.array([[flag for flag, _ in image] for image in decided]).T,
            peaks=tuple(zip(*([peaks for _, peaks in image] for image in decided), strict=True)),
            n_undecided=n_undecided,
        ),
    )


def simple_controls(cases: Sequence[Case]) -> list[Predictions]:
    """Return baselines that use no information about lesions.

    Parameters
    ----------
    cases : sequence of Case

    Returns
    -------
    list of Predictions
        ``mean lung grey``: the mean grey level of the lungs, with grey levels as the map.
        ``vertical position``: how low the lungs' centre lies in the image, with the pixel's row as
        the map. ``mask area``: how small the lungs are. ``view AP``: 1 for an AP view, else 0;
        absent if no view is known.

    Examples
    --------
    >>> [control.name for control in simple_controls([])]
    ['mean lung grey', 'vertical position', 'mask area']
    """
    row = np.repeat(np.linspace(0, 1, GRID_SIZE, dtype=np.float32)[:, None], GRID_SIZE, axis=1)
    grey = tuple(_in_lungs(case.pixels, case) for case in cases)
    height = tuple(_in_lungs(row, case) for case in cases)
    areas = np.array([case.lungs.mean() for case in cases], dtype=np.float64)
    controls = [
        Predictions(name="mean lung grey", scores=_means(grey), heatmaps=grey),
        Predictions(name="vertical position", scores=_means(height), heatmaps=height),
        Predictions(name="mask area", scores=-areas, heatmaps=None),
    ]
    views = np.array([case.view for case in cases], dtype=np.str_)
    if np.isin(views, VIEWS).any():
        is_ap = (views == "AP").astype(np.float64)
        controls.append(Predictions(name="view AP", scores=is_ap, heatmaps=None))
    return controls


def _in_lungs(values: FloatImage, case: Case) -> FloatImage:
    return np.where(case.lungs, values, np.float32(np.nan))


def _means(heatmaps: Sequence[FloatImage]) -> NDArray[np.float64]:
    known = [heatmap[~np.isnan(heatmap)] for heatmap in heatmaps]
    means = [values.mean() if values.size else np.nan for values in known]
    return np.array(means, dtype=np.float64)


def atlas_pipeline(seed: int) -> Pipeline:
    """Build the control that any detector must beat: smoothed grey against a normal atlas.

    Parameters
    ----------
    seed : int

    Returns
    -------
    Pipeline
        Not fitted.

    See Also
    --------
    lungpatch.AtlasModel : the model.

    Examples
    --------
    >>> atlas_pipeline(0).model.patch_size
    64
    """
    tables = pipeline_settings(load_preset("paper"))
    crop = {"name": "lung-crop", "patch_size": 64}
    tables["pipeline"] |= {"image_score": "mean", "map_detail": "pixel", "seed": seed}
    tables |= {"fit_sampler": crop, "sampler": crop}
    tables["model"] = {"name": "atlas", "patch_size": 64}
    tables["scorer"] = {"name": "feature", "difference": "excess"}
    return build_pipeline(tables, origin="evaluation")
