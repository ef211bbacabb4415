"""Gradient magnitude similarity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from attrs import validators
from scipy import ndimage

from lungpatch import Component, PatchBatch, PatchScores, Reconstruction
from lungpatch.errors import ConfigurationError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@attrs.define(kw_only=True, eq=False)
class GMSScorer(Component):
    """Mean of 1 - gradient magnitude similarity (GMS) over the lung, in [0, 1].

    It is 0 where all gradients are as expected.

    Parameters
    ----------
    constant : float
        Above 0. Gradients well below its square root hardly count. The 170 of [1]_ for grey levels
        up to 255 corresponds to 0.0026 for grey levels up to 1.

    See Also
    --------
    lungpatch.SSIMScorer : Compares local brightness and contrast, too.

    Notes
    -----
    The gradients are those of Prewitt, divided by 3, with the patch mirrored at its border, as in
    equations 1 to 4 of [1]_. Several channels are averaged.

    References
    ----------
    .. [1] W. Xue, L. Zhang, X. Mou, A. C. Bovik, "Gradient magnitude similarity deviation: a highly
       efficient perceptual image quality index", IEEE Transactions on Image Processing 23 (2014),
       doi:10.1109/TIP.2013.2293423.
    """

    constant: float = attrs.field(
        default=0.0026, validator=[validators.instance_of(float), validators.gt(0)]
    )

    def score(self, patches: PatchBatch, reconstruction: Reconstruction) -> PatchScores:
        """Return one score per patch; ``error_maps`` holds 1 - GMS of every pixel.

        Raises
        ------
        ConfigurationError
            If the model does not reconstruct pixels.
        """
        target = _gradient(reconstruction.target)
        expected = _gradient(reconstruction.expected)
        above = 2.0 * target * expected + self.constant
        error = 1.0 - (above / (target**2 + expected**2 + self.constant)).mean(axis=1)
        if error.shape != patches.pixels.shape:
            raise ConfigurationError(
                f"the scorer 'gms' needs one value per pixel, {patches.pixels.shape}, got "
                f"{error.shape}: take a model that reconstructs pixels, such as 'unet'"
            )
        # Only lung pixels count; in a patch without any, all pixels count.
        support = patches.lung | ~patches.lung.any(axis=(1, 2), keepdims=True)
        return PatchScores(
            values=error.sum(axis=(1, 2), where=support) / support.sum(axis=(1, 2)),
            support=support,
            error_maps=error.astype(np.float32),
        )


def _gradient(images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the magnitude of the gradient along the last two axes."""
    steps: list[NDArray[Any]] = []
    for axis, other in ((-2, -1), (-1, -2)):
        difference = ndimage.correlate1d(
            images.astype(np.float64), [-1.0, 0.0, 1.0], axis=axis, mode="reflect"
        )
        steps.append(ndimage.uniform_filter1d(difference, 3, axis=other, mode="reflect"))
    return np.hypot(*steps)
