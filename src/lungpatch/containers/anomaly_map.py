"""The anomaly map: patch scores at their positions in the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import numpy as np

from lungpatch._utils.notebook import NotebookDisplay
from lungpatch.containers.arrays import BoolImage, FloatImage, as_float32, has_ndim, range_text
from lungpatch.containers.colours import MID_GREY, ColourScale

if TYPE_CHECKING:
    from lungpatch._utils.renderings import Rendering


@attrs.frozen(eq=False, kw_only=True, repr=False)
class AnomalyMap(NotebookDisplay):
    """Patch scores at their positions in the image.

    Parameters
    ----------
    heatmap : ndarray of float32, shape (H, W)
        Weighted mean of the scores that cover a pixel; NaN where nothing was scored.
    colour_scale : ColourScale or None
        The colour of each score, the same in all maps of a fitted pipeline. If it is None, a
        notebook shows no rendering: colours stretched over a single map would make normal lungs
        look as anomalous as abnormal ones.

    See Also
    --------
    PatchScores : The scores that a map is built from.
    Localisation : The regions of a map above a threshold.

    Examples
    --------
    >>> import numpy as np
    >>> AnomalyMap(heatmap=np.array([[np.nan, 1.0]], np.float32)).coverage
    0.5
    """

    heatmap: FloatImage = attrs.field(converter=as_float32, validator=has_ndim(2))
    colour_scale: ColourScale | None = None

    @property
    def scored(self) -> BoolImage:
        """Which pixels were scored, bool (H, W)."""
        return ~np.isnan(self.heatmap)

    @property
    def coverage(self) -> float:
        """Fraction of the image that was scored, in [0, 1]."""
        return float(self.scored.mean()) if self.heatmap.size else 0.0

    def _rendering(self) -> Rendering | None:
        if self.colour_scale is None or not self.heatmap.size:
            return None
        # Black where nothing was scored; elsewhere the background of `ColourScale.bar`.
        ground = np.where(self.scored, MID_GREY, 0).astype(np.uint8)
        return self.colour_scale.paint(ground, self.heatmap)

    def __repr__(self) -> str:
        size = "x".join(map(str, self.heatmap.shape))
        return f"AnomalyMap({size}, range {range_text(self.heatmap)}, {self.coverage:.1%} scored)"
