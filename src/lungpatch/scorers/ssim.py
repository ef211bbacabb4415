"""Structural dissimilarity, 1 - SSIM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from attrs import validators

from lungpatch._utils.component import Component, plain_errors
from lungpatch._utils.forks import IMPORTING
from lungpatch.containers import BoolImage, PatchBatch, PatchScores, Reconstruction
from lungpatch.errors import ConfigurationError
from lungpatch.scorers.region import REGIONS, Region, check_pixelwise, mean_over, region_support

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

_K1, _K2 = 0.01, 0.03  # Wang et al. 2004, section III.C
_PIXELS_AT_ONCE = 2**14
_TRUNCATE = 3.5  # the Gaussian ends there, in sigmas: 11 pixels for sigma 1.5


def _odd(_: Any, attribute: attrs.Attribute[Any], value: int) -> None:
    if value % 2 == 0:
        raise ValueError(f"{attribute.name} must be odd, got {value}")


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class SSIMScorer(Component):
    """Score the structural dissimilarity 1 - SSIM, in [0, 2]; 0 where both are equal.

    SSIM compares mean, contrast and structure in a window around each pixel. The defaults are
    those of [1]_; the data range is 1, since pixels lie in [0, 1]. The names of settings and the
    results are those of `skimage.metrics.structural_similarity`, here for all patches at once.

    Parameters
    ----------
    gaussian_weights : bool
        Whether the window is a Gaussian of ``sigma`` pixels, or uniform with side ``win_size``.
    sigma : float
        Standard deviation of the Gaussian in pixels, above 0. It ends at 3.5 sigma: for 1.5 the
        window is 11 pixels wide.
    win_size : int
        Side of the uniform window in pixels; odd, at least 3.
    use_sample_covariance : bool
        Whether covariances are divided by one less than the window's number of pixels.
    region : {"lung", "patch"}
        Which pixels are scored: lung only, or all.

    See Also
    --------
    SADScorer, L2Scorer : Compare grey levels pixel by pixel.
    FeatureScorer : Compares feature maps of any size.

    Notes
    -----
    As in [1]_, the mean leaves out the pixels next to the patch's border, whose window reaches
    beyond it (5 pixels by default): with ``region="patch"`` the score is 1 minus scikit-image's
    mean. Only a patch whose lung lies wholly in that margin is scored there, with the patch
    mirrored at its border. ``support`` says which pixels were scored. Several channels are
    averaged.

    References
    ----------
    .. [1] Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, "Image quality assessment: from
       error visibility to structural similarity", IEEE Transactions on Image Processing 13, 2004,
       equation 13. doi:10.1109/TIP.2003.819861

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch.containers import PatchBatch, Reconstruction
    >>> from lungpatch.scorers import SSIMScorer
    >>> pixels = np.random.default_rng(0).random((2, 32, 32), dtype=np.float32)
    >>> patches = PatchBatch(
    ...     pixels=pixels, corners=np.zeros((2, 2), np.int64), lung=np.ones((2, 32, 32), bool),
    ...     image_shape=(32, 32), image_id="a")
    >>> expected = np.stack([pixels[:1], 1 - pixels[1:]])
    >>> scores = SSIMScorer().score(patches, Reconstruction(target=pixels[:, None],
    ...                                                     expected=expected))
    >>> scores.values.round(2).tolist()
    [0.0, 1.97]
    """

    gaussian_weights: bool = attrs.field(default=True, validator=validators.instance_of(bool))
    sigma: float = attrs.field(
        default=1.5, validator=[validators.instance_of((int, float)), validators.gt(0)]
    )
    win_size: int = attrs.field(
        default=7, validator=[validators.instance_of(int), validators.ge(3), _odd]
    )
    use_sample_covariance: bool = attrs.field(default=False, validator=validators.instance_of(bool))
    region: Region = attrs.field(default="lung", validator=validators.in_(REGIONS))

    def score(self, patches: PatchBatch, reconstruction: Reconstruction) -> PatchScores:
        """Return one value of 1 - SSIM per patch.

        Parameters
        ----------
        patches : PatchBatch
            N patches of P x P pixels.
        reconstruction : Reconstruction
            Of the same patches, shape (N, C, P, P).

        Returns
        -------
        PatchScores
            ``error_maps`` holds 1 - SSIM of every pixel, the margin included.

        Raises
        ------
        ConfigurationError
            If shapes disagree, the window is larger than a patch, or a patch has no lung pixel
            under ``region="lung"``.
        """
        check_pixelwise(patches, reconstruction)
        weights = self._window()
        side = patches.patch_size
        if len(weights) > side:
            raise ConfigurationError(
                f"the SSIM window is {len(weights)} pixels wide, the patches only {side}: lower "
                + ("sigma" if self.gaussian_weights else "win_size")
                + " or take larger patches"
            )
        support = self._leave_out_margin(region_support(patches, self.region), len(weights) // 2)
        error = 1.0 - self._ssim_maps(reconstruction, weights)
        return PatchScores(
            values=mean_over(error, support), support=support, error_maps=error.astype(np.float32)
        )

    def _window(self) -> NDArray[np.float64]:
        """Return the weights of the window along one axis; they sum to 1."""
        if not self.gaussian_weights:
            return np.full(self.win_size, 1.0 / self.win_size)
        radius = int(_TRUNCATE * self.sigma + 0.5)
        offsets = np.arange(-radius, radius + 1)
        weights = np.exp(-0.5 * (offsets / self.sigma) ** 2)
        normalised: NDArray[np.float64] = weights / weights.sum()
        return normalised

    @staticmethod
    def _leave_out_margin(support: BoolImage, margin: int) -> BoolImage:
        side = support.shape[1]
        inner = np.zeros_like(support)
        core = np.s_[:, margin : side - margin, margin : side - margin]
        inner[core] = support[core]
        only_margin = ~inner.any(axis=(1, 2))
        inner[only_margin] = support[only_margin]
        return inner

    def _ssim_maps(
        self, reconstruction: Reconstruction, weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the SSIM of every pixel, averaged over channels, float64 (N, P, P)."""
        with IMPORTING:
            import torch

        target, expected = reconstruction.target, reconstruction.expected
        side = target.shape[-1]
        smoothing = torch.from_numpy(_smoothing_matrix(weights, side))
        norm = 1.0
        if self.use_sample_covariance:
            # Over the window's pixels, as in scikit-image, also for the Gaussian.
            count = len(weights) ** 2
            norm = count / (count - 1)
        c1, c2 = _K1**2, _K2**2

        def similarity(x: Tensor, y: Tensor) -> Tensor:
            smoothed = smoothing @ torch.stack([x, y, x * y, x * x + y * y]) @ smoothing.T
            mean_x, mean_y, mean_xy, mean_squares = smoothed
            product, squares = mean_x * mean_y, mean_x**2 + mean_y**2
            covariance = norm * (mean_xy - product)
            variances = norm * (mean_squares - squares)  # the sum of those of x and of y
            above = (2 * product + c1) * (2 * covariance + c2)
            ratio: Tensor = above / ((squares + c1) * (variances + c2))
            return ratio

        maps = np.empty((len(target), side, side))
        # A few patches at a time stay in the processor's cache: two to three times as fast.
        step = max(1, _PIXELS_AT_ONCE // side**2)
        for start in range(0, len(target), step):
            part = slice(start, start + step)
            # In float64: variances are small differences of large numbers, and in float32 flat
            # patches would be off by more than 1e-4.
            x = torch.tensor(target[part], dtype=torch.float64)
            y = torch.tensor(expected[part], dtype=torch.float64)
            maps[part] = similarity(x, y).mean(dim=1).numpy()
        return maps


def _smoothing_matrix(weights: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Return a filter along an axis of ``side`` pixels, mirrored at both ends, as a matrix.

    Two matrix products filter all patches at once, many times faster than convolutions of one
    channel.
    """
    radius = len(weights) // 2
    source = np.pad(np.arange(side), radius, mode="symmetric")
    matrix = np.zeros((side, side))
    for offset, weight in enumerate(weights):
        matrix[np.arange(side), source[offset : offset + side]] += weight
    return matrix
