"""What a detector says about the images, and what the controls say that detect nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import numpy as np
from numpy.typing import NDArray

from lungpatch._utils.progress import ProgressCallback, silent
from lungpatch.containers import FloatImage
from lungpatch.containers.colours import ColourScale
from lungpatch.evaluation.cases import FRAME, Case, in_frame
from lungpatch.pipeline import Failure, Pipeline

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lungpatch.datasets.dataset import Dataset


@attrs.frozen(eq=False, kw_only=True)
class Outcome:
    """One score and one map an image.

    Parameters
    ----------
    name : str
    scores : ndarray of float64, shape (N,)
        Higher is more anomalous; NaN where the detector gave none.
    heats : tuple of ndarray of float32, shape (FRAME, FRAME), or None
        NaN where nothing was scored; None for what says nothing about places.
    milliseconds : float
        Median time an image; NaN for a control.
    colour_scale : ColourScale or None
        One for all maps; None for a control.

    Examples
    --------
    >>> outcome = Outcome(name="a", scores=np.array([1.0, np.nan]), heats=None)
    >>> outcome.unscored
    1
    """

    name: str
    scores: NDArray[np.float64]
    heats: tuple[FloatImage, ...] | None
    milliseconds: float = float("nan")
    colour_scale: ColourScale | None = None

    @property
    def unscored(self) -> int:
        """Images without a score; they count as the least anomalous."""
        return int(np.isnan(self.scores).sum())


def run_pipeline(
    name: str, pipeline: Pipeline, dataset: Dataset, *, progress: ProgressCallback | None = None
) -> Outcome:
    """Run a fitted pipeline over images.

    Parameters
    ----------
    name : str
    pipeline : Pipeline
    dataset : Dataset
    progress : callable, optional

    Returns
    -------
    Outcome

    Raises
    ------
    InvalidImageError, MissingInputError
        If an image cannot be used: what is judged must be whole.

    Examples
    --------
    >>> run_pipeline("default", pipeline, images).scores.shape          # doctest: +SKIP
    (347,)
    """
    notify = progress or silent
    scores, seconds = [], []
    heats: list[FloatImage] = []
    for count, found in enumerate(pipeline.detect_many(dataset), start=1):
        if isinstance(found, Failure):
            raise found.error
        scores.append(np.nan if found.decision is None else found.decision.pred_score)
        heats.append(in_frame(found.anomaly_map.heatmap))
        seconds.append(found.seconds)
        notify(name, count, len(dataset), {})
    return Outcome(
        name=name,
        scores=np.array(scores, dtype=np.float64),
        heats=tuple(heats),
        milliseconds=1000 * float(np.median(seconds)),
        colour_scale=pipeline.calibration.colour_scale,
    )


def simple_controls(cases: Sequence[Case]) -> list[Outcome]:
    """Tell ill from well by what has nothing to do with lesions.

    Parameters
    ----------
    cases : sequence of Case

    Returns
    -------
    list of Outcome
        ``mean lung grey``: the mean grey level in the lungs, and grey as heat. ``vertical
        position``: how low the lungs' centre lies in the image, and how low a pixel lies in it.
        ``mask area``: how small the lungs are. ``view AP``: whether the image was taken from the
        front.

    Examples
    --------
    >>> [control.name for control in simple_controls([])]
    ['mean lung grey', 'vertical position', 'mask area', 'view AP']
    """
    row = np.repeat(np.linspace(0, 1, FRAME, dtype=np.float32)[:, None], FRAME, axis=1)
    grey = tuple(_in_lungs(case.pixels, case) for case in cases)
    height = tuple(_in_lungs(row, case) for case in cases)
    areas = np.array([case.lungs.mean() for case in cases], dtype=np.float64)
    taken = np.array([case.view == "AP" for case in cases], dtype=np.float64)
    return [
        Outcome(name="mean lung grey", scores=_means(grey), heats=grey),
        Outcome(name="vertical position", scores=_means(height), heats=height),
        Outcome(name="mask area", scores=-areas, heats=None),
        Outcome(name="view AP", scores=taken, heats=None),
    ]


def _in_lungs(values: FloatImage, case: Case) -> FloatImage:
    return np.where(case.lungs, values, np.float32(np.nan))


def _means(heats: Sequence[FloatImage]) -> NDArray[np.float64]:
    known = [heat[~np.isnan(heat)] for heat in heats]
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

    Examples
    --------
    >>> atlas_pipeline(0).model.patch_size
    64
    """
    from lungpatch.pipeline import pipeline_settings
    from lungpatch.pipeline.configuration import build_pipeline, load_preset

    tables = pipeline_settings(load_preset("paper"))
    crop = {"name": "lung-crop", "patch_size": 64}
    tables["pipeline"] |= {"image_score": "mean", "map_detail": "pixel", "seed": seed}
    tables |= {"fit_sampler": crop, "sampler": crop}
    tables["model"] = {"name": "atlas", "patch_size": 64}
    tables["scorer"] = {"name": "feature", "difference": "excess"}
    return build_pipeline(tables, origin="evaluation")


def training_images(dataset: Dataset, names: Iterable[str]) -> list[Path]:
    """Find the images of a split's training part in a data set.

    Parameters
    ----------
    dataset : Dataset
    names : iterable of str
        File names.

    Returns
    -------
    list of pathlib.Path

    Examples
    --------
    >>> images = Dataset(name="two", images=[Path("a.png"), Path("b.png")])
    >>> [image.name for image in training_images(images, ["b.png"])]
    ['b.png']
    """
    wanted = set(names)
    return [image for image in dataset.images if isinstance(image, Path) and image.name in wanted]
