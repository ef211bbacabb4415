"""Renderings of the images on which a detector localised best and worst."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lungpatch._utils.renderings import contact_sheet, outline
from lungpatch.evaluation.localisation import pixel_samples, within_images

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lungpatch.containers import ColourScale, FloatImage
    from lungpatch.evaluation.cases import Case

N_SHOWN = 6
ZOOM = 2
_MARKED = (80, 220, 100)
_LUNGS = (90, 160, 230)


def best_and_worst(
    cases: Sequence[Case], heatmaps: Sequence[FloatImage], *, n_shown: int = N_SHOWN
) -> list[tuple[int, float]]:
    """Choose images by the pixel AUROC within them: the best, then the worst.

    Parameters
    ----------
    cases : sequence of Case
    heatmaps : sequence of ndarray of float32, shape (GRID_SIZE, GRID_SIZE)
    n_shown : int
        Number of the best, and of the worst.

    Returns
    -------
    list of (int, float)
        Index and AUROC, best first; no image is listed twice.

    Examples
    --------
    >>> best_and_worst([], [])
    []
    """
    auroc = within_images(pixel_samples(cases, heatmaps))[0]
    known = np.flatnonzero(~np.isnan(auroc))
    ranked = known[np.argsort(-auroc[known], kind="stable")].tolist()
    chosen = ranked if len(ranked) <= 2 * n_shown else ranked[:n_shown] + ranked[-n_shown:]
    return [(index, float(auroc[index])) for index in chosen]


def draw_case(case: Case, heatmap: FloatImage, scale: ColourScale) -> NDArray[np.uint8]:
    """Draw an image, and beside it the same with its anomaly map; what is marked green, lungs blue.

    Parameters
    ----------
    case : Case
    heatmap : ndarray of float32, shape (GRID_SIZE, GRID_SIZE)
    scale : ColourScale

    Returns
    -------
    ndarray of uint8, shape (2 GRID_SIZE, 4 GRID_SIZE, 3)

    Examples
    --------
    >>> draw_case(case, heatmap, scale).shape                          # doctest: +SKIP
    (512, 1024, 3)
    """
    grey: NDArray[np.uint8] = np.rint(case.pixels * 255).astype(np.uint8)
    painted = scale.paint(grey, heatmap)
    plain = np.repeat(grey[..., None], 3, axis=2)
    for rendering in (painted, plain):
        rendering[outline(case.marked, 1)] = _MARKED
    painted[outline(case.lungs, 1)] = _LUNGS
    both = np.concatenate([plain, painted], axis=1)
    return np.asarray(both.repeat(ZOOM, axis=0).repeat(ZOOM, axis=1))


def draw_sheet(
    cases: Sequence[Case],
    heatmaps: Sequence[FloatImage],
    scale: ColourScale,
    *,
    n_shown: int = N_SHOWN,
) -> Image.Image | None:
    """Lay out the images of `best_and_worst`.

    Parameters
    ----------
    cases : sequence of Case
    heatmaps : sequence of ndarray of float32, shape (GRID_SIZE, GRID_SIZE)
    scale : ColourScale
        The same for all images.
    n_shown : int
        As of `best_and_worst`.

    Returns
    -------
    PIL.Image.Image or None
        None if localisation cannot be measured in any image.

    Examples
    --------
    >>> draw_sheet(cases, heatmaps, scale).save("sheet.png")           # doctest: +SKIP
    """
    chosen = best_and_worst(cases, heatmaps, n_shown=n_shown)
    if not chosen:
        return None
    return Image.fromarray(
        contact_sheet(
            [draw_case(cases[index], heatmaps[index], scale) for index, _ in chosen],
            columns=2,
            labels=[f"{cases[index].image_id}: pixel AUROC {auroc:.2f}" for index, auroc in chosen],
        )
    )
