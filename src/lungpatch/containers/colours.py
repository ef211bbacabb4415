"""One colour scale for all images, set on normal images.

A map that is stretched between its own minimum and maximum makes normal lungs look as anomalous as
abnormal ones. Here a colour means the same score in every rendering.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any, Self

import attrs
import numpy as np

from lungpatch.errors import InsufficientDataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# Indigo to pale yellow; the lightness (CIELAB) rises throughout, so the order is also visible in
# grey and to colour-blind readers.
_ANCHORS = (
    (40, 20, 100),
    (112, 22, 132),
    (182, 44, 118),
    (232, 86, 70),
    (248, 152, 44),
    (255, 236, 140),
)
MID_GREY = 120
"""The grey background of colours that are shown without a radiograph."""

# The radiograph stays visible below the colour of the highest scores.
_MAX_OPACITY = 0.7


def _colour_table() -> NDArray[np.uint8]:
    """Red, green, blue and opacity of 256 steps from ``low`` to ``high``, uint8 (256, 4)."""
    position = np.linspace(0.0, 1.0, 256)
    stops = np.linspace(0.0, 1.0, len(_ANCHORS))
    channels = [np.interp(position, stops, values) for values in zip(*_ANCHORS, strict=True)]
    opacity = 255.0 * _MAX_OPACITY * np.minimum(2.0 * position, 1.0)
    table: NDArray[np.uint8] = np.rint(np.stack([*channels, opacity], axis=-1)).astype(np.uint8)
    table[0] = 0
    return table


COLOUR_TABLE = _colour_table()
"""Red, green, blue and opacity of the steps of every scale, uint8 (256, 4)."""


@cache
def _mixed_colours() -> NDArray[np.uint8]:
    """Each step of a scale over each grey level, which follows fastest; uint8 (256 * 256, 3)."""
    alpha = COLOUR_TABLE[:, None, 3:].astype(np.float32) / 255.0
    grey = np.arange(256, dtype=np.uint8)[None, :, None]
    mixed = alpha * COLOUR_TABLE[:, None, :3] + (1.0 - alpha) * grey
    return np.rint(mixed).astype(np.uint8).reshape(-1, 3)


def _finite(_: Any, attribute: attrs.Attribute[Any], value: float) -> None:
    if not math.isfinite(value):
        raise ValueError(f"{attribute.name} must be a finite number, got {value}")


@attrs.frozen(kw_only=True)
class ColourScale:
    """The colour of each score, the same in all images.

    Parameters
    ----------
    low : float
        Scores up to this one are not coloured.
    high : float
        Scores from this one on have the last colour; above ``low``.

    Raises
    ------
    ValueError
        If a value is not finite, or ``low`` is not below ``high``.

    See Also
    --------
    AnomalyMap : A map that can be rendered with a scale.

    Examples
    --------
    >>> from lungpatch.containers import ColourScale
    >>> scale = ColourScale(low=1.0, high=5.0)
    >>> scale.to_rgba([0.5, 3.0, 9.0, float("nan")])
    array([[  0,   0,   0,   0],
           [207,  65,  94, 178],
           [255, 236, 140, 178],
           [  0,   0,   0,   0]], dtype=uint8)
    """

    low: float = attrs.field(converter=float, validator=_finite)
    high: float = attrs.field(converter=float, validator=_finite)

    def __attrs_post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"low must be below high, got low={self.low} and high={self.high}")

    @classmethod
    def from_normal(cls, values: ArrayLike, threshold: float) -> Self:
        """Set the scale on the anomaly maps of normal images.

        ``low`` is the median of their scores. The middle of the scale is their 99th percentile,
        or the threshold if that is higher. So colours beyond the middle are rare in normal lung,
        and the threshold lies on the scale unless it is below the median.

        Parameters
        ----------
        values : array-like
            Anomaly scores of normal pixels, any shape; NaN (not scored) is left out.
        threshold : float
            The anomaly score above which a pixel counts as anomalous.

        Returns
        -------
        ColourScale

        Raises
        ------
        InsufficientDataError
            If no value is finite.

        Examples
        --------
        >>> ColourScale.from_normal([0, 1, 2, 3, 4], threshold=5)
        ColourScale(low=2.0, high=8.0)
        """
        scores = np.asarray(values, dtype=np.float64).ravel()
        scores = scores[np.isfinite(scores)]
        if scores.size == 0:
            raise InsufficientDataError(
                "a colour scale needs scores of normal images, and no normal pixel was scored: "
                "check the segmenter and the sampler"
            )
        low, extreme = np.quantile(scores, (0.5, 0.99))
        high = low + 2.0 * (max(extreme, threshold) - low)
        if not high > low:  # all normal pixels have the same score
            high = low + (abs(low) or 1.0)
        return cls(low=low, high=high)

    def to_rgba(self, scores: ArrayLike) -> NDArray[np.uint8]:
        """Return the colours of scores.

        Parameters
        ----------
        scores : array-like of float, any shape
            NaN where nothing was scored.

        Returns
        -------
        ndarray of uint8, shape (..., 4)
            Red, green, blue and opacity, not premultiplied. Opacity rises from 0 at ``low`` to
            70 % in the middle of the scale, and is 0 for NaN.
        """
        return COLOUR_TABLE[self.to_index(scores)]

    def to_index(self, scores: ArrayLike) -> NDArray[np.uint8]:
        """Return the rows of `COLOUR_TABLE` that hold the colours of scores.

        Parameters
        ----------
        scores : array-like of float, any shape
            NaN where nothing was scored.

        Returns
        -------
        ndarray of uint8, of the same shape
            0 at ``low`` and for NaN, 255 at ``high``.

        Examples
        --------
        >>> ColourScale(low=1.0, high=5.0).to_index([0.5, 3.0, 9.0, float("nan")])
        array([  0, 128, 255,   0], dtype=uint8)
        """
        scores = np.asarray(scores, dtype=np.float64)
        index = np.zeros(scores.shape, np.uint8)
        # Most pixels of an image are not scored, or not above the low end.
        coloured = scores > self.low
        position = (scores[coloured] - self.low) / (self.high - self.low)
        index[coloured] = np.rint(255.0 * np.minimum(position, 1.0))
        return index

    def paint(self, grey: NDArray[np.uint8], scores: ArrayLike) -> NDArray[np.uint8]:
        """Paint the colours of scores over a grey image.

        Parameters
        ----------
        grey : ndarray of uint8, shape (H, W)
        scores : array-like of float, shape (H, W)
            NaN where nothing was scored. There, and up to ``low``, the image stays grey.

        Returns
        -------
        ndarray of uint8, shape (H, W, 3)

        Examples
        --------
        >>> import numpy as np
        >>> scale = ColourScale(low=1.0, high=5.0)
        >>> scale.paint(np.array([[100, 100]], np.uint8), [[1.0, 5.0]])
        array([[[100, 100, 100],
                [208, 195, 128]]], dtype=uint8)
        """
        steps = self.to_index(scores).astype(np.uint16)
        return _mixed_colours().take(256 * steps + grey, axis=0)

    def bar(self, steps: int) -> NDArray[np.uint8]:
        """Return the colours from ``low`` to ``high`` over mid-grey, such as for a legend.

        Parameters
        ----------
        steps : int
            Number of colours.

        Returns
        -------
        ndarray of uint8, shape (steps, 3)

        Examples
        --------
        >>> ColourScale(low=1.0, high=5.0).bar(2)
        array([[120, 120, 120],
               [214, 201, 134]], dtype=uint8)
        """
        scores = np.linspace(self.low, self.high, steps)[None]
        grey = np.full(scores.shape, MID_GREY, np.uint8)
        colours: NDArray[np.uint8] = self.paint(grey, scores)[0]
        return colours
