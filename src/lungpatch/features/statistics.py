"""Local statistics of grey levels and their texture; no network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import attrs
import numpy as np
from attrs import validators
from scipy import ndimage

from lungpatch._utils.component import plain_errors
from lungpatch.containers.cells import mean_over_cells
from lungpatch.features.fixed import FixedExtractor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lungpatch.containers import FloatImage, PatchBatch

Statistic = Literal["grey", "deviation", "gradient"]
STATISTICS: tuple[Statistic, ...] = get_args(Statistic)


def _positive(_: Any, attribute: attrs.Attribute[Any], value: tuple[float, ...]) -> None:
    if not value or not all(isinstance(v, (int, float)) and 0 < v <= 1 for v in value):
        raise ValueError(f"{attribute.name!r} must be one or several numbers above 0, at most 1")


def _known(_: Any, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    if not value or len(set(value)) < len(value) or not set(value) <= set(STATISTICS):
        raise ValueError(
            f"{attribute.name!r} must be some of {', '.join(STATISTICS)}, each once, got {value}"
        )


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class StatisticsExtractor(FixedExtractor):
    """Local mean, standard deviation and gradient energy of the grey levels, at several scales.

    Parameters
    ----------
    statistics : tuple of str
        Some of ``grey``: the smoothed grey level; ``deviation``: the standard deviation of the
        grey level around it; ``gradient``: the square root of the smoothed squared gradient, in
        grey levels per pixel. All are of images in [0, 1].
    scales : tuple of float
        Standard deviations of the Gaussian window, as fractions of the patch's side, in (0, 1].
    grid : int
        Cells per side of the feature grid; a smaller patch has one cell per pixel.

    See Also
    --------
    LungEncoder, ImageNetExtractor : Features of trained networks.

    Notes
    -----
    Pixels are averaged over their cell before the Gaussian is applied, so the window is the
    Gaussian convolved with a cell.

    Examples
    --------
    >>> from lungpatch.features import StatisticsExtractor
    >>> from lungpatch.testing.samples import phantom_patches
    >>> extractor = StatisticsExtractor(statistics=("grey",), scales=(0.05,), grid=4)
    >>> extractor.extract(phantom_patches(16)).shape
    (15, 1, 4, 4)
    """

    statistics: tuple[Statistic, ...] = attrs.field(
        default=STATISTICS, converter=tuple, validator=_known
    )
    scales: tuple[float, ...] = attrs.field(
        default=(0.02, 0.04, 0.08), converter=tuple, validator=_positive
    )
    grid: int = attrs.field(default=32, validator=[validators.instance_of(int), validators.ge(1)])

    def extract(self, patches: PatchBatch) -> FloatImage:
        """Return the statistics.

        Parameters
        ----------
        patches : PatchBatch
            N patches of any size; N may be 0.

        Returns
        -------
        ndarray of float32, shape (N, C, h, w)
            One channel per statistic and scale: all scales of the first, then of the next.
            h and w are ``grid``, or the patch's side where it is smaller.
        """
        pixels = patches.pixels.astype(np.float64)
        side = min(self.grid, patches.patch_size)
        mean, square, energy = (
            mean_over_cells(maps, (side, side))
            for maps in (pixels, pixels**2, _squared_gradient(pixels))
        )
        channels: dict[str, list[NDArray[np.float64]]] = {name: [] for name in STATISTICS}
        for scale in self.scales:
            sigmas = (0.0, scale * side, scale * side)
            grey, grey2, energy2 = (
                ndimage.gaussian_filter(maps, sigmas, mode="nearest")
                for maps in (mean, square, energy)
            )
            channels["grey"].append(grey)
            # Rounding may take the difference of equal numbers below 0.
            channels["deviation"].append(np.sqrt(np.maximum(grey2 - grey**2, 0.0)))
            channels["gradient"].append(np.sqrt(energy2))
        chosen = [maps for name in self.statistics for maps in channels[name]]
        return np.stack(chosen, axis=1).astype(np.float32)


def _squared_gradient(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the squared length of the gradient, of central differences, (N, P, P)."""
    if pixels.shape[-1] < 2:
        return np.zeros_like(pixels)
    rows, columns = np.gradient(pixels, axis=(1, 2))
    return np.asarray(rows**2 + columns**2)
